"""A worker: ticket after ticket until none is left, each a trial of its own."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from hpo import checkpoints, failures, workers
from hpo.errors import INTERRUPTED_EXIT_CODE, StudyFailed
from hpo.leases import HELD, Ticket, TicketView
from hpo.study import StudyView, view
from hpo.trials import (
    ABANDONED,
    HANDED_BACK,
    REASON,
    TrialResult,
    attempts_of,
    best_of,
    folder_of,
    has_outcome,
    latest_attempts,
    wall_seconds,
)
from hpo.turn import Turn, Work

_POLL = (0.05, 2.0)  # seconds between two looks at the tickets of others, where none is free
_HASTE = 2.0  # seconds to hand a ticket back in, for a user who pressed Ctrl-C twice
_AHEAD = 8  # tickets issued at a time where only hours end a study


class Worker:
    """Runs trials of one study, beside any number of others.

    Args:
        work: the study, and what it is worked on with.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.study, self.storage, self.tickets = work.study, work.storage, work.tickets
        self.runner, self.terms, self.progress = work.runner, work.terms, work.progress
        self.points = work.strategy.points(work.runner.space, work.terms.seed)
        self.leaving = False
        self.held: Ticket | None = None
        self.failed = False  # its latest trial
        self.pause = _POLL[0]
        self.before: set[int] = set()

    def run(self) -> StudyView:
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
                # They ran until now, as far as Optuna knows.
                self._end_trials_of_the_dead(self.tickets.open(None))
            self.before = {trial.number for trial in self._trials() if has_outcome(trial)}
            if self.progress.shown:
                self.progress.begin(view(self.study))
            self._work_off_tickets()
            self._clean_up()
            return self._conclude()
        except KeyError as error:  # that is what Optuna raises for what is no longer there
            if self.work.is_there():
                raise
            raise self.work.deleted() from error

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
        stop = self.work.stop
        try:
            while not self._spent():
                stop.leave()
                with stop.deferred():  # or a ticket that was just claimed would stay held
                    asked = time.monotonic()
                    ticket = self.tickets.claim(self._below(), done)
                    done = None
                    self.held = ticket
                    if ticket is not None:
                        self.pause = _POLL[0]
                        done = self._take_turn(ticket, asked)
                if ticket is None and not self._wait():
                    break
        finally:
            if done is not None:
                self.tickets.settle(done)
        # Nobody else will, where hours ended the study.
        self._end_trials_of_the_dead(self._wait_for_leases())

    # ── tickets ──────────────────────────────────────────────────────────────────────────────────

    def _below(self) -> int | None:
        """Return the number below which tickets are worked off."""
        limits = [self.terms.budget.trials, None if self.points is None else len(self.points)]
        return min((limit for limit in limits if limit is not None), default=None)

    def _issue(self) -> None:
        """Make the tickets that are missing."""
        below = self._below()
        if self.points is not None:
            self.tickets.issue_points(self.points[:below])
            return
        start = self.terms.start[:below]
        self.tickets.issue([*start, *[None] * ((below or 0) - len(start))])

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
        return wall_seconds(self._trials(), self.tickets.now()) >= budget.hours * 3600

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

    def _wait_for_leases(self) -> list[TicketView]:
        """Wait until whoever still holds a ticket has renewed its lease, or is known to be gone.

        Returns:
            The tickets that are open then.
        """
        left = self.tickets.open(None)
        end = time.monotonic() + max((ticket.lease or 0.0 for ticket in left), default=0.0)
        while any(ticket.state == HELD for ticket in left) and time.monotonic() < end:
            self._end_leases_of_the_dead(left)
            time.sleep(min(_POLL[1], max(0.0, end - time.monotonic())))
            left = self.tickets.open(None)
        return left

    def _end_trials_of_the_dead(self, left: Sequence[TicketView]) -> None:
        """End the trials of open tickets that run although nobody holds those."""
        free = [
            ticket
            for ticket in left
            if ticket.trial_id is not None and (ticket.lease is None or ticket.lease < 0)
        ]
        for ticket in free:
            trial = self.work.cached.get_trial(int(ticket.trial_id or 0))
            if not trial.state.is_finished():
                reason = HANDED_BACK if ticket.lease is None else ABANDONED
                with suppress(UpdateFinishedTrialError):  # somebody was faster
                    self.storage.fail(trial._trial_id, {REASON: reason})  # noqa: SLF001

    def _take_turn(self, ticket: Ticket, asked: float) -> Ticket | None:
        """Work off a ticket; returns it once it has an outcome."""
        outcome = Turn(self.work, ticket, asked).take()
        if outcome is None:
            return None
        if outcome.trial is not None:
            self.failed = outcome.trial.state == TrialState.FAIL
            self._clean_up()
            if self.progress.shown:
                self.progress.ended(view(self.study), TrialResult.of(outcome.trial.read()))
        return outcome.ticket

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
        self._end_trials_of_the_dead(self.tickets.open(None))
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
