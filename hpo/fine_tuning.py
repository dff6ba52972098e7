"""One fine-tuning with a recipe, from the pretrained model to the weights of its best evaluation.

It knows nothing of Optuna; `hpo.trial` connects the two.
"""

import errno
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainingArguments, set_seed

from hpo import checkpoints, models, pretrained
from hpo.device import Device, use_cores
from hpo.errors import DiskFull, OutOfMemory, SpecError
from hpo.evaluations import Evaluation, Objective
from hpo.inputs import Inputs
from hpo.observer import Observer
from hpo.pretrained import Source
from hpo.recipe import Recipe
from hpo.tasks import Task
from hpo.trainer import MISTAKES, FineTuner
from hpo.training_arguments import over_defaults
from hpo.watch import Watch

_NOTHING = 2**20  # bytes of free space that no checkpoint fits into


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
        earlier: folders of earlier attempts, the latest first; else one of theirs is resumed from.
        share: of the steps, after which it ends; the learning rate falls as if it went on.
    """

    recipe: Recipe
    task: Task
    source: Source
    inputs: Inputs
    objective: Objective
    folder: Path
    earlier: Sequence[Path] = ()
    share: float = 1.0


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
        mistakes: what the best evaluation got wrong; see `hpo.mistakes`.
    """

    evaluations: list[Evaluation]
    best: Evaluation
    checkpoint: Path
    seconds: float
    samples_per_second: float
    peak_memory: int
    device: str
    training_arguments: dict[str, Any] = field(default_factory=dict)
    mistakes: dict[str, Any] | None = None


def fine_tune(job: Job, observer: Observer) -> Outcome:
    """Fine-tune a pretrained model with one configuration.

    Raises:
        Diverged, OutOfMemory, DiskFull: the configuration, or the machine, is not up to it.
        HandedBack: the observer asked to stop; a checkpoint to resume from is in the folder.
    """
    device = Device.here(cpu=bool(job.recipe.training.get("use_cpu")))
    device.free_memory()
    device.forget_peak()
    started = time.perf_counter()
    with failures_told(job.folder):
        use_cores(_width(job))
        args = training_arguments(job, device)
        set_seed(args.seed)  # the head's weights, and after them the data's order and dropout
        model = build_model(job)
        classes = len(job.inputs.encoding.labels)
        watch = Watch(job.objective, job.folder, observer, classes=classes, share=job.share)
        trainer = make_trainer(model, args, job, watch)
        found = checkpoints.find(job.folder, job.earlier)
        observer.began(found.step, found.checkpoint, found.damaged)
        resume = None if found.checkpoint is None else str(found.checkpoint)
        result = trainer.train(resume_from_checkpoint=resume)
    evaluations = watch.evaluations
    if not (job.folder / checkpoints.BEST).is_dir():
        raise RuntimeError(f"no weights of the best evaluation in {job.folder}")
    best = job.objective.best(evaluations)
    log: list[dict[str, Any]] = trainer.state.log_history
    mistakes = {entry["step"]: entry[MISTAKES] for entry in log if MISTAKES in entry}
    return Outcome(
        evaluations=evaluations,
        best=best,
        checkpoint=job.folder / checkpoints.BEST,
        seconds=watch.before + time.perf_counter() - started,
        samples_per_second=float(result.metrics.get("train_samples_per_second", 0.0)),
        peak_memory=device.peak_memory(),
        device=device.name,
        training_arguments=_unusual(args),
        mistakes=mistakes.get(best.step),
    )


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
    """Return the training arguments of a recipe over hpo's defaults, checked by transformers.

    Raises:
        SpecError: transformers refuses them.
    """
    try:
        args = TrainingArguments(
            **over_defaults(job.recipe.training, device.training_arguments(_width(job))),
            output_dir=str(job.folder),
            length_column_name="length",
            disable_tqdm=True,
            save_total_limit=None,  # `checkpoints.complete` deletes, once it safely can
            push_to_hub=False,  # every trial would be pushed
        )
    except (ImportError, TypeError, ValueError) as error:
        raise SpecError(f"[training], [space]: refused by transformers: {error}") from error
    # Several visible GPUs without torchrun would mean DataParallel and a multiplied batch size.
    args._n_gpu = min(args.n_gpu, 1)  # noqa: SLF001 - upstream has no other switch
    drop_reporter(args, asked_for=job.recipe.training.get("report_to", "none"))
    return args


def _width(job: Job) -> int:
    return int(getattr(pretrained.load_config(job.source), "hidden_size", 0) or 0)


def drop_reporter(args: TrainingArguments, *, asked_for: Any) -> None:
    """Take out the reporter that KUBEFLOW_TRAINER_SERVER_URL adds to whatever is asked for."""
    if isinstance(args.report_to, list) and not {"all", "kubeflow"} & {*_listed(asked_for)}:
        args.report_to = [name for name in args.report_to if name != "kubeflow"]


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names or [])


@contextmanager
def failures_told(folder: Path) -> Iterator[None]:
    """Tell the failures that a search survives from those that are a fault of the program."""
    try:
        yield
    except Exception as error:  # safetensors has an error of its own for a full disk
        if _out_of_memory(error):
            raise OutOfMemory(_first_line(error)) from error
        if _disk_full(error, folder):
            raise DiskFull(f"no space left in {folder}: {_first_line(error)}") from error
        raise


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error)  # what torch says on a CPU


def _disk_full(error: Exception, folder: Path) -> bool:
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        return True
    # torch.save loses the reason on its way out: "[enforce fail at inline_container.cc:672]"
    return "inline_container" in text and shutil.disk_usage(folder).free < _NOTHING


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
