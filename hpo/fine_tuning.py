"""One fine-tuning with a recipe, from the pretrained model to the weights of its best evaluation.

It knows nothing of Optuna; `hpo.trial` connects the two.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainingArguments, set_seed

from hpo import checkpoints, models
from hpo.device import Device
from hpo.errors import DiskFull, OutOfMemory
from hpo.evaluations import Evaluation, Objective
from hpo.inputs import Inputs
from hpo.models import Source
from hpo.recipe import Recipe
from hpo.tasks import Task
from hpo.trainer import FineTuner
from hpo.watch import Observer, Watch


@dataclass(frozen=True)
class Job:
    """All that one fine-tuning needs.

    Args:
        recipe: the configuration.
        task: what is learned.
        source: where the recipe's model is.
        inputs: what it learns from, encoded for that model.
        objective: which evaluation is the best.
        folder: where checkpoints go; if a complete one is there, it is resumed from.
    """

    recipe: Recipe
    task: Task
    source: Source
    inputs: Inputs
    objective: Objective
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What a fine-tuning gave.

    Args:
        evaluations: all of them, in order.
        best: the best of them; its weights are in `checkpoint`.
        checkpoint: a folder that `AutoModel….from_pretrained` loads.
        seconds: wall clock, model loading and evaluations included.
        samples_per_second: training inputs a second of training, evaluations included.
        peak_memory: bytes; see `Device.peak_memory`.
        device: its name.
        training_arguments: those in which the run differed from transformers' defaults.
    """

    evaluations: list[Evaluation]
    best: Evaluation
    checkpoint: Path
    seconds: float
    samples_per_second: float
    peak_memory: int
    device: str
    training_arguments: dict[str, Any] = field(default_factory=dict)


def fine_tune(job: Job, observer: Observer) -> Outcome:
    """Fine-tune a pretrained model with one configuration.

    Raises:
        Diverged, OutOfMemory, DiskFull: the configuration, or the machine, is not up to it.
        HandedBack: the observer asked to stop; a checkpoint to resume from is in the folder.
    """
    device = Device.here()
    device.forget_peak()
    started = time.perf_counter()
    with _failures_told():
        args = training_arguments(job, device)
        set_seed(args.seed)  # the head's weights, and after them the data's order and dropout
        model = build_model(job)
        watch = Watch(job.objective, job.folder, observer, classes=len(job.inputs.encoding.labels))
        trainer = make_trainer(model, args, job, watch)
        resume = checkpoints.last_complete(job.folder)
        result = trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    evaluations = watch.evaluations
    outcome = Outcome(
        evaluations=evaluations,
        best=job.objective.best(evaluations),
        checkpoint=job.folder / checkpoints.BEST,
        seconds=time.perf_counter() - started,
        samples_per_second=float(result.metrics.get("train_samples_per_second", 0.0)),
        peak_memory=device.peak_memory(),
        device=device.name,
        training_arguments=_unusual(args),
    )
    del trainer, model
    device.free_memory()
    return outcome


def build_model(job: Job) -> PreTrainedModel:
    """Build the model of a job; the new head comes from torch's random generator."""
    return models.build(
        job.task.auto_model(),
        job.source,
        job.inputs.tokenizer,
        list(job.inputs.encoding.labels),
        job.recipe.fine_tuning,
    )


def make_trainer(
    model: PreTrainedModel, args: TrainingArguments, job: Job, watch: Watch
) -> FineTuner:
    """Return the Trainer of a job."""
    multiple_of = None if args.device.type == "cpu" else 8  # tensor cores like multiples of 8
    return FineTuner(
        model,
        args,
        job.inputs,
        job.task.collator(job.inputs.tokenizer, multiple_of=multiple_of),
        watch,
        job.recipe.fine_tuning.layerwise_lr_decay,
    )


def training_arguments(job: Job, device: Device) -> TrainingArguments:
    """Return the training arguments of a recipe over hpo's defaults, checked by transformers."""
    config = models.load_config(job.source)
    width = int(getattr(config, "hidden_size", 0) or 0)
    defaults: dict[str, Any] = {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "per_device_eval_batch_size": 32,
        "train_sampling_strategy": "group_by_length",
        "logging_steps": 10,
        "report_to": "none",  # a variable in the environment turns a reporter on otherwise
        **device.training_arguments(width),
    }
    args = TrainingArguments(
        **{**defaults, **job.recipe.training},
        output_dir=str(job.folder),
        length_column_name="length",
        disable_tqdm=True,
        save_total_limit=None,  # `checkpoints.complete` deletes the older one, once it safely can
        push_to_hub=False,  # every trial would be pushed
    )
    # Several visible GPUs without torchrun would mean DataParallel and a multiplied batch size.
    args._n_gpu = min(args.n_gpu, 1)  # noqa: SLF001 - upstream has no other switch
    return args


@contextmanager
def _failures_told() -> Iterator[None]:
    """Tell the failures that a search survives from those that are a fault of the program."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(_first_line(error)) from error
    except (RuntimeError, OSError) as error:
        text = str(error)
        if "can't allocate memory" in text:  # what torch says on a CPU
            raise OutOfMemory(_first_line(error)) from error
        if getattr(error, "errno", None) == 28 or "No space left on device" in text:
            raise DiskFull(_first_line(error)) from error
        raise


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _unusual(args: TrainingArguments) -> dict[str, Any]:
    usual = TrainingArguments().to_dict()
    hidden = {"output_dir", "logging_dir", "run_name", "length_column_name"}
    return {
        name: value
        for name, value in args.to_dict().items()
        if name not in hidden and usual.get(name) != value
    }
