"""Ctrl-C and the signals of a scheduler, turned into a request that a trial can meet in good order.

Ctrl-C once: save and leave. Twice: leave at once. SIGTERM, SIGUSR1 (preemption, `scancel`,
`docker stop`): save, hand back and leave.
"""

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from hpo.errors import HandedBack, StudyFailed

_PREEMPTION = (signal.SIGTERM, signal.SIGUSR1)
_ALL = (signal.SIGINT, *_PREEMPTION)


def fix_exit_code(code: int) -> None:
    """Let no further signal change how this process ends; it has said its last word.

    Impatient fingers and schedulers send several. While the process waits for its threads, one more
    ends it at once, with the same code; after that Python would answer with a traceback or with
    another code, and they are ignored for the moment that is left.
    """
    atexit.register(_set_all, signal.SIG_IGN)
    _set_all(lambda _number, _frame: os._exit(code))


def _set_all(handler: signal.Handlers | Callable[[int, FrameType | None], None]) -> None:
    for number in _ALL:
        signal.signal(number, handler)


class Stop:
    """Whether the process was asked to stop; a context in which the signals are listened to.

    Outside of `deferred` a signal ends the process at once, since there is nothing to save.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None  # the first one
        self._preempted = False
        self.again: Callable[[], None] | None = None  # for Ctrl-C while the process is leaving
        self._deferred = False
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may listen
            for number in _ALL:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, Exception) and not isinstance(error, HandedBack | StudyFailed):
            # What the signal raised comes out of others' code as anything: of SQLAlchemy as a
            # complaint about the state of a session or an AssertionError (the transaction is undone
            # or done), of what loads a model as one that cannot be loaded.
            self.leave()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only take note of a signal while the body runs; it asks `requested` when it can stop."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before

    def requested(self) -> bool:
        """Say whether to save and leave."""
        return self.signal is not None

    def preempted(self) -> bool:
        """Say whether a scheduler asked, which soon kills."""
        return self._preempted

    def leave(self) -> None:
        """Raise what ends the process, if it was asked to stop.

        Raises:
            KeyboardInterrupt: by Ctrl-C.
            HandedBack: by another signal.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise HandedBack(f"stopped by {self.signal.name}")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a child that was forked, with our handlers
            if number in _PREEMPTION:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return  # Ctrl-C reaches us too, and we end our children
        again = self.signal is not None and number == signal.SIGINT
        self._preempted = self._preempted or number in _PREEMPTION
        self.signal = self.signal or signal.Signals(number)
        if again and self.again is not None:
            self.again()
        if again:
            raise KeyboardInterrupt
        if not self._deferred:
            self.leave()
