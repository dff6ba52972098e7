"""A database that is away for a while: restarted, unreachable, out of connections.

A transaction that meets an outage is begun again, with pauses that grow, until the database answers
or `hpo.patience` is at an end. So each must come to the same if the server had done it, and only
the answer was lost.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from hpo.patience import deadline, within

_T = TypeVar("_T")

_PAUSE = (0.1, 5.0)  # seconds before the first repetition, and before later ones at most
# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html: connections,
# resources, shutdowns, a statement that was cancelled; a server that only reads, for another one is
# about to lead; a transaction that idled, for its worker was stopped; deadlocks.
_PASSING = ("08", "53", "57014", "57P01", "57P02", "57P03", "25006", "25P03", "40001", "40P01")
# A refused connection has no code. These are no outages: they would be refused again.
_LASTING = (
    "authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied",
    "no password supplied", "is not permitted to log in", "does not support ssl",
    "invalid connection option", "certificate",
)  # fmt: skip
_REPEATED: ContextVar[bool] = ContextVar("repeated", default=False)


def is_outage(error: BaseException) -> bool:
    """Say whether a database is away, and may be back before long."""
    if isinstance(error, StorageInternalError):  # as Optuna wraps what a session raises
        return error.__cause__ is not None and is_outage(error.__cause__)
    if not isinstance(error, DBAPIError) or type(error.orig).__module__.startswith("sqlite3"):
        return False
    code = getattr(error.orig, "pgcode", None)
    if code:
        return str(code).startswith(_PASSING)
    if error.connection_invalidated:
        return True
    text = str(error.orig).lower()
    is_connection = type(error.orig).__name__ in {"OperationalError", "InterfaceError"}
    return is_connection and not any(words in text for words in _LASTING)


def is_repetition() -> bool:
    """Say whether what is done now may have been done before, by a transaction without answer."""
    return _REPEATED.get()


@contextmanager
def repeated() -> Iterator[None]:
    """Say that what the body does may have been done before."""
    token = _REPEATED.set(True)
    try:
        yield
    finally:
        _REPEATED.reset(token)


def persisting(work: Callable[[], _T]) -> _T:
    """Do something again and again until the database is there; `hpo.patience` ends that.

    Args:
        work: one transaction, or one connection.

    Raises:
        SQLAlchemyError, StorageInternalError: the database is still away, or it is no outage.
    """
    end = deadline()
    pause = _PAUSE[0]
    with within(end), ExitStack() as stack:
        while True:
            try:
                return work()
            except (SQLAlchemyError, StorageInternalError) as error:
                end = min(end, deadline())  # the process may have been asked to go
                if time.monotonic() + pause > end or not is_outage(error):
                    raise
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _PAUSE[1])
            stack.enter_context(repeated())


def persistent(method: Callable[..., _T]) -> Callable[..., _T]:
    """Return a method that persists through outages; see `persisting`."""

    @wraps(method)
    def persist(*args: Any, **kwargs: Any) -> _T:
        return persisting(lambda: method(*args, **kwargs))

    return persist
