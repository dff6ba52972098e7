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
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

_READING: ContextVar[bool] = ContextVar("reading", default=False)
_PATIENCE: ContextVar[float] = ContextVar("patience", default=600.0)
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


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Say how long the transactions of the body wait for the right to write."""
    token = _PATIENCE.set(seconds)
    try:
        yield
    finally:
        _PATIENCE.reset(token)


def reads(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose transactions only read."""

    @wraps(method)
    def read(*args: Any, **kwargs: Any) -> Any:
        with reading():
            return method(*args, **kwargs)

    return read


def log_changes(engine: Engine) -> None:
    """Keep changes in a log beside the file; it stays so. Call it where nobody else does."""
    with suppress(OperationalError), engine.connect() as connection:  # in use: it stays as it was
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


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
        end = time.monotonic() + _PATIENCE.get() - SLICE
        while time.monotonic() < end:
            try:
                connection.connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY:
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # which tells it in SQLAlchemy's words

    engine.dispose()  # the connection that created the tables came before the hooks
