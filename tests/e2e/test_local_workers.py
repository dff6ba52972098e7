"""`hpo run --workers`: processes that are started, watched, restarted, found again, asked to go."""

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from hpo import workers
from hpo.local_workers import LocalWorkers, slots
from hpo.signals import Stop
from hpo.study import StudyView, load_study
from hpo.trials import RUN
from tests.e2e.processes import PATIENCE, Hpo
from tests.studies_made import NER, write_study

NAPS = '''
"""A task without torch: each trial lasts until a file says that it may end."""
import time
from pathlib import Path
from hpo.trial import Result

class Naps:
    name, metric, metrics = "naps", "score", {"score": "maximize"}

    def train(self, attempt):
        step = 0
        while not Path("wake").exists():
            attempt.reporter.stepped(step, 100)
            step += 1
            if attempt.reporter.asked_to_stop():
                from hpo.errors import HandedBack
                raise HandedBack("woken")
            time.sleep(0.02)
        return Result(attempt.params["x"])

TASK = Naps()
'''
STUDY = """
task = "naps"
model = "none"
strategy = "random"
data = { path = "none" }
budget = { trials = 6 }
[space]
x = { type = "float", low = 0.0, high = 1.0 }
"""


class Bench:
    """A study of naps, and the command line beside it."""

    def __init__(self, hpo: Hpo) -> None:
        self.hpo = hpo
        self.env = {"PYTHONPATH": str(hpo.folder)}
        (hpo.folder / "naps.py").write_text(NAPS)
        info = hpo.folder / "naps-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: naps\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[hpo.tasks]\nnaps = naps:TASK\n")
        (hpo.folder / "study.toml").write_text(STUDY)

    def study(self) -> StudyView:
        """Read the study."""
        return load_study("study-random", f"sqlite:///{self.hpo.folder / 'runs' / 'hpo.db'}")

    def wake(self) -> None:
        """Let all trials end."""
        (self.hpo.folder / "wake").touch()

    def process_of(self, line: str) -> int:
        """Return the process that a line `worker 0 started, process 123` names."""
        found = re.search(r"process (\d+)", line)
        assert found is not None
        return int(found[1])


@pytest.fixture
def bench(hpo: Hpo) -> Bench:
    """A study whose trials last until they are woken."""
    return Bench(hpo)


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def running(bench: Bench) -> int:
    """Count the trials that run."""
    return bench.study().counts.get("RUNNING", 0)


def test_workers_share_the_budget(bench: Bench) -> None:
    """Two processes, each with its log; six outcomes in all; one JSON object on standard output."""
    command = bench.hpo.start("run", "--workers", "2", "--json", env=bench.env)
    command.wait_for("worker 1 started")
    until(lambda: (bench.hpo.folder / "runs" / "hpo.db").exists() and running(bench) == 2)
    bench.wake()
    ended = command.end()
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": 6}), ended.stderr
    trials = bench.study().trials
    assert len({trial.record[RUN]["worker"] for trial in trials}) == 2
    logs = bench.hpo.folder / "runs" / "study-random" / "workers"
    text = "".join(path.read_text() for path in logs.glob("*/*.log"))
    assert Counter(re.findall(r"trial (\d) ended", text)) == Counter("012345")


def test_a_confirmation_is_watched_too(bench: Bench) -> None:
    """The workers go on with it by themselves; whoever started them shows both."""
    study = bench.hpo.folder / "study.toml"
    study.write_text(STUDY.replace("[space]", "[confirm]\ntop = 2\nseeds = 2\n[space]"))
    bench.wake()
    ended = bench.hpo("run", "--workers", "2", env=bench.env)
    assert ended.code == 0, ended.stderr
    assert "study study-random-confirm: naps" in ended.stderr
    assert "trained again with new seeds" in ended.stdout
    found = bench.hpo("best", "--json", env=bench.env).json()["confirmation"]
    assert (found["done"], found["planned"]) == (4, 4)
    assert [each["values"] for each in found["candidates"]] == [
        [each["params"]["x"]] * 2 for each in found["candidates"]
    ]


def test_a_killed_worker_is_replaced_at_once(bench: Bench) -> None:
    """Its lease ends when it is seen to die, long before its time; its trial is tried again."""
    command = bench.hpo.start("run", "--workers", "2", "--json", env=bench.env)
    first = bench.process_of(command.wait_for("worker 0 started"))
    until(lambda: (bench.hpo.folder / "runs" / "hpo.db").exists() and running(bench) == 2)
    os.kill(first, signal.SIGKILL)
    command.wait_for("worker 0 ended with -9; it is started again")
    until(lambda: any(trial.reason == "abandoned" for trial in bench.study().trials))
    bench.wake()
    ended = command.end()
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": 6}), ended.stderr
    lost = [trial for trial in bench.study().trials if trial.reason == "abandoned"]
    assert [workers.shown(trial.record[RUN]["worker"]).split(":")[1] for trial in lost] == [
        str(first)
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_all_workers_are_asked_to_go(bench: Bench, number: signal.Signals, code: int) -> None:
    """Ctrl-C at the one that watches hands all trials back; the same command goes on."""
    command = bench.hpo.start("run", "--workers", "2", env=bench.env)
    pids = [bench.process_of(command.wait_for(f"worker {n} started")) for n in (0, 1)]
    until(lambda: (bench.hpo.folder / "runs" / "hpo.db").exists() and running(bench) == 2)
    command.send(number)
    assert command.end().code == code
    assert not any(map(_alive, pids))
    assert {trial.reason for trial in bench.study().trials} == {"handed back"}
    bench.wake()
    ended = bench.hpo("run", "--workers", "2", "--json", env=bench.env)
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": 6}), ended.stderr


def test_a_closed_terminal_ends_no_worker(bench: Bench) -> None:
    """Whoever watches is gone; the workers go on, and the same command finds them."""
    command = bench.hpo.start("run", "--workers", "2", env=bench.env)
    pids = [bench.process_of(command.wait_for(f"worker {n} started")) for n in (0, 1)]
    until(lambda: (bench.hpo.folder / "runs" / "hpo.db").exists() and running(bench) == 2)
    command.send(signal.SIGHUP)
    assert command.end().code == -signal.SIGHUP
    assert all(map(_alive, pids))
    again = bench.hpo.start("run", "--workers", "2", "--json", env=bench.env)
    for number, pid in enumerate(pids):
        assert f":{pid}" in again.wait_for(f"worker {number} runs already")
    bench.wake()
    ended = again.end()
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": 6}), ended.stderr
    assert "started" not in re.findall(r"worker \d (\w+)", ended.stderr)


@pytest.mark.parametrize("changes", [{}, NER], ids=["sentiment", "ner"])
def test_workers_train(hpo: Hpo, changes: dict[str, Any]) -> None:
    """Real trainings by workers that have the study from its storage; one joins by its name."""
    write_study(hpo.folder / "study.toml", {**changes, "training": {"num_train_epochs": 1}})
    first = hpo("run", "--trials", "1", "--json")
    ended = hpo("run", "--trials", "3", "--workers", "1", "--json")
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": 3}), ended.stderr
    (hpo.folder / "elsewhere").mkdir()
    storage = f"sqlite:///{hpo.folder / 'runs' / 'hpo.db'}"
    joined = hpo("worker", "study-random", "--storage", storage, "--output", "other", "--json")
    assert joined.json() == ended.json(), joined.stderr
    assert first.json()["trials"] == {"COMPLETE": 1}
    moved = hpo("worker", "study-random", "--storage", storage, "--data", "elsewhere")
    assert (moved.code, "data.train: found no file " in moved.stderr) == (2, True), moved.stderr


def test_workers_of_another_machine_are_none_of_ours(bench: Bench) -> None:
    """State files of another boot, in a folder that is shared: not adopted, not signalled."""
    _, pid, machine, start = workers.here().split(":")
    for number, name in enumerate((f"h:{pid}:{machine}:0", f"h:{pid}:deadbeef:{start}", "odd")):
        folder = bench.hpo.folder / "runs" / "study-random" / "workers" / workers.machine()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"worker-{number}.json").write_text(json.dumps({"worker": name}))
    bench.wake()
    ended = bench.hpo("run", "--workers", "3", "--json", env=bench.env)
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": 6}), ended.stderr
    assert ended.stderr.count("started, process") == 3


def test_two_watch_the_same_workers(bench: Bench) -> None:
    """The second finds the workers of the first, starts none, and sees a restart for what it is."""
    first = bench.hpo.start("run", "--workers", "2", env=bench.env)
    pids = [bench.process_of(first.wait_for(f"worker {n} started")) for n in (0, 1)]
    until(lambda: (bench.hpo.folder / "runs" / "hpo.db").exists() and running(bench) == 2)
    second = bench.hpo.start("run", "--workers", "2", env=bench.env)
    second.wait_for("worker 1 runs already")
    os.kill(pids[0], signal.SIGKILL)
    first.wait_for("worker 0 ended with -9; it is started again")
    folder = bench.hpo.folder / "runs" / "study-random" / "workers" / workers.machine()

    def place() -> str:
        """Return the process that has the place of worker 0."""
        known = json.loads((folder / "worker-0.json").read_text())
        return workers.shown(str(known["worker"]))

    until(lambda: not place().endswith(f":{pids[0]}"))
    second.wait_for(f"worker 0 runs already, {place()}")
    bench.wake()
    for each in (first.end(), second.end()):
        assert (each.code, "times in a row" in each.stderr) == (0, False), each.stderr
    assert "started, process" not in second.end().stderr


def test_a_lowered_budget_ends_although_a_worker_died_above_it(bench: Bench) -> None:
    """A ticket that nobody may take any more is not waited for."""
    running_ = bench.hpo.start("run", env=bench.env)
    running_.wait_for("trial 0 started")
    bench.wake()
    running_.wait_for("trial 5 ended")
    assert running_.end().code == 0
    (bench.hpo.folder / "wake").unlink()
    more = bench.hpo.start("run", "--trials", "9", env=bench.env)
    more.wait_for("trial 6 started")
    more.send(signal.SIGKILL)
    more.end()
    ended = bench.hpo("run", "--trials", "6", "--json", env=bench.env)
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": 6}), ended.stderr
    assert [trial.reason for trial in bench.study().trials if trial.number == 6] == ["abandoned"]


def test_a_worker_that_cannot_work_is_not_started_again(bench: Bench) -> None:
    """What it said is said again, with its exit code."""
    write_study(bench.hpo.folder / "study.toml", {"model": "no/such-model"})
    ended = bench.hpo("run", "--workers", "2", env=bench.env)
    assert (ended.code, "model no/such-model" in ended.stderr) == (2, True)


def test_a_worker_that_crashes_is_given_up(bench: Bench) -> None:
    """Three times in a row, and no more; the message says where to look."""
    (bench.hpo.folder / "naps.py").write_text(NAPS.replace("step = 0", "import os; os._exit(99)"))
    ended = bench.hpo("run", "--workers", "1", "--trials", "1", env=bench.env)
    assert "worker 0 ended with 99 3 times in a row; see " in ended.stderr
    assert ended.code == 1
    assert Path(ended.stderr.split("see ")[1].splitlines()[0]).is_file()


@pytest.mark.parametrize(
    ("wanted", "per_gpu", "gpus", "places"),
    [
        (None, 1, [], []),
        (None, 1, ["0"], []),
        (None, 1, ["0", "1"], ["0", "1"]),
        (None, 2, ["3"], ["3", "3"]),
        (None, 2, ["0", "1"], ["0", "1", "0", "1"]),
        (3, 1, ["0", "1"], ["0", "1", "0"]),
        (1, 1, ["0", "1"], ["0"]),
        (2, 1, [], [None, None]),
    ],
)
def test_places(wanted: int | None, per_gpu: int, gpus: list[str], places: list[str]) -> None:
    """One worker a GPU unless told otherwise; the GPUs are dealt out in turn."""
    assert slots(wanted, per_gpu, gpus) == places


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_storage_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches says so once, and asks again; a worker that lost it died of no trial."""
    monkeypatch.setattr("hpo.local_workers._REST", 0.01)
    said: list[str] = []
    called: list[tuple[str, int]] = []
    answers = iter([OperationalError("", {}, Exception()), StorageInternalError(), None])

    def look() -> None:
        if (error := next(answers, None)) is not None:
            raise error

    local = LocalWorkers(
        command=[sys.executable, "-c", "import sys; sys.exit(4)"],
        folder=tmp_path,
        places=[None],
        env={},
        end_leases=lambda names: called.append(("dead", len(list(names)))),
        hand_back=lambda names: called.append(("handed back", len(list(names)))),
        outcomes=lambda _worker: 0,
        left=lambda: True,
        say=said.append,
    )
    with Stop() as stop:
        local.watch(stop, look)
    assert said.count("the storage does not answer; it is asked again") == 1
    assert set(called) == {("handed back", 1)}
    assert local.complaints()
