"""`hpo watch` follows a study that real workers run: to its end, through outages, unnoticed."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hpo import storage
from hpo.spectator import Spectator
from tests.faults.field import NAME, Field
from tests.faults.processes import wait_until
from tests.postgres import OwnServer
from tests.terminals import Terminal

CTRL_C = "\x03"
Watching = Callable[..., Terminal]


@pytest.fixture
def watching() -> Iterator[Watching]:
    """Start `hpo watch` in terminals, of which none is left behind."""
    started: list[Terminal] = []

    def start(field: Field, *options: str, width: int = 80) -> Terminal:
        arguments = ["watch", NAME, "--storage", field.url, "--output", str(field.output)]
        started.append(Terminal([*arguments, *options], width=width))
        return started[-1]

    yield start
    for terminal in started:
        terminal.kill()


def test_terminals_show_it_all(field: Field, watching: Watching) -> None:
    """Who is at work, learning curves, failures, the best; they end with the study, and it fits."""
    field.create(4)
    field.script(steps=6, pause=0.3, evaluate=True, faults={"2": "diverged"})
    terminals = {width: watching(field, width=width) for width in (60, 80, 200)}
    for terminal in terminals.values():
        terminal.wait_for("0 at work")
    field.arm("telling")
    field.worker()
    for terminal in terminals.values():
        terminal.wait_for("▁")  # a learning curve
        terminal.wait_for("1 at work")
    field.go("telling")
    for width, terminal in terminals.items():
        terminal.wait_for("1 failed")
        assert terminal.end() == 0
        assert "diverged" in terminal.text
        assert f"study {NAME} is done; `hpo best {NAME}` has its configuration" in terminal.text
        assert max(map(len, terminal.text.splitlines())) <= width
        # the cursor is back
        assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_the_confirmation_is_followed(field: Field, watching: Watching) -> None:
    """Behind the search come its runs, and what they came to."""
    field.create(confirm={"top": 2, "seeds": 2})
    field.script(steps=2, pause=0.2)
    terminal = watching(field)
    terminal.wait_for("0 at work")
    field.worker()
    assert terminal.end() == 0
    assert f"{NAME}-confirm" in terminal.text
    assert "trained again with new seeds, the same for all:" in terminal.text
    assert "<- taken" in terminal.text


def test_without_a_terminal_it_is_a_line_a_change(field: Field) -> None:
    """Each trial begins and ends once, on standard output; nothing is shown twice."""
    field.create(3)
    field.script(steps=2, pause=0.2)
    watch = field.start("watch", NAME)
    wait_until(lambda: "study field" in _stdout(watch.stdout), "the first line")
    field.worker()
    ended = watch.end()
    assert (ended.code, ended.stderr) == (0, "")
    lines = _unstamped(ended.stdout)
    for number in range(3):
        assert sum(line.startswith(f"trial {number} ended") for line in lines) == 1
    assert len(lines) == len(set(lines))


def _unstamped(text: str) -> list[str]:
    """Return lines without the time that each begins with."""
    stamped = [
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (.*)", line) for line in text.splitlines()
    ]
    return [found[1] for found in stamped if found is not None]


def _stdout(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_json_is_an_object_a_change(field: Field) -> None:
    """Whole at each change, the last one when the study is done; time alone is no change."""
    field.create(3)
    field.script(steps=5, pause=0.3, evaluate=True)
    watch = field.start("watch", NAME, "--json")
    wait_until(lambda: "\n" in _stdout(watch.stdout), "the first object")
    field.arm("telling")
    field.worker()
    wait_until(lambda: '"evaluations": [{' in _stdout(watch.stdout), "a running trial")
    field.go("telling")
    ended = watch.end()
    assert (ended.code, ended.stderr) == (0, "")
    found: list[dict[str, Any]] = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (found[0]["state"], found[-1]["state"]) == ("waiting", "done")
    assert found[-1]["trials"] == {"COMPLETE": 3}
    assert any(each["running"] and each["running"][0]["evaluations"] for each in found)
    same = {"at", "seconds", "seconds_left"}
    plain = [{key: value for key, value in each.items() if key not in same} for each in found]
    assert all(one != other for one, other in pairwise(plain))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_once(field: Field, options: list[str]) -> None:
    """It shows how a study stands, and leaves although nobody works on it."""
    field.create()
    ended = field.start("watch", NAME, "--once", *options).end()
    assert (ended.code, ended.stderr) == (0, "")
    if options:
        found = json.loads(ended.stdout)
        assert (found["study"], found["state"], found["at_work"]) == (NAME, "waiting", 0)
    else:
        assert "0 done, 0 at work" in ended.stdout


def test_ctrl_c_leaves_no_trace(field: Field, watching: Watching) -> None:
    """It says nothing, and the study goes on as if nobody had looked."""
    field.create()
    field.script(steps=8, pause=1.0)  # it must not be over before it is left
    worker = field.worker()
    terminal = watching(field)
    terminal.wait_for("1 at work")
    before = _marks(field)
    terminal.press(CTRL_C)
    assert terminal.end() == 130
    assert "interrupted" not in terminal.text
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")
    assert _marks(field) == before
    field.script(steps=1, pause=0.0)
    assert worker.end().code == 0
    field.check(6)


def _marks(field: Field) -> dict[str, Any]:
    """Return what stands with the study."""
    opened = storage.open_storage(field.url, create=False)
    found = dict(storage.load(opened, NAME).user_attrs)
    opened.engine.dispose()
    return found


def test_sigterm_gives_the_terminal_back(field: Field, watching: Watching) -> None:
    """Whoever ends it finds the cursor where it was."""
    field.create()
    terminal = watching(field)
    terminal.wait_for("0 at work")
    terminal._process.send_signal(signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_a_study_that_failed(field: Field) -> None:
    """It is over before its budget is, and the exit code is that of `hpo run`."""
    field.create(6)
    field.script(faults=dict.fromkeys(map(str, range(6)), "diverged"))
    field.finish(code=5)
    ended = field.start("watch", NAME).end()
    assert ended.code == 5
    assert ended.stderr == f"hpo: study {NAME!r}: no trial succeeded\n"


@pytest.mark.parametrize("now", [[], ["--now"]], ids=["stopped", "recalled"])
@pytest.mark.parametrize("done", [0, 1])
def test_a_study_that_was_stopped(tmp_path: Path, now: list[str], done: int) -> None:
    """It is over for who watches as it is for workers, and how to open it again is said."""
    field = Field(tmp_path, f"sqlite:///{tmp_path}/hpo.db")
    field.create(4, budget={"trials": max(1, done)})
    if done:
        field.finish()
    field.start("set", NAME, "--trials", "4").end()
    assert field.start("stop", NAME, *now).end().code == 0
    ended = field.start("watch", NAME).end()
    if done:
        said = f"study {NAME} was stopped and nobody is at work; `hpo resume {NAME}` opens it again"
        assert (ended.code, ended.stdout.splitlines()[-1]) == (0, said)
    else:
        said = f"hpo: study {NAME!r}: no trial succeeded: it was stopped before\n"
        assert (ended.code, ended.stderr) == (5, said)
    field.close()


def test_a_fault_of_ours_is_no_deletion(tmp_path: Path) -> None:
    """Only a study that is gone is called so; a name that is missing anywhere else is an error."""
    field = Field(tmp_path, f"sqlite:///{tmp_path}/hpo.db")
    field.create(1)
    spectator = Spectator(NAME, field.url)
    with pytest.raises(KeyError, match="ours"), spectator.asking():
        raise KeyError("ours")
    spectator.close()
    field.close()


def test_a_study_that_is_deleted(field: Field) -> None:
    """Is told in one line."""
    import optuna

    field.create()
    watch = field.start("watch", NAME)
    wait_until(lambda: "study field" in _stdout(watch.stdout), "the first line")
    opened = storage.open_storage(field.url)
    optuna.delete_study(study_name=NAME, storage=opened)
    opened.engine.dispose()
    ended = watch.end()
    assert (ended.code, ended.stderr) == (4, f"hpo: study {NAME!r}: was deleted\n")


def test_an_outage_is_waited_out(tmp_path: Path, server: OwnServer, watching: Watching) -> None:
    """It says that the storage does not answer, and goes on once it does."""
    field = Field(tmp_path, server.new_database())
    field.create(4)
    field.script(steps=4, pause=0.5)
    terminal, lines = watching(field), field.start("watch", NAME)
    terminal.wait_for("0 at work")
    wait_until(lambda: "study field" in _stdout(lines.stdout), "the first line")
    server.pg_ctl("stop", "-m", "fast")
    terminal.wait_for("the storage does not answer since")
    wait_until(lambda: "does not answer; it is asked again" in _stdout(lines.stdout), "the outage")
    server.pg_ctl("start")
    field.worker()
    assert terminal.end() == 0
    ended = lines.end()
    assert (ended.code, ended.stderr) == (0, "")
    told = [line for line in _unstamped(ended.stdout) if line.startswith("the storage")]
    assert told == ["the storage does not answer; it is asked again", "the storage is back"]
    field.close()
