"""Which errors are outages, which a database has for good reasons, and what is repeated."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from hpo import outages, storage
from hpo import patience as patience_of
from hpo.outages import is_outage, is_repetition, persistent, persisting
from hpo.patience import deadline, patience, within
from hpo.transactions import waiting
from tests.postgres import Server


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:
    """A database of a server, as SQLAlchemy is to be given it."""
    made = postgres.new_database()
    yield storage._parse(made).render_as_string(hide_password=False)
    postgres.drop(made)


def error_of(engine: Engine, *statements: str) -> DBAPIError:
    """Return what the last one of some statements raises."""

    def run() -> None:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    with pytest.raises(DBAPIError) as caught:
        run()
    engine.dispose()
    return caught.value


def test_refused_connections(url: str) -> None:
    """Nobody there is an outage; no such database, or user, is none."""
    there = make_url(url)
    away = there.set(host="127.0.0.1", port=9)
    assert is_outage(error_of(create_engine(away)))
    assert not is_outage(error_of(create_engine(there.set(database="nowhere"))))
    assert not is_outage(error_of(create_engine(there.set(username="nobody"))))


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["SELECT pg_terminate_backend(pg_backend_pid())"], True),
        (["DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '25P03'; END $$"], True),
        (["DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53300'; END $$"], True),
        (["DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"], True),
        (["SELECT 1 / 0"], False),
        (["SELECT * FROM nowhere"], False),
        (["CREATE TABLE t (i int PRIMARY KEY)", "INSERT INTO t VALUES (1), (1)"], False),
        (["DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '42501'; END $$"], False),
    ],
)  # fmt: skip
def test_errors_of_statements(url: str, statements: list[str], expected: bool) -> None:
    """Ended sessions, lack of resources and deadlocks pass; mistakes and refusals do not."""
    assert is_outage(error_of(create_engine(url), *statements)) is expected


def test_sqlite_is_never_away() -> None:
    """Its locks are waited for elsewhere."""
    assert not is_outage(error_of(create_engine("sqlite://"), "SELECT * FROM nowhere"))


class Flaky:
    """Is away for some calls; then says whether it was told that it may be a repetition."""

    def __init__(self, url: str, outages: int) -> None:
        self.away = create_engine(make_url(url).set(host="127.0.0.1", port=9))
        self.left = outages

    @persistent
    def ask(self) -> bool:
        """Connect to nobody, or answer."""
        if self.left:
            self.left -= 1
            self.away.connect()
        return is_repetition()


def test_what_is_repeated_knows_it(url: str) -> None:
    """The first attempt is none, later ones are; whatever comes next is a first one again."""
    assert Flaky(url, 0).ask() is False
    assert Flaky(url, 2).ask() is True
    assert is_repetition() is False


class Clock:
    """A clock that only sleeping moves, in place of the module `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds


def test_patience_ends(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the database's, and nobody is asked behind the deadline."""
    clock = Clock()
    for module in (outages, patience_of):
        monkeypatch.setattr(module, "time", clock)
    flaky = Flaky(url, 10**6)
    with pytest.raises(OperationalError), patience(0.3):
        flaky.ask()
    asked = 10**6 - flaky.left
    assert 1 < asked < 10
    with pytest.raises(OperationalError), within(clock.now):
        flaky.ask()
    assert flaky.left == 10**6 - asked - 1


def test_what_is_no_outage_is_raised_at_once() -> None:
    """Mistakes of ours are not repeated."""
    asked = []

    def work() -> None:
        asked.append(1)
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        persisting(work)
    assert asked == [1]


def test_signals_are_heard_during_an_outage(url: str) -> None:
    """Between slices; and the attempts behind an outage know that they repeat."""
    flaky, heard = Flaky(url, 10**6), []

    def hear() -> None:
        heard.append(1)
        flaky.left = 0

    assert waiting(flaky.ask, hear) is True
    assert heard == [1]


def test_deadlines_nest() -> None:
    """What a transaction begins within another one ends with it."""
    with patience(100.0), within(time.monotonic() + 5):
        assert deadline() < time.monotonic() + 6
        with patience(100.0):
            assert deadline() > time.monotonic() + 90
