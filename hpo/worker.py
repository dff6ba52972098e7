"""One process, one device: trial after trial until the budget is spent."""

from collections.abc import Mapping
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from hpo import checkpoints
from hpo.device import use_cores
from hpo.errors import HandedBack, StudyFailed
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.strategies import Situation, Strategy, points_of
from hpo.study import StudyView, view
from hpo.trial import Events, run_trial
from hpo.trials import (
    ABANDONED,
    ATTEMPT,
    FOLDER,
    POISON,
    REASON,
    TrialResult,
    best_of,
    params_of,
)
from hpo.workspace import Workspace

MAX_ATTEMPTS = 3  # of a trial whose process keeps dying
ALIKE_FAILURES = 3  # first trials that all fail for one reason end a study


class Worker:
    """Runs the trials of one study.

    Args:
        study: the study.
        storage: where it is.
        strategy: chooses configurations.
        workspace: its data, models and folders.
        progress: is told what happens.
        stop: knows whether to leave.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: RDBStorage,
        strategy: Strategy,
        workspace: Workspace,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self.study = study
        self.storage = storage
        self.strategy = strategy
        self.workspace = workspace
        self.progress = progress
        self.stop = stop
        self.spec = workspace.spec
        self.ran: list[FrozenTrial] = []

    def work(self) -> StudyView:
        """Run trials until the budget is spent.

        Raises:
            StudyFailed: no trial succeeded, or the first ones all failed for one reason.
            HandedBack, KeyboardInterrupt: a signal; the running trial is continued next time.
        """
        use_cores()
        self._revive()
        self._queue_points()
        self.progress.begin(view(self.study))
        while self._goes_on():
            self.stop.leave()
            self._run_one()
        final = view(self.study)
        self.progress.end(final)
        if final.best is None:
            raise StudyFailed(
                f"study {final.name!r}: no trial succeeded; {_failures(final.trials)}"
            )
        return final

    def _goes_on(self) -> bool:
        seen = view(self.study)
        budget = self.spec.budget
        if budget.trials is not None and seen.done >= budget.trials:
            return False
        if budget.hours is not None and seen.seconds >= budget.hours * 3600:
            return False
        queued = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return bool(queued) or not hasattr(self.strategy, "points")

    def _run_one(self) -> None:
        situation = Situation(self.workspace.space, self.spec.seed, self._begun())
        events = Events(
            started=self.progress.started,
            stepped=self.progress.stepped,
            evaluated=self.progress.evaluated,
            asked_to_stop=self.stop.requested,
        )
        try:
            with self.stop.deferred():
                trial = run_trial(
                    self.workspace,
                    self.storage,
                    self.study.study_name,
                    self.strategy(situation),
                    events,
                )
        except (HandedBack, KeyboardInterrupt):
            self._requeue(self.study.get_trials(deepcopy=False)[-1])
            self.stop.leave()
            raise
        self.ran.append(trial)
        self._clean_up()
        self.progress.ended(view(self.study), TrialResult.of(trial))
        self._give_up_if_hopeless()

    def _begun(self) -> int:
        """Return how many configurations were begun, whatever became of them."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(
            trial.user_attrs.get(ATTEMPT, 1) == 1 and trial.state != TrialState.WAITING
            for trial in trials
        )

    def _give_up_if_hopeless(self) -> None:
        reasons = {trial.user_attrs.get(REASON) for trial in self.ran}
        failed = all(trial.state == TrialState.FAIL for trial in self.ran)
        if len(self.ran) == ALIKE_FAILURES and failed and len(reasons) == 1:
            final = view(self.study)
            if final.best is None:
                self.progress.end(final)
                raise StudyFailed(
                    f"study {final.name!r}: the first {ALIKE_FAILURES} trials failed for the same "
                    f"reason; {_failures(final.trials[-ALIKE_FAILURES:])}"
                )

    def _clean_up(self) -> None:
        """Keep the weights of the best trials and what unfinished ones resume from."""
        with FileLock(self.workspace.folder / ".clean-up.lock"):
            trials = self.study.get_trials(deepcopy=False)
            ranked = best_of(trials, maximize=self.workspace.objective.maximize)
            alive = [trial for trial in trials if not trial.state.is_finished()]
            kept = [*ranked[: self.spec.keep_checkpoints], *alive]
            folders = {str(trial.user_attrs.get(FOLDER)) for trial in kept}
            checkpoints.keep_only(self.workspace.folder, folders)

    def _revive(self) -> None:
        """Fail what a process that is gone left running, and queue it again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            again = trial.user_attrs.get(ATTEMPT, 1) < MAX_ATTEMPTS
            self.storage.set_trial_user_attr(
                trial._trial_id,  # noqa: SLF001 - no public name
                REASON,
                ABANDONED if again else POISON,
            )
            self.study.tell(trial.number, state=TrialState.FAIL)
            if again:
                self._requeue(trial)

    def _requeue(self, trial: FrozenTrial) -> None:
        # A retry is a new trial: Optuna itself then refuses what the old one may still write.
        self.study.enqueue_trial(
            params_of(trial),
            user_attrs={
                FOLDER: trial.user_attrs.get(FOLDER, f"trial-{trial.number:04d}"),
                ATTEMPT: trial.user_attrs.get(ATTEMPT, 1) + 1,
            },
        )

    def _queue_points(self) -> None:
        points = points_of(self.strategy, self.workspace.space, self.spec.seed)
        if points is None:
            return
        known = [params_of(trial) for trial in self.study.get_trials(deepcopy=False)]
        for point in points[: self.spec.budget.trials]:
            if dict(point) not in known:
                self.study.enqueue_trial(dict(point))


def _failures(trials: list[TrialResult]) -> str:
    counted: dict[str, tuple[int, str]] = {}
    for trial in trials:
        if trial.state == "FAIL" and trial.reason is not None:
            count, _ = counted.get(trial.reason, (0, ""))
            counted[trial.reason] = (count + 1, trial.error or trial.reason)
    parts: Mapping[str, Any] = counted
    return "; ".join(f"{count} × {reason}: {text}" for reason, (count, text) in parts.items())
