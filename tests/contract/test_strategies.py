"""What every strategy of the table keeps to, driven as a worker drives it."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpo.errors import SpecError
from hpo.space import SearchSpace
from hpo.storage import open_storage
from hpo.strategies import STRATEGIES, Situation, Strategy, load_strategy
from hpo.strategies.distributions import distributions_of
from hpo.trials import ABANDONED, REASON
from hpo.warm_start import EarlierStudy
from tests.studies_made import make_spec

NAMES = [name for name in STRATEGIES.names() if name != "points"]  # which chooses nothing
SAMPLING = [name for name in NAMES if name != "grid"]
NEVER_REPEAT = ["bayes", "grid", "skopt"]  # where there is another configuration
SLOW = ["gp", "skopt"]
OPTIONS: dict[str, dict[str, Any]] = {  # soon behind the random trials, and fast
    "gp": {"startup_trials": 4},
    "skopt": {"startup_trials": 4, "acquisition": "EI"},
}

Params = dict[str, Any]
Objective = Callable[[Params], float]

SMALL: Mapping[str, Any] = {
    "rate": {"type": "float", "low": 1e-6, "high": 1.0, "log": True, "points": 7},
    "size": {"type": "choice", "values": [8, 16]},
    "epochs": {"type": "int", "low": 1, "high": 3},
}
MIXED: Mapping[str, Any] = {
    **SMALL,
    "dropout": {"type": "float", "low": 0.1, "high": 0.75, "step": 0.1},
    "decay": {"type": "float", "low": 0.0, "high": 0.1, "points": 2},
    "warmup": {"type": "int", "low": 0, "high": 10, "step": 4},
    "accumulation": {"type": "int", "low": 1, "high": 64, "log": True, "points": 3},
    "smoothing": {"type": "choice", "values": [0.0, 0.1]},
    "freeze": {"type": "choice", "values": ["none", "embeddings", "encoder"]},
    "packed": {"type": "choice", "values": [False, True]},
    "constant": {"type": "float", "low": 0.1, "high": 0.1},
}
CONDITIONAL: Mapping[str, Any] = {
    **SMALL,
    "scheduler": {"type": "choice", "values": ["linear", "cosine", "polynomial"]},
    "power": {
        "type": "float", "low": 1.0, "high": 3.0, "points": 2, "when": {"scheduler": "polynomial"},
    },
    "cycles": {
        "type": "choice", "values": [1, 2], "when": {"scheduler": ["cosine", "polynomial"]},
    },
}  # fmt: skip


def made(space: Mapping[str, Any]) -> SearchSpace:
    """Return the search space of a table."""
    return SearchSpace.model_validate(space)


def strategy_of(name: str) -> Strategy:
    """Load a strategy as a study does."""
    return load_strategy(make_spec({"strategy": name, "strategy_options": OPTIONS.get(name, {}),
                                    "space": SMALL}))  # fmt: skip


def near(params: Params) -> float:
    """Return the score of an easy objective, to be maximised."""
    return float(-abs(math.log10(params.get("rate", 1.0)) + 3) - 0.1 * params.get("epochs", 0))


def run(
    name: str, space: SearchSpace, count: int, *,
    seed: int = 1, study: optuna.Study | None = None, objective: Objective = near,
) -> list[Params]:  # fmt: skip
    """Run so many trials of a strategy, and return their parameters.

    As in a worker there is a new sampler for each trial, and a point of a grid is the trial's own.
    """
    study = optuna.create_study(direction="maximize") if study is None else study
    strategy = strategy_of(name)
    points = strategy.points(space, seed) or []
    drawn = []
    for _ in range(count):
        index = len(study.get_trials(deepcopy=False))
        if index < len(points):
            study.enqueue_trial(dict(points[index]))
        study.sampler = strategy.sampler(Situation(space, seed, index))
        trial = study.ask()
        drawn.append(space.suggest(trial))
        value = objective(drawn[-1])
        failed = math.isnan(value)
        if failed:
            trial.set_user_attr(REASON, "diverged")
        study.tell(trial, None if failed else value, TrialState.FAIL if failed else None)
    return drawn


def fits(space: SearchSpace, params: Params) -> bool:
    """Say whether all values are in bounds and on steps, but for binary noise as Optuna's have."""
    distributions = distributions_of(space)
    return all(
        distributions[key]._contains(distributions[key].to_internal_repr(value))
        for key, value in params.items()
    )


@pytest.mark.parametrize("name", NAMES)
def test_values_are_of_the_space(name: str) -> None:
    """Each is plain Python of its parameter's type, in its bounds and on its steps."""
    space = made(MIXED)
    types = {"rate": float, "dropout": float, "decay": float, "smoothing": float,
             "freeze": str, "packed": bool, "constant": float}  # fmt: skip
    for params in run(name, space, 7):
        assert list(params) == list(MIXED)
        assert all(type(value) is types.get(key, int) for key, value in params.items())
        assert fits(space, params)


@pytest.mark.parametrize("name", NAMES)
def test_other_studies_are_learnt_from_or_refused(name: str) -> None:
    """A strategy that learns from others draws beside them; any other refuses a warm start."""
    space = made(MIXED)
    options = {"strategy": name, "strategy_options": OPTIONS.get(name, {}), "space": SMALL}
    if not strategy_of(name).learns_from_others:
        with pytest.raises(SpecError, match=f"warm_start: found beside {name}, which learns from"):
            load_strategy(make_spec({**options, "warm_start": "earlier"}))
        return
    strategy = load_strategy(make_spec({**options, "warm_start": "earlier"}))
    table = {**CONDITIONAL, "rate": {"type": "float", "low": 0.0, "high": 10.0}}
    earlier = optuna.create_study(direction="minimize")
    run("random", made(table), 6, study=earlier)
    earlier.add_trials(
        others(distributions_of(made(SMALL)), {"rate": 1e-4, "size": 8, "epochs": 2})
    )
    situations = [
        EarlierStudy("nothing", made(SMALL), True, [], {}),
        EarlierStudy("earlier", made(table), False, earlier.trials, {"freeze": "layers:2"}),
    ]
    study = optuna.create_study(direction="maximize")
    for index in range(9):
        study.sampler = strategy.sampler(Situation(space, 1, index, situations))
        trial = study.ask()
        params = space.suggest(trial)
        assert fits(space, params)
        study.tell(trial, near(params))


@pytest.mark.parametrize("name", NAMES)
def test_logarithmic_ranges_are_drawn_evenly_in_the_logarithm(name: str) -> None:
    """The lower half of six decades has its share, though it is a thousandth of the range."""
    rates = [params["rate"] for params in run(name, made(SMALL), 16, objective=lambda _: 0.5)]
    assert 4 <= sum(rate < 1e-3 for rate in rates) <= 12


@pytest.mark.parametrize("name", SAMPLING)
def test_seeds(name: str) -> None:
    """The same seed gives the same trials, another seed none of them."""
    space = made(MIXED)
    drawn = run(name, space, 6)
    assert run(name, space, 6) == drawn
    assert not any(params in drawn for params in run(name, space, 6, seed=2))
    assert len({tuple(params.values()) for params in drawn}) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_continued_by_whoever_has_its_storage(name: str, tmp_path: Path) -> None:
    """Another connection to the file goes on where an uninterrupted study would be."""
    space = made(SMALL)
    url = f"sqlite:///{tmp_path / 'hpo.db'}"
    drawn = []
    for count in (5, 2):
        storage = open_storage(url)
        study = optuna.create_study(
            storage=storage, study_name="s", direction="maximize", load_if_exists=True
        )
        drawn += run(name, space, count, study=study)
        storage.engine.dispose()
    assert drawn == run(name, space, 7)


def others(distributions: dict[str, BaseDistribution], params: Params) -> list[FrozenTrial]:
    """Return trials of every state, as somebody else may have left them."""

    def trial(state: TrialState, value: float | None = None, *, drawn: bool = True,
              reported: Mapping[int, float] | None = None, reason: str | None = None,
              ) -> FrozenTrial:  # fmt: skip
        return optuna.create_trial(
            state=state, value=value, intermediate_values=dict(reported or {}),
            params=params if drawn else {}, distributions=distributions if drawn else {},
            user_attrs={} if reason is None else {REASON: reason},
        )  # fmt: skip

    return [
        trial(TrialState.COMPLETE, 0.5),
        trial(TrialState.COMPLETE, math.inf),
        trial(TrialState.COMPLETE, -math.inf),
        trial(TrialState.COMPLETE, 1e30),
        trial(TrialState.PRUNED, 0.25, reported={1000: 0.25}),
        trial(TrialState.PRUNED, reported={1000: math.nan}),
        trial(TrialState.PRUNED),
        trial(TrialState.FAIL, reason="diverged"),
        trial(TrialState.FAIL, reason="out of memory", drawn=False),
        trial(TrialState.FAIL, reason=ABANDONED),
        trial(TrialState.FAIL),
        trial(TrialState.RUNNING),
        trial(TrialState.RUNNING, drawn=False),
    ]


@pytest.mark.filterwarnings("ignore:Clip non-finite values")  # GPSampler says so
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("name", NAMES)
def test_goes_on_beside_trials_of_every_state(
    name: str, direction: Literal["maximize", "minimize"], tmp_path: Path
) -> None:
    """Completed, infinite, pruned, failed, cut short and running ones, in a real storage."""
    space = made(SMALL)
    storage = open_storage(f"sqlite:///{tmp_path / 'hpo.db'}")
    study = optuna.create_study(storage=storage, direction=direction)
    params = {"rate": 1e-4, "size": 8, "epochs": 2}
    study.add_trials(others(distributions_of(space), params))
    drawn = run(name, space, 4, study=study)
    assert all(fits(space, each) for each in drawn)
    if name in SAMPLING:
        assert params not in drawn
    storage.engine.dispose()


@pytest.mark.parametrize("name", SAMPLING)
def test_running_trials_are_told_apart(name: str) -> None:
    """Eight workers that ask one after the other, and tell nothing, get eight configurations."""
    space = made(SMALL)
    study = optuna.create_study(direction="maximize")
    run(name, space, 5, study=study)
    strategy = strategy_of(name)
    drawn = []
    for index in range(5, 13):
        study.sampler = strategy.sampler(Situation(space, 1, index))
        drawn.append(space.suggest(study.ask()))
    assert len({tuple(params.values()) for params in drawn}) == 8


@pytest.mark.parametrize("name", NAMES)
def test_a_space_of_one_point(name: str) -> None:
    """It is drawn again and again."""
    point = {"rate": 0.5, "size": 8, "epochs": 3, "dropout": 0.1}
    space = made({
        "rate": {"type": "float", "low": 0.5, "high": 0.5, "log": True},
        "size": {"type": "choice", "values": [8]},
        "epochs": {"type": "int", "low": 3, "high": 3},
        "dropout": {"type": "float", "low": 0.1, "high": 0.15, "step": 0.1},
    })  # fmt: skip
    assert run(name, space, 6) == [point] * 6


FINITE: Mapping[str, Any] = {
    "epochs": {"type": "int", "low": 1, "high": 3},
    "size": {"type": "choice", "values": [8, 16]},
}


@pytest.mark.parametrize("name", NAMES)
def test_an_exhausted_space(name: str) -> None:
    """More trials than there are configurations: it goes on."""
    assert len(run(name, made(FINITE), 9)) == 9


@pytest.mark.parametrize("space", [FINITE, {
    "freeze": {"type": "choice", "values": ["none", "embeddings", "encoder"]},
    "power": {"type": "int", "low": 1, "high": 3, "when": {"freeze": "none"}},
    "factor": {"type": "choice", "values": [0.5]},
}])  # fmt: skip
@pytest.mark.parametrize("name", NEVER_REPEAT)
def test_no_configuration_twice(name: str, space: Mapping[str, Any]) -> None:
    """As many trials as there are configurations run each of them once."""
    finite = made(space)
    drawn = run(name, finite, len(list(finite.points())), objective=lambda _: 0.5)
    assert {tuple(params.values()) for params in drawn} == {
        tuple(point.values()) for point in finite.points()
    }


@pytest.mark.parametrize("name", [name for name in NEVER_REPEAT if name in SAMPLING])
def test_what_runs_counts_as_tried(name: str) -> None:
    """Workers that ask before any of them tells share a finite space out among themselves."""
    finite = made(FINITE)
    study = optuna.create_study(direction="maximize")
    strategy = strategy_of(name)
    drawn = []
    for index in range(6):
        study.sampler = strategy.sampler(Situation(finite, 1, index))
        drawn.append(tuple(finite.suggest(study.ask()).values()))
    assert len(set(drawn)) == 6


@pytest.mark.parametrize("name", SAMPLING)
def test_many_parameters(name: str) -> None:
    """Two hundred, or fifty where each of them costs."""
    kinds = list(SMALL.values())
    count = 50 if name in SLOW else 200
    space = made({f"p{index}": kinds[index % 3] for index in range(count)})
    drawn = run(name, space, 6, objective=lambda params: params["p2"])
    assert all(len(params) == count for params in drawn)


@pytest.mark.filterwarnings("ignore:Clip non-finite values")
@pytest.mark.parametrize("name", SAMPLING)
@pytest.mark.parametrize("value", [0.5, math.inf, -math.inf, math.nan])
def test_an_objective_of_one_value(name: str, value: float) -> None:
    """Constant, infinite or never a number: it goes on, and does not stand still."""
    drawn = run(name, made(SMALL), 7, objective=lambda _: value)
    assert len({tuple(params.values()) for params in drawn}) == 7


@pytest.mark.parametrize("name", NAMES)
def test_conditional_parameters(name: str) -> None:
    """A trial has those that exist beside its other values, and no more."""
    space = made(CONDITIONAL)
    drawn = run(name, space, 12)
    for params in drawn:
        assert params.keys() == SMALL.keys() | {"scheduler"} | (
            {"power", "cycles"} if params["scheduler"] == "polynomial"
            else {"cycles"} if params["scheduler"] == "cosine" else set()
        )  # fmt: skip
        assert fits(space, params)
    assert len({len(params) for params in drawn}) == 3
