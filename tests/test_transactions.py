"""SQLite with many processes: who reads holds nobody up, and who is held up waits."""

import pickle
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError, OperationalError

from hpo import storage
from hpo.patience import patience
from hpo.transactions import logs_changes, reading, waiting

COUNT = text("SELECT count(*) FROM studies")
INSERT = text("INSERT INTO studies (study_name) VALUES (:name)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database lies."""
    return tmp_path / "hpo.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """The engine of a storage of ours."""
    engine = storage.open_storage(str(path)).engine
    yield engine
    engine.dispose()


@pytest.fixture
def other(path: Path, engine: Engine) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else, who may stop in the midst of anything."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


def test_who_reads_holds_nobody_up(engine: Engine, other: sqlite3.Connection) -> None:
    """Writers commit beside an open reader, who goes on to see what it saw."""
    other.execute("BEGIN")
    before = other.execute(COUNT.text).fetchone()
    with patience(0), engine.begin() as connection:
        connection.execute(INSERT, {"name": "new"})
    assert other.execute(COUNT.text).fetchone() == before
    other.execute("COMMIT")
    assert other.execute(COUNT.text).fetchone() == (before[0] + 1,)


def test_who_writes_holds_no_reader_up(engine: Engine, other: sqlite3.Connection) -> None:
    """Readers see what was there before."""
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO studies (study_name) VALUES ('new')")
    with reading(), engine.begin() as connection:
        assert connection.scalar(COUNT) == 0


def test_writers_wait_for_each_other(
    engine: Engine, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than SQLite itself waits, and no longer than they were told to."""
    other.execute("BEGIN IMMEDIATE")
    with (
        patience(0.1),
        pytest.raises(OperationalError, match="locked"),
        engine.begin(),
    ):
        pass
    tried = threading.Event()

    asked: list[float] = []

    def monotonic(clock: Callable[[], float] = time.monotonic) -> float:
        if len(asked) > 2:  # a slice is over, and the next one begins
            tried.set()
        asked.append(clock())
        return asked[-1]

    monkeypatch.setattr("hpo.transactions.time.monotonic", monotonic)

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(INSERT, {"name": "late"})

    writer = threading.Thread(target=write)
    writer.start()
    assert tried.wait(60)
    assert other.execute(COUNT.text).fetchone() == (0,)
    other.execute("COMMIT")
    writer.join(60)
    assert other.execute(COUNT.text).fetchone() == (1,)


def test_signals_are_heard_between_slices(
    engine: Engine, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who must wait asks again and again whether to go on, and ends when told."""
    monkeypatch.setattr("hpo.transactions.SLICE", 0.05)
    other.execute("BEGIN IMMEDIATE")
    heard: list[int] = []

    def write() -> int:
        with engine.begin() as connection:
            return connection.execute(INSERT, {"name": "late"}).rowcount

    def hear() -> None:
        heard.append(1)
        if len(heard) == 2:
            other.execute("ROLLBACK")
        if len(heard) > 2:
            raise KeyboardInterrupt

    assert waiting(write, hear) == 1
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(KeyboardInterrupt):
        waiting(write, hear)


def test_other_errors_are_not_waited_for(engine: Engine, path: Path) -> None:
    """A file that is no database any more is told at once, in SQLAlchemy's words."""
    engine.dispose()
    for beside in path.parent.glob(f"{path.name}-*"):
        beside.unlink()
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(DatabaseError), engine.begin():
        pass


def test_a_pickled_storage_is_as_safe(path: Path, other: sqlite3.Connection) -> None:
    """What goes to another process in a pickle takes the right to write when it begins."""
    again = pickle.loads(pickle.dumps(storage.open_storage(str(path))))  # noqa: S301 - our own
    other.execute("BEGIN IMMEDIATE")
    with patience(0), pytest.raises(OperationalError, match="locked"), again.engine.begin():
        pass
    again.engine.dispose()


@pytest.mark.parametrize(("kind", "log"), [("nfs4", False), ("fuse.sshfs", False), ("ext4", True)])
def test_no_log_where_machines_share_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, log: bool
) -> None:
    """On a network file system each machine would have a log index of its own."""
    mounts = tmp_path / "mounts"
    share = tmp_path / "a share"
    point = str(share).replace(" ", "\\040")
    mounts.write_text(
        f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {point} rw shared:1 - {kind} host:/x rw\n"
    )
    monkeypatch.setattr("hpo.filesystems._MOUNTS", mounts)
    storage.open_storage(str(share / "runs" / "hpo.db")).engine.dispose()
    assert logs_changes(share / "runs" / "hpo.db") == log


def test_a_file_that_is_in_use_stays_as_it_was(path: Path) -> None:
    """A database that was made without the log, and is being read, is opened all the same."""
    storage.open_storage(str(path)).engine.dispose()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("PRAGMA journal_mode = DELETE")
        reader.execute("BEGIN")
        reader.execute(COUNT.text).fetchone()
        engine = storage.open_storage(str(path)).engine
        with reading(), engine.begin() as connection:
            assert connection.scalar(COUNT) == 0
        engine.dispose()
