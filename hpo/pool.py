"""A worker that serves every open study of a storage, and waits for new ones.

After each trial it looks again at what there is: the studies of the highest priority come first,
and of several the one with the fewest trials at work. One that it cannot serve is left to others.
"""

import gc
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from hpo import confirmation, refusals, storage, workers
from hpo.errors import HandedBack, HpoError, StorageError, StudyFailed, UnknownVersion
from hpo.keeper import in_haste
from hpo.leases import Supply, TicketView, supplies
from hpo.orders import priority_of, state_of
from hpo.presence import Presence
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.spec import StudySpec
from hpo.worker import Turned, Worker
from hpo.workers import is_gone

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
    identity: tuple[object, ...]  # what must stay, so that who has joined it may go on
    seen: tuple[object, ...]  # what must change before it is looked at again, once it is over
    has_work: bool  # or it may have: tickets that are not made yet

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
        self._joined: dict[str, tuple[object, ...]] = {}  # what a study was when it was joined
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
        except BaseException:
            worker = next(reversed(self._workers.values()), None)
            if worker is not None:
                worker.leave_in_haste()
            raise
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
            worker = self._worker(candidate)
            if worker is not None and self._turn(candidate, worker) == "worked":
                return True
        return False

    def _candidates(self) -> Iterator[_Candidate]:
        studies = storage.study_attributes(self._opened)
        there = supplies(self._opened.engine)
        for place, (name, attrs) in enumerate(studies.items()):
            if state_of(attrs) != "open" or self._refused.get(name, 0.0) > time.monotonic():
                continue
            try:
                spec = storage.spec_of(name, attrs)
            except UnknownVersion as error:
                self._refuse(name, error)
                continue
            supply = there.get(attrs[storage.ID], Supply(0, None, []))
            confirmed = spec.confirm is None or confirmation.covers(
                studies.get(confirmation.name_of(name)), supply.issued
            )
            found = self._candidate(place, name, attrs, _limit(spec), supply)
            if self._over.get(name) != found.seen and (found.has_work or not confirmed):
                yield found

    def _candidate(
        self,
        place: int,
        name: str,
        attrs: Mapping[str, Any],
        budget: int | None,
        supply: Supply,
    ) -> _Candidate:
        held = [each for each in supply.held if budget is None or each.number < budget]
        lost = [each for each in held if _is_lost(each)]
        waits = supply.waiting is not None and (budget is None or supply.waiting < budget)
        issued = supply.issued > 0 and (budget is None or supply.issued >= budget)
        # Where only hours end a study, tickets are made as they are needed.
        has_work = bool(lost) or waits or not issued or budget is None
        seen = (attrs[storage.ID], attrs[storage.SPEC], supply.issued)
        alive = len(held) - len(lost)
        identity = (attrs[storage.ID], attrs[storage.DIGEST])
        return _Candidate(name, priority_of(attrs), alive, place, identity, seen, has_work)

    def _worker(self, candidate: _Candidate) -> Worker | None:
        """Return the worker of a study, made if it must be; None where it cannot be served here."""
        name = candidate.name
        if name in self._workers and self._joined[name] != candidate.identity:
            self._drop(name)  # it was deleted, and this is another one of its name, or it has grown
        if name in self._workers:
            self._workers.move_to_end(name)
            return self._workers[name]
        try:
            while len(self._workers) >= KEPT:
                self._drop(next(iter(self._workers)))
            worker = self._join(name)
            worker.begin()
        except (StorageError, SQLAlchemyError, OptunaError, HandedBack):
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one study is not the others'
            self._refuse(name, error)
            return None
        refusals.withdraw(self._opened, name)
        self._workers[name], self._joined[name] = worker, candidate.identity
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
        except (HpoError, SQLAlchemyError, OptunaError):
            raise
        except Exception as error:  # noqa: BLE001 - a plug-in's, say; others may not have that fault
            self._refuse(name, error)
            self._drop(name)
            return "paused"
        if turned == "over":
            if worker.state == "open":  # else it may be opened again as it is
                self._over[name] = candidate.seen
            self._drop(name)
        return turned

    def _refuse(self, name: str, error: Exception) -> None:
        self._stop.leave()  # or what a signal raised would be the study's fault
        why = refusals.told(error)
        self._progress.note(f"study {name!r} is left to others for {_RETRY:.0f} s: {why}")
        self._refused[name] = time.monotonic() + _RETRY
        with suppress(SQLAlchemyError, OptunaError, KeyError, HpoError):
            refusals.refuse(self._opened, name, error, _RETRY)

    def _drop(self, name: str) -> None:
        """Give back what a study takes in memory."""
        del self._workers[name], self._joined[name]
        gc.collect()

    def _rest(self, seconds: float) -> None:
        self._opened.remove_session()
        self._opened.engine.dispose()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._stop.leave()
            time.sleep(0.2)


def _limit(spec: StudySpec) -> int | None:
    """Return how many tickets a study has at most; None where that is not known from outside."""
    points: Any = spec.strategy_options.get("points") if spec.strategy == "points" else None
    limits = (spec.budget.trials, None if points is None else len(points))
    return min((limit for limit in limits if limit is not None), default=None)


def _is_lost(ticket: TicketView) -> bool:
    """Say whether whoever holds a ticket is gone: by its lease, or since we see that it is."""
    return (ticket.lease or 0.0) < 0 or is_gone(ticket.worker or "")
