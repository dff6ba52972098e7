"""Trials that fail by themselves: no retry, or one after each death, and the study goes on."""

import pytest

from tests.faults.field import Field


@pytest.mark.parametrize("fault", ["diverged", "out of memory", "error"])
def test_failed_for_its_own_reason(field: Field, fault: str) -> None:
    """FAIL with its reason at the first attempt; the same worker goes on."""
    field.create(3)
    field.script(faults={"1": fault})
    field.finish()
    found = field.check(3)
    assert len(found["trials"]) == 3
    reasons = {t.params["point"]: t.user_attrs.get("reason") for t in found["trials"]}
    assert reasons == {0: None, 1: fault, 2: None}


def test_poison(field: Field) -> None:
    """A point that kills every worker is given up after its attempts; the others are run."""
    field.create(3)
    field.script(faults={"1": "kill"})
    deaths = 0
    while field.worker().end().code != 0:
        deaths += 1
        assert deaths <= 3, field.processes[-1].said()
    assert deaths == 3
    found = field.check(3)
    states = {t.params["point"]: t.state.name for t in found["outcomes"].values()}
    assert states == {0: "COMPLETE", 1: "FAIL", 2: "COMPLETE"}
    attempts = [t for t in found["trials"] if t.params["point"] == 1]
    assert [t.user_attrs["reason"] for t in attempts] == [*["abandoned"] * 2, "killed every time"]


def test_poison_that_never_has_a_trial(field: Field) -> None:
    """Workers that all die between claim and trial fail the ticket too."""
    field.create(2, budget={"max_attempts": 2})
    for _ in range(2):
        field.arm("claimed")
        worker = field.worker()
        field.reached("claimed")
        worker.kill()
    field.finish()
    found = field.check(2)
    assert [t.user_attrs.get("reason") for t in found["outcomes"].values()].count(
        "killed every time"
    ) == 1


def test_hang(field: Field) -> None:
    """No progress: the stack is written, the worker ends, the ticket is tried again."""
    field.create(2)
    field.script(faults={"0": "hang"}, once=True)
    hung = field.worker("--hang", "5", elsewhere=True).end()
    assert hung.code == 1, hung.stderr
    assert "made no progress for 5 s" in hung.stderr
    assert "in _befall" in hung.stderr  # where it hangs
    field.finish()
    found = field.check(2)
    assert {t.state.name for t in found["outcomes"].values()} == {"COMPLETE"}
    assert len(found["trials"]) == 3


def test_overstays_its_grace(field: Field) -> None:
    """Asked to go, but too slow to save: it is ended in time, and handed back uncharged."""
    field.create(1)
    field.script(faults={"0": "hang"}, once=True)
    import signal

    slow = field.worker("--grace", "0.5", elsewhere=True)
    field.wait_for("fault")
    slow.send(signal.SIGTERM)
    ended = slow.end()
    assert ended.code == 75, ended.stderr
    assert "could not be saved in time; it is handed back" in ended.stderr
    field.finish()
    assert field.check(1)["tickets"][0]["deaths"] == 0


def test_result_that_lacks_its_metrics(field: Field) -> None:
    """A finished result whose teller died is kept, also of a task that stores no metrics."""
    field.create(2)
    field.script(metrics=False)
    field.arm("telling")
    worker = field.worker()
    field.reached("telling")
    worker.kill()
    field.finish()
    field.check(2)
