"""What a study file may say and hardly means."""

from typing import Any

import pytest

from hpo.device import Device
from hpo.pruning import can_prune
from hpo.remarks import about_device, remarks
from hpo.spec import PruneSpec, parse
from hpo.strategies import load_strategy
from tests.studies_made import document

RATE = {"type": "float", "low": 1e-5, "high": 1e-3, "log": True}
SHARE = {"type": "float", "low": 0.0, "high": 0.2}
FIVE = {"type": "int", "low": 1, "high": 5}


def prior(parameter: dict[str, Any], center: float, spread: float) -> dict[str, Any]:
    """Return a study in which a parameter has a prior that its strategy heeds."""
    expected = {"prior": {"center": center, "spread": spread}}
    return {"strategy": "bayes", "space": {"learning_rate": {**parameter, **expected}}}


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
        (prior(RATE, 1e-4, 1e300), "space.learning_rate.prior.spread"),
        (prior(RATE, 1e-4, 1.0001), "space.learning_rate.prior.spread"),
        (prior(SHARE, 0.1, 9.0), "space.learning_rate.prior.spread"),
        (prior(SHARE, 0.1, 1e-9), "space.learning_rate.prior.spread"),
        (prior({"type": "choice", "values": [8, 16]}, 8, 1e9), "space.learning_rate.prior.spread"),
        ({"stop": {"patience": 20}}, "stop"),
        ({"stop": {"patience": 2, "min_trials": 30}}, "stop"),
        ({"stop": {"patience": 2, "min_delta": 1.0}}, "stop.min_delta"),
        ({"prune": {"strategy": "patience", "min_delta": 1.0},
          "training": {"num_train_epochs": 4}}, "prune.min_delta"),
        ({"prune": {"strategy": "hyperband"}, "training": {"num_train_epochs": 1}}, "prune"),
        ({"budget": {"trials": 20, "max_failures": 21}}, "budget.max_failures"),
        ({"confirm": {"top": 21}}, "confirm.top"),
        ({"confirm": {"seeds": 1}}, "confirm.seeds"),
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
        prior(RATE, 1e-4, 3.0),
        prior(SHARE, 0.1, 0.05),
        {"stop": {"patience": 15, "min_delta": 0.002}},
        {"budget": {"trials": 20, "max_failures": 20}},
        {"objective": {"metric": "loss"}, "stop": {"patience": 2, "min_delta": 2.0}},
        {"confirm": {"top": 3, "seeds": 2}},
    ],
)
def test_what_may_well_be_meant(changes: dict[str, Any]) -> None:
    """Whatever could have an effect."""
    assert told(**changes) == []


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"training": {"fp16": True}}, ["training.fp16"]),
        ({"training": {"fp16": False}}, []),
        ({"space": {"fp16": {"type": "choice", "values": [False, True]}}}, ["space.fp16"]),
        ({"training": {"learning_rate": 0.1}}, []),
    ],
)
def test_half_precision_without_a_gpu(changes: dict[str, Any], keys: list[str]) -> None:
    """Which transformers takes, and does not do, is told; with a GPU there is nothing to tell."""
    spec = parse(document({"space": {"weight_decay": SHARE}, **changes}), "file")
    found = about_device(spec, Device("CPU (x)", "cpu"))
    assert [sentence.partition(":")[0] for sentence in found] == keys
    assert all("trials train in full precision here" in sentence for sentence in found)
    assert about_device(spec, Device("H", "cuda")) == []


def test_emulated_bfloat16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU that does not multiply it; on one that does there is nothing to tell."""
    spec = parse(document({"training": {"bf16": True}}), "file")
    for known, count in (({}, 1), ({"avx512_bf16": True}, 0)):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda known=known: known)
        assert len(about_device(spec, Device("CPU (x)", "cpu"))) == count


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
