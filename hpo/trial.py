"""One trial: Optuna draws, a runner trains, the trial keeps the result or why it failed.

What trains is a `Runner`, that of the Trainer (`hpo.search`) or a task's own (`hpo.own_training`);
nothing here needs torch.
"""

import math
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from hpo.curves import PROGRESS
from hpo.errors import (
    BadInput,
    CutOff,
    DataError,
    Diverged,
    HandedBack,
    LeaseLost,
    TrialFailed,
    Untold,
)
from hpo.evaluations import Evaluation, Objective, as_record
from hpo.observer import Observer
from hpo.outages import is_outage
from hpo.patience import is_leaving, patience
from hpo.pruning import EPOCHS
from hpo.space import SearchSpace
from hpo.trials import (
    CHECKPOINT,
    FIRST_STEP,
    HANDED_BACK,
    REASON,
    STORAGE_AWAY,
    attempts_of,
    folder_of,
    was_cut_short,
)

_BRIEF = 2.0  # seconds that a training waits for the storage: what it has to say can wait longer


@dataclass(frozen=True)
class Events:
    """What a trial tells while it runs: whoever shows progress listens."""

    started: Callable[[int, dict[str, Any]], None]
    stepped: Callable[[int, int], None]
    evaluated: Callable[[list[Evaluation]], None]
    asked_to_stop: Callable[[], bool]
    note: Callable[[str], None] = lambda _text: None


class Reporter(Observer):
    """Passes a training's events on to Optuna and to whoever shows progress."""

    def __init__(self, trial: optuna.Trial, metric: str, events: Events) -> None:
        self.trial = trial
        self.metric = metric
        self.events = events
        self.reported = 0
        self.steps: int | None = None  # in all, as far as is known
        self.scheduled = False  # how long training takes is stored

    @override
    def began(self, step: int, checkpoint: Path | None, damaged: Sequence[Path] = ()) -> None:
        """Store where the training began: behind step 0, it was resumed."""
        self.trial.set_user_attr(FIRST_STEP, step)
        *earlier, _ = attempts_of(self.trial)
        whose = {folder_of(number): f"trial {number}" for number in attempts_of(self.trial)}
        for each in damaged:
            place = whose.get(each.parent.name, each.parent)
            self.events.note(f"{each.name} of {place} is damaged and was passed over")
        if checkpoint is not None:
            self.events.note(f"trial {self.trial.number} continues from step {step}, {checkpoint}")
        elif earlier:
            self.events.note(
                f"trial {self.trial.number} starts again: no whole checkpoint of trial "
                f"{earlier[-1]} is in this output folder"
            )

    @override
    def stepped(self, step: int, steps: int) -> None:
        self.steps = steps
        self.events.stepped(step, steps)

    def report(self, evaluations: list[Evaluation]) -> None:
        """Report what was not reported yet, by an attempt before this one or during an outage."""
        for each in evaluations[self.reported :]:
            # Upstream reports optimizer steps, which mean more data the larger the batch is.
            self.trial.report(each.metrics[self.metric], round(each.epoch * PROGRESS))
        if len(evaluations) > self.reported:
            self.trial.set_user_attr("evaluations", as_record(evaluations))
        self.reported = len(evaluations)

    @override
    def evaluated(self, evaluations: list[Evaluation]) -> None:
        self.events.evaluated(evaluations)
        try:
            with patience(_BRIEF):
                self.report(evaluations)
                hopeless = self._is_hopeless(evaluations[-1])
        except (SQLAlchemyError, StorageInternalError) as error:
            if not is_outage(error):
                raise
            self.events.note("the storage is away; training goes on, and is reported later")
            return
        if hopeless:
            raise optuna.TrialPruned

    def _is_hopeless(self, latest: Evaluation) -> bool:
        if self.steps is not None and latest.step >= self.steps:
            return False  # nothing is left to save
        self._schedule(latest)
        return self.trial.should_prune()

    def _schedule(self, latest: Evaluation) -> None:
        """Store how many epochs training takes in all: pruners know how far a trial is."""
        if self.steps is not None and latest.step > 0 and not self.scheduled:
            epochs = latest.epoch * self.steps / latest.step
            self.trial.set_user_attr(EPOCHS, round(epochs, 2))
            self.scheduled = True

    @override
    def asked_to_stop(self) -> bool:
        return self.events.asked_to_stop()


@dataclass(frozen=True)
class Attempt:
    """What a runner is given.

    Args:
        params: as they were drawn.
        folder: of this trial; nobody else writes into it.
        earlier: the folders of the attempts before this one, the latest first; they may hold a
            checkpoint to resume from, or not exist here.
        reporter: is told steps and evaluations, and asked whether to stop; who does none of it for
            long is taken to hang.
        store: stores a fact with the trial, such as a name and what is JSON.
    """

    params: dict[str, Any]
    folder: Path
    earlier: Sequence[Path]
    reporter: Reporter
    store: Callable[[str, Any], None]


@dataclass(frozen=True)
class Result:
    """What training gave.

    Args:
        value: the objective at the best evaluation.
        evaluations: all of them.
        checkpoint: the weights of the best one.
        facts: whatever else is stored with the trial.
    """

    value: float
    evaluations: list[Evaluation] = field(default_factory=list)
    checkpoint: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draw:
    """What it takes to draw one trial: the study, who chooses its parameters, who gives it up."""

    study: optuna.Study
    storage: BaseStorage
    sampler: BaseSampler
    pruner: BasePruner = field(default_factory=NopPruner)


class Runner(Protocol):
    """Trains the configurations of one study.

    Attributes:
        space: what is searched.
        objective: what is optimised.
        folder: the study's own.
    """

    space: SearchSpace
    objective: Objective
    folder: Path

    @property
    def device(self) -> str:
        """Where it trains."""
        ...

    def search(self, draw: Draw, objective: Callable[[optuna.Trial], float]) -> None:
        """Let Optuna draw one trial and call the objective; a `TrialFailed` fails that trial."""

    def train(self, attempt: Attempt) -> Result:
        """Train one configuration.

        Raises:
            TrialFailed: for a reason of its own.
            HandedBack: the reporter asked to stop; what a resume needs is in the folder.
        """

    def peak_memory(self) -> int:
        """Return the peak of the training that failed, in bytes."""


@dataclass(frozen=True)
class Ended:
    """A trial that has an outcome.

    Args:
        state: COMPLETE, PRUNED or FAIL.
        read: returns it as the storage has it, at the price of a question to the database.
    """

    state: TrialState
    read: Callable[[], FrozenTrial]


def run_trial(runner: Runner, draw: Draw, events: Events) -> Ended:
    """Run one trial of a study.

    A trial that fails for a reason of its own (diverged, out of memory, …) is returned like any
    other; its state is FAIL and its `reason` is set.

    Raises:
        HandedBack, KeyboardInterrupt: the process was asked to go.
        Untold: as `HandedBack`, and the storage does not know.
        LeaseLost: somebody else has the trial's ticket, or may have it, or has ended the trial.
    """
    fit = _Fit(runner, events)
    try:
        runner.search(draw, fit)
    except _Unheard as unheard:
        raise Untold(str(unheard)) from unheard.__cause__
    except UpdateFinishedTrialError as error:
        raise LeaseLost(str(error)) from error
    except (AssertionError, UnboundLocalError, ValueError) as error:
        # Upstream's own. A ValueError: it ends by reading the study's best trial, which there is
        # none of before one completes. The others: its telling was interrupted, by another Ctrl-C
        # or by the database. Any: somebody else had ended the trial.
        if fit.trial is None:
            raise
        told = draw.storage.get_trial(fit.trial._trial_id)  # noqa: SLF001 - no public name
        stored = told.state
        others = stored != fit.state or was_cut_short(told)  # whose reason covers that of this one
        if fit.lost or (stored.is_finished() and others):
            raise LeaseLost(f"trial {fit.trial.number} was ended by another worker") from error
        if not isinstance(error, ValueError):
            raise error.__context__ or error from None
        if stored != fit.state:
            raise
    if fit.trial is None or fit.state is None:
        raise RuntimeError("the search ran no trial to its end")
    trial_id = fit.trial._trial_id  # noqa: SLF001 - no public name
    return Ended(fit.state, lambda: draw.storage.get_trial(trial_id))


class _Unheard(BaseException):
    """The process is asked to go and the storage is away: upstream shall not wait for it, too."""


class _Fit:
    """The objective function: a trial's parameters in, its best evaluation out."""

    def __init__(self, runner: Runner, events: Events) -> None:
        self.runner = runner
        self.events = events
        self.trial: optuna.Trial | None = None
        self.lost = False
        self.saved = False  # because it was asked to stop
        self.state: TrialState | None = None  # what Optuna will say

    def __call__(self, trial: optuna.Trial) -> float:
        self.trial = trial
        try:
            value = self._heard(trial)
            self.state = TrialState.COMPLETE
            return value
        except optuna.TrialPruned:
            self.state = TrialState.PRUNED
            raise
        except TrialFailed:
            self.state = TrialState.FAIL
            raise
        except (LeaseLost, UpdateFinishedTrialError) as error:
            self.lost = True
            raise LeaseLost(str(error)) from error

    def _heard(self, trial: optuna.Trial) -> float:
        try:
            return self._train(trial)
        except (SQLAlchemyError, StorageInternalError) as error:
            if not (is_leaving() and is_outage(error)):
                raise
            what = "is saved" if self.saved else "goes on from its last checkpoint"
            raise _Unheard(f"trial {trial.number} {what}") from error

    def _train(self, trial: optuna.Trial) -> float:
        folder = self.runner.folder / folder_of(trial)
        try:
            # What lies there is of another study, or of a training that is not resumed.
            shutil.rmtree(folder, ignore_errors=True)
            return self._run(trial, folder)
        except (optuna.TrialPruned, TrialFailed) as ended:
            if isinstance(ended, TrialFailed):
                self._failed(ended.reason, ended)
            raise
        except CutOff as error:
            self._failed(STORAGE_AWAY, error)  # once it is back, if nobody else was faster
            raise
        except (LeaseLost, UpdateFinishedTrialError, SQLAlchemyError, StorageInternalError):
            raise  # no fault of the trial
        except HandedBack as stopped:
            self.saved = True
            self._failed(HANDED_BACK, stopped)
            raise
        except BadInput as error:
            self._failed("data" if isinstance(error, DataError) else "configuration", error)
            raise TrialFailed(str(error)) from error
        except KeyboardInterrupt as error:
            self._failed(HANDED_BACK, error)
            raise
        except Exception as error:  # whatever it is, it ends this trial and not the study
            self._failed("error", error)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            raise TrialFailed(str(error)) from error

    def _run(self, trial: optuna.Trial, folder: Path) -> float:
        params = self.runner.space.suggest(trial)
        self.events.started(trial.number, params)
        *earlier, _ = attempts_of(trial)
        reporter = Reporter(trial, self.runner.objective.metric, self.events)
        attempt = Attempt(
            params,
            folder,
            [self.runner.folder / folder_of(number) for number in reversed(earlier)],
            reporter,
            trial.set_user_attr,
        )
        result = self.runner.train(attempt)
        reporter.report(result.evaluations)  # nothing is left to evaluate behind the last step
        if not math.isfinite(result.value):
            raise Diverged(f"the objective was {result.value}")
        for key, value in result.facts.items():
            trial.set_user_attr(key, value)
        if result.checkpoint is not None:  # the last one: from here on, only the telling is left
            path = str(result.checkpoint.relative_to(self.runner.folder))
            trial.set_user_attr(CHECKPOINT, path)
        return result.value

    def _failed(self, reason: str, error: BaseException) -> None:
        if self.trial is not None:
            text = str(error) or type(error).__name__
            self.trial.set_user_attr("peak_memory_bytes", self.runner.peak_memory())
            self.trial.set_user_attr(REASON, reason)
            self.trial.set_user_attr("error", f"{type(error).__name__}: {text}"[:2000])
