"""SQLite made safe for many processes: a transaction that may write begins with the right to.

SQLite knows no `SELECT … FOR UPDATE`, and Python's driver begins no transaction before the first
write: two processes would read one waiting trial, and both take it. A transaction that takes the
write lock when it begins is as good as a row lock; one that only reads need not wait for it.
https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl

Changes go to a log beside the file (WAL), so that readers and the writer do not hold each other up:
else a process that is stopped while it reads would keep all others from committing. A process that
is stopped while it writes still does, and is waited for, in slices in which signals are heard.
https://sqlite.org/wal.html
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from hpo.filesystems import is_remote
from hpo.outages import is_outage, repeated
from hpo.patience import deadline, patience

_T = TypeVar("_T")

_READING: ContextVar[bool] = ContextVar("reading", default=False)
SLICE = 1.0  # seconds that SQLite itself waits for a lock
_PRIMARY = 0xFF  # of the bits of an error code


@contextmanager
def reading() -> Iterator[None]:
    """Say that the transactions of the body only read."""
    token = _READING.set(True)
    try:
        yield
    finally:
        _READING.reset(token)


def reads(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose transactions only read."""

    @wraps(method)
    def read(*args: Any, **kwargs: Any) -> Any:
        with reading():
            return method(*args, **kwargs)

    return read


def waiting(work: Callable[[], _T], heard: Callable[[], None]) -> _T:
    """Do what must wait for the right to write, or for an answer, in slices; signals are heard.

    Args:
        work: one transaction.
        heard: is called between the slices, and may raise.
    """
    end = deadline()
    with ExitStack() as stack:
        while True:
            try:
                with patience(SLICE):
                    return work()
            except DBAPIError as error:
                away = is_outage(error)
                if time.monotonic() > end or not (away or _is_busy(error.orig)):
                    raise
            if away:
                stack.enter_context(repeated())
            heard()


def _is_busy(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY == sqlite3.SQLITE_BUSY


def log_changes(path: Path) -> None:
    """Let a database keep its changes in a log beside the file; it stays so.

    Not on a network file system, where every machine would have a log index of its own.
    """
    if is_remote(path):
        return
    # In use by others: it stays as it was.
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def logs_changes(path: Path) -> bool:
    """Say whether a database keeps its changes in a log."""
    with closing(sqlite3.connect(path)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal")


def serialise_writers(engine: Engine) -> None:
    """Let one transaction at a time write, from its beginning to its end.

    A transaction raises `OperationalError` if it must wait for longer than `patience`.
    """

    @event.listens_for(engine, "connect")
    def _manual_begin(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        if _READING.get():
            connection.exec_driver_sql("BEGIN")
            return
        end = deadline() - SLICE
        while time.monotonic() < end:
            try:
                connection.connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.Error as error:
                if not _is_busy(error):
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # which tells it in SQLAlchemy's words

    engine.dispose()  # the connection that created the tables came before the hooks
