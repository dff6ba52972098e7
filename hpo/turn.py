"""One turn of a worker: a claimed ticket, up to its outcome or to whoever claims it next."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from hpo import workers
from hpo.binding import Binding, BindingStorage, Held
from hpo.errors import HandedBack, LeaseLost, StorageError, Untold
from hpo.evaluations import Evaluation
from hpo.keeper import Keeper, Patience, in_haste
from hpo.leases import LEASE, STUDY_ID, Ticket, Tickets
from hpo.orders import OrderBook
from hpo.outages import is_outage
from hpo.patience import leaving
from hpo.progress import Progress
from hpo.pruning import make_pruner
from hpo.signals import Stop
from hpo.spec import BudgetSpec, PruneSpec, StopSpec
from hpo.strategies import Situation, Strategy
from hpo.trial import Draw, Ended, Events, Runner, run_trial
from hpo.trials import (
    ABANDONED,
    CHECKPOINT,
    ENDED,
    POISON,
    REASON,
    RUN,
    attempts_of,
    has_outcome,
    params_of,
    run_of,
)
from hpo.warm_start import EarlierStudy

_HEARING = 0.5  # of a lease; twice as long as whoever was cut off takes to say that it lives
_LISTEN = 0.5  # seconds between two looks whether it did, at most


@dataclass(frozen=True)
class Terms:
    """What a worker works under.

    Args:
        seed: the study's.
        budget: how much may be spent, by all workers.
        keep_checkpoints: how many of the best trials keep their weights.
        lease: seconds after which a worker that is gone is noticed.
        patience: how long it waits for a trial.
        start: configurations that are tried first; what one leaves out, the strategy chooses.
        prune: when trials are given up.
        stop: when the study has plateaued.
        default: a configuration that keeps its weights, however it scores: `hpo test` compares with
            it. None where there is none, or a confirmation trains it again.
    """

    seed: int
    budget: BudgetSpec
    keep_checkpoints: int = 1
    lease: float = LEASE
    patience: Patience = field(default_factory=Patience)
    start: Sequence[Mapping[str, Any]] = ()
    prune: PruneSpec = field(default_factory=PruneSpec)
    stop: StopSpec | None = None
    default: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Work:
    """A study, and what it is worked on with.

    Args:
        study: Optuna's, of that storage.
        storage: binds its trials to tickets.
        tickets: claimed under the worker's name.
        strategy: chooses configurations.
        runner: trains them.
        terms: what the worker works under.
        progress: is told what happens.
        stop: knows whether to leave.
        versions: those of its libraries that differ from the study's.
        earlier: reads the studies that it learns from.
    """

    study: optuna.Study
    storage: BindingStorage
    tickets: Tickets
    strategy: Strategy
    runner: Runner
    terms: Terms
    progress: Progress
    stop: Stop
    versions: Mapping[str, str] = field(default_factory=dict)
    earlier: Callable[[], Sequence[EarlierStudy]] = tuple

    @property
    def cached(self) -> BaseStorage:
        """The storage as the study uses it: what has ended is read once."""
        found: BaseStorage = self.study._storage  # noqa: SLF001 - Optuna has no name for it
        return found

    def is_there(self) -> bool:
        """Say whether the study still is, and is not another one of its name."""
        try:
            attrs = self.storage.get_study_user_attrs(self.study._study_id)  # noqa: SLF001
        except KeyError:
            return False
        return bool(attrs.get(STUDY_ID) == self.tickets.study)

    def deleted(self) -> StorageError:
        """Return what is raised where it is not."""
        return StorageError(f"study {self.study.study_name!r}: was deleted while this worker ran")


@dataclass(frozen=True)
class Outcome:
    """What became of a ticket.

    Args:
        ticket: to be settled.
        trial: the one that ran for it now; None if it had its outcome before.
    """

    ticket: Ticket
    trial: Ended | None = None


class Turn:
    """Works off one ticket.

    Args:
        work: whose ticket it is.
        ticket: as it was claimed.
        asked: when it was asked for, by the monotonic clock.
    """

    def __init__(self, work: Work, ticket: Ticket, asked: float) -> None:
        self.work = work
        self.ticket = ticket
        self.last = ticket.deaths >= work.terms.budget.max_attempts
        self.stopping = False
        self.keeper = Keeper(
            Held(work.tickets, ticket), asked, work.stop, work.terms.patience, work.progress.note,
            OrderBook(work.storage, work.study).is_recalled,
        )  # fmt: skip

    def take(self) -> Outcome | None:
        """Run the trial; returns None if the ticket was lost, and is somebody else's now.

        Raises:
            HandedBack, KeyboardInterrupt: a signal; whoever claims the ticket continues.
            StorageError: the study was deleted.
        """
        with leaving(self.work.stop.requested):
            return self._take()

    def _take(self) -> Outcome | None:
        work, ticket = self.work, self.ticket
        try:
            with self.keeper:  # from here on: to end the trial before may take long
                return self._run()
        except LeaseLost as lost:
            if not work.is_there():
                raise work.deleted() from lost
            self._step_back(lost)
            return None
        except Untold as untold:
            self._leave_untold(str(untold))
            raise
        except (HandedBack, KeyboardInterrupt):
            self._hand_back()
            work.stop.leave()
            if self.keeper.recalled:
                return None
            raise
        except Exception:  # of the database, or a fault of a strategy: the trial is not to blame
            in_haste(lambda: work.tickets.hand_back(ticket))
            raise

    def _hand_back(self) -> None:
        try:
            self.work.tickets.hand_back(self.ticket)
        except SQLAlchemyError as error:
            if not (self.work.stop.requested() and is_outage(error)):
                raise
            self._leave_untold("the trial is saved")

    def _leave_untold(self, what: str) -> None:
        """Say what becomes of a trial that could not be handed back, and leave.

        Raises:
            HandedBack, KeyboardInterrupt: what the process was asked to.
        """
        self.work.progress.note(
            f"{what}; the storage is away: the lease of ticket {self.ticket.number} ends by "
            "itself, and whoever takes it then continues the trial"
        )
        self.work.stop.leave()

    def _step_back(self, lost: LeaseLost) -> None:
        """Say what was lost; no one died, and if nobody has the ticket yet, it is handed back."""
        work = self.work
        if not self.keeper.cut_off:
            work.progress.note(f"{lost}; its result is dropped, the next ticket is taken")
            work.tickets.hand_back(self.ticket)
            return
        goes_on = (
            "whoever takes the ticket next continues the trial"
            if self.keeper.step_back()
            else "another worker has the ticket now, and continues the trial"
        )
        work.progress.note(
            f"the storage did not answer until the lease of ticket {self.ticket.number} was over; "
            f"{goes_on}"
        )

    def _run(self) -> Outcome:
        work, ticket = self.work, self.ticket
        previous = self.conclude()
        if previous is not None and has_outcome(previous):
            return Outcome(ticket)  # its worker had no time to say so
        work.stop.leave()
        binding = self._binding(previous)
        if self.last:
            self._fail_as_poison(binding)
            return Outcome(ticket)
        with work.storage.bound(binding):
            return Outcome(ticket, run_trial(work.runner, self._draw(), self._events()))

    def conclude(self) -> FrozenTrial | None:
        """End the attempt of whoever held the ticket before, and return it, if there was one.

        A result that was trained to its end and not told is told. If that worker is not gone after
        all and tells something first, Optuna takes that.

        Raises:
            LeaseLost: the ticket was taken again meanwhile.
        """
        work, trial_id = self.work, self.ticket.trial_id
        if trial_id is None:
            self._hear_out(None)
            return None
        trial = work.cached.get_trial(trial_id)
        if not has_outcome(trial):
            self._hear_out(trial)
        if not trial.state.is_finished():
            value = _result(trial, work.runner.objective.metric)
            attrs: dict[str, Any] = {ENDED: self.ticket.progressed_at}
            if value is None:
                attrs[REASON] = POISON if self.last else ABANDONED
            values = None if value is None else [value]
            with suppress(UpdateFinishedTrialError):
                work.storage.conclude(Held(work.tickets, self.ticket), trial_id, values, attrs)
        return work.cached.get_trial(trial_id)

    def _hear_out(self, previous: FrozenTrial | None) -> None:
        """Before a trial fails for its dead workers, wait whether the latest says that it lives.

        Raises:
            HandedBack, KeyboardInterrupt: a signal.
        """
        worker = "" if previous is None else str(run_of(previous).get("worker", ""))
        if not self.last or workers.is_gone(worker):
            return
        terms = self.work.terms
        end = time.monotonic() + _HEARING * terms.lease
        while self.last and time.monotonic() < end:
            time.sleep(min(_LISTEN, _HEARING * terms.lease / 10))
            self.work.stop.leave()
            self.last = self.work.tickets.deaths(self.ticket) >= terms.budget.max_attempts

    def _binding(self, previous: FrozenTrial | None) -> Binding:
        tickets, runner = self.work.tickets, self.work.runner
        params = dict(self.ticket.params or {})
        run: dict[str, Any] = {
            "ticket": self.ticket.number,
            "epoch": self.ticket.epoch,
            "worker": tickets.worker,
            "device": runner.device,
            "output": str(runner.folder),
            "at": round(self.ticket.claimed_at, 3),
        }
        if self.work.versions:
            run["versions"] = dict(self.work.versions)
        if previous is not None:
            params |= params_of(previous)
            run["earlier"] = attempts_of(previous)
        return Binding(tickets, self.ticket, params, {RUN: run})

    def _fail_as_poison(self, binding: Binding) -> None:
        """Fail a ticket whose workers all died before they had a trial to show for it."""
        storage = self.work.storage
        with storage.bound(binding):
            trial_id = storage.create_new_trial(self.work.study._study_id)  # noqa: SLF001
        with suppress(UpdateFinishedTrialError):  # it was done, and only the answer was lost
            storage.conclude(binding, trial_id, None, {REASON: POISON})

    def _draw(self) -> Draw:
        work = self.work
        situation = Situation(
            work.runner.space, work.terms.seed, self.ticket.number, work.earlier()
        )
        pruner = make_pruner(work.terms.prune)
        return Draw(work.study, work.cached, work.strategy.sampler(situation), pruner)

    def _events(self) -> Events:
        progress = self.work.progress

        def stepped(step: int, steps: int) -> None:
            self.keeper.progressed()
            progress.stepped(step, steps)

        def evaluated(evaluations: list[Evaluation]) -> None:
            self.keeper.progressed()
            progress.evaluated(evaluations)

        return Events(
            started=progress.started,
            stepped=stepped,
            evaluated=evaluated,
            asked_to_stop=self._asked_to_stop,
            note=progress.note,
        )

    def _asked_to_stop(self) -> bool:
        self.keeper.progressed()
        asked = self.work.stop.requested() or self.keeper.recalled
        if asked and not self.stopping:
            self.stopping = True
            self.work.progress.stopping()
        return self.stopping


def _result(trial: FrozenTrial, metric: str) -> float | None:
    """Return the objective of a trial that was trained to its end, but not told."""
    if CHECKPOINT not in trial.user_attrs:  # the last thing that is stored before the telling
        return None
    value: float | None = trial.user_attrs.get("metrics", {}).get(metric)
    return value
