"""The runner of `Trainer.hyperparameter_search`: it draws, a Trainer made for the draw trains.

`Trainer.hyperparameter_search` keeps one Trainer for all trials, and most of what goes wrong with
it goes wrong there (see `docs/design.md`): arguments changed under its feet, a model made before
the values are known, state that leaks from trial to trial. Here the Trainer that upstream searches
with does nothing but search: its `train` hands each trial to a `FineTuner` made for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import HPSearchBackend
from typing_extensions import override

from hpo import recipe
from hpo.device import Device
from hpo.errors import OutOfMemory, TrialFailed
from hpo.fine_tuning import Job, Outcome, drop_reporter, fine_tune
from hpo.observer import Observer
from hpo.recipe import Recipe
from hpo.trial import Attempt, Draw, Result
from hpo.trials import MISTAKES
from hpo.workspace import Workspace


class TrainerRunner:
    """Fine-tunes the configurations of a study."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.space = workspace.space
        self.objective = workspace.objective
        self.folder = workspace.folder

    @property
    def device(self) -> str:
        """Where it trains; on a GPU, to ask is to take some of its memory."""
        return Device.here().name

    def search(self, draw: Draw, objective: Callable[[optuna.Trial], float]) -> None:
        """Run one trial through `Trainer.hyperparameter_search`."""
        _Searcher(objective, self.folder).hyperparameter_search(
            hp_space=lambda _trial: {},
            backend=HPSearchBackend.OPTUNA,
            n_trials=1,
            direction=self.workspace.direction,
            study_name=draw.study.study_name,
            storage=draw.storage,
            load_if_exists=True,
            sampler=draw.sampler,
            pruner=draw.pruner,
            catch=(TrialFailed,),
        )

    def train(self, attempt: Attempt) -> Result:
        """Fine-tune with the parameters that were drawn."""
        resolved = self.resolved(attempt.params)
        attempt.store("recipe", recipe.as_record(resolved))
        job = self.workspace.job(resolved, attempt.folder)
        job = replace(job, earlier=attempt.earlier)
        outcome = _within_memory(job, attempt.reporter, attempt.store)
        facts = {
            "metrics": outcome.best.metrics,
            "epoch": outcome.best.epoch,
            "seconds": round(outcome.seconds, 3),
            "samples_per_second": outcome.samples_per_second,
            "peak_memory_bytes": outcome.peak_memory,
            "training_arguments": outcome.training_arguments,
            **({} if outcome.mistakes is None else {MISTAKES: outcome.mistakes}),
        }
        value = outcome.best.metrics[self.objective.metric]
        return Result(value, outcome.evaluations, outcome.checkpoint, facts)

    def resolved(self, params: Mapping[str, Any]) -> Recipe:
        """Return what is trained for drawn parameters, and from which commit of the hub."""
        found = recipe.resolve(self.workspace.spec, params)
        return replace(found, commit=self.workspace.source(found.model).revision)

    def peak_memory(self) -> int:
        """Return the peak of the training that failed, in bytes."""
        return Device.here().peak_memory()


def _within_memory(job: Job, observer: Observer, store: Callable[[str, Any], None]) -> Outcome:
    """Fine-tune; if memory runs out, once more with half the batch, two of them to a step."""
    try:
        return fine_tune(job, observer)
    except OutOfMemory as error:
        smaller = _halved(job.recipe)
        if smaller is None:
            raise
        # Stored: a retry of the trial, and whoever trains it again, needs it.
        store("out_of_memory", f"{error}; trained with half the batch, accumulated twice")
        store("recipe", recipe.as_record(smaller))
    Device.here().free_memory()  # behind the handler: until then, the error holds its frames
    return fine_tune(replace(job, recipe=smaller), observer)


def _halved(whole: Recipe) -> Recipe | None:
    """Return a recipe of the same steps with half the memory, if its batch can be halved."""
    usual = TrainingArguments()
    batch = whole.training.get("per_device_train_batch_size", usual.per_device_train_batch_size)
    steps = whole.training.get("gradient_accumulation_steps", usual.gradient_accumulation_steps)
    if batch % 2:
        return None
    changed = {"per_device_train_batch_size": batch // 2, "gradient_accumulation_steps": steps * 2}
    return replace(whole, training={**whole.training, **changed})


def _no_model() -> Any:
    return torch.nn.Identity()  # the least that Trainer takes for a model


class _Searcher(Trainer):
    """The Trainer that `hyperparameter_search` drives; each trial gets a Trainer of its own."""

    def __init__(self, fit: Callable[[optuna.Trial], float], folder: Path) -> None:
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

    @override
    def train(self, resume_from_checkpoint: Any = None, trial: Any = None, **_: Any) -> None:  # type: ignore[override]
        """Run the trial; upstream reads the objective when this returns."""
        self.objective = self.fit(trial)
