"""While a trial runs, a thread keeps its lease, and ends what has lost it, hangs or overstays.

alive and progressing     the lease is renewed, several times before it would end
database away             training goes on; before the lease ends, the worker counts it as lost
lease lost                the training is told at its next step: what it does no longer counts
no progress for long      stacks are written, the lease is ended, the process leaves at once
asked to go, and too slow the same, but handed back
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hpo.binding import Held
from hpo.errors import HandedBack, LeaseLost
from hpo.patience import patience
from hpo.signals import Stop

_RENEWALS = 4  # in the length of a lease
_ANSWER = 5.0  # seconds that a process which leaves waits for the database
_MARGIN = 0.15  # of a lease; so long before its end a worker gives it up, whatever clocks do


@dataclass(frozen=True)
class Patience:
    """How long a worker waits.

    Args:
        hang: seconds without progress after which a trial is taken to hang.
        grace: seconds to save a trial in, once the process was asked to go.
    """

    hang: float = 1800.0
    grace: float = 25.0  # Kubernetes kills after 30, SLURM after as many


class Keeper:
    """Keeps the lease of one ticket in a thread of its own; a context around the trial.

    Args:
        held: the ticket.
        since: when the ticket was asked for, by the monotonic clock.
        stop: knows whether the process was asked to go.
        patience: how long to wait.
        say: is told why the process leaves.
        is_recalled: says whether the trial is to be handed back.
    """

    def __init__(
        self,
        held: Held,
        since: float,
        stop: Stop,
        patience: Patience,
        say: Callable[[str], None],
        is_recalled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.tickets = held.tickets
        self.ticket = held.ticket
        self.stop = stop
        self.patience = patience
        self.say = say
        self.is_recalled = is_recalled
        self.recalled = False
        self.lost = False
        self._progress = time.monotonic()
        self._renewed = since
        self._asked: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def progressed(self) -> None:
        """Take note that the trial goes on.

        Raises:
            LeaseLost: what it does no longer counts.
        """
        self._progress = time.monotonic()
        # Looked at here too: the thread may be held up by a database that does not answer.
        if self.lost or self._is_over(self._progress):
            self.lost = True
            raise LeaseLost(f"ticket {self.ticket.number} is somebody else's now")

    def _keep(self) -> None:
        lease = self.tickets.lease
        pause = min(lease / _RENEWALS, 1.0)  # signals and hangs are looked for more often
        due = 0.0  # to claim may have taken long
        while not self._over.wait(pause):
            now = time.monotonic()
            if now >= due and not self.lost:
                self._renew(now)
                due = now + lease / _RENEWALS
            if self._is_over(now):
                self.lost = True
            self.tickets.close_idle()
            self._look_after(now)

    def _is_over(self, now: float) -> bool:
        """Say whether the lease may be over before long, for all that is known here."""
        return now - self._renewed > self.tickets.lease * (1 - _MARGIN)

    def _renew(self, now: float) -> None:
        # Whatever goes wrong, it is asked again: without this thread nothing would be noticed.
        with suppress(Exception):
            with patience(self.tickets.lease / _RENEWALS):  # signals and hangs are looked for too
                held = self.tickets.renew(self.ticket, now - self._progress)
                # Once asked for it stays: the trial is being saved, whatever is said meanwhile.
                self.recalled = self.recalled or self.is_recalled()
            if held:
                self._renewed = now  # when it was asked for: the answer may have taken long
            else:
                self.lost = True

    def _look_after(self, now: float) -> None:
        if self.stop.preempted():
            self._asked = self._asked or now
            if now - self._asked > self.patience.grace:
                self._leave("could not be saved in time and is handed back", HandedBack.exit_code)
        if now - self._progress > self.patience.hang:
            with suppress(Exception):  # some notebooks have a stderr that is no file
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
            self._leave(f"made no progress for {self.patience.hang:g} s", 1)

    def _leave(self, why: str, code: int) -> None:
        """End the process; its main thread hangs, or is too slow to be asked."""

        def give_up() -> None:
            if code == HandedBack.exit_code:
                self.tickets.hand_back(self.ticket)
            else:
                self.tickets.end_leases([self.tickets.worker])

        try:
            with suppress(Exception):
                self.say(f"hpo: the trial of ticket {self.ticket.number} {why}")
            in_haste(give_up)
            sys.stderr.flush()
        finally:
            os._exit(code)


def in_haste(telling: Callable[[], object]) -> None:
    """Tell the database something if it answers soon, and whatever it answers.

    It may be what hangs; what it is not told, it finds out when the lease is over.
    """

    def tell() -> None:
        with suppress(Exception):
            telling()

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    thread.join(_ANSWER)
