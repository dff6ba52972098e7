"""How long a transaction may wait for its database: for the right to write, or for an answer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SECONDS: ContextVar[float] = ContextVar("seconds", default=600.0)
_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)


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


def deadline() -> float:
    """Return the moment, by the monotonic clock, until which a transaction may wait from now on."""
    end = _DEADLINE.get()
    return time.monotonic() + _SECONDS.get() if end is None else end
