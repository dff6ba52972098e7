"""Training arguments in a study file, checked against the real fields of `TrainingArguments`.

Upstream only warns about a name that is no field, casts a drawn value silently to the type of the
old one, and validates nothing after the first trial (tests/test_trial.py shows it); here a
mistake ends the study before it starts.
"""

import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache

import torch
from transformers import TrainingArguments

from hpo.errors import SpecError
from hpo.parameters import Choice, Float, Int
from hpo.plugins import nearest
from hpo.rehearsal import refusal
from hpo.spec import MODEL_PARAMETERS, FineTuningSpec, StudySpec
from hpo.validation import show

_KINDS = {  # what TOML can write
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}

_ONE_DEVICE = "a trial trains on one device; start more workers instead"
_TASK = "the metrics of the task depend on it; leave it out"
_PUSH = "every losing trial would be pushed; push the best model after the search"
_CHECKPOINTS = "hpo keeps the best evaluation of the best trials; use keep_checkpoints"
_OBJECTIVE = "hpo keeps the best evaluation of each trial; use [objective] metric and direction"
_SCRIPT = "Trainer ignores it; hpo trains and evaluates, and never predicts on the test split"

REFUSED = {
    "auto_find_batch_size": "a trial would train with another batch size than its record says; "
    "use gradient_accumulation_steps with a smaller per_device_train_batch_size",
    "batch_eval_metrics": _TASK,
    "ddp_backend": _ONE_DEVICE,
    "deepspeed": _ONE_DEVICE,
    "disable_tqdm": "hpo shows the progress itself; leave it out",
    "do_eval": _SCRIPT,
    "do_predict": _SCRIPT,
    "do_train": _SCRIPT,
    "enable_jit_checkpoint": "it records an interrupted trial as complete; "
    "hpo saves and continues such a trial by itself",
    "eval_do_concat_batches": _TASK,
    "eval_use_gather_object": _TASK,
    "eval_on_start": "an untrained model is no result; leave it out",
    "fsdp": _ONE_DEVICE,
    "fsdp_config": _ONE_DEVICE,
    "greater_is_better": _OBJECTIVE,
    "hub_always_push": _PUSH,
    "hub_model_id": _PUSH,
    "hub_private_repo": _PUSH,
    "hub_revision": _PUSH,
    "hub_strategy": _PUSH,
    "hub_token": "a study file holds no secrets; use the variable HF_TOKEN",
    "ignore_data_skip": "an interrupted trial would continue with other data; leave it out",
    "include_for_metrics": _TASK,
    "label_names": _TASK,
    "load_best_model_at_end": _OBJECTIVE,
    "local_rank": _ONE_DEVICE,
    "metric_for_best_model": _OBJECTIVE,
    "output_dir": "hpo chooses the folder of each trial; use --output",
    "parallelism_config": _ONE_DEVICE,
    "prediction_loss_only": _TASK,
    "push_to_hub": _PUSH,
    "remove_unused_columns": _TASK,
    "resume_from_checkpoint": "hpo continues an interrupted trial by itself; leave it out",
    "run_name": "hpo names each trial after the study; use --name",
    "save_only_model": _CHECKPOINTS,
    "save_total_limit": _CHECKPOINTS,
}
"""Fields that hpo sets itself, or that would break a study -> why, and what to do instead."""

DEFAULTS = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",  # what a resume needs
    "per_device_eval_batch_size": 32,
    "train_sampling_strategy": "group_by_length",
    "logging_steps": 10,
    "report_to": "none",
}
"""What hpo sets where a study file says nothing, beside what suits the device."""

RENAMED = {
    "adafactor": 'optim = "adafactor"',
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "evaluation_strategy": "eval_strategy",
    "group_by_length": 'train_sampling_strategy = "group_by_length"',
    "logging_dir": "the variable TENSORBOARD_LOGGING_DIR",
    "lr": "learning_rate",
    "no_cuda": "use_cpu",
    "num_epochs": "num_train_epochs",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "warmup_proportion": "warmup_steps, where a number below 1 is the share of all steps",
    "warmup_ratio": "warmup_steps, where a number below 1 is the share of all steps",
}
"""Names from earlier versions of transformers, or from everyday speech -> what to write today."""

_AT_LEAST_ONE = {
    "gradient_accumulation_steps",
    "per_device_eval_batch_size",
    "per_device_train_batch_size",
}
_POSITIVE = {"adam_epsilon", "num_train_epochs"}
_NOT_NEGATIVE = {"learning_rate", "max_grad_norm", "seed", "warmup_steps", "weight_decay"}
_BELOW_ONE = {"adam_beta1", "adam_beta2", "label_smoothing_factor"}


@dataclass(frozen=True)
class Argument:
    """What one training argument takes.

    Args:
        kinds: the kinds of TOML value that its annotation allows; none if TOML cannot write it.
        choices: the texts that it allows, if not any text.
    """

    kinds: frozenset[type]
    choices: tuple[str, ...] = ()

    def accepts(self, value: object) -> bool:
        """Whether the value fits; a whole number is a number, but true is no number."""
        if isinstance(value, str) and self.choices:
            return value in self.choices
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return type(value) in self.kinds or (type(value) is int and float in self.kinds)

    def expected(self) -> str:
        """Say what fits."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return " or ".join(text for kind, text in _KINDS.items() if kind in self.kinds)


@cache
def arguments() -> Mapping[str, Argument]:
    """Read what every field of `TrainingArguments` takes from its annotation."""
    hints = typing.get_type_hints(TrainingArguments)
    return {
        field.name: _argument(hints[field.name], field.metadata.get("choices", ()))
        for field in fields(TrainingArguments)
        if field.init
    }


def check(spec: StudySpec, where: str) -> None:
    """Check the names and values in `[training]`, and those in `[space]` that are arguments.

    Args:
        spec: the study.
        where: the study file, named in each problem.

    Raises:
        SpecError: all that is wrong.
    """
    problems = [*_constant_problems(spec.training), *_space_problems(spec)]
    if not problems:
        problems = list(dict.fromkeys(_refused(spec)))
    if problems:
        raise SpecError([f"{where}: {problem}" for problem in problems])


def over_defaults(
    training: Mapping[str, typing.Any], device: Mapping[str, typing.Any]
) -> dict[str, typing.Any]:
    """Lay training arguments over hpo's defaults.

    Args:
        training: of a study file or a recipe.
        device: the defaults that suit the device; its precision gives way to one that was chosen.
    """
    precision = {"bf16", "fp16"}
    left_open = not precision & training.keys()
    suits = {name: device[name] for name in device if left_open or name not in precision}
    return {**DEFAULTS, **suits, **training}


def _argument(annotation: object, choices: Iterable[str]) -> Argument:
    members = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    names = list(choices)
    kinds: set[type] = set()
    for member in members:
        origin = typing.get_origin(member) or member
        if isinstance(origin, type) and issubclass(origin, Enum):
            names += [str(choice.value) for choice in origin]
            kinds.add(str)
        elif isinstance(origin, type) and origin in _KINDS:
            kinds.add(origin)
        elif origin is typing.Literal:
            kinds |= {type(value) for value in typing.get_args(member)}
    if dict in kinds:  # the text would be a path to a JSON file on one machine
        kinds.discard(str)
    return Argument(frozenset(kinds), tuple(dict.fromkeys(names)))


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _constant_problems(training: Mapping[str, object]) -> Iterator[str]:
    for name, value in training.items():
        key = f"training.{name}"
        if name in FineTuningSpec.model_fields:
            yield f"{key}: found no training argument; expected it in [fine_tuning]"
        elif name == "seed":
            yield f"{key}: found beside the seed of the study; expected the key seed at the top"
        elif name in StudySpec.model_fields:
            yield f"{key}: found no training argument; expected the key {name} at the top"
        elif problem := _name_problem(name, ()) or _value_problem(name, value):
            yield f"{key}: {problem}"


def _space_problems(spec: StudySpec) -> Iterator[str]:
    names, _ = spec.space.split(MODEL_PARAMETERS)
    for name in names:
        key = f"space.{name}"
        if problem := _name_problem(name, MODEL_PARAMETERS):
            yield f"{key}: {problem}"
            continue
        match spec.space.root[name]:
            case Choice(values=values):
                for value in values:
                    if problem := _value_problem(name, value):
                        yield f"{key}: {problem}"
            case Float() | Int() as parameter:
                if problem := _range_problem(name, parameter):
                    yield f"{key}: {problem}"


def _name_problem(name: str, others: Iterable[str]) -> str | None:
    if name in REFUSED:
        return REFUSED[name]
    if name in RENAMED and name not in arguments():
        return f"found a name that transformers does not know; expected {RENAMED[name]}"
    if name not in arguments():
        known = [*(set(arguments()) - set(REFUSED)), *others]
        also = " or parameter of the model" if others else ""
        return f"found no training argument{also} of that name{nearest(name, sorted(known))}"
    return None


def _value_problem(name: str, value: object) -> str | None:
    argument = arguments()[name]
    if not argument.accepts(value):
        near = _near(value, argument.choices) if isinstance(value, str) else ""
        return f"found {show(value)}; expected {argument.expected()}{near}"
    if name == "eval_strategy" and value == "no":
        return 'found "no"; expected "epoch" or "steps": the objective is read from evaluations'
    if name == "save_strategy" and value in {"best", "no"}:
        return f'found "{value}"; expected "epoch" or "steps": the best is kept whatever this says'
    if name == "max_steps" and value == 0:
        return "found 0; expected at least 1, or -1 for num_train_epochs"
    if isinstance(value, int | float) and (bounds := _bounds_problem(name, value)):
        return bounds
    return None


def _near(text: str, choices: Iterable[str]) -> str:
    longer = [choice for choice in choices if choice.startswith(text)]  # the usual one is first
    return f"; did you mean {longer[0]!r}?" if text and longer else nearest(text, choices)


def _range_problem(name: str, parameter: Float | Int) -> str | None:
    argument = arguments()[name]
    if not {int, float} & argument.kinds:
        return f'found a range; expected type = "choice" with {argument.expected()}'
    if isinstance(parameter, Float) and float not in argument.kinds:
        return 'found type = "float"; expected type = "int", or "choice" with whole numbers'
    return _bounds_problem(name, parameter.low) or _bounds_problem(name, parameter.high)


def _bounds_problem(name: str, value: float) -> str | None:
    if name in _AT_LEAST_ONE and value < 1:
        return f"found {value:g}; expected at least 1"
    if name in _POSITIVE and value <= 0:
        return f"found {value:g}; expected more than 0"
    if name in _NOT_NEGATIVE and value < 0:
        return f"found {value:g}; expected at least 0"
    if name in _BELOW_ONE and not 0 <= value < 1:
        return f"found {value:g}; expected at least 0 and below 1"
    return None


def _refused(spec: StudySpec) -> Iterator[str]:
    device = {"use_cpu": not torch.accelerator.is_available()}
    searched = {
        name: parameter.values
        for name, parameter in spec.space.root.items()
        if name in {"optim", "lr_scheduler_type"} and isinstance(parameter, Choice)
    }
    first = {**spec.training, **{name: values[0] for name, values in searched.items()}}
    others = [{**first, name: each} for name, values in searched.items() for each in values[1:]]
    for training in (first, *others):
        found = refusal(over_defaults(training, device))
        if found is None:
            continue
        name, message = found
        key = f"{'space' if name in searched else 'training'}.{name}: found "
        where = f"{key}{show(training[name])};" if name in training else "[training]:"
        yield f"{where} refused by transformers: {message}"
