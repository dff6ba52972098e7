"""One worker of a pool, two studies in turns: memory is given back, neither disturbs the other."""

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from typing_extensions import override

from hpo import orders, planning, pool, spec, storage
from hpo import run as runner
from hpo.binding import BindingStorage
from hpo.errors import HandedBack
from hpo.progress import Progress
from hpo.study import StudyView
from hpo.trials import TrialResult
from hpo.worker import Worker
from tests.faults.conftest import often
from tests.faults.invariant import trials_of
from tests.faults.vitals import vitals
from tests.forks import FORKS
from tests.studies_made import NER, write_study

ONE_EPOCH = {"num_train_epochs": 1}
STUDIES: dict[str, dict[str, Any]] = {
    "texts": {"training": ONE_EPOCH},
    "names": {**NER, "model": "sample:roberta", "training": ONE_EPOCH},
}
GROWTH = (
    8_000_000  # bytes behind the first four trials; a model and its optimizer are more than one
)


class InTurns(Progress):
    """Gives the other study priority after each trial, and writes what the process takes."""

    shown = True

    def __init__(self, opened: str, log: Path, runners: WeakSet[object]) -> None:
        self.url = opened
        self.log = log
        self.runners = runners

    @override
    def ended(self, study: StudyView, trial: TrialResult) -> None:
        line = {"study": study.name, **vitals(), "alive": len(self.runners)}
        with self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        opened = storage.open_storage(self.url)
        for name in STUDIES:
            orders.change(opened, name, priority=int(name != study.name))
        opened.engine.dispose()


def plans(folder: Path, trials: int) -> list[planning.Plan]:
    """Return the plans to run both studies in a folder."""
    made = []
    for name, changes in STUDIES.items():
        file = write_study(folder / name / "study.toml", {**changes, "budget": {"trials": trials}})
        url = f"sqlite:///{folder}/hpo.db"
        found = spec.load(file, [])
        made.append(planning.plan(found, name=name, storage_url=url, output=folder / "runs"))
    return made


def serve(folder: Path, trials: int, kept: int) -> None:
    """Work on both studies in turns, in this process, until nothing is left."""
    url = f"sqlite:///{folder}/hpo.db"
    for plan in plans(folder, trials):
        runner.submit(plan, Progress())
    runners: WeakSet[object] = WeakSet()
    begin = Worker.begin

    def noted(worker: Worker) -> None:
        runners.add(worker.runner)
        begin(worker)

    def leave(_pool: pool.Pool, _seconds: float) -> None:
        raise HandedBack

    for owner, name, changed in (
        (Worker, "begin", noted), (pool.Pool, "_rest", leave), (pool, "KEPT", kept)
    ):  # fmt: skip
        setattr(owner, name, changed)
    gc.freeze()

    def plan_of(name: str, opened: BindingStorage) -> planning.Plan:
        return replace(
            planning.plan_from_storage(name, url, data=None, output=folder / "runs", opened=opened),
            alone=True,
        )

    with pytest.raises(HandedBack):
        runner.serve(url, plan_of, lambda name: InTurns(url, folder / "log", runners))


def dedicate(folder: Path, trials: int) -> None:
    """Work on one study, and then on the other one."""
    for plan in plans(folder, trials):
        runner.execute(plan, Progress())


def values(folder: Path, name: str) -> list[float | None]:
    """Return the scores of a study's trials, in their order."""
    found = trials_of(f"sqlite:///{folder}/hpo.db", name)
    assert {trial.state.name for trial in found} == {"COMPLETE"}
    return [trial.value for trial in found]


@pytest.mark.parametrize(("kept", "trials"), [(2, often(5, 10)), (1, 3)])
def test_in_turns(tmp_path: Path, kept: int, trials: int) -> None:
    """Memory stays; what is let go is gone; the scores are those of a worker for each."""
    for name in ("pool", "dedicated"):
        (tmp_path / name).mkdir()
    processes = [
        FORKS.Process(target=serve, args=(tmp_path / "pool", trials, kept)),
        FORKS.Process(target=dedicate, args=(tmp_path / "dedicated", trials)),
    ]
    for process in processes:
        process.start()
        process.join()
        assert process.exitcode == 0
    seen = [json.loads(line) for line in (tmp_path / "pool" / "log").read_text().splitlines()]
    assert [each["study"] for each in seen] == [*STUDIES] * trials
    assert max(each["alive"] for each in seen) == kept
    assert seen[-1]["memory"] - seen[3]["memory"] < GROWTH
    assert seen[-1]["files"] <= seen[3]["files"] + 3  # those of one connection to the database
    assert seen[-1]["threads"] <= seen[3]["threads"]
    for cache in ("inputs", "models"):  # encoded and made once, however often a study came back
        made = [path for path in (tmp_path / "pool/runs/cache" / cache).iterdir() if path.is_dir()]
        assert len(made) == len(STUDIES)
    for name in STUDIES:
        scores = values(tmp_path / "pool", name)
        assert scores == values(tmp_path / "dedicated", name)
        assert len(set(scores)) > 1 or name == "texts"
