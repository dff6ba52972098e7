"""One trial: Optuna draws, a Trainer made for the drawn values trains, the trial keeps the result.

`Trainer.hyperparameter_search` keeps one Trainer for all trials, and most of what goes wrong with
it goes wrong there (see `docs/design.md`): arguments changed under its feet, a model made before
the values are known, state that leaks from trial to trial. Here the Trainer that upstream searches
with does nothing but search: its `train` hands each trial to a `FineTuner` made for it.
"""

import shutil
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import HPSearchBackend
from typing_extensions import override

from hpo import recipe
from hpo.device import Device
from hpo.errors import BadInput, DataError, HandedBack, TrialFailed
from hpo.evaluations import Evaluation, as_record
from hpo.fine_tuning import drop_reporter, fine_tune
from hpo.trials import (
    ATTEMPT,
    CHECKPOINT,
    FOLDER,
    HANDED_BACK,
    REASON,
    WORKER,
    folder_of,
    here,
)
from hpo.watch import Observer
from hpo.workspace import Workspace

PROGRESS = 1000  # reported steps an epoch


@dataclass(frozen=True)
class Events:
    """What a trial tells while it runs: whoever shows progress listens."""

    started: Callable[[int, dict[str, Any]], None]
    stepped: Callable[[int, int], None]
    evaluated: Callable[[list[Evaluation]], None]
    asked_to_stop: Callable[[], bool]


class _Reporter(Observer):
    """Passes a fine-tuning's events on to Optuna and to whoever shows progress."""

    def __init__(self, trial: optuna.Trial, metric: str, events: Events) -> None:
        self.trial = trial
        self.metric = metric
        self.events = events
        self.reported = 0

    @override
    def stepped(self, step: int, steps: int) -> None:
        self.events.stepped(step, steps)

    def report(self, evaluations: list[Evaluation]) -> None:
        """Report what was not reported yet; an attempt before this one may have evaluated too."""
        for each in evaluations[self.reported :]:
            # Upstream reports optimizer steps, which mean more data the larger the batch is.
            self.trial.report(each.metrics[self.metric], round(each.epoch * PROGRESS))
        self.reported = len(evaluations)
        self.trial.set_user_attr("evaluations", as_record(evaluations))

    @override
    def evaluated(self, evaluations: list[Evaluation]) -> None:
        self.report(evaluations)
        self.events.evaluated(evaluations)
        if self.trial.should_prune():
            raise optuna.TrialPruned

    @override
    def asked_to_stop(self) -> bool:
        return self.events.asked_to_stop()


def run_trial(
    workspace: Workspace, storage: RDBStorage, name: str, sampler: BaseSampler, events: Events
) -> FrozenTrial:
    """Run one trial of a study and return it as the storage has it afterwards.

    A trial that fails for a reason of its own (diverged, out of memory, …) is returned like any
    other; its state is FAIL and its `reason` is set.

    Raises:
        HandedBack, KeyboardInterrupt: the process was asked to go.
    """
    fit = _Fit(workspace, events)
    searcher = _Searcher(fit, workspace.folder)
    try:
        searcher.hyperparameter_search(
            hp_space=lambda _trial: {},
            backend=HPSearchBackend.OPTUNA,
            n_trials=1,
            direction=workspace.direction,
            study_name=name,
            storage=storage,
            load_if_exists=True,
            sampler=sampler,
            pruner=optuna.pruners.NopPruner(),  # Optuna's default is the median
            catch=(TrialFailed,),
        )
    except ValueError:
        # It ends by reading the study's best trial, which there is none of before one completes.
        if fit.trial is None:
            raise
    if fit.trial is None:
        raise RuntimeError("hyperparameter_search ran no trial")
    trial = storage.get_trial(fit.trial._trial_id)  # noqa: SLF001 - no public name
    if not trial.state.is_finished():
        raise RuntimeError(f"hyperparameter_search left trial {trial.number} {trial.state.name}")
    return trial


def _no_model() -> Any:
    return torch.nn.Identity()  # the least that Trainer takes for a model


class _Searcher(Trainer):
    """The Trainer that `hyperparameter_search` drives; each trial gets a Trainer of its own."""

    def __init__(self, fit: "_Fit", folder: Path) -> None:
        self.fit = fit
        self.objective: float | None = None
        args = TrainingArguments(
            output_dir=str(folder),
            use_cpu=Device.here().kind == "cpu",
            report_to="none",
            disable_tqdm=True,
        )
        drop_reporter(args, asked_for="none")
        super().__init__(model_init=_no_model, args=args)

    def train(self, resume_from_checkpoint: Any = None, trial: Any = None, **_: Any) -> None:  # type: ignore[override]
        """Run the trial; upstream reads the objective when this returns."""
        self.objective = self.fit(trial)


class _Fit:
    """The objective function: a trial's parameters in, its best evaluation out."""

    def __init__(self, workspace: Workspace, events: Events) -> None:
        self.workspace = workspace
        self.events = events
        self.trial: optuna.Trial | None = None

    def __call__(self, trial: optuna.Trial) -> float:
        self.trial = trial
        name = folder_of(trial)
        folder = self.workspace.folder / name
        try:
            trial.set_user_attr(FOLDER, name)
            trial.set_user_attr(WORKER, here())
            trial.set_user_attr("device", Device.here().name)
            if trial.user_attrs.get(ATTEMPT, 1) == 1:
                shutil.rmtree(folder, ignore_errors=True)  # nobody else's checkpoint is resumed
            return self._run(trial, folder)
        except (optuna.TrialPruned, TrialFailed) as ended:
            if isinstance(ended, TrialFailed):
                self._failed(ended.reason, ended)
            raise
        except (SQLAlchemyError, StorageInternalError):
            raise  # no fault of the trial
        except HandedBack as stopped:
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
        params = self.workspace.space.suggest(trial)
        self.events.started(trial.number, params)
        resolved = recipe.resolve(self.workspace.spec, params)
        trial.set_user_attr("recipe", _record(resolved))
        objective = self.workspace.objective
        job = self.workspace.job(resolved, folder)
        reporter = _Reporter(trial, objective.metric, self.events)
        outcome = fine_tune(job, reporter)
        reporter.report(outcome.evaluations)  # nothing is left to evaluate behind the last step
        facts = {
            "metrics": outcome.best.metrics,
            "epoch": outcome.best.epoch,
            "seconds": round(outcome.seconds, 3),
            "samples_per_second": outcome.samples_per_second,
            "peak_memory_bytes": outcome.peak_memory,
            "training_arguments": outcome.training_arguments,
            CHECKPOINT: str(outcome.checkpoint.relative_to(self.workspace.folder)),  # the last one
        }
        for key, value in facts.items():
            trial.set_user_attr(key, value)
        return outcome.best.metrics[objective.metric]

    def _failed(self, reason: str, error: BaseException) -> None:
        if self.trial is not None:
            text = str(error) or type(error).__name__
            self.trial.set_user_attr("peak_memory_bytes", Device.here().peak_memory())
            self.trial.set_user_attr(REASON, reason)
            self.trial.set_user_attr("error", f"{type(error).__name__}: {text}"[:2000])


def _record(resolved: recipe.Recipe) -> dict[str, Any]:
    return {
        **asdict(resolved),
        "fine_tuning": resolved.fine_tuning.model_dump(mode="json"),
        "training": dict(resolved.training),
    }
