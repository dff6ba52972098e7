"""Strategies by name: what a study file may say of them, and what is special about each.

What all of them keep to is in `contract/test_strategies.py`.
"""

import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler

from hpo.errors import BadInput, SpecError
from hpo.space import SearchSpace
from hpo.strategies import STRATEGIES, Situation, load_strategy
from tests.studies_made import make_spec

SPACE = SearchSpace.model_validate(
    {
        "rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True, "points": 3},
        "size": {"type": "choice", "values": [8, 16]},
        "epochs": {"type": "int", "low": 1, "high": 3},
    }
)
SAMPLING = [name for name in STRATEGIES.names() if name not in {"grid", "points"}]


def draw(name: str, count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Run a strategy on an easy objective, with a sampler for each trial as the worker does."""
    strategy = STRATEGIES.load(name)()
    study = optuna.create_study(direction="maximize")
    for index in range(count):
        study.sampler = strategy.sampler(Situation(SPACE, seed, index))
        study.optimize(lambda trial: -abs(SPACE.suggest(trial)["rate"] - 1e-3), n_trials=1)  # type: ignore[operator]
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", SAMPLING)
def test_sampling_strategies_have_no_points(name: str) -> None:
    """Only a grid is made of points, and what lists them."""
    assert STRATEGIES.load(name)().points(SPACE, 1) is None


@pytest.mark.parametrize("name", ["tpe", "bayes"])
def test_models_find_what_chance_does_not(name: str) -> None:
    """After thirty trials they are nearer the optimum than independent draws, over five seeds."""

    def distances(strategy: str) -> list[float]:
        return [
            min(abs(each["rate"] - 1e-3) for each in draw(strategy, 30, seed)) for seed in range(5)
        ]

    assert sum(distances(name)) < sum(distances("random")) / 2


def test_bayes_begins_evenly_spread() -> None:
    """Among its first eight rates, each half of the (logarithmic) range has its share."""
    rates = [each["rate"] for each in draw("bayes", 8)]
    assert 3 <= sum(rate < 10**-3.5 for rate in rates) <= 5


def test_grid_has_every_point_in_an_order_of_the_seed() -> None:
    """Each point once; another seed, another order; the sampler has nothing to draw."""
    grid = STRATEGIES.load("grid")()
    points = grid.points(SPACE, 1)
    assert points is not None
    assert len(points) == 3 * 2 * 3
    assert len({tuple(point.values()) for point in points}) == len(points)
    assert grid.points(SPACE, 1) == points
    other = grid.points(SPACE, 2)
    assert other != points
    assert sorted(map(str, other or [])) == sorted(map(str, points))
    assert isinstance(grid.sampler(Situation(SPACE, 1, 0)), RandomSampler)


def test_grid_needs_points() -> None:
    """A range without step or points is refused, by name."""
    space = SearchSpace.model_validate({"rate": {"type": "float", "low": 0.1, "high": 0.2}})
    with pytest.raises(SpecError, match=r"space\.rate: found a range without step or points"):
        STRATEGIES.load("grid")().points(space, 1)


def test_a_study_must_end() -> None:
    """A strategy that samples needs a budget."""
    with pytest.raises(SpecError, match="found neither trials nor hours"):
        load_strategy(make_spec({"strategy": "tpe", "budget": None}))
    load_strategy(make_spec({"strategy": "tpe", "budget": {"trials": None, "hours": 1.0}}))


def test_unknown_strategy() -> None:
    """The known ones are listed, and the nearest is named."""
    with pytest.raises(BadInput, match=r"known are bayes, .*grid.*mean 'bayes'"):
        load_strategy(make_spec({"strategy": "bayess"}))


@pytest.mark.parametrize(
    ("strategy", "options", "problem"),
    [
        (
            "skopt", {"acquisition": "foo"},
            "strategy_options.acquisition: found \"foo\"; expected 'gp_hedge', 'EI', 'LCB' or 'PI'",
        ),
        (
            "skopt", {"estimater": "GP"},
            "strategy_options.estimater: found an unknown key; known are acquisition, estimator, "
            "startup_trials; did you mean 'estimator'?",
        ),
        (
            "gp", {"startup_trials": 0},
            "strategy_options.startup_trials: found 0; expected at least 1",
        ),
        (
            "gp", {"seed": 1},
            "strategy_options.seed: found an unknown key; known are startup_trials; "
            "it stands at the top",
        ),
        ("tpe", {"a": 1, "b": 2}, "strategy_options: found a, b; tpe takes no options"),
    ],
)  # fmt: skip
def test_wrong_options(strategy: str, options: dict[str, Any], problem: str) -> None:
    """Each is named with its key in the study file, and what would be right."""
    with pytest.raises(SpecError) as raised:
        load_strategy(make_spec({"strategy": strategy, "strategy_options": options}))
    assert raised.value.problems == [problem]


def test_all_wrong_options_at_once() -> None:
    """Two mistakes, two problems."""
    options = {"acquisition": "foo", "estimator": 3}
    with pytest.raises(SpecError) as raised:
        load_strategy(make_spec({"strategy": "skopt", "strategy_options": options}))
    assert len(raised.value.problems) == 2


def test_options_reach_the_sampler() -> None:
    """The one that is asked to start at once models the second trial."""
    spec = make_spec({"strategy": "gp", "strategy_options": {"startup_trials": 3}})
    sampler: Any = load_strategy(spec).sampler(Situation(SPACE, 1, 0))
    assert sampler._n_startup_trials == 3


def test_a_plug_in_needs_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of another package that knows of none is made with nothing."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hpo.strategies]\nother = other_strategy:Other\n")
    (tmp_path / "other_strategy.py").write_text(
        "class Other:\n    def __init__(self):\n        pass\n"
        "    def points(self, space, seed):\n        return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert type(load_strategy(make_spec({"strategy": "other"}))).__name__ == "Other"
    del sys.modules["other_strategy"]
