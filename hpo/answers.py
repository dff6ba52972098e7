"""No question to PostgreSQL waits for ever: a server may accept it and never answer.

libpq has limits for making a connection and for a link that is dead, none for a server that lives
and says nothing: stopped, or stuck. So psycopg2 is asked to wait in Python, which knows how long.
https://www.psycopg.org/docs/advanced.html#support-for-coroutine-libraries
"""

import math
import select
import time
from typing import Any

import psycopg2
from psycopg2 import extensions, extras

from hpo.patience import deadline

LEAST = 5.0  # seconds that an answer is waited for, however little patience there is
_SLICE = 1.0  # between two looks at the clock


class Connection(extensions.connection):
    """A connection of ours; other ones of this process wait as they did before."""

    def __init__(self, dsn: str, *args: Any, **kwargs: Any) -> None:
        # libpq leaves `connect_timeout` to those who wait for it in their own way.
        seconds = int(extensions.parse_dsn(dsn).get("connect_timeout", 0))
        self.limit = seconds if seconds > 0 else math.inf  # as libpq has it
        try:
            super().__init__(dsn, *args, **kwargs)
        except BaseException:
            self.close()  # or whoever keeps the error keeps a connection of the server's busy
            raise
        self.limit = math.inf


def limit_waiting() -> None:
    """Let connections of ours wait for answers no longer than `hpo.patience` says.

    Nothing is changed where somebody else has a say in how psycopg2 waits (gevent, for one).
    """
    if extensions.get_wait_callback() is None:
        extensions.set_wait_callback(_wait)


def _wait(connection: Any) -> None:
    if not isinstance(connection, Connection):
        extras.wait_select(connection)
        return
    asked = time.monotonic()
    connecting = connection.limit < math.inf
    end = min(max(deadline(), asked + LEAST), asked + connection.limit)
    while (state := connection.poll()) != extensions.POLL_OK:
        reads = [connection] if state == extensions.POLL_READ else []
        writes = [connection] if state == extensions.POLL_WRITE else []
        end = min(end, max(deadline(), asked + LEAST))  # it may have been asked to go meanwhile
        slice_ = max(0.0, min(_SLICE, end - time.monotonic()))
        if any(select.select(reads, writes, [], slice_)) or time.monotonic() < end:
            continue
        if connecting:
            raise psycopg2.OperationalError(
                f"the server does not answer, to connect was given up after {end - asked:.0f} s"
            )
        raise psycopg2.OperationalError("the server accepts questions and does not answer")
