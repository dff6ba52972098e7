"""Configurations with several seeds: means, intervals, ties, luck and gain."""

from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from hpo.candidates import Confirmation, compare, interval

SEEDS = (11, 12, 13, 14)


def trial(rate: float, value: float | None, seed: int | None = None, seconds: int = 10) -> Any:
    """Return a trial of one parameter, with a seed in a confirmation."""
    params: dict[str, Any] = {"rate": rate}
    distributions: dict[str, Any] = {"rate": FloatDistribution(0, 100)}
    if seed is not None:
        params["seed"] = seed
        distributions["seed"] = IntDistribution(0, 2**31)
    made = optuna.create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value, params=params, distributions=distributions,
        user_attrs={"reason": "diverged"} if value is None else {},
    )  # fmt: skip
    assert made.datetime_complete is not None
    made.datetime_start = made.datetime_complete - np.timedelta64(seconds, "s").astype(object)
    return made


def confirmation(
    scores: dict[float, list[float | None]],
    searched: dict[float, float] | None = None,
    *,
    maximize: bool = True,
    seconds: dict[float, int] | None = None,
    default: float | None = None,
) -> Confirmation:
    """Compare configurations by their scores with the same seeds."""
    before: list[FrozenTrial] = []
    for rate in scores:
        each = trial(rate, (searched or {}).get(rate, 0.5))
        each.number = len(before)
        before.append(each)
    sign = -1 if maximize else 1
    before.sort(key=lambda each: sign * (each.value or 0.0))
    runs = [
        trial(rate, value, seed, (seconds or {}).get(rate, 10))
        for rate, values in scores.items()
        for seed, value in zip(SEEDS, values, strict=False)
    ]
    points = [
        {"rate": rate, "seed": seed}
        for rate, values in scores.items()
        for seed, _ in zip(SEEDS, values, strict=False)
    ]
    return compare(
        "x-confirm", points, runs, before, maximize=maximize,
        default=None if default is None else {"rate": default},
    )  # fmt: skip


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9))
def test_interval_is_that_of_scipy(values: list[float]) -> None:
    """Student's t interval of the mean."""
    found = interval(values)
    error = stats.sem(values)
    assert found is not None
    if error == 0:
        assert found == pytest.approx((values[0], values[0]))
    else:
        assert found == pytest.approx(
            stats.t.interval(0.95, len(values) - 1, np.mean(values), error), abs=1e-9
        )


def test_one_value_has_no_interval() -> None:
    """Nothing is known of its noise."""
    assert interval([0.5]) is None


def test_the_best_mean_wins_and_luck_is_told() -> None:
    """Whatever the search said."""
    found = confirmation(
        {1.0: [0.90, 0.91, 0.90], 2.0: [0.80, 0.81, 0.80], 3.0: [0.70, 0.71, 0.70]},
        {1.0: 0.89, 2.0: 0.95, 3.0: 0.75},
    )
    assert [each.params["rate"] for each in found.candidates] == [1.0, 2.0, 3.0]
    assert found.winner is found.candidates[0]
    assert found.tied == [found.winner]
    assert found.winner.mean == pytest.approx(0.9033, abs=1e-4)
    assert found.winner.deviation == pytest.approx(np.std([0.90, 0.91, 0.90], ddof=1))
    assert (found.winner.trial, found.winner.searched) == (0, 0.89)
    assert found.luck == pytest.approx(0.95 - 0.8033, abs=1e-4)
    assert found.complete


def test_what_the_noise_hides_is_a_tie_and_the_faster_one_is_taken() -> None:
    """Seed by seed: one is better here, the other one there."""
    scores: dict[float, list[float | None]] = {
        1.0: [0.90, 0.80, 0.86], 2.0: [0.84, 0.88, 0.83], 3.0: [0.10, 0.11, 0.12],
    }  # fmt: skip
    slow = confirmation(scores, seconds={1.0: 30, 2.0: 10, 3.0: 1})
    assert slow.winner is not None
    assert [each.params["rate"] for each in slow.tied] == [1.0, 2.0]
    assert slow.winner.params == {"rate": 2.0}
    quick = confirmation(scores, seconds={1.0: 5, 2.0: 10, 3.0: 1})
    assert quick.winner is quick.candidates[0]


def test_seeds_that_move_all_alike_are_no_noise_between_configurations() -> None:
    """Their scores are compared seed by seed: a seed that is hard for one is hard for all."""
    found = confirmation({1.0: [0.52, 0.72, 0.93], 2.0: [0.50, 0.70, 0.90]})
    assert len(found.tied) == 1


def test_smaller_may_be_better() -> None:
    """A loss: the smallest mean wins, and luck is how far the search was below it."""
    found = confirmation({1.0: [0.3, 0.31], 2.0: [0.6, 0.61]}, {1.0: 0.2, 2.0: 0.5}, maximize=False)
    assert found.winner is not None
    assert found.winner.params == {"rate": 1.0}
    assert found.luck == pytest.approx(0.105)
    assert found.sign == -1


def test_runs_that_fail_or_have_not_run() -> None:
    """What has no score is last; it is complete once every run has an outcome."""
    found = confirmation({1.0: [None, None], 2.0: [0.5, None]})
    assert found.winner is not None
    assert found.winner.params == {"rate": 2.0}
    assert (found.winner.deviation, found.winner.interval) == (None, None)
    assert (found.candidates[1].mean, found.complete) == (None, True)
    none = compare("x-confirm", [{"rate": 1.0, "seed": 11}], [], [], maximize=True)
    assert (none.winner, none.luck, none.gain(), none.complete) == (None, None, None, False)


def test_the_gain_over_the_default_has_an_interval() -> None:
    """Seed by seed, in the direction that is better."""
    found = confirmation({1.0: [0.9, 0.8, 0.85], 2.0: [0.8, 0.72, 0.74]}, default=2.0)
    gain = found.gain()
    assert gain is not None
    mean, between = gain
    pairs = np.array([0.1, 0.08, 0.11])
    assert mean == pytest.approx(pairs.mean())
    assert between == pytest.approx(
        stats.ttest_rel([0.9, 0.8, 0.85], [0.8, 0.72, 0.74]).confidence_interval(0.95)
    )
    assert [each.baseline for each in found.candidates] == [False, True]
    assert confirmation({1.0: [0.9]}).gain() is None


def test_json_is_whole() -> None:
    """What scripts read has each configuration with all its scores."""
    found = confirmation({1.0: [0.9, 0.8]}, default=1.0).to_json()
    (candidate,) = found["candidates"]
    assert (candidate["values"], candidate["baseline"]) == ([0.9, 0.8], True)
    assert (found["winner"], found["tied"], found["done"], found["planned"]) == (0, [0], 2, 2)
