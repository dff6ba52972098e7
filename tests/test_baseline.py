"""The default configuration of the field, where a space holds it."""

from typing import Any

import pytest

from hpo.baseline import baseline
from hpo.space import SearchSpace
from hpo.tasks import load_task

RATE = {"type": "float", "low": 1e-6, "high": 1e-3, "log": True}
BATCH = {"type": "choice", "values": [8, 16, 32]}
EPOCHS = {"type": "int", "low": 1, "high": 6}


def default(**space: Any) -> dict[str, Any] | None:
    """Return the default of a space."""
    return baseline(SearchSpace.model_validate(space))


def test_published_configuration() -> None:
    """Of the BERT paper, in the order of the space."""
    space = {"num_train_epochs": EPOCHS, "learning_rate": RATE}
    assert default(**space, per_device_train_batch_size=BATCH) == {
        "num_train_epochs": 3, "learning_rate": 3e-5, "per_device_train_batch_size": 16,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ({"per_device_train_batch_size": {"type": "choice", "values": [24, 32]}}, 32),
        ({"num_train_epochs": {"type": "float", "low": 1.0, "high": 3.5}}, 3),
        ({"num_train_epochs": {"type": "int", "low": 4, "high": 9}}, 4),
        ({"freeze": {"type": "choice", "values": ["layers:2", "none"]}}, "none"),
        ({"max_length": {"type": "choice", "values": [64, 128]}}, 128),
        ({"max_length": {"type": "int", "low": 64, "high": 512, "step": 64}}, 256),
        ({"seed": {"type": "int", "low": 5, "high": 9}}, 5),
        ({"model": {"type": "choice", "values": ["b", "a"]}}, "b"),
        ({"layerwise_lr_decay": {"type": "float", "low": 0.8, "high": 1.0}}, 1.0),
        ({"warmup_steps": {"type": "int", "low": 0, "high": 500}}, 0),
        ({"optim": {"type": "choice", "values": ["adafactor", "adamw_torch"]}}, "adamw_torch"),
    ],
)
def test_usual_values(parameter: dict[str, Any], value: object) -> None:
    """The first of the usual values that the parameter holds, as the parameter writes it."""
    found = default(learning_rate=RATE, **parameter)
    assert found is not None
    (name,) = parameter
    assert found == {"learning_rate": 3e-5, name: value}


@pytest.mark.parametrize(
    "space",
    [
        {"num_train_epochs": EPOCHS},
        {"learning_rate": {**RATE, "low": 1e-4}},
        {"learning_rate": RATE, "per_device_train_batch_size": {"type": "choice", "values": [64]}},
        {"learning_rate": RATE, "max_steps": {"type": "int", "low": 10, "high": 20}},
        {"learning_rate": RATE, "dropout": {"type": "float", "low": 0.2, "high": 0.3}},
    ],
)
def test_spaces_without_it(space: dict[str, Any]) -> None:
    """No learning rate, none of the published ones, or a parameter that has no usual value."""
    assert default(**space) is None


def test_conditions_hold_in_it() -> None:
    """A parameter that does not exist beside the default has no value."""
    optim = {"type": "choice", "values": ["adamw_torch", "sgd"]}
    momentum = {"type": "float", "low": 0.5, "high": 0.6, "when": {"optim": "sgd"}}
    beta = {"type": "float", "low": 0.8, "high": 0.95, "when": {"optim": "adamw_torch"}}
    assert default(learning_rate=RATE, other=momentum, adam_beta1=beta, optim=optim) == {
        "learning_rate": 3e-5, "adam_beta1": 0.9, "optim": "adamw_torch",
    }  # fmt: skip


def test_a_task_has_its_own() -> None:
    """What is published for it comes first."""
    space = SearchSpace.model_validate({"learning_rate": RATE, "num_train_epochs": EPOCHS})
    found = baseline(space, load_task("sentiment").published)
    assert found == {"learning_rate": 2e-5, "num_train_epochs": 4}
