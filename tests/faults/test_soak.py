"""A worker runs for days: what it takes of its machine and of its server does not grow."""

import statistics
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from hpo import storage
from hpo.spec import parse
from tests.faults import scripted
from tests.faults.conftest import often
from tests.faults.field import Field
from tests.faults.invariant import check_invariant
from tests.faults.processes import wait_until

# What a worker may have more of in its last study than in its second one. An engine for each study
# in between would be 3,000 blocks of Python's, or more. On SQLite a connection keeps a part of the
# file, 2 MB at most.
BLOCKS = 3000
BYTES = {"postgresql": 300_000, "sqlite": 2_300_000}
_CONNECTIONS = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid != pg_backend_pid() "
    "AND backend_type = 'client backend'"
)


def make(field: Field, name: str, trials: int) -> None:
    """Make a study of random points."""
    space = {"point": {"type": "int", "low": 0, "high": 20}}
    document = field.document(space=space, strategy="random", budget={"trials": trials})
    opened = storage.open_storage(field.url)
    storage.create_or_attach(
        opened, name, parse(document, "study.toml"), direction="maximize",
        facts={storage.METRIC: scripted.METRIC}, first={storage.DATA: str(field.folder)},
    )  # fmt: skip
    opened.engine.dispose()


def connections(field: Field) -> int:
    """Return how many there are to the database; SQLite has none."""
    url = storage._parse(field.url)
    if url.get_backend_name() == "sqlite":
        return 0
    engine = create_engine(url)
    with engine.connect() as connection:
        found = int(connection.scalar(_CONNECTIONS) or 0)
    engine.dispose()
    return found


def median(seen: list[dict[str, Any]], what: str) -> float:
    """Return what a worker took in the middle of some trials."""
    return float(statistics.median(each[what] for each in seen))


@pytest.mark.timeout(1200)  # seconds, for the long form
def test_hundreds_of_trials(field: Field) -> None:
    """Of several studies, one after the other: memory, files, threads and connections stay."""
    studies, each = often(5, 20), often(15, 25)
    for number in range(studies):
        make(field, f"study-{number}", each)
    field.script(steps=1, pause=0.0, vitals=True)
    worker = field.start_anew("worker", "--lease", "60")
    counted: list[int] = []
    for number in range(1, studies + 1):

        def look(told: int = number * each) -> bool:
            counted.append(connections(field))
            return len(field.log("told")) >= told or worker.over()

        wait_until(look, f"study {number}")
    worker.wait_for("nothing to do; waiting for studies")
    seen = field.log("vitals")
    assert len(seen) == studies * each
    second, last = seen[each : 2 * each], seen[-each:]
    assert median(last, "blocks") - median(second, "blocks") < BLOCKS
    grown = median(last, "used") - median(second, "used")
    assert grown < BYTES[make_url(field.url).get_backend_name()]
    for what in ("files", "threads"):
        assert max(one[what] for one in last) <= max(one[what] for one in second), what
    assert max(counted) <= 2  # the second one is its lease's, where that falls due meanwhile
    for number in range(studies):
        check_invariant(field.url, f"study-{number}", each, field.stage, alone=False)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_pool_that_trains_holds_no_connection(field: Field) -> None:
    """Whatever it looked at before: a training may take hours, and others may lack them."""
    make(field, "short", 2)
    make(field, "long", 1)
    field.script(steps=4000)
    worker = field.start("worker", "--lease", "600")
    field.wait_for("began")
    wait_until(lambda: connections(field) == 0, "no connection")
    assert not worker.over()
