"""While a trial runs, a thread keeps its lease, and ends what has lost it, hangs or overstays.

alive and progressing     the lease is renewed, several times before it would end
database away             training goes on; before the lease ends, the worker counts it as lost,
                          and says that it lived as soon as the database is back
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
from hpo.errors import CutOff, HandedBack, LeaseLost
from hpo.patience import LEAVING, patience
from hpo.signals import Stop

_RENEWALS = 4  # in the length of a lease
_HEARD = 2.0  # seconds that a question to the database may keep from looking for signals
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
        self.cut_off = False  # and that is why it was lost
        self.handed_back: bool | None = None  # or taken over before; None until the database knows
        self._unanswered = False  # the latest question to the database
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
        if isinstance(error, LeaseLost):  # what the trial told was answered before it
            self.cut_off = self.cut_off or self._unanswered

    def progressed(self) -> None:
        """Take note that the trial goes on.

        Raises:
            LeaseLost: what it does no longer counts.
        """
        self._progress = time.monotonic()
        # Looked at here too: the thread may be held up by a database that does not answer.
        if self._is_over(self._progress):
            self._lose()
        if self.lost:
            raise self._loss()

    def step_back(self) -> bool:
        """Hand the ticket back, or say to whoever took it over that nobody died.

        Returns:
            Whether it was handed back, and not taken over before.
        """
        if self.handed_back is None:
            self.handed_back = self.tickets.hand_back_late(self.ticket)
        return self.handed_back

    def _keep(self) -> None:
        lease = self.tickets.lease
        pause = min(lease / _RENEWALS, 1.0)  # signals and hangs are looked for more often
        due = 0.0  # to claim may have taken long
        while not self._over.wait(pause):
            now = time.monotonic()
            if now >= due and not self.lost:
                self._renew(now)
                due = now + (0.0 if self._unanswered else lease / _RENEWALS)
            elif now >= due and self.cut_off and self.handed_back is None:
                # The training may be long in hearing of it, and a third worker judge meanwhile.
                with suppress(Exception), patience(self._wait()):
                    self.step_back()
            if self._is_over(now):
                self._lose()
            self.tickets.close_idle()
            self._look_after(now)

    def _wait(self) -> float:
        """Return how long the database is waited for: signals and hangs are looked for, too."""
        return min(_HEARD, self.tickets.lease / _RENEWALS)

    def _is_over(self, now: float) -> bool:
        """Say whether the lease may be over before long, for all that is known here."""
        return now - self._renewed > self.tickets.lease * (1 - _MARGIN)

    def _lose(self) -> None:
        if not self.lost:
            self.cut_off = self._unanswered
            self.lost = True

    def _loss(self) -> LeaseLost:
        number = self.ticket.number
        if self.cut_off:
            return CutOff(f"the storage did not answer until the lease of ticket {number} was over")
        if self._is_over(self._progress):
            return LeaseLost(f"the lease of ticket {number} ended while this process was held up")
        return LeaseLost(f"ticket {number} is somebody else's now")

    def _renew(self, now: float) -> None:
        away, self._unanswered = self._unanswered, True
        # Whatever goes wrong, it is asked again: without this thread nothing would be noticed.
        with suppress(Exception):
            with patience(self._wait()):
                held = self.tickets.renew(self.ticket, now - self._progress)
                self._unanswered = False
                # Once asked for it stays: the trial is being saved, whatever is said meanwhile.
                self.recalled = self.recalled or self.is_recalled()
            if held is not None:
                self.ticket = held
                self._renewed = now  # when it was asked for: the answer may have taken long
            else:
                self.cut_off = self.cut_off or away  # an outage over, and somebody else was faster
                self.lost = True

    def _look_after(self, now: float) -> None:
        if self.stop.preempted():
            self._asked = self._asked or now
            late = now - self._asked - self.patience.grace
            if late > 0:
                left = max(1.0, LEAVING - 1.0 - late)  # whoever kills has little more patience
                self._leave("could not be saved in time", HandedBack.exit_code, left)
        if now - self._progress > self.patience.hang:
            with suppress(Exception):  # some notebooks have a stderr that is no file
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
            self._leave(f"made no progress for {self.patience.hang:g} s", 1)

    def _leave(self, why: str, code: int, seconds: float = LEAVING) -> None:
        """End the process; its main thread hangs, or is too slow to be asked.

        Args:
            why: what is said.
            code: of the exit.
            seconds: to tell the database in.
        """

        def give_up() -> None:
            if code == HandedBack.exit_code:
                self.tickets.hand_back(self.ticket)
            else:
                self.tickets.end_leases([self.tickets.worker])

        try:
            is_told = in_haste(give_up, seconds)
            if code == HandedBack.exit_code:
                away = "the storage is away: the lease ends by itself"
                why += f"; {'it is handed back' if is_told else away}"
            with suppress(Exception):
                self.say(f"hpo: the trial of ticket {self.ticket.number} {why}")
            sys.stderr.flush()
        finally:
            os._exit(code)


def in_haste(telling: Callable[[], object], seconds: float = LEAVING) -> bool:
    """Tell the database something if it answers soon, and whatever it answers.

    It may be what hangs; what it is not told, it finds out when the lease is over.

    Args:
        telling: one transaction or more.
        seconds: that its answer is waited for.

    Returns:
        Whether it was told.
    """
    told = threading.Event()

    def tell() -> None:
        with suppress(Exception):
            telling()
            told.set()

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    thread.join(seconds)
    return told.is_set()
