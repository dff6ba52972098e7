"""A worker: ticket after ticket until none is left, each a trial of its own."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Literal, NoReturn

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from hpo import checkpoints, failures, notes, others, storage
from hpo.candidates import key_of
from hpo.ending import Standing, ending
from hpo.errors import INTERRUPTED_EXIT_CODE, BadInput, DiskFull, StudyFailed
from hpo.keeper import in_haste
from hpo.leases import Ticket
from hpo.orders import OrderBook, State
from hpo.patience import LEAVING
from hpo.presence import Presence
from hpo.study import StudyView, view
from hpo.transactions import waiting
from hpo.trials import (
    REASON,
    TrialResult,
    attempts_of,
    best_of,
    folder_of,
    has_outcome,
    latest_attempts,
    left_behind,
    params_of,
    wall_seconds,
)
from hpo.turn import Turn, Work

_POLL = (0.05, 2.0)  # seconds between two looks at the tickets of others, where none is free
_LAST_TRY = 1.0  # seconds in which to tell a storage that did not answer before
_HASTE = 2.0  # seconds to hand a ticket back in, for a user who pressed Ctrl-C twice
Turned = Literal["worked", "waits", "paused", "over"]
_SAID: dict[State, str] = {
    "open": "the study goes on",
    "paused": "the study is paused; `hpo resume` lets it go on",
    "stopped": "the study was stopped; `hpo resume` opens it again",
    "recalled": "the study was stopped, its trials are handed back; `hpo resume` opens it again",
}
_AHEAD = 8  # tickets issued at a time where only hours end a study


class Worker:
    """Runs trials of one study, beside any number of others.

    Args:
        work: the study, and what it is worked on with.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.study, self.tickets = work.study, work.tickets
        self.runner, self.terms, self.progress = work.runner, work.terms, work.progress
        self.orders = OrderBook(work.storage, work.study)
        self.state: State = "open"
        self.points = work.strategy.points(work.runner.space, work.terms.seed)
        self.leaving = False
        self.held: Ticket | None = None
        self.done: Ticket | None = None  # has an outcome, and is not settled yet
        self.failed = False  # its latest trial
        self.full = False  # the disk, by what that one says
        self.pause = _POLL[0]
        self.waited_for = 0  # tickets of others
        self.before: set[int] = set()
        self.answers = True  # the storage, when it was last told in haste

    def run(self) -> StudyView:
        """Run trials until no ticket is left.

        Raises:
            StudyFailed: no trial succeeded, the first ones all failed for one reason, or too many
                failed.
            HandedBack, KeyboardInterrupt: a signal; the running trial is continued by whoever
                claims its ticket next.
        """
        with self.unless_deleted():
            self.begin()
            presence = Presence(self.tickets.engine, self.tickets.worker, self.study.study_name)
            try:
                self._take_turns(presence)
            finally:
                in_haste(presence.leave, LEAVING if self.answers else _LAST_TRY)
            others.wait_for_leases(self.work)  # nobody else will, where hours ended the study
            self.finish()
            return self._conclude()

    def _take_turns(self, presence: Presence) -> None:
        turned: Turned = "worked"
        try:
            while turned != "over":
                presence.note(idle=turned != "worked", device=self.tickets.device)
                self._rest(turned)
                turned = self.turn()
        except BaseException:
            self.leave_in_haste()
            raise
        self.settle()

    @contextmanager
    def unless_deleted(self) -> Iterator[None]:
        """Raise a `StorageError` if the study is deleted meanwhile."""
        try:
            yield
        # What Optuna raises for what is no longer there, and a database for what refers to it.
        except (KeyError, IntegrityError) as error:
            if self.work.is_there():
                raise
            raise self.work.deleted() from error

    def begin(self) -> None:
        """Make the tickets that are missing, and look what others have left behind."""
        self._issue()
        others.end_leases_of_the_dead(self.work, self.tickets.open(None))
        if self.terms.budget.hours is not None:  # they run until now, as far as Optuna knows
            others.end_trials_of_the_dead(self.work)
        self.before = {trial.number for trial in self._trials() if has_outcome(trial)}
        if self.progress.shown:
            self.progress.begin(view(self.study))

    def turn(self) -> Turned:
        """Work off one ticket, if there is one to be had.

        Raises: as `run`.
        """
        if self.full:
            raise BadInput(
                f"--output: found no space left in {self.runner.folder}; this worker takes no "
                "further trials"
            )
        if self._spent():
            return "over"
        stop = self.work.stop
        stop.leave()
        if self.state == "paused":
            return "paused"
        with stop.deferred():  # or a ticket that was just claimed would stay held
            asked = time.monotonic()
            claim = partial(self.tickets.claim, self._below(), self.done)
            ticket = waiting(claim, stop.leave)
            self.done = None
            self.held = ticket
            if ticket is not None:
                self.pause = _POLL[0]
                self.done = self._take_turn(ticket, asked)
                return "worked"
        return self._look_for_more()

    def others_at_work(self) -> bool:
        """Say whether tickets of the study are held by workers that live."""
        return any((ticket.lease or -1.0) >= 0 for ticket in self.tickets.open(None))

    def wait_for_others(self) -> None:
        """Wait until nobody holds a ticket of the study: hours may have ended it for this one.

        Raises:
            HandedBack, KeyboardInterrupt: a signal.
        """
        while self.others_at_work():
            self.work.stop.leave()
            self._rest("waits")

    def finish(self) -> None:
        """Leave nothing of the study behind that nobody needs, and a note of what came of it."""
        others.end_trials_of_the_dead(self.work)
        self._clean_up()
        notes.conclude(self.work.storage, self.study.study_name)

    def leave_in_haste(self) -> None:
        """Settle what is done and hand back the rest, if the database answers soon.

        A claim may have been granted whose answer never came.
        """
        done = self.done

        def tell() -> None:
            if done is not None:
                self.tickets.settle(done)  # whatever else the process is asked
            self.tickets.hand_back_of([self.tickets.worker])

        self.answers = in_haste(tell)

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

    def settle(self) -> None:
        """Settle the latest ticket, which is done with the next claim as a rule."""
        if self.done is not None:
            waiting(partial(self.tickets.settle, self.done), self.work.stop.leave)
            self.done = None  # not before: a signal may cut it short, and who leaves settles it

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
            if self.study.user_attrs.get(storage.POINTS) != len(self.points):
                self.study.set_user_attr(storage.POINTS, len(self.points))
            return
        start = self.terms.start[:below]
        self.tickets.issue([*start, *[None] * ((below or 0) - len(start))])

    def _spent(self) -> bool:
        """Say whether the study is over although tickets may be left.

        Raises:
            StudyFailed: too many trials failed.
        """
        self._hear()
        standing = Standing(
            self.state, self._trials, self._seconds, self.runner.objective.maximize, self.before
        )
        over = ending(standing, self.terms.budget, self.terms.stop, failed=self.failed)
        if over is None:
            return False
        if over.kind == "failures":
            self._give_up(over.why)
        if over.why:
            self.progress.note(over.why)
        return True

    def _seconds(self) -> float:
        trials, left, now = self._trials(), self.tickets.open(None), self.tickets.now()
        return wall_seconds(trials, now, left_behind(trials, left, now))

    def _hear(self) -> None:
        """Look at what is said about the study."""
        orders, before = self.orders.read(), self.state
        self.state = orders.state
        if orders.budget != self.terms.budget:
            self.terms = replace(self.terms, budget=orders.budget)
            self._issue()
        if self.state != before:
            self.progress.note(_SAID[self.state])

    def _look_for_more(self) -> Turned:
        """Say what to do where no ticket is free: others may die, or hand theirs back."""
        below = self._below()
        if below is None:  # only hours end the study
            self.tickets.issue([None] * (len(self.tickets.view()) + _AHEAD))
            return "worked"
        held = self.tickets.open(below)
        if others.end_leases_of_the_dead(self.work, held):
            return "worked"
        self.waited_for = len(held)
        return "waits" if held else "over"

    def _rest(self, turned: Turned) -> None:
        """Wait for orders, or for what others hold."""
        if turned == "worked":
            return
        if turned == "waits":
            self.progress.waiting(self.waited_for)
        self.settle()
        self.tickets.close_idle(0.0)  # whoever works may lack it
        time.sleep(self.pause if turned == "waits" else _POLL[1])
        self.pause = min(self.pause * 2, _POLL[1], self.terms.lease / 4)

    def _take_turn(self, ticket: Ticket, asked: float) -> Ticket | None:
        """Work off a ticket; returns it once it has an outcome."""
        outcome = Turn(self.work, ticket, asked).take()
        if outcome is None:
            return None
        if outcome.trial is not None:
            self.failed = outcome.trial.state == TrialState.FAIL
            self.full = (
                self.failed and outcome.trial.read().user_attrs.get(REASON) == DiskFull.reason
            )
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
            if self.state != "open":
                why = "it was stopped before"
            raise StudyFailed(f"study {final.name!r}: no trial succeeded: {why}", final.to_json())
        return final

    def _give_up(self, why: str) -> NoReturn:
        self.settle()  # or the others would wait for its lease
        others.wait_for_leases(self.work)
        others.end_trials_of_the_dead(self.work)
        final = view(self.study)
        self.progress.end(final)
        raise StudyFailed(f"study {final.name!r}: {why}", final.to_json())

    def _kept(self, best: list[FrozenTrial]) -> list[FrozenTrial]:
        kept = self.work.strategy.kept(best, self.terms.keep_checkpoints)
        if self.terms.default is None:
            return kept
        wanted = key_of(self.terms.default)
        return kept + [each for each in best if key_of(params_of(each)) == wanted][:1]

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
            best={folder_of(trial) for trial in self._kept(best)},
            alive={folder_of(number) for number in numbers},
            ended={folder_of(trial) for trial in trials if trial.number not in numbers},
        )
