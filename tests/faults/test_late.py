"""Who is late or held up is taken for nothing worse; what was finished stays finished."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from hpo import storage
from hpo.strategies.grid import Grid
from tests.faults.field import Field
from tests.faults.processes import wait_until
from tests.faults.test_budget import RANDOM
from tests.postgres import Server

TICKET = text("SELECT epoch, lease_until, deaths FROM hpo_tickets WHERE number = 0")


@pytest.fixture
def server_field(postgres: Server, tmp_path: Any) -> Iterator[Field]:
    """A study on PostgreSQL, where rows are locked one by one."""
    url = postgres.new_database()
    field = Field(tmp_path, url)
    yield field
    field.close()
    postgres.drop(url)


def test_who_is_held_up_is_not_dead(server_field: Field) -> None:
    """A worker that must wait for a row keeps its lease; nobody counts it among the dead."""
    field = server_field
    field.create(1, budget={"max_attempts": 2})
    field.script(steps=500)
    dead = field.worker(elsewhere=True)
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-2")), "a checkpoint")
    engine = create_engine(storage._parse(field.url))
    with engine.connect() as holder, engine.connect() as looking:
        looking.execution_options(isolation_level="AUTOCOMMIT")
        dead.kill()
        holder.execute(text("SELECT * FROM trials WHERE number = 0 FOR UPDATE"))
        field.script(steps=5)
        heirs = [field.worker("--lease", "4", elsewhere=True) for _ in range(3)]
        wait_until(lambda: looking.execute(TICKET).one().epoch == 2, "an heir")
        until = looking.execute(TICKET).one().lease_until
        wait_until(lambda: looking.execute(TICKET).one().lease_until > until + 8, "two leases")
        holder.rollback()
    engine.dispose()
    for heir in heirs:
        assert heir.end().code == 0, heir.said()
    found = field.check(1)
    assert (found["tickets"][0]["epoch"], found["tickets"][0]["deaths"]) == (2, 1)


def test_a_finished_result_is_kept_where_hours_count(field: Field) -> None:
    """Its worker was killed before the telling: whoever comes next tells it, and trains nothing."""
    field.create(0, **RANDOM, budget={"trials": 1, "hours": 1.0})
    field.arm("telling")
    killed = field.worker()
    field.reached("telling")
    killed.kill()
    field.finish()
    found = field.check(1)
    assert [trial.state.name for trial in found["trials"]] == ["COMPLETE"]
    assert len(field.log("began")) == 1


def test_a_failure_that_is_told_late(field: Field) -> None:
    """Another worker ended the trial meanwhile: the late one's ticket is not settled with that."""
    values = {"space": {"point": {"type": "choice", "values": [0, 1]}}}
    seed = next(
        seed
        for seed in range(99)
        if Grid().points(field_space(field, values), seed)[0]["point"] == 0
    )
    field.create(2, seed=seed, budget={"hours": 1.0})
    field.script(faults={"0": "diverged"})
    field.arm("telling")
    late = field.worker(elsewhere=True)
    field.reached("telling")
    field.pause(late)
    wait_until(
        lambda: not [each for each in field.held() if (each.lease or 0) > 0], "a lease to end"
    )
    field.finish()
    field.go("telling")
    late.send(signal.SIGCONT)
    assert late.end().code == 0, late.said()
    found = field.check(2)
    states = {trial.params["point"]: trial.state.name for trial in found["outcomes"].values()}
    assert states == {0: "FAIL", 1: "COMPLETE"}


def field_space(field: Field, changes: dict[str, Any]) -> Any:
    """Return the search space of a field's study."""
    from hpo.spec import parse

    return parse(field.document(2, **changes), "study").search_space()
