"""A server that stops answering in the midst of a run, and goes on as if nothing had been."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.field import Field
from tests.faults.processes import Process, wait_until
from tests.postgres import OwnServer

STEPS = 12
LEASE = 6.0  # seconds


@pytest.fixture
def field(tmp_path: Path, server: OwnServer) -> Iterator[Field]:
    """A study on that server."""
    made = Field(tmp_path, server.new_database())
    yield made
    server.thaw()
    made.close()


def steps_after(field: Field, moment: float) -> list[float]:
    """Return when steps were taken behind a moment, in seconds since it."""
    return [each["at"] - moment for each in field.log("stepped") if each["at"] > moment]


def ended(worker: Process) -> str:
    """Wait until a worker has left in good order, and return what it said as one line."""
    assert worker.end().code == 0, worker.said()
    return " ".join(worker.said().split())


def test_for_less_than_a_lease(field: Field, server: OwnServer) -> None:
    """Training goes on; what it reports meanwhile arrives, each once, and nobody is replaced."""
    field.create(1)
    field.script(steps=STEPS, pause=0.5, evaluate=True, timed=True)
    worker = field.worker("--lease", "120", elsewhere=True)
    wait_until(lambda: len(field.log("stepped")) >= 2, "steps")
    server.freeze()
    frozen = time.time()
    worker.wait_for("the storage is away; training goes on")
    wait_until(lambda: len(steps_after(field, frozen)) >= 3, "further steps")
    server.thaw()
    ended(worker)
    (trial,) = field.check(1)["trials"]
    steps = [round(1000 * step / STEPS) for step in range(1, STEPS + 1)]
    assert sorted(trial.intermediate_values) == steps
    assert len(trial.user_attrs["evaluations"]) == STEPS
    assert [each["attempt"] for each in field.log("began")] == [0]


def test_for_longer_than_a_lease(field: Field, server: OwnServer) -> None:
    """Training goes on as long as the lease is sure to hold; then it stops, and begins again."""
    field.create(1, budget={"max_attempts": 1})
    field.script(steps=10_000, pause=0.02, timed=True)
    worker = field.worker("--lease", str(LEASE), elsewhere=True)
    wait_until(lambda: len(field.log("stepped")) >= 10, "steps")
    server.freeze()
    frozen = time.time()
    over = time.monotonic() + 2 * LEASE  # there is nothing else to see
    wait_until(lambda: time.monotonic() > over, "the lease to end")
    taken = steps_after(field, frozen)
    assert LEASE / 4 < taken[-1] < LEASE
    field.script(steps=len(field.log("stepped")) + 5)
    server.thaw()
    said = ended(worker)
    assert "the storage did not answer until the lease of ticket 0 was over" in said
    found = field.check(1)
    first, second = found["trials"]
    assert first.user_attrs["reason"] == "storage away"
    assert second.user_attrs["first_step"] > 10
    assert found["tickets"][0]["deaths"] == 0
