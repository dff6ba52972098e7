"""One process, one device: trial after trial until the budget is spent."""

import gc
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from hpo import checkpoints
from hpo.errors import BadInput, HandedBack, StudyFailed
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.strategies import Situation, Strategy
from hpo.study import StudyView, seconds_of, view
from hpo.trial import Events, run_trial
from hpo.trials import (
    ABANDONED,
    ATTEMPT,
    CHECKPOINT,
    DEATHS,
    FOLDER,
    POISON,
    REASON,
    UNCHARGED,
    WORKER,
    TrialResult,
    best_of,
    folder_of,
    has_outcome,
    lives,
    params_of,
    was_cut_short,
)
from hpo.workspace import Workspace

MAX_DEATHS = 3  # of processes that ran one trial; it is to blame then
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
        self.stopping = False

    def work(self) -> StudyView:
        """Run trials until the budget is spent.

        Raises:
            BadInput: a process that may be alive is running a trial of the study.
            StudyFailed: no trial succeeded, or the first ones all failed for one reason.
            HandedBack, KeyboardInterrupt: a signal; the running trial is continued next time.
        """
        gc.collect()
        gc.freeze()  # Trainer collects three times a trial; what was imported is no garbage
        self._bury()
        self._queue_again()
        points = self.strategy.points(self.workspace.space, self.spec.seed)
        if points is not None:
            self._queue(points[: self.spec.budget.trials])
        self.progress.begin(view(self.study))
        while self._goes_on(sampling=points is None):
            self.stop.leave()
            self._run_one()
        self._clean_up()
        return self._conclude()

    def _conclude(self) -> StudyView:
        final = view(self.study)
        self.progress.end(final)
        if final.best is None:
            failures = _failures(final.trials) or "all were pruned"
            raise StudyFailed(
                f"study {final.name!r}: no trial succeeded: {failures}", final.to_json()
            )
        return final

    def _goes_on(self, *, sampling: bool) -> bool:
        trials = self.study.get_trials(deepcopy=False)
        budget = self.spec.budget
        if budget.trials is not None and sum(map(has_outcome, trials)) >= budget.trials:
            return False
        if budget.hours is not None and seconds_of(trials) >= budget.hours * 3600:
            return False
        return sampling or any(trial.state == TrialState.WAITING for trial in trials)

    def _run_one(self) -> None:
        situation = Situation(self.workspace.space, self.spec.seed, self._begun())
        events = Events(
            started=self.progress.started,
            stepped=self.progress.stepped,
            evaluated=self.progress.evaluated,
            asked_to_stop=self._asked_to_stop,
        )
        try:
            with self.stop.deferred():
                trial = run_trial(
                    self.workspace,
                    self.storage,
                    self.study.study_name,
                    self.strategy.sampler(situation),
                    events,
                )
        except (HandedBack, KeyboardInterrupt):
            self._queue_again()
            self.stop.leave()
            raise
        self.ran.append(trial)
        self._clean_up()
        self.progress.ended(view(self.study), TrialResult.of(trial))
        self._give_up_if_hopeless()

    def _asked_to_stop(self) -> bool:
        if self.stop.requested() and not self.stopping:
            self.stopping = True
            self.progress.stopping()
        return self.stopping

    def _begun(self) -> int:
        """Return how many configurations were begun, whatever became of them."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(
            trial.user_attrs.get(ATTEMPT, 1) == 1 and trial.state != TrialState.WAITING
            for trial in trials
        )

    def _give_up_if_hopeless(self) -> None:
        if len(self.ran) != ALIKE_FAILURES or len({_cause(trial) for trial in self.ran}) > 1:
            return
        final = view(self.study)
        if final.best is None and all(trial.state == TrialState.FAIL for trial in self.ran):
            self.progress.end(final)
            failures = _failures([TrialResult.of(trial) for trial in self.ran])
            raise StudyFailed(
                f"study {final.name!r}: the first {ALIKE_FAILURES} trials failed for the same "
                f"reason: {failures}",
                final.to_json(),
            )

    def _clean_up(self) -> None:
        """Keep the weights of the best trials and what unfinished ones resume from."""
        trials = self.study.get_trials(deepcopy=False)
        ranked = best_of(trials, maximize=self.workspace.objective.maximize)
        best = ranked[: self.spec.keep_checkpoints]
        alive = [trial for trial in trials if not trial.state.is_finished()]
        checkpoints.keep_only(
            self.workspace.folder,
            best={folder_of(trial) for trial in best},
            alive={folder_of(trial) for trial in alive},
        )

    def _bury(self) -> None:
        """Finish what a process that is gone left running."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = str(trial.user_attrs.get(WORKER, ""))
            if lives(worker):
                raise BadInput(
                    f"study {self.study.study_name!r}: trial {trial.number} is being run by "
                    f"another process, {worker}; if that one is gone, `optuna tell --study-name "
                    f"… --trial-number {trial.number} --state fail --storage …` sets it free"
                )
            if CHECKPOINT in trial.user_attrs:  # the last thing it stored before its end
                value = trial.user_attrs["metrics"][self.workspace.objective.metric]
                self.study.tell(trial.number, value)
                continue
            last = trial.user_attrs.get(DEATHS, 0) + 1 == MAX_DEATHS
            self.storage.set_trial_user_attr(
                trial._trial_id,  # noqa: SLF001 - no public name
                REASON,
                POISON if last else ABANDONED,
            )
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _queue_again(self) -> None:
        """Queue every trial that ended without an outcome, unless it is queued already.

        A retry is a new trial: Optuna itself then refuses what the old one may still write.
        """
        latest: dict[str, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            latest[folder_of(trial)] = trial  # they come in order: an attempt after those before it
        for folder, trial in latest.items():
            if was_cut_short(trial):
                died = trial.user_attrs.get(REASON) == ABANDONED
                attrs = {
                    FOLDER: folder,
                    ATTEMPT: trial.user_attrs.get(ATTEMPT, 1) + 1,
                    DEATHS: trial.user_attrs.get(DEATHS, 0) + died,
                }
                self.study.enqueue_trial(params_of(trial), user_attrs=attrs)

    def _queue(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Queue the points that the study does not have yet."""
        known = {_key(params_of(trial)) for trial in self.study.get_trials(deepcopy=False)}
        for point in points:
            if _key(point) not in known:
                self.study.enqueue_trial(dict(point))


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _cause(trial: FrozenTrial) -> tuple[str, str]:
    """Return why a trial failed, without the numbers in which its message differs from others."""
    error = str(trial.user_attrs.get("error", ""))
    return str(trial.user_attrs.get(REASON)), re.sub(r"[0-9][0-9.e+-]*", "#", error)


def _failures(trials: Sequence[TrialResult]) -> str:
    """Count the failures by reason, with the latest message of each."""
    counts = Counter(trial.reason for trial in trials if trial.state == "FAIL")
    latest = {trial.reason: trial.error for trial in trials if trial.state == "FAIL"}
    return "; ".join(
        f"{count} × {reason}" + (f" ({latest[reason]})" if latest[reason] else "")
        for reason, count in counts.items()
        if reason not in UNCHARGED
    )
