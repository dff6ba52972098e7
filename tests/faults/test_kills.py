"""kill -9 at any moment: the lease ends, another worker resumes, nothing counts twice."""

import random
import signal
import time

import pytest

from tests.faults.conftest import often
from tests.faults.field import Field
from tests.faults.processes import Process, wait_until


@pytest.mark.parametrize("elsewhere", [False, True], ids=["this machine", "another machine"])
def test_killed_in_mid_trial(field: Field, elsewhere: bool) -> None:
    """The trial is resumed behind its last checkpoint; without another word if nobody saw it."""
    field.create(2)
    field.script(steps=4000, pause=0.05)
    killed = field.worker(elsewhere=elsewhere)
    killed.wait_for("trial 0 started")
    wait_until(
        lambda: list(field.output.glob("*/trial-0000/checkpoint-3/hpo-complete")), "a checkpoint"
    )
    killed.send(signal.SIGKILL)
    assert killed.end().code == -signal.SIGKILL
    field.script(steps=6)
    assert "continues from step" in field.finish().stderr
    found = field.check(2)
    abandoned, retry = (t for t in found["trials"] if t.user_attrs["hpo:run"]["ticket"] == 0)
    assert abandoned.user_attrs["reason"] == "abandoned"
    assert retry.user_attrs["hpo:run"]["earlier"] == [abandoned.number]
    assert retry.user_attrs["first_step"] >= 3
    assert retry.params == abandoned.params


def test_killed_without_a_shared_folder(field: Field) -> None:
    """Who has not the checkpoints of the dead one starts again, and says so."""
    field.create(1)
    field.script(steps=4000)
    killed = field.worker()
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-3")), "a checkpoint")
    killed.kill()
    field.script()
    ended = field.finish("--output", str(field.folder / "other"))
    assert "starts again: no whole checkpoint of trial 0 is in this output folder" in ended.stderr
    found = field.check(1)
    assert found["outcomes"][0].user_attrs["first_step"] == 0


@pytest.mark.parametrize("place", ["claimed", "created", "telling", "told"])
def test_killed_at_a_point(field: Field, place: str) -> None:
    """Between claim, creation, first step, result and its recording: nothing runs for ever."""
    field.create(2)
    field.arm(place)
    killed = field.worker(elsewhere=True)
    field.reached(place)
    killed.kill()
    field.finish()
    found = field.check(2)
    began = [each for each in field.log("began") if each["point"] == field_point(found)]
    # What was trained is not trained again: its result was stored, and only the telling was left.
    assert len(began) == 1, began
    assert found["tickets"][0]["deaths"] == 1


def field_point(found: dict) -> int:  # type: ignore[type-arg]
    """Return the point of the first ticket."""
    return int(found["outcomes"][0].params["point"])


def test_killed_at_random_times(field: Field) -> None:
    """Rounds of kills; each lease ends by itself, and the budget comes out exact."""
    rounds = often(4, 20)
    draw = random.Random(rounds)
    budget = rounds // 2 + 2
    field.create(budget, budget={"max_attempts": rounds + 1})
    field.script(steps=5)
    for number in range(rounds):
        worker = field.worker(elsewhere=bool(number % 2))
        began = len(field.log("began"))
        wait_until(lambda n=began, w=worker: len(field.log("began")) > n or w.over(), "a trial")  # type: ignore[misc]
        time.sleep(draw.uniform(0, 0.3))
        worker.kill()
    field.finish()
    found = field.check(budget)
    assert {trial.state.name for trial in found["outcomes"].values()} == {"COMPLETE"}


def test_grid_under_kills(field: Field) -> None:
    """24 points, several workers, some fail, some workers are killed: each point is one outcome."""
    points = 24
    faults = {"3": "diverged", "11": "out of memory", "17": "error"}
    field.create(points, budget={"max_attempts": 20})
    field.script(steps=4, faults=faults)
    workers = [field.worker() for _ in range(often(4, 16))]
    for count, victim in enumerate(workers[: len(workers) // 2]):
        field.wait_for("told", 2 * count + 2)
        victim.kill()
    for worker in workers[len(workers) // 2 :]:
        ended = worker.end()
        assert ended.code == 0, ended.stderr
    found = field.check(points)
    outcomes = {trial.params["point"]: trial for trial in found["outcomes"].values()}
    assert sorted(outcomes) == list(range(points))
    failed = {str(p): t.user_attrs["reason"] for p, t in outcomes.items() if t.state.name == "FAIL"}
    assert failed == faults
    assert outcomes[7].value == max(trial.value or 0 for trial in outcomes.values())


def test_chaos(field: Field) -> None:
    """Random kills, stops longer than a lease and signals, and then the invariant.

    Who is gone is replaced; some are stopped in the midst of a transaction, and waited for.
    """
    crowd, points = often(4, 16), often(16, 400)
    draw = random.Random(points)
    field.create(points, budget={"max_attempts": 1000})
    field.script(steps=4, pause=0.03)
    workers: list[Process] = [field.worker(elsewhere=bool(n % 2)) for n in range(crowd)]
    strikes = often(12, 300)
    stopped: dict[Process, float] = {}
    end = time.monotonic() + often(20, 240)
    while strikes and time.monotonic() < end and len(field.log("told")) < points - crowd:
        told = len(field.log("told"))
        heard = wait_until(lambda w=workers: [each for each in w if each.said()], "who works")  # type: ignore[misc]
        victim = draw.choice(heard)
        act = draw.choice(["kill", "stop", "term", "interrupt"])
        if act == "kill":
            victim.kill()
        elif act == "stop":
            victim.stop()
            stopped[victim] = time.monotonic() + draw.uniform(0, 4)
        elif act == "term":
            victim.send(draw.choice([signal.SIGTERM, signal.SIGUSR1]))
        else:
            victim.send(signal.SIGINT)
        strikes -= 1
        alive = [each for each in workers if not each.over()]
        workers = alive + [field.worker(elsewhere=bool(n % 2)) for n in range(crowd - len(alive))]
        moment = time.monotonic() + 1
        wait_until(lambda n=told, m=moment: len(field.log("told")) > n or time.monotonic() > m, "")  # type: ignore[misc]
        for each in [each for each in stopped if time.monotonic() > stopped[each]]:
            each.send(signal.SIGCONT)
            del stopped[each]
    for each in workers:  # all of them first: one that is stopped may hold what the others wait for
        each.send(signal.SIGCONT)
    for each in workers:
        ended = each.end()
        assert ended.code in {0, 75, 130}, ended.stderr
    field.finish()
    found = field.check(points)
    assert {trial.state.name for trial in found["outcomes"].values()} == {"COMPLETE"}
