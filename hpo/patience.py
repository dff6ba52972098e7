"""How long a transaction may wait for its database: for the right to write, or for an answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SECONDS: ContextVar[float] = ContextVar("seconds", default=600.0)
_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)
_ASKED: ContextVar[Callable[[], bool]] = ContextVar("asked", default=lambda: False)
LEAVING = 5.0  # seconds that a process which was asked to go waits for its database


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Say how long each transaction of the body waits."""
    tokens = _SECONDS.set(seconds), _DEADLINE.set(None)
    try:
        yield
    finally:
        _SECONDS.reset(tokens[0])
        _DEADLINE.reset(tokens[1])


@contextmanager
def within(end: float) -> Iterator[None]:
    """Let all that the body does end by a moment of the monotonic clock."""
    token = _DEADLINE.set(end)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


@contextmanager
def leaving(asked: Callable[[], bool]) -> Iterator[None]:
    """Let no transaction of the body wait for long once the process was asked to go.

    Args:
        asked: says whether it was; that may come in the midst of a transaction.
    """
    token = _ASKED.set(asked)
    try:
        yield
    finally:
        _ASKED.reset(token)


def is_leaving() -> bool:
    """Say whether the process was asked to go, as far as that is heard here."""
    return _ASKED.get()()


def deadline() -> float:
    """Return the moment, by the monotonic clock, until which a transaction may wait from now on."""
    now, end = time.monotonic(), _DEADLINE.get()
    end = now + _SECONDS.get() if end is None else end
    return min(end, now + LEAVING) if is_leaving() else end
