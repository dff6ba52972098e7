"""Signals to a worker: handed back uncharged, or left at once, and a zombie that wakes up late."""

import signal
import time

import pytest

from tests.faults.conftest import often
from tests.faults.field import Field
from tests.faults.processes import wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=lambda each: each.name)
def test_preempted(field: Field, number: signal.Signals) -> None:
    """Exit 75; the ticket is free at once, no death is counted, the retry resumes."""
    field.create(2)
    field.script(steps=4000, pause=0.05)
    worker = field.worker(elsewhere=True)
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-2")), "a checkpoint")
    worker.send(number)
    ended = worker.end()
    field.script(steps=6)
    assert ended.code == 75, ended.stderr
    assert f"stopped by {number.name}" in ended.stderr
    field.finish()
    found = field.check(2)
    assert found["tickets"][0]["deaths"] == 0
    assert found["trials"][0].user_attrs["reason"] == "handed back"
    assert found["outcomes"][0].user_attrs["first_step"] >= 2


@pytest.mark.parametrize("place", ["claimed", "created", "telling", "told"])
def test_preempted_at_a_point(field: Field, place: str) -> None:
    """Wherever it comes: nothing is charged, and no ticket is left held."""
    field.create(2)
    field.arm(place)
    worker = field.worker(elsewhere=True)
    field.reached(place)
    worker.send(signal.SIGTERM)
    field.go(place)
    ended = worker.end()
    assert ended.code == 75, ended.stderr
    other = field.finish("--lease", "600")  # it would wait for a ticket that is left held
    assert "waiting" not in other.stderr
    found = field.check(2)
    assert [ticket["deaths"] for ticket in found["tickets"]] == [0, 0]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_interrupts(field: Field, times: int) -> None:
    """Ctrl-C once hands back; more of them, however fast, leave at once, and nothing is lost."""
    gaps = [0.0005, 0.002, 0.008, 0.03]
    rounds = often(2, 12)
    field.create(2, budget={"max_attempts": 10 * rounds})
    field.script(steps=8)
    for number in range(rounds):
        began = len(field.log("began"))
        worker = field.worker(elsewhere=True)
        wait_until(lambda n=began, w=worker: len(field.log("began")) > n or w.over(), "a trial")  # type: ignore[misc]
        for _ in range(times):
            worker.send(signal.SIGINT)
            time.sleep(gaps[(number + times) % len(gaps)])  # a person's fingers
        ended = worker.end()
        assert ended.code in {130, 0}, ended.stderr
    field.finish()
    found = field.check(2)
    if times == 1:
        assert [ticket["deaths"] for ticket in found["tickets"]] == [0, 0]


def test_zombie(field: Field) -> None:
    """Stopped for longer than its lease: its write is refused, and it takes the next ticket."""
    points = 6
    field.create(points)
    field.script(steps=4000, pause=0.05)
    zombie = field.worker()
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-2")), "a checkpoint")
    field.pause(zombie)
    field.script(steps=6, pause=0.2)
    other = field.worker()
    wait_until(lambda: any(each["attempt"] for each in field.log("began")), "the second attempt")
    zombie.send(signal.SIGCONT)
    ended = zombie.end()
    assert ended.code == 0, ended.stderr
    # Stopped in the midst of a renewal it takes the sleep for an outage, which nobody died of.
    cut_off = "the storage did not answer until the lease of ticket 0 was over" in ended.stderr
    assert cut_off or "its result is dropped, the next ticket is taken" in ended.stderr
    assert other.end().code == 0
    found = field.check(points)
    assert found["trials"][0].user_attrs["reason"] == "abandoned"
    assert found["tickets"][0]["deaths"] == (0 if cut_off else 1)
    assert [each["pid"] for each in field.log("began")].count(zombie.pid) >= 2


@pytest.mark.parametrize("place", ["claimed", "created", "telling", "told", "renewing"])
def test_zombie_at_a_point(field: Field, place: str) -> None:
    """It sleeps through its lease anywhere, and wakes up when another has done its work."""
    field.create(2)
    field.script(pause=0.2 if place == "renewing" else 0.02)
    field.arm(place)
    zombie = field.worker(elsewhere=True)
    field.reached(place)
    field.pause(zombie)
    field.script()
    field.finish()
    before = field.check(2)
    field.go(place)
    zombie.send(signal.SIGCONT)
    ended = zombie.end()
    assert ended.code == 0, ended.stderr
    after = field.check(2)
    assert outline(after) == outline(before)


@pytest.mark.parametrize("place", ["claimed", "created", "telling"])
@pytest.mark.parametrize("number", [signal.SIGCONT, signal.SIGTERM], ids=lambda each: each.name)
def test_zombie_while_another_works(field: Field, place: str, number: signal.Signals) -> None:
    """It wakes up while another holds its ticket: it neither works on it, nor hands it back."""
    field.create(1)
    field.script(metrics=False)  # else what is only to be told would be told for it
    field.arm(place)
    zombie = field.worker(elsewhere=True)
    field.reached(place)
    field.pause(zombie)
    trained = len(field.log("began"))
    field.script(steps=8, pause=0.2)
    other = field.worker()
    wait_until(lambda: len(field.log("began")) > trained, "another attempt")
    zombie.send(number)
    field.go(place)
    zombie.send(signal.SIGCONT)
    if number == signal.SIGTERM:
        assert zombie.end().code == 75, zombie.said()
    else:
        zombie.wait_for("its result is dropped")
    assert other.end().code == 0, other.said()
    assert zombie.end().code == (0 if number == signal.SIGCONT else 75), zombie.said()
    assert field.check(1)["tickets"][0]["epoch"] == 2
    assert len(field.log("began")) == trained + 1


def outline(found: dict) -> list[tuple[object, ...]]:  # type: ignore[type-arg]
    """Return what may not change once every ticket is done."""
    return [
        (trial.number, trial.state, trial.value, trial.user_attrs.get("reason"))
        for trial in found["trials"]
    ]
