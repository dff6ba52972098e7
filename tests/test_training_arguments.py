"""Training arguments in a study file against the real fields of `TrainingArguments`."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from hpo.errors import SpecError
from hpo.spec import MODEL_PARAMETERS, parse
from hpo.training_arguments import REFUSED, RENAMED, arguments, check

LEARNING_RATE = {"type": "float", "low": 1e-5, "high": 1e-3, "log": True}
SHARE = "warmup_steps, where a number below 1 is the share of all steps"


def problems(
    training: dict[str, Any] | None = None, space: dict[str, Any] | None = None
) -> list[str]:
    """Return what is wrong with a study's training arguments, without the name of the file."""
    document = {
        "task": "ner",
        "model": "sample:bert",
        "data": {"path": "sample:ner"},
        "training": training or {},
        "space": space or {"dropout": {"type": "float", "low": 0.0, "high": 0.5}},
    }
    spec = parse(document, "study.toml")
    try:
        check(spec, "study.toml")
    except SpecError as error:
        return [problem.removeprefix("study.toml: ") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "training",
    [
        {"num_train_epochs": 3},  # a whole number for a number
        {"warmup_steps": 0.1},
        {"warmup_steps": 100},
        {"bf16": True},  # without a GPU too
        {"eval_strategy": "steps", "eval_steps": 50},
        {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 2}},
        {"optim": "adafactor"},
        {"optim_args": "beta1=0.9"},
        {"report_to": ["none"]},
        {"report_to": "none"},
        {"include_num_input_tokens_seen": True},
        {"train_sampling_strategy": "random"},
    ],
)
def test_sound_constants_pass(training: dict[str, Any]) -> None:
    """What transformers takes is let through."""
    assert problems(training) == []


@pytest.mark.parametrize(
    "space",
    [
        {"weight_decay": {"type": "int", "low": 0, "high": 1}},
        {"num_train_epochs": {"type": "float", "low": 0.5, "high": 3.0}},
        {"per_device_train_batch_size": {"type": "int", "low": 1, "high": 64, "log": True}},
        {"warmup_steps": {"type": "choice", "values": [0, 0.1]}},
        {"lr_scheduler_type": {"type": "choice", "values": ["linear", "cosine"]}},
        {"seed": {"type": "int", "low": 0, "high": 9}},
        {"bf16": {"type": "choice", "values": [True, False]}},
        {"dropout": {"type": "float", "low": 0.0, "high": 0.5}},
    ],
)
def test_sound_spaces_pass(space: dict[str, Any]) -> None:
    """What fits the field, or is a parameter of the model, may be searched."""
    assert problems(space=space) == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("learning_rte", 1e-3, "no training argument of that name; did you mean 'learning_rate'?"),
        ("warmup_ratio", 0.1, f"a name that transformers does not know; expected {SHARE}"),
        ("evaluation_strategy", "epoch", "a name that transformers does not know; expected eval_s"),
        ("group_by_length", True, 'not know; expected train_sampling_strategy = "group_by_length"'),
        ("per_gpu_train_batch_size", 8, "not know; expected per_device_train_batch_size"),
        ("max_length", 64, "found no training argument; expected it in [fine_tuning]"),
        ("model", "bert", "found no training argument; expected the key model at the top"),
        ("save_strategy", "no", 'found "no"; expected "epoch" or "steps"'),
        ("max_steps", 0, "found 0; expected at least 1, or -1 for num_train_epochs"),
        ("keep_checkpoints", 2, "expected the key keep_checkpoints at the top"),
        ("seed", 1, "expected the key seed at the top"),
        ("output_dir", "x", "hpo chooses the folder of each trial; use --output"),
        ("hub_token", "hf_x", "a study file holds no secrets; use the variable HF_TOKEN"),
        ("num_train_epochs", "3", 'found "3"; expected a number'),
        ("num_train_epochs", 0, "found 0; expected more than 0"),
        ("num_train_epochs", True, "found true; expected a number"),
        ("per_device_train_batch_size", 8.0, "found 8.0; expected a whole number"),
        ("per_device_train_batch_size", True, "found true; expected a whole number"),
        ("per_device_train_batch_size", 0, "found 0; expected at least 1"),
        ("bf16", 1, "found 1; expected true or false"),
        ("bf16", "True", 'found "True"; expected true or false'),
        ("learning_rate", float("nan"), "found NaN; expected a number"),
        ("learning_rate", -1e-3, "found -0.001; expected at least 0"),
        ("label_smoothing_factor", 1.0, "found 1; expected at least 0 and below 1"),
        ("optim", "adamw", "did you mean 'adamw_torch'?"),
        ("lr_scheduler_type", "lineer", "did you mean 'linear'?"),
        ("train_sampling_strategy", "length", "expected one of random, sequential, group_by_l"),
        ("lr_scheduler_kwargs", "{}", 'found "{}"; expected a table'),
        ("eval_strategy", "no", "the objective is read from evaluations"),
    ],
)
def test_mistakes_in_constants(name: str, value: object, problem: str) -> None:
    """A constant that would break or silently change a study is one line with its key."""
    (found,) = problems({name: value})
    assert found.startswith(f"training.{name}: ")
    assert problem in found


@pytest.mark.parametrize(
    ("name", "parameter", "problem"),
    [
        (
            "per_device_train_batch_size",
            {"type": "float", "low": 8.0, "high": 32.0},
            'found type = "float"; expected type = "int", or "choice" with whole numbers',
        ),
        (
            "bf16",
            {"type": "int", "low": 0, "high": 1},
            'found a range; expected type = "choice" with true or false',
        ),
        ("optim", LEARNING_RATE, 'found a range; expected type = "choice" with one of adamw_torch'),
        ("optim", {"type": "choice", "values": ["sgd", "adm"]}, 'found "adm"; expected one of'),
        ("warmup_steps", {"type": "choice", "values": [0.1, -0.1]}, "found -0.1; expected at le"),
        ("adam_beta1", {"type": "float", "low": 0.8, "high": 1.0}, "found 1; expected at least 0"),
        ("drop_out", LEARNING_RATE, "did you mean 'dropout'?"),
        ("warmup_ratio", LEARNING_RATE, SHARE),
        ("run_name", {"type": "choice", "values": ["a"]}, "hpo names each trial after the study"),
    ],
)
def test_mistakes_in_the_space(name: str, parameter: dict[str, Any], problem: str) -> None:
    """A parameter that does not fit its field is one line with its key."""
    (found,) = problems(space={name: parameter})
    assert found.startswith(f"space.{name}: ")
    assert problem in found


def test_every_value_of_a_choice_is_checked() -> None:
    """Each value that does not fit is told, those that fit are not."""
    values = {"type": "choice", "values": ["1e-5", "3e-5"]}
    assert problems(space={"learning_rate": values}) == [
        'space.learning_rate: found "1e-5"; expected a number',
        'space.learning_rate: found "3e-5"; expected a number',
    ]


def test_all_problems_at_once() -> None:
    """Constants and space are both read to the end."""
    found = problems({"output_dir": "x", "bf16": 1}, {"lerning_rate": LEARNING_RATE})
    assert [line.partition(":")[0] for line in found] == [
        "training.output_dir",
        "training.bf16",
        "space.lerning_rate",
    ]


@pytest.mark.parametrize(
    ("training", "problem"),
    [
        ({"bf16": True, "fp16": True}, "At most one of fp16 and bf16"),
        ({"dataloader_prefetch_factor": 2}, "dataloader_num_workers"),
        ({"logging_steps": 1.5}, "must be an integer if bigger than 1"),
        ({"lr_scheduler_kwargs": {"foo": 1}}, "unexpected keyword argument 'foo'"),
        ({"accelerator_config": {"x": 1}}, "unexpected keyword argument"),
    ],
)
def test_arguments_that_exclude_each_other(training: dict[str, Any], problem: str) -> None:
    """What only transformers itself knows is asked of it, and told as one line."""
    (found,) = problems(training)
    assert found.startswith("[training]: refused by transformers: ")
    assert problem in found


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("report_to", "wandbb", "wandbb is not supported"),
        ("report_to", "mlflow", "mlflow is not installed"),
        ("optim", "lomo", "lomo_optim"),
        ("optim", "adamw_bnb_8bit", "bitsandbytes"),
        ("lr_scheduler_type", "cosine_with_min_lr", "min_lr"),
        ("lr_scheduler_type", "warmup_stable_decay", "num_decay_steps"),
    ],
)
def test_what_a_trial_could_not_build(name: str, value: str, problem: str) -> None:
    """Reporters, optimizers and schedules that lack something are told before the first trial."""
    (found,) = problems({name: value})
    assert found.startswith(f'training.{name}: found "{value}"; refused by transformers: ')
    assert problem in found


def test_searched_schedules_are_built() -> None:
    """Each value of a choice is built; arguments that suit all of them are no mistake."""
    values = ["cosine_with_min_lr", "linear"]
    space = {"lr_scheduler_type": {"type": "choice", "values": values}}
    (found,) = problems({"lr_scheduler_kwargs": {"min_lr_rate": 0.1}}, space)
    assert found.startswith('space.lr_scheduler_type: found "linear"; refused by transformers: ')
    space = {"lr_scheduler_type": {"type": "choice", "values": ["constant", "linear"]}}
    assert problems(space=space) == []


def test_checking_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder is made for the arguments that are built to be validated."""
    monkeypatch.chdir(tmp_path)
    assert problems({"num_train_epochs": 3}) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(arguments()))
def test_the_default_of_every_field_fits_its_annotation(name: str) -> None:
    """The reading of the annotations takes every default of upstream that TOML can write."""
    (field,) = (field for field in dataclasses.fields(TrainingArguments) if field.name == name)
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    assert default is None or arguments()[name].accepts(default)


def test_refused_names_are_fields_and_renamed_ones_are_none() -> None:
    """Both tables are true of the installed transformers, and no name is in two of them."""
    known = set(arguments())
    assert set(REFUSED) <= known
    assert not set(RENAMED) & known
    assert {target.split()[0].rstrip(",") for target in RENAMED.values()} <= known | {"the"}
    assert not known & set(MODEL_PARAMETERS)


def test_every_field_takes_something_or_is_refused() -> None:
    """A field that TOML cannot write is refused with a reason."""
    assert {name for name, argument in arguments().items() if not argument.kinds} <= set(REFUSED)
