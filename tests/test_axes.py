"""Optuna's distributions as the columns of a model, and configurations as its rows."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.space import SearchSpace
from hpo.strategies.axes import Axes
from hpo.strategies.distributions import distributions_of

FLOATS = st.floats(-1e6, 1e6)
POSITIVE = st.floats(1e-9, 1e6)


def ordered(low: Any, high: Any) -> tuple[Any, Any]:
    """Return two numbers, the smaller first and the other one larger."""
    low, high = sorted((low, high))
    return low, high + (low == high)


DISTRIBUTIONS: st.SearchStrategy[BaseDistribution] = st.one_of(
    st.builds(lambda a, b: FloatDistribution(*ordered(a, b)), FLOATS, FLOATS),
    st.builds(lambda a, b: FloatDistribution(*ordered(a, b), log=True), POSITIVE, POSITIVE),
    st.builds(
        lambda low, step, count: FloatDistribution(low, round(low + step * count, 6), step=step),
        st.integers(-50, 50).map(lambda each: each / 10),
        st.sampled_from([0.1, 0.25, 0.3, 2.0]),
        st.integers(1, 50),
    ),
    st.builds(
        lambda low, step, count: IntDistribution(low, low + step * count, step=step),
        st.integers(-100, 100), st.integers(1, 7), st.integers(1, 50),
    ),
    st.builds(
        lambda a, b: IntDistribution(*ordered(a, b), log=True),
        st.integers(1, 10**6), st.integers(1, 10**6),
    ),
    st.lists(st.integers() | st.text(), min_size=2, max_size=5, unique=True).map(
        CategoricalDistribution
    ),
)  # fmt: skip


@given(DISTRIBUTIONS, st.floats(0, 1))
def test_rows_and_configurations(distribution: BaseDistribution, share: float) -> None:
    """Any row is a configuration of the space, in plain Python, whose row is the same."""
    axes = Axes({"p": distribution}, None)
    (row,) = axes.space.spread(np.array([[share]]))
    value = axes.params(row)["p"]
    assert distribution._contains(distribution.to_internal_repr(value))
    assert type(value) in {int, float, str}
    again = axes.row({"p": value})
    assert again is not None
    same = axes.params(again)["p"]
    assert same == value or math.isclose(same, value, rel_tol=1e-9, abs_tol=1e-9)


def test_ends_of_ranges_are_reached() -> None:
    """Both ends of each column are the ends of the range."""
    ranges = {
        "a": FloatDistribution(1e-5, 0.3, log=True), "b": FloatDistribution(0.1, 0.7, step=0.1),
        "c": IntDistribution(1, 64, log=True), "d": IntDistribution(2, 8, step=3),
    }  # fmt: skip
    axes = Axes(ranges, None)
    assert axes.params(np.zeros(4)) == {"a": 1e-5, "b": 0.1, "c": 1, "d": 2}
    assert axes.params(np.ones(4)) == {"a": 0.3, "b": 0.7, "c": 64, "d": 8}


@pytest.mark.parametrize("params", [{}, {"other": 1}, {"p": "none of them"}, {"r": "text"}])
def test_trials_that_are_nowhere(params: Mapping[str, Any]) -> None:
    """Those that drew nothing of the space, or a value that it has not."""
    space = {"p": CategoricalDistribution(["a", "b"]), "r": FloatDistribution(0, 1)}
    assert Axes(space, None).row(params) is None


@given(st.integers(1, 50), st.integers(1, 9), st.booleans())
def test_distributions_are_those_of_a_trial(low: int, step: int, log: bool) -> None:
    """Drawing stores the very distributions that are known before."""
    space = SearchSpace.model_validate({
        "f": {"type": "float", "low": low, "high": low + 1, "step": step / 10},
        "i": {"type": "int", "low": low, "high": low + 20, "step": 1 if log else step, "log": log},
        "c": {"type": "choice", "values": [True, False]},
    })  # fmt: skip
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    space.suggest(trial)
    assert trial.distributions == distributions_of(space)
