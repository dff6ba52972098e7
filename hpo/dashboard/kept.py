"""What takes time to make: made once for all who ask at a time, by few, and kept for a while."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from threading import BoundedSemaphore, Lock
from typing import Generic, TypeVar

_T = TypeVar("_T")

PATIENCE = 5.0  # seconds that somebody waits for what another one makes


class Busy(Exception):
    """What was asked for is still in the making, or waits for others that are."""


class Makers:
    """Who makes something, over all that is kept: a few at a time, or they slow each other down.

    Args:
        most: at a time.
        patience: seconds that somebody waits for a place, or for what another one makes.
    """

    def __init__(self, most: int, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._places = BoundedSemaphore(most)

    def make(self, what: Callable[[], _T]) -> _T:
        """Make something; raises `Busy` where there is no place for it."""
        if not self._places.acquire(timeout=self.patience):
            raise Busy
        try:
            return what()
        finally:
            self._places.release()


class Kept(Generic[_T]):
    """Things that are kept; who asks for one in the making waits for it, and holds up nobody.

    Args:
        most: how many are kept; those that nobody asked for go first.
        seconds: for how long, from their beginning.
        share: of the time may be spent on making one; what takes long is kept for longer.
        makers: who make them.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        most: int,
        seconds: float,
        share: float,
        makers: Makers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._seconds, self._share = most, seconds, share
        self._makers, self._clock = makers, clock
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, tuple[float, _T]] = OrderedDict()  # key -> until when
        self._making: dict[Hashable, Future[_T]] = {}

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return what is kept, or make it.

        Raises:
            Busy: somebody makes it, and needs longer than one waits here.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self._clock() <= kept[0]:
                self._kept.move_to_end(key)
                return kept[1]
            made = self._making.get(key)
            is_mine = made is None
            if made is None:
                made = self._making[key] = Future()
        if is_mine:
            self._make(key, make, made)
        elif not wait([made], self._makers.patience).done:
            raise Busy
        return made.result()

    def _make(self, key: Hashable, make: Callable[[], _T], made: "Future[_T]") -> None:
        """Make what nobody else makes; whatever comes of it is told to all who wait."""
        try:
            found, until = self._makers.make(lambda: self._timed(make))
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            with self._lock:
                del self._making[key]
            made.set_exception(error)
            return
        with self._lock:
            del self._making[key]
            self._kept[key] = until, found
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        made.set_result(found)

    def _timed(self, make: Callable[[], _T]) -> tuple[_T, float]:
        began = self._clock()
        found = make()
        took = self._clock() - began
        return found, began + max(self._seconds, took / self._share)
