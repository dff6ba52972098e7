"""The search space: bounds, grids, draws."""

import itertools
import math
from typing import Any

import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from hpo.space import Choice, Float, Int, SearchSpace

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
