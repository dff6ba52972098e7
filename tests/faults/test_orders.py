"""People pause, stop and change a study while its workers run; it stays whole."""

import json
from typing import Any

import pytest

from tests.faults.field import NAME, Field
from tests.faults.processes import wait_until
from tests.faults.test_budget import RANDOM


def say(field: Field, *words: str) -> dict[str, Any]:
    """Run a command on the study, and return what it prints."""
    ended = field.start(words[0], NAME, *words[1:], "--json").end()
    assert ended.code == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def latest_step(field: Field, trial: int) -> int:
    """Return the step of the latest checkpoint of a trial; 0 if there is none."""
    found = field.output.glob(f"*/trial-{trial:04}/checkpoint-*")
    return max((int(path.name.split("-")[1]) for path in found), default=0)


def test_pause_and_resume(field: Field) -> None:
    """Running trials end, no other one begins, and the same workers go on afterwards."""
    field.create(6)
    field.script(steps=20, gate=0)
    workers = [field.worker() for _ in range(2)]
    field.wait_for("began", 2)
    assert say(field, "pause") == {"study": NAME, "state": "paused", "before": "open"}
    field.go("gate")
    for worker in workers:
        worker.wait_for("the study is paused")
    assert not field.held()
    began = len(field.log("began"))
    assert began < 6
    assert say(field, "status")["state"] == "paused"
    third = field.worker()
    third.wait_for("the study is paused")
    assert len(field.log("began")) == began
    assert say(field, "resume")["before"] == "paused"
    for worker in [*workers, third]:
        assert worker.end().code == 0, worker.said()
    field.check(6)


def test_stop(field: Field) -> None:
    """Workers leave behind their trials; who joins leaves, too; who runs the file opens it."""
    field.create(6)
    field.script(steps=20, gate=0)
    workers = [field.worker() for _ in range(2)]
    field.wait_for("began", 2)
    say(field, "stop")
    field.go("gate")
    for worker in workers:
        assert worker.end().code == 0, worker.said()
        assert "the study was stopped" in worker.said()
    assert field.worker().end().code == 0
    assert {each["attempt"] for each in field.log("began")} == {0}
    assert len(field.log("began")) < 6
    again = field.run(field.write(6)).end()
    assert again.code == 0, again.stderr
    assert "had been stopped; it goes on" in again.stderr
    assert len(field.check(6)["trials"]) == 6


def test_stop_now(field: Field) -> None:
    """Running trials are saved and handed back, uncharged; later they go on from there."""
    field.create(3)
    field.script(steps=4000)
    workers = [field.worker() for _ in range(2)]
    wait_until(lambda: all(latest_step(field, trial) > 5 for trial in (0, 1)), "steps")
    say(field, "stop", "--now")
    for worker in workers:
        assert worker.end().code in {0, 5}, worker.said()  # 5: nothing had succeeded
    assert not field.held()
    field.script(steps=20)
    say(field, "resume")
    field.finish()
    found = field.check(3)
    assert [ticket["deaths"] for ticket in found["tickets"]] == [0, 0, 0]
    assert sum(each["step"] > 4 for each in field.log("began")) == 2


@pytest.mark.parametrize("strategy", ["grid", "random"])
def test_another_budget(field: Field, strategy: str) -> None:
    """Workers heed a larger and a smaller one with their next trial."""
    more = RANDOM if strategy == "random" else {}
    field.create(12, **{**more, "budget": {"trials": 2}})
    field.arm("telling")
    worker = field.worker()
    field.reached("telling")
    assert say(field, "set", "--trials", "9", "--priority", "3") == {
        "study": NAME, "trials": 9, "priority": 3,
    }  # fmt: skip
    field.script(gate=3)
    field.go("telling")
    field.wait_for("began", 4)
    say(field, "set", "--trials", "6")
    field.go("gate")
    assert worker.end().code == 0, worker.said()
    field.check(6)
    assert say(field, "status")["state"] == "done"


def test_a_confirmation_has_no_budget_of_its_own(field: Field) -> None:
    """Nobody may give it one: its runs follow from the study's file. A priority it may have."""
    assert field.run(field.write(1, confirm={"top": 1, "seeds": 1})).end().code == 0
    ended = field.start("set", f"{NAME}-confirm", "--trials", "9").end()
    assert ended.code == 2
    assert f"is the confirmation of '{NAME}' and has no budget" in ended.stderr
    assert "another top or seeds in [confirm]" in ended.stderr
    assert field.start("set", f"{NAME}-confirm", "--priority", "9").end().code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pause", "nothing"], "found no 'nothing'; known are field"),
        (["set", NAME], "found nothing to change; expected --trials or --priority"),
        (["set", NAME, "--priority", "101"], "--priority"),
    ],
)
def test_mistakes(field: Field, words: list[str], message: str) -> None:
    """Each is told in one message."""
    field.create(2)
    ended = field.start(*words).end()
    assert ended.code == 2, ended.stdout
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
