"""What a study file may say and hardly means."""

from typing import Any

import pytest

from hpo.pruning import can_prune
from hpo.remarks import remarks
from hpo.spec import PruneSpec, parse
from hpo.strategies import load_strategy
from tests.studies_made import document

RATE = {"type": "float", "low": 1e-5, "high": 1e-3, "log": True}
FIVE = {"type": "int", "low": 1, "high": 5}


def told(**changes: Any) -> list[str]:
    """Return the remarks on a study."""
    made = {"budget": {"trials": 20}, "space": {"learning_rate": RATE}, **changes}
    spec = parse(document(made), "file")
    strategy = load_strategy(spec)
    points = strategy.points(spec.search_space(), spec.seed)
    return remarks(spec, strategy, None if points is None else len(points))


@pytest.mark.parametrize("strategy", ["bayes", "tpe", "skopt", "gp", "random"])
def test_nothing_to_remark(strategy: str) -> None:
    """A plain study is meant as it stands."""
    assert told(strategy=strategy) == []


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"space": {"learning_rate": RATE, "seed": {**FIVE, "step": 3}}}, "space.seed"),
        ({"space": {"weight_decay": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.2}}},
         "space.weight_decay"),
        ({"start": [{"learning_rate": 1e-4}] * 2}, "start"),
        ({"start": [{"learning_rate": 1e-4}, {}], "budget": {"trials": 1}}, "start"),
        ({"strategy": "tpe", "space": {
            "learning_rate": {**RATE, "prior": {"center": 1e-4, "spread": 2.0}}}},
         "space.learning_rate.prior"),
        ({"strategy": "grid", "space": {"learning_rate": {**RATE, "points": 3}}}, "budget.trials"),
        ({"strategy": "skopt", "strategy_options": {"startup_trials": 20}},
         "strategy_options.startup_trials"),
        ({"prune": {"strategy": "median"}, "budget": {"trials": 5}, "training":
          {"num_train_epochs": 5}}, "prune.n_startup_trials"),
        ({"prune": {"strategy": "median"}, "training": {"num_train_epochs": 2}}, "prune"),
    ],
)  # fmt: skip
def test_what_is_hardly_meant(changes: dict[str, Any], key: str) -> None:
    """It is told once, with its key."""
    (sentence,) = told(**changes)
    assert sentence.startswith(f"{key}: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"num_train_epochs": 3}},
        {"training": {"num_train_epochs": 1, "max_steps": 100}},
        {"training": None, "space": {"learning_rate": RATE, "num_train_epochs": FIVE}},
        {"training": {"num_train_epochs": 2, "eval_strategy": "steps", "eval_steps": 10}},
    ],
)
def test_pruning_that_can_happen(changes: dict[str, Any]) -> None:
    """Several epochs, or evaluations within them."""
    assert told(prune={"strategy": "median"}, **changes) == []


@pytest.mark.parametrize(
    ("spec", "epochs", "by_epoch", "possible"),
    [
        ({"strategy": "median"}, 2, True, False),  # after the first epoch nobody, then it is over
        ({"strategy": "median"}, 3, True, True),
        ({"strategy": "median"}, 2, False, True),
        ({"strategy": "median"}, 1, False, False),
        ({"strategy": "median", "warmup_epochs": 0.5}, 1, False, True),
        ({"strategy": "median", "warmup_share": 0.9}, 5, True, False),
        ({"strategy": "asha", "warmup_epochs": 0.0}, 2, True, True),
        ({"strategy": "asha", "warmup_epochs": 0.0, "min_epochs": 2.0}, 2, True, False),
        ({"strategy": "hyperband", "warmup_epochs": 0.0}, 1, True, False),
        ({"strategy": "patience"}, 3, True, True),
        ({"strategy": "patience", "patience": 2.0}, 3, True, False),
        ({"strategy": "patience", "patience": 2.0}, 3, False, True),
    ],
)
def test_whether_a_rule_can_fire(
    spec: dict[str, Any], epochs: float, by_epoch: bool, possible: bool
) -> None:
    """By what it spares, and by when trials are evaluated."""
    assert can_prune(PruneSpec.model_validate(spec), epochs, by_epoch=by_epoch) is possible
