"""A worker that serves every open study of a storage, and waits for new ones.

After each trial it looks again at what there is: the studies of the highest priority come first,
and of several the one with the fewest trials at work. One that it cannot serve is left to others.
"""

import gc
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from hpo import confirmation, storage, workers
from hpo.errors import HpoError, StorageError, StudyFailed
from hpo.keeper import in_haste
from hpo.leases import HELD, WAITING, view_tickets
from hpo.orders import priority_of, refused, state_of
from hpo.presence import Presence
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.worker import Turned, Worker

KEPT = 2  # studies whose data and models stay in memory
_POLL = (1.0, 15.0)  # seconds between two looks where there is nothing to do
_RETRY = 300.0  # seconds after which a study that could not be served is tried again


@dataclass(frozen=True)
class _Candidate:
    """A study with tickets that somebody may claim."""

    name: str
    priority: int
    at_work: int
    place: int  # in the order in which studies were made
    seen: tuple[object, ...]  # what must change before it is looked at again, once it is over

    def rank(self) -> tuple[int, int, int]:
        return (-self.priority, self.at_work, self.place)


class Pool:
    """Works on whatever study there is.

    Args:
        opened: the storage.
        join: makes a worker for a study of that storage, by its name.
        confirm: makes the confirmation of a study whose search is over, if there is to be one.
        progress: is told what happens.
        stop: knows whether to leave.
    """

    def __init__(
        self,
        opened: RDBStorage,
        join: Callable[[str], Worker],
        confirm: Callable[[str], None],
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._opened = opened
        self._join = join
        self._confirm = confirm
        self._progress = progress
        self._stop = stop
        self._presence = Presence(opened.engine, workers.here())
        self._workers: OrderedDict[str, Worker] = OrderedDict()
        self._over: dict[str, tuple[object, ...]] = {}
        self._refused: dict[str, float] = {}  # until when, by the monotonic clock

    def serve(self) -> None:
        """Work until the process is asked to leave.

        Raises:
            HandedBack, KeyboardInterrupt: a signal.
            StorageError: the storage is away for too long.
        """
        try:
            self._serve()
        finally:
            in_haste(self._presence.leave)

    def _serve(self) -> None:
        pause, told = _POLL[0], False
        while True:
            self._stop.leave()
            with storage.told(self._opened.engine.url):
                worked = self._work_once()
                self._presence.note(idle=not worked, device=self._device())
            if worked:
                pause, told = _POLL[0], False
                continue
            if not told:
                self._progress.note("nothing to do; waiting for studies")
                told = True
            self._rest(pause)
            pause = min(2 * pause, _POLL[1])

    def leave_at_once(self) -> None:
        """End the process, whatever it is doing: its user insists."""
        worker = next(reversed(self._workers.values()), None)
        if worker is not None:
            worker.leave_at_once()

    def _device(self) -> str | None:
        """Return where the latest trials ran; to ask for it may take memory of a GPU."""
        worker = next(reversed(self._workers.values()), None)
        return None if worker is None else worker.tickets.device

    def _work_once(self) -> bool:
        for candidate in sorted(self._candidates(), key=_Candidate.rank):
            worker = self._worker(candidate.name)
            if worker is not None and self._turn(candidate, worker) == "worked":
                return True
        return False

    def _candidates(self) -> Iterator[_Candidate]:
        names = storage.study_names(self._opened)
        for place, name in enumerate(names):
            try:
                found = self._candidate(place, name, names)
            except (KeyError, HpoError):  # deleted meanwhile, or of another version
                continue
            if found is not None and self._over.get(name) != found.seen:
                yield found

    def _candidate(self, place: int, name: str, names: Sequence[str]) -> _Candidate | None:
        study = storage.load(self._opened, name)
        attrs = study.user_attrs
        if state_of(attrs) != "open" or self._refused.get(name, 0.0) > time.monotonic():
            return None
        spec = storage.spec_of(name, attrs)
        budget = spec.budget.trials
        confirmed = spec.confirm is None or confirmation.name_of(name) in names
        tickets = view_tickets(self._opened.engine, attrs[storage.ID])
        mine = [each for each in tickets if budget is None or each.number < budget]
        held = [each for each in mine if each.state == HELD]
        alive = sum((each.lease or 0.0) >= 0 for each in held)
        free = len(held) > alive or any(each.state == WAITING for each in mine)
        issued = bool(mine) and (budget is None or len(mine) >= budget)
        seen = (attrs[storage.SPEC], len(mine))
        if (
            issued
            and not free
            and confirmed
            and not (budget is None and seen != self._over.get(name))
        ):
            return None
        return _Candidate(name, priority_of(attrs), alive, place, seen)

    def _worker(self, name: str) -> Worker | None:
        """Return the worker of a study, made if it must be; None where it cannot be served here."""
        if name in self._workers:
            self._workers.move_to_end(name)
            return self._workers[name]
        try:
            while len(self._workers) >= KEPT:
                self._drop(next(iter(self._workers)))
            worker = self._join(name)
            worker.begin()
        except StorageError:
            raise
        except HpoError as error:
            self._refuse(name, str(error))
            return None
        refused(self._opened, name, None)
        self._workers[name] = worker
        return worker

    def _turn(self, candidate: _Candidate, worker: Worker) -> Turned:
        name = candidate.name
        try:
            with worker.unless_deleted():
                turned = worker.turn()
                worker.settle()  # the next turn may be another study's
                if turned == "over":
                    if worker.others_at_work():  # whoever ends last looks what is to be confirmed
                        return "waits"
                    worker.finish()
                    self._progress.note(f"study {name}: nothing is left to run")
                    self._confirm(name)
        except StudyFailed as failed:
            self._progress.note(str(failed))
            turned = "over"
        except StorageError as error:
            if worker.work.is_there():
                raise
            self._progress.note(str(error))
            turned = "over"
        if turned == "over":
            if worker.state == "open":  # else it may be opened again as it is
                self._over[name] = candidate.seen
            self._drop(name)
        return turned

    def _refuse(self, name: str, why: str) -> None:
        self._progress.note(f"study {name!r} is left to others: {why}")
        self._refused[name] = time.monotonic() + _RETRY
        with suppress(SQLAlchemyError, OptunaError, KeyError):
            refused(self._opened, name, why)

    def _drop(self, name: str) -> None:
        """Give back what a study takes in memory."""
        del self._workers[name]
        gc.collect()

    def _rest(self, seconds: float) -> None:
        self._opened.remove_session()
        self._opened.engine.dispose()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._stop.leave()
            time.sleep(0.2)
