"""The search space: bounds, grids, draws."""

import itertools
import math
from typing import Any

import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from hpo.errors import SpecError
from hpo.parameters import Choice, Float, Int
from hpo.space import SearchSpace
from hpo.strategies.grid import Grid

finite = st.floats(min_value=-1e6, max_value=1e6)
positive = st.floats(min_value=1e-9, max_value=1e6)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    """Build any Float that a grid can enumerate."""
    log = draw(st.booleans())
    low, high = sorted(draw(st.tuples(*[positive if log else finite] * 2)))
    if log or draw(st.booleans()):
        return Float(type="float", low=low, high=high, log=log, points=draw(st.integers(2, 9)))
    low, step = draw(st.integers(-999, 999)) / 100, draw(st.integers(1, 999)) / 1000
    return Float(type="float", low=low, high=low + draw(st.integers(0, 5000)) / 1000, step=step)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    """Build any Int whose grid is of bearable size."""
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -500, 500))
    high = low + draw(st.integers(0, 500))
    if draw(st.booleans()):
        return Int(type="int", low=low, high=high, log=log, points=draw(st.integers(2, 9)))
    return Int(type="int", low=low, high=high, log=log, step=1 if log else draw(st.integers(1, 40)))


scalars = st.one_of(
    st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True),
    st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
)
choices = scalars.map(lambda values: Choice(type="choice", values=tuple(values)))
spaces = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.one_of(floats(), ints(), choices), max_size=3
).map(SearchSpace.model_validate)


@given(floats())
def test_grid_of_float_lies_within_bounds_and_rises(parameter: Float) -> None:
    """Every value of a grid is within the bounds, the first is `low`, and they strictly rise."""
    values = parameter.values_of_grid("x")
    assert values[0] == parameter.low
    assert values[-1] <= parameter.high
    assert all(a < b for a, b in itertools.pairwise(values))
    if parameter.points:
        assert values[-1] == parameter.high
        wide = abs(parameter.high - parameter.low) > 1e-9 * abs(parameter.high)
        assert len(values) == parameter.points or not wide


@given(st.floats(1e-6, 1e-1), st.floats(1.5, 1e4), st.integers(3, 9))
def test_logarithmic_grid_is_even_in_the_logarithm(low: float, ratio: float, points: int) -> None:
    """Neighbours in a logarithmic grid have one ratio."""
    parameter = Float(type="float", low=low, high=low * ratio, log=True, points=points)
    values = parameter.values_of_grid("x")
    steps = [math.log(b / a) for a, b in itertools.pairwise(values)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-6)


@given(ints())
def test_grid_of_int_lies_within_bounds_and_is_distinct(parameter: Int) -> None:
    """Every value of a grid is a whole number within the bounds, and none comes twice."""
    values = parameter.values_of_grid("x")
    assert values[0] == parameter.low
    assert all(type(value) is int and parameter.low <= value <= parameter.high for value in values)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (0.0, 0.3, 0.1, [0.0, 0.1, 0.2, 0.3]),  # 0.3 / 0.1 is 2.9999… in floating point
        (0.0, 0.35, 0.1, [0.0, 0.1, 0.2, 0.3]),
        (1.0, 1.0, 0.5, [1.0]),
    ],
)
def test_steps_are_those_one_would_write(
    low: float, high: float, step: float, values: list[float]
) -> None:
    """A stepped grid holds the decimal numbers that a person expects."""
    assert Float(type="float", low=low, high=high, step=step).values_of_grid("x") == values


def test_a_grid_of_a_narrow_range_stays_inside() -> None:
    """Values are rounded to read well, but never out of the bounds."""
    parameter = Float(type="float", low=1.0000000000004, high=1.0000000000005, points=3)
    assert parameter.values_of_grid("x") == [parameter.low, parameter.high]


def test_grid_without_points_names_the_parameter() -> None:
    """A range that does not say how many values a grid takes is an error that names it."""
    space = SearchSpace({"learning_rate": Float(type="float", low=0.1, high=0.2)})
    with pytest.raises(ValueError, match=r"^space\.learning_rate: .*points = 5$"):
        list(space.points())


@given(spaces)
def test_points_are_the_product_of_the_axes(space: SearchSpace) -> None:
    """A grid holds every combination once, the last parameter varying fastest."""
    axes = [parameter.values_of_grid(name) for name, parameter in space.root.items()]
    assume(math.prod(map(len, axes)) < 5000)
    points = [tuple(point.values()) for point in space.points()]
    assert points == list(itertools.product(*axes))


@given(spaces, st.integers(0, 2**31))
def test_optuna_draws_within_bounds(space: SearchSpace, seed: int) -> None:
    """What Optuna draws lies within the bounds, under the names of the space."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    drawn = space.suggest(study.ask())
    assert list(drawn) == space.names()
    for name, parameter in space.root.items():
        value: Any = drawn[name]
        if isinstance(parameter, Choice):
            assert value in parameter.values
        else:
            assert parameter.low <= value <= parameter.high


def test_split_keeps_the_order() -> None:
    """Training arguments and model parameters are told apart, each in the order of the file."""
    one = Choice(type="choice", values=(1,))
    space = SearchSpace(dict.fromkeys(["b", "dropout", "a", "freeze"], one))
    assert space.split({"freeze": None, "dropout": None}) == (["b", "a"], ["dropout", "freeze"])


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"type": "float", "low": 2.0, "high": 1.0}, "low = 2 above high = 1"),
        ({"type": "int", "low": 2, "high": 1}, "low = 2 above high = 1"),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": True}, "needs low > 0"),
        ({"type": "int", "low": 1, "high": 9, "log": True, "step": 2}, "both log and step"),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.1, "points": 3}, "both step and"),
        ({"type": "float", "low": 0.0, "high": math.inf}, "finite"),
        ({"type": "int", "low": 1.5, "high": 2}, "integer"),
        ({"type": "choice", "values": []}, "at least 1"),
        ({"type": "choice", "values": [1, "a"]}, "several kinds"),
        ({"type": "choice", "values": [True, 1]}, "several kinds"),
        ({"type": "choice", "values": [3, 3]}, "twice"),
        ({"type": "choice", "values": [1], "low": 1}, "Extra inputs"),
        ({"type": "float", "low": 1.0, "high": 2.0, "log": "yes"}, "boolean"),
    ],
)
def test_mistakes_are_refused(parameter: dict[str, Any], message: str) -> None:
    """A parameter that contradicts itself is refused, and the message says why."""
    with pytest.raises(ValidationError, match=message):
        SearchSpace.model_validate({"x": parameter})


OPTIMIZER = {"type": "choice", "values": ["adamw", "adafactor", "sgd"]}
CONDITIONAL = SearchSpace.model_validate(
    {
        "beta": {"type": "choice", "values": [0.8, 0.9], "when": {"optimizer": "adamw"}},
        "optimizer": OPTIMIZER,
        "momentum": {
            "type": "choice", "values": [0.0, 0.5, 0.9],
            "when": {"optimizer": ["sgd", "adafactor"]},
        },
        "nesterov": {
            "type": "choice", "values": [True, False],
            "when": {"optimizer": "sgd", "momentum": [0.5, 0.9]},
        },
    }
)  # fmt: skip


def exists(params: dict[str, Any]) -> set[str]:
    """Say which parameters of `CONDITIONAL` a configuration must have, in other words."""
    names = {"optimizer", "beta" if params["optimizer"] == "adamw" else "momentum"}
    if params["optimizer"] == "sgd" and params["momentum"] > 0:
        names.add("nesterov")
    return names


def test_conditional_points_are_those_that_exist() -> None:
    """Each once: 2 with adamw, 3 with adafactor, 1 + 2 * 2 with sgd."""
    points = list(CONDITIONAL.points())
    assert len(points) == len({tuple(sorted(point.items())) for point in points}) == 10
    assert all(set(point) == exists(point) for point in points)
    assert list(points[-1]) == ["optimizer", "momentum", "nesterov"]  # as in the file


@given(st.integers(0, 2**31))
def test_only_what_exists_is_drawn(seed: int) -> None:
    """Whatever depends on what, and in whatever order they stand in the file."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    trial = study.ask()
    drawn: dict[str, Any] = CONDITIONAL.suggest(trial)
    assert set(drawn) == exists(drawn) == set(trial.params)
    assert CONDITIONAL.is_drawn(drawn)
    for name in drawn:
        assert not CONDITIONAL.is_drawn({key: drawn[key] for key in drawn if key != name})


@pytest.mark.parametrize(
    ("params", "problems"),
    [
        ({}, []),
        ({"optimizer": "sgd", "momentum": 0.5, "nesterov": True}, []),
        ({"momentum": 0.5}, []),
        ({"optimizer": "adam"}, ["optimizer: found 'adam'; expected one of 'adamw', "]),
        ({"optimiser": "sgd"}, ["optimiser: found no parameter of the space; did you mean"]),
        ({"optimizer": "sgd", "beta": 0.8}, ["beta: found beside values with which it does not"]),
        ({"optimizer": "sgd", "momentum": 0.5, "nesterov": 1}, ["nesterov: found 1; expected"]),
    ],
)
def test_configurations_that_are_none_of_the_space(
    params: dict[str, Any], problems: list[str]
) -> None:
    """Each value that cannot be drawn is named; what is left out is left to the search."""
    found = list(CONDITIONAL.misfits(params))
    assert len(found) == len(problems)
    assert all(map(str.startswith, found, problems))


@given(spaces, st.integers(0, 2**31))
def test_what_is_drawn_fits(space: SearchSpace, seed: int) -> None:
    """Whatever Optuna draws is one of the values that a parameter holds, and a grid's are too."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    assert not list(space.misfits(space.suggest(study.ask())))
    for name, parameter in space.root.items():
        assert all(map(parameter.holds, parameter.values_of_grid(name)))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ({"type": "float", "low": 0.0, "high": 0.3, "step": 0.1}, 0.15),
        ({"type": "float", "low": 0.0, "high": 0.3}, "0.1"),
        ({"type": "float", "low": 0.0, "high": 1.0}, True),
        ({"type": "int", "low": 0, "high": 4, "step": 2}, 3),
        ({"type": "int", "low": 0, "high": 4}, 1.0),
        ({"type": "choice", "values": [0, 1]}, True),
    ],
)
def test_values_that_are_never_drawn(parameter: dict[str, Any], value: object) -> None:
    """Between the steps, out of the bounds, or of another kind."""
    assert not SearchSpace.model_validate({"x": parameter}).root["x"].holds(value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"when": {"x": 1}}, "x.when: found the parameter itself; expected another one"),
        ({"when": {"lr": 1}}, "x.when: found 'lr', which is not searched"),
        ({"when": {"optimizer": []}}, "x.when: found no value of optimizer; expected one at least"),
        (
            {"when": {"optimizer": ["sgd", "lion"]}},
            "x.when: found optimizer = 'lion', a value that",
        ),
        ({"when": {"y": 2}}, "x, y: found conditions that wait for each other"),
        ({"prior": {"center": 9, "spread": 1.0}}, "prior.center = 9; expected one of the values"),
        ({"prior": {"center": 1, "spread": 0.0}}, "greater than 0"),
    ],
)
def test_conditions_and_priors_are_checked(changes: dict[str, Any], message: str) -> None:
    """What could never hold is refused."""
    space = {
        "x": {"type": "choice", "values": [1, 2], **changes},
        "optimizer": OPTIMIZER,
        "y": {"type": "choice", "values": [1, 2], "when": {"x": 1}},
    }
    with pytest.raises(ValidationError, match=message):
        SearchSpace.model_validate(space)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"center": 2.0, "spread": 2.0}, "expected a number from 1e-06 to 0.001"),
        ({"center": 1e-5, "spread": 0.5}, "with log it is a factor: expected more than 1"),
        ({"center": "low", "spread": 2.0}, "expected a number from"),
    ],
)
def test_priors_of_ranges_are_checked(prior: dict[str, Any], message: str) -> None:
    """The centre lies in the range, and the spread is one."""
    rate = {"type": "float", "low": 1e-6, "high": 1e-3, "log": True, "prior": prior}
    with pytest.raises(ValidationError, match=message):
        SearchSpace.model_validate({"learning_rate": rate})


def test_no_condition_on_a_continuous_range() -> None:
    """It hardly ever has a certain value; with steps it may."""
    rate = {"type": "float", "low": 0.0, "high": 1.0}
    child = {"type": "int", "low": 1, "high": 3, "when": {"rate": 0.5}}
    with pytest.raises(ValidationError, match="found rate, which hardly ever has a certain value"):
        SearchSpace.model_validate({"rate": rate, "child": child})
    SearchSpace.model_validate({"rate": {**rate, "step": 0.5}, "child": child})


def test_a_start_is_completed_by_what_it_depends_on() -> None:
    """Parents of parents, too; what is said already is left as it is."""
    space = SearchSpace.model_validate({
        "freeze": {"type": "choice", "values": ["none", "some"]},
        "kind": {"type": "choice", "values": ["a", "b", "c"], "when": {"freeze": "some"}},
        "depth": {"type": "int", "low": 1, "high": 9, "when": {"kind": ["b", "c"]}},
        "rate": {"type": "float", "low": 0.0, "high": 1.0},
    })  # fmt: skip
    assert space.completed({"depth": 3}) == {"freeze": "some", "kind": "b", "depth": 3}
    assert space.completed({"kind": "c", "depth": 3})["kind"] == "c"
    assert space.completed({"rate": 0.5}) == {"rate": 0.5}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"x": {"type": "int", "low": 1, "high": 10**9}}, "more than 100,000 points"),
        ({name: {"type": "float", "low": 0.0, "high": 1.0, "points": 1000} for name in "xyz"},
         "more than 100,000 points"),
        ({"x": {"type": "float", "low": 0.0, "high": 1.0, "step": 1e-9}}, "a larger one"),
    ],
)  # fmt: skip
def test_a_grid_that_is_too_large_is_refused(space: dict[str, Any], message: str) -> None:
    """Before its points are made."""
    with pytest.raises(SpecError, match=message):
        Grid().points(SearchSpace.model_validate(space), 0)
