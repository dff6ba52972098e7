"""A worker: ticket after ticket until none is left, each a trial of its own."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import get_storage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from hpo import checkpoints, failures, workers
from hpo.binding import Binding, BindingStorage
from hpo.errors import INTERRUPTED_EXIT_CODE, HandedBack, LeaseLost, StorageError, StudyFailed
from hpo.evaluations import Evaluation
from hpo.keeper import Keeper, Patience
from hpo.leases import HELD, LEASE, Ticket, Tickets, TicketView
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.spec import BudgetSpec
from hpo.storage import ID, VERSIONS
from hpo.strategies import Situation, Strategy
from hpo.study import StudyView, view
from hpo.trial import Draw, Events, Runner, run_trial
from hpo.trials import (
    ABANDONED,
    CHECKPOINT,
    HANDED_BACK,
    POISON,
    REASON,
    RUN,
    TrialResult,
    attempts_of,
    best_of,
    folder_of,
    has_outcome,
    latest_attempts,
    params_of,
    wall_seconds,
)

_POLL = (0.05, 2.0)  # seconds between two looks at the tickets of others, where none is free
_HASTE = 2.0  # seconds to hand a ticket back in, for a user who pressed Ctrl-C twice
_AHEAD = 8  # tickets issued at a time where only hours end a study


@dataclass(frozen=True)
class Terms:
    """What a worker works under.

    Args:
        seed: the study's.
        budget: how much may be spent, by all workers.
        keep_checkpoints: how many of the best trials keep their weights.
        lease: seconds after which a worker that is gone is noticed.
        patience: how long it waits for a trial.
    """

    seed: int
    budget: BudgetSpec
    keep_checkpoints: int = 1
    lease: float = LEASE
    patience: Patience = field(default_factory=Patience)


class Worker:
    """Runs trials of one study, beside any number of others.

    Args:
        study: the study, with the storage it is in.
        storage: the same, which binds trials to tickets.
        strategy: chooses configurations.
        runner: trains them.
        terms: what it works under.
        progress: is told what happens.
        stop: knows whether to leave.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - its parts, each made by another module
        self,
        study: optuna.Study,
        storage: BindingStorage,
        strategy: Strategy,
        runner: Runner,
        terms: Terms,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self.storage = storage
        self.cached = get_storage(storage)  # what finished is read once, and not once a trial
        self.study = optuna.load_study(
            study_name=study.study_name, storage=self.cached, pruner=optuna.pruners.NopPruner()
        )
        self.name = study.study_name
        self.strategy = strategy
        self.runner = runner
        self.terms = terms
        self.progress = progress
        self.stop = stop
        self.tickets = Tickets(
            storage.engine, study.user_attrs[ID], worker=workers.here(), device=runner.device,
            lease=terms.lease,
        )  # fmt: skip
        self.versions = _other_versions(study.user_attrs.get(VERSIONS, {}))
        self.points = strategy.points(runner.space, terms.seed)
        self.stopping = self.leaving = False
        self.held: Ticket | None = None
        self.failed = False  # its latest trial
        self.pause = _POLL[0]
        self.asked = 0.0  # when the latest ticket was asked for
        self.before: set[int] = set()

    def work(self) -> StudyView:
        """Run trials until no ticket is left.

        Raises:
            StudyFailed: no trial succeeded, the first ones all failed for one reason, or too many
                failed.
            HandedBack, KeyboardInterrupt: a signal; the running trial is continued by whoever
                claims its ticket next.
        """
        try:
            self._issue()
            self._end_leases_of_the_dead(self.tickets.open(None))
            if self.terms.budget.hours is not None:
                self._end_trials_of_the_dead()  # they ran until now, as far as Optuna knows
            self.before = {trial.number for trial in self._trials() if has_outcome(trial)}
            if self.progress.shown:
                self.progress.begin(view(self.study))
            self._work_off_tickets()
            self._clean_up()
            return self._conclude()
        except KeyError as error:  # that is what Optuna raises for what is no longer there
            if self._is_there():
                raise
            raise self._deleted() from error

    def leave_at_once(self) -> None:
        """End the process, whatever it is doing: its user insists.

        It may be in the midst of a transaction, so that the ticket can be handed back only if the
        database lets it; else its lease ends by itself.
        """
        if not self.leaving:
            self.leaving = True
            with suppress(Exception):
                self.progress.close()
            handing_back = threading.Thread(target=self._hand_back_in_haste, daemon=True)
            handing_back.start()
            handing_back.join(_HASTE)
        os._exit(INTERRUPTED_EXIT_CODE)

    def _hand_back_in_haste(self) -> None:
        with suppress(SQLAlchemyError):
            if self.held is not None:
                self.tickets.hand_back(self.held)

    def _work_off_tickets(self) -> None:
        done: Ticket | None = None
        try:
            while not self._spent():
                self.stop.leave()
                with self.stop.deferred():  # or a ticket that was just claimed would stay held
                    self.asked = time.monotonic()
                    ticket = self.tickets.claim(self._below(), done)
                    done = None
                    self.held = ticket
                    if ticket is not None:
                        self.pause = _POLL[0]
                        done = self._work_off(ticket)
                if ticket is None and not self._wait():
                    break
        finally:
            if done is not None:
                self.tickets.settle(done)
        self._wait_for_leases()  # nobody else will, where hours ended the study
        self._end_trials_of_the_dead()

    # ── tickets ──────────────────────────────────────────────────────────────────────────────────

    def _below(self) -> int | None:
        """Return the number below which tickets are worked off."""
        limits = [self.terms.budget.trials, None if self.points is None else len(self.points)]
        return min((limit for limit in limits if limit is not None), default=None)

    def _issue(self) -> None:
        """Make the tickets that are missing."""
        below = self._below()
        if self.points is not None:
            self.tickets.issue(self.points[:below])
        elif below is not None:
            self.tickets.issue([None] * below)

    def _spent(self) -> bool:
        """Say whether the study is over although tickets may be left.

        Raises:
            StudyFailed: too many trials failed.
        """
        if self.failed:
            self._give_up_if_all_alike()
        budget = self.terms.budget
        if budget.max_failures is not None:
            self._give_up_if(
                lambda failed: len(failed) >= (budget.max_failures or 0),
                f"{budget.max_failures} trials failed (budget.max_failures)",
                of_all_runs=True,
            )
        if budget.hours is None:
            return False
        return wall_seconds(self._trials()) >= budget.hours * 3600

    def _wait(self) -> bool:
        """Wait for what others hold: they may die, or hand it back; False if nothing is left."""
        below = self._below()
        if below is None:  # only hours end the study
            self.tickets.issue([None] * (len(self.tickets.view()) + _AHEAD))
            return True
        held = self.tickets.open(below)
        if self._end_leases_of_the_dead(held):
            return True
        if not held:
            return False
        self.progress.waiting(len(held))
        time.sleep(self.pause)
        self.pause = min(self.pause * 2, _POLL[1], self.terms.lease / 4)
        return True

    def _end_leases_of_the_dead(self, held: Sequence[TicketView]) -> bool:
        """End the leases of workers that this machine knows to be gone; say if there were any."""
        holders = {ticket.worker for ticket in held if ticket.state == HELD}
        return bool(self.tickets.end_leases(filter(workers.is_gone, filter(None, holders))))

    def _wait_for_leases(self) -> None:
        """Wait until whoever still holds a ticket has renewed its lease, or is known to be gone."""
        held = self._held()
        end = time.monotonic() + max((ticket.lease or 0.0 for ticket in held), default=0.0)
        while held and time.monotonic() < end:
            self._end_leases_of_the_dead(held)
            time.sleep(min(_POLL[1], max(0.0, end - time.monotonic())))
            held = self._held()

    def _held(self) -> list[TicketView]:
        return [ticket for ticket in self.tickets.open(None) if ticket.state == HELD]

    def _end_trials_of_the_dead(self) -> None:
        """End the trials that run although nobody holds their tickets."""
        free = [
            ticket
            for ticket in self.tickets.open(None)
            if ticket.trial_id is not None and (ticket.lease is None or ticket.lease < 0)
        ]
        for ticket in free:
            trial = self.cached.get_trial(int(ticket.trial_id or 0))
            if not trial.state.is_finished():
                reason = HANDED_BACK if ticket.lease is None else ABANDONED
                with suppress(UpdateFinishedTrialError):  # somebody was faster
                    self.storage.fail(trial._trial_id, {REASON: reason})  # noqa: SLF001

    def _is_there(self) -> bool:
        """Say whether the study still is, and is not another one of its name."""
        try:
            attrs = self.storage.get_study_user_attrs(self.study._study_id)  # noqa: SLF001 - no public name
        except KeyError:
            return False
        return bool(attrs.get(ID) == self.tickets.study)

    def _deleted(self) -> StorageError:
        return StorageError(f"study {self.name!r}: was deleted while this worker ran")

    def _work_off(self, ticket: Ticket) -> Ticket | None:
        """Run the trial of a ticket; returns the ticket once the trial has an outcome."""
        previous = None if ticket.trial_id is None else self._finish(ticket, ticket.trial_id)
        if previous is not None and has_outcome(previous):
            return ticket  # its worker had no time to say so
        binding = self._binding(ticket, previous)
        keeper = Keeper(
            self.tickets, ticket, self.asked, self.stop, self.terms.patience, self.progress.note
        )
        try:
            self.stop.leave()
            if ticket.deaths >= self.terms.budget.max_attempts:
                return self._fail_as_poison(binding)
            with keeper, self.storage.bound(binding):
                trial = run_trial(self.runner, self._draw(ticket), self._events(keeper))
        except LeaseLost as lost:
            if not self._is_there():
                raise self._deleted() from lost
            self.progress.note(f"{lost}; its result is dropped, the next ticket is taken")
            self.tickets.hand_back(ticket)  # nobody's, if the database was away: no one died
            return None
        except (HandedBack, KeyboardInterrupt):
            self.tickets.hand_back(ticket)
            self.stop.leave()
            raise
        self.failed = trial.state == TrialState.FAIL
        self._clean_up()
        if self.progress.shown:
            self.progress.ended(view(self.study), TrialResult.of(trial.read()))
        return ticket

    def _finish(self, ticket: Ticket, trial_id: int) -> FrozenTrial:
        """Finish the attempt of a worker that is gone, and return it.

        If that worker wakes up and tells a result first, Optuna takes that one.
        """
        trial = self.cached.get_trial(trial_id)
        if not trial.state.is_finished():
            try:
                value = _result(trial, self.runner.objective.metric)
                if value is not None:
                    self.cached.set_trial_state_values(trial_id, TrialState.COMPLETE, [value])
                else:
                    last = ticket.deaths >= self.terms.budget.max_attempts
                    self.storage.fail(trial_id, {REASON: POISON if last else ABANDONED})
            except UpdateFinishedTrialError:
                pass  # it was not gone after all
        return self.cached.get_trial(trial_id)

    def _binding(self, ticket: Ticket, previous: FrozenTrial | None) -> Binding:
        params = dict(ticket.params or {})
        run: dict[str, Any] = {
            "ticket": ticket.number,
            "epoch": ticket.epoch,
            "worker": self.tickets.worker,
            "device": self.runner.device,
            "output": str(self.runner.folder),
        }
        if self.versions:
            run["versions"] = self.versions
        if previous is not None:
            params |= params_of(previous)
            run["earlier"] = attempts_of(previous)
        return Binding(self.tickets, ticket, params, {RUN: run})

    def _fail_as_poison(self, binding: Binding) -> Ticket:
        """Fail a ticket whose workers all died before they had a trial to show for it."""
        with self.storage.bound(binding):
            study_id = self.storage.get_study_id_from_name(self.study.study_name)
            trial_id = self.storage.create_new_trial(study_id)
        self.storage.fail(trial_id, {REASON: POISON})
        return binding.ticket

    def _draw(self, ticket: Ticket) -> Draw:
        situation = Situation(self.runner.space, self.terms.seed, ticket.number)
        return Draw(self.study, self.cached, self.strategy.sampler(situation))

    def _events(self, keeper: Keeper) -> Events:
        def stepped(step: int, steps: int) -> None:
            keeper.progressed()
            self.progress.stepped(step, steps)

        def evaluated(evaluations: list[Evaluation]) -> None:
            keeper.progressed()
            self.progress.evaluated(evaluations)

        def asked_to_stop() -> bool:
            keeper.progressed()
            return self._asked_to_stop()

        return Events(
            started=self.progress.started,
            stepped=stepped,
            evaluated=evaluated,
            asked_to_stop=asked_to_stop,
            note=self.progress.note,
        )

    def _asked_to_stop(self) -> bool:
        if self.stop.requested() and not self.stopping:
            self.stopping = True
            self.progress.stopping()
        return self.stopping

    # ── the study ────────────────────────────────────────────────────────────────────────────────

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _conclude(self) -> StudyView:
        final = view(self.study)
        self.progress.end(final)
        if final.best is None:
            why = failures.told(final.trials) or "all were pruned"
            raise StudyFailed(f"study {final.name!r}: no trial succeeded: {why}", final.to_json())
        return final

    def _give_up_if_all_alike(self) -> None:
        self._give_up_if(
            failures.all_alike,
            f"the first {failures.ALIKE_FAILURES} trials failed for the same reason",
            none_else=True,
        )

    def _give_up_if(
        self,
        hopeless: Callable[[Sequence[FrozenTrial]], bool],
        why: str,
        *,
        of_all_runs: bool = False,
        none_else: bool = False,
    ) -> None:
        """End the study if its failures say so.

        Args:
            hopeless: decides, given the failed trials.
            why: what the user is told.
            of_all_runs: failures from before this run count too.
            none_else: only if nothing but failures is there.
        """
        ended = [trial for trial in self._trials() if has_outcome(trial)]
        if none_else and any(trial.state != TrialState.FAIL for trial in ended):
            return
        failed = [
            trial
            for trial in ended
            if trial.state == TrialState.FAIL and (of_all_runs or trial.number not in self.before)
        ]
        if not hopeless(failed):
            return
        self._end_trials_of_the_dead()
        final = view(self.study)
        self.progress.end(final)
        which = failures.told([TrialResult.of(trial) for trial in failed])
        raise StudyFailed(f"study {final.name!r}: {why}: {which}", final.to_json())

    def _clean_up(self) -> None:
        """Keep the weights of the best trials and what unfinished ones resume from."""
        if not any(self.runner.folder.glob("trial-*")):
            return
        trials = self._trials()
        best = best_of(trials, maximize=self.runner.objective.maximize)
        # A ticket whose latest attempt was cut short may be claimed by now; so may a checkpoint of
        # any of its attempts be in use.
        open_ = [trial for trial in latest_attempts(trials) if not has_outcome(trial)]
        numbers = {number for trial in open_ for number in attempts_of(trial)}
        checkpoints.keep_only(
            self.runner.folder,
            best={folder_of(trial) for trial in best[: self.terms.keep_checkpoints]},
            alive={folder_of(number) for number in numbers},
            ended={folder_of(trial) for trial in trials if trial.number not in numbers},
        )


def _result(trial: FrozenTrial, metric: str) -> float | None:
    """Return the objective of a trial that was trained to its end, but not told."""
    if CHECKPOINT not in trial.user_attrs:  # the last thing that is stored before the telling
        return None
    value: float | None = trial.user_attrs.get("metrics", {}).get(metric)
    return value


def _other_versions(stored: Mapping[str, str]) -> dict[str, str]:
    """Return those versions of this worker that differ from the study's."""
    mine = {name: version(name) for name in stored if name != "python"}
    return {name: mine[name] for name in mine if mine[name] != stored[name]}
