"""SQLite made safe for many processes: a transaction that may write begins with the right to.

SQLite knows no `SELECT … FOR UPDATE`, and Python's driver begins no transaction before the first
write: two processes would read one waiting trial, and both take it. A transaction that takes the
write lock when it begins is as good as a row lock; one that only reads need not wait for it.
https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from sqlalchemy import Engine, event

_READING: ContextVar[bool] = ContextVar("reading", default=False)


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


def serialise_writers(engine: Engine) -> None:
    """Let one transaction at a time write, from its beginning to its end."""

    @event.listens_for(engine, "connect")
    def _manual_begin(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if _READING.get() else "BEGIN IMMEDIATE")

    engine.dispose()  # the connection that created the tables came before the hooks
