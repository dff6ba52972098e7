"""The server of a study restarts, goes away or has no connection left: nothing is lost by it."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import often
from tests.faults.field import Field
from tests.faults.processes import wait_until
from tests.postgres import OwnServer, private_server

STEPS = 8


@pytest.fixture
def field(tmp_path: Path, server: OwnServer) -> Iterator[Field]:
    """A study on that server; its trainings are evaluated after each step."""
    made = Field(tmp_path, server.new_database())
    made.script(steps=STEPS, pause=0.1, evaluate=True)
    yield made
    made.close()


def reported(field: Field, budget: int) -> list[list[int]]:
    """Check the invariant; return what steps the outcome of each ticket has reported."""
    outcomes = field.check(budget)["outcomes"]
    return [sorted(outcomes[number].intermediate_values) for number in range(budget)]


ALL_STEPS = [round(1000 * step / STEPS) for step in range(1, STEPS + 1)]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restarts(field: Field, server: OwnServer, mode: Literal["fast", "immediate"]) -> None:
    """Whatever workers do when the server restarts, they go on; every report arrives."""
    budget = 16
    field.create(budget)
    workers = [field.worker("--lease", "20") for _ in range(4)]
    for round_ in range(1, often(3, 6)):
        field.wait_for("began", 2 * round_)
        server.restart(mode)
    for worker in workers:
        assert worker.end().code == 0, worker.said()
    assert reported(field, budget) == [ALL_STEPS] * budget


def test_sixteen_workers(field: Field, server: OwnServer) -> None:
    """Through restarts of both kinds and an outage longer than their leases: all end, all whole."""
    budget, lease = often(64, 240), 4.0
    field.create(budget, budget={"max_attempts": 20})  # who is slow on two cores is no poison
    field.script(steps=4, pause=0.1, evaluate=True, together=16)
    workers = [field.worker("--lease", str(lease), elsewhere=True) for _ in range(16)]
    modes: list[Literal["fast", "immediate"]] = ["fast", "immediate"] * often(1, 4)
    for done, mode in enumerate(modes, 1):
        field.wait_for("told", done * budget // (4 * len(modes)))
        server.restart(mode)
    field.wait_for("told", budget // 2)
    server.pg_ctl("stop", "-m", "immediate")
    over = time.monotonic() + 1.5 * lease  # there is nothing else to see
    wait_until(lambda: time.monotonic() > over, "the leases to end")
    server.pg_ctl("start")
    for worker in workers:
        assert worker.end().code == 0, worker.said()
    steps = [round(1000 * step / 4) for step in range(1, 5)]
    for trial in field.check(budget)["outcomes"].values():
        resumed = min(trial.user_attrs["first_step"], 3)  # who goes on reports what is left
        assert sorted(trial.intermediate_values) == steps[resumed:]
    assert len({each["pid"] for each in field.log("began")}) == 16


def test_away_for_a_while(field: Field, server: OwnServer) -> None:
    """Training goes on meanwhile: what it reports is kept, and sent once the server is back."""
    field.create(2)
    field.script(steps=STEPS, pause=1.0, evaluate=True, together=2)
    workers = [field.worker("--lease", "60") for _ in range(2)]
    field.wait_for("began", 2)
    server.pg_ctl("stop", "-m", "fast")
    for worker in workers:
        worker.wait_for("the storage is away; training goes on")
    server.pg_ctl("start")
    for worker in workers:
        assert worker.end().code == 0, worker.said()
    assert reported(field, 2) == [ALL_STEPS] * 2
    assert [each["attempt"] for each in field.log("began")] == [0, 0]


def test_away_for_longer_than_a_lease(field: Field, server: OwnServer) -> None:
    """Each worker lets its trial go before its lease ends; afterwards it is one worker's again."""
    field.create(2)
    field.script(steps=400, pause=0.02)
    workers = [field.worker(elsewhere=True) for _ in range(3)]
    field.wait_for("began", 2)
    wait_until(lambda: list(field.output.glob("*/trial-000[01]/checkpoint-3")), "checkpoints")
    server.pg_ctl("stop", "-m", "immediate")
    over = time.monotonic() + 3  # twice the lease; there is nothing else to see
    wait_until(lambda: time.monotonic() > over, "the leases to end")
    field.script(steps=20)
    server.pg_ctl("start")
    for worker in workers:
        assert worker.end().code == 0, worker.said()
    found = field.check(2)
    assert [ticket["deaths"] for ticket in found["tickets"]] == [0, 0]
    resumed = [each for each in field.log("began") if each["attempt"] == 1]
    assert len(resumed) == 2
    assert all(each["step"] > 2 for each in resumed)


def outage(server: OwnServer, longer_than: float) -> None:
    """Let a server be away for longer than some seconds; it stays away."""
    server.pg_ctl("stop", "-m", "fast")
    over = time.monotonic() + longer_than  # there is nothing else to see
    wait_until(lambda: time.monotonic() > over, "the leases to end")


def test_nobody_else_is_there(field: Field, server: OwnServer) -> None:
    """A worker that is alone says what happened, and so does the attempt that it gave up."""
    field.create(1, budget={"max_attempts": 1})
    field.script(steps=400)
    worker = field.worker(elsewhere=True)
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-3")), "checkpoints")
    outage(server, 3.0)
    field.script(steps=20)
    server.pg_ctl("start")
    assert worker.end().code == 0, worker.said()
    assert (
        "the storage did not answer until the lease of ticket 0 was over; whoever takes the "
        "ticket next continues the trial"
    ) in " ".join(worker.said().split())
    assert "somebody else" not in worker.said()
    first, second = field.check(1)["trials"]
    assert first.user_attrs["reason"] == "storage away"
    assert second.user_attrs["first_step"] > 2


def test_who_starts_after_the_outage(field: Field, server: OwnServer) -> None:
    """Sees a lease that is over and charges it, until its worker says that it lives."""
    field.create(1, budget={"max_attempts": 1})
    field.script(steps=400)
    first = field.worker(elsewhere=True)
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-3")), "checkpoints")
    field.arm("stepping back")
    outage(server, 3.0)
    field.reached("stepping back")
    field.script(steps=20)
    server.pg_ctl("start")
    second = field.worker("--lease", "60", elsewhere=True)  # hears the first one out for half of it
    wait_until(lambda: [each.deaths for each in field.held()] == [1], "a charge")
    field.go("stepping back")
    for worker in (first, second):
        assert worker.end().code == 0, worker.said()
    found = field.check(1)
    assert found["tickets"][0]["deaths"] == 0
    assert found["outcomes"][0].state.name == "COMPLETE"
    said = " ".join(first.said().split())
    assert "was over; another worker has the ticket now, and continues the trial" in said


@pytest.mark.parametrize("lease", [60.0, 1.5], ids=["held", "over"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_asked_to_go_meanwhile(
    field: Field, server: OwnServer, number: signal.Signals, lease: float
) -> None:
    """It saves and leaves without waiting for the server, and says what becomes of the trial."""
    field.create(1)
    field.script(steps=4000, pause=0.05)
    worker = field.worker("--lease", str(lease), "--grace", "60")
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-3")), "checkpoints")
    outage(server, 0.0 if lease > 2 else 2 * lease)
    worker.send(number)
    ended = worker.end()
    assert ended.code == (75 if number == signal.SIGTERM else 130), worker.said()
    said = " ".join(worker.said().split())
    assert "the storage is away: the lease of ticket 0 ends by itself" in said
    assert ("trial 0 is saved" in said) == (lease > 2)
    assert "could not be saved" not in said  # as the one says who ends it when the grace is over
    server.pg_ctl("start")
    field.script()
    field.finish()
    assert field.check(1)["outcomes"][0].user_attrs["first_step"] >= 3


def test_more_workers_than_connections(tmp_path: Path) -> None:
    """Sixteen workers on a server for ten: who gets no connection waits, and nobody starves."""
    with private_server(max_connections=10, superuser_reserved_connections=0) as server:
        field = Field(tmp_path, server.new_database())
        field.create(40)
        workers = [field.worker("--lease", "20") for _ in range(16)]
        for worker in workers:
            assert worker.end().code == 0, worker.said()
        field.check(40)
        field.close()


def test_a_server_that_comes_late(field: Field, server: OwnServer) -> None:
    """A worker that starts before the server asks again until it is there."""
    field.create(2)
    server.pg_ctl("stop", "-m", "fast")
    with socket.create_server(("127.0.0.1", urlsplit(server.url).port or 0)) as door:
        worker = field.worker()
        door.accept()[0].close()  # it has asked once
    server.pg_ctl("start")
    assert worker.end().code == 0, worker.said()
    field.check(2)


@pytest.mark.parametrize("place", ["claimed", "created", "telling", "told"])
def test_a_restart_at_a_point(field: Field, server: OwnServer, place: str) -> None:
    """A worker that was held there finds its connection dead, and does what it was about to."""
    field.create(3)
    field.arm(place)
    worker = field.worker("--lease", "60")
    field.reached(place)
    server.restart("immediate")
    field.go(place)
    assert worker.end().code == 0, worker.said()
    assert len(field.check(3)["trials"]) == 3
