"""Configurations with several seeds: means, intervals, ties, luck and gain."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from hpo import display
from hpo.candidates import Confirmation, compare, interval
from hpo.evaluations import range_of
from hpo.paired import fit
from hpo.trials import RUN

SEEDS = (11, 12, 13, 14)


def trial(
    rate: float,
    value: float | None,
    seed: int | None = None,
    seconds: int = 10,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """Return a trial of one parameter, with a seed in a confirmation."""
    params: dict[str, Any] = {"rate": rate}
    distributions: dict[str, Any] = {"rate": FloatDistribution(0, 100)}
    if seed is not None:
        params["seed"] = seed
        distributions["seed"] = IntDistribution(0, 2**31)
    made = optuna.create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value, params=params, distributions=distributions,
        user_attrs={
            RUN: {"device": "GPU"}, **(attrs or {}),
            **({"reason": "diverged"} if value is None else {}),
        },
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
    bounds: tuple[float, float] = (-math.inf, math.inf),
    more: Mapping[float, Mapping[str, Any]] | None = None,
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
        trial(rate, value, seed, (seconds or {}).get(rate, 10), (more or {}).get(rate))
        for rate, values in scores.items()
        for seed, value in zip(SEEDS, values, strict=False)
    ]
    points = [
        {"rate": rate, "seed": seed}
        for rate, values in scores.items()
        for seed, _ in zip(SEEDS, values, strict=False)
    ]
    for number, run in enumerate(runs):
        run.number = number
    return compare(
        "x-confirm", points, runs, before, maximize=maximize,
        default=None if default is None else {"rate": default}, bounds=bounds,
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


NOISY: dict[float, list[float | None]] = {
    1.0: [0.90, 0.80, 0.86], 2.0: [0.845, 0.882, 0.828], 3.0: [0.10, 0.11, 0.12],
}  # fmt: skip


def test_what_the_noise_hides_is_told_and_the_cheaper_one_is_taken() -> None:
    """Seed by seed: one is better here, the other one there."""
    slow = confirmation(NOISY, seconds={1.0: 30, 2.0: 10, 3.0: 1})
    assert slow.winner is not None
    assert [each.params["rate"] for each in slow.tied] == [1.0, 2.0]
    assert slow.winner.params == {"rate": 2.0}
    assert display.judged(slow)[0] == (
        "trial 0 and trial 1 differ by no more than the noise; trial 1 is about as good as the "
        "best mean, trial 0, and takes 67% less time to train"
    )
    quick = confirmation(NOISY, seconds={1.0: 5, 2.0: 10, 3.0: 1})
    assert quick.winner is quick.candidates[0]
    assert display.judged(quick)[0].endswith("the noise; trial 0 has the best mean")


@pytest.mark.parametrize(
    ("seconds", "more"),
    [
        ({1.0: 100, 2.0: 95}, {}),
        ({1.0: 100, 2.0: 10}, {2.0: {RUN: {"device": "another GPU"}}}),
        ({1.0: 100, 2.0: 10}, {2.0: {"seconds": 100.0}}),
        ({1.0: 100, 2.0: 10}, {2.0: {RUN: {"device": "GPU", "earlier": [1]}}}),
    ],
    ids=["a little", "elsewhere", "resumed", "of an unknown time"],
)
def test_what_is_not_known_to_be_much_cheaper_does_not_win(
    seconds: dict[float, int], more: Mapping[float, Mapping[str, Any]]
) -> None:
    """A twentieth is none; devices are not compared; a resumed run took what all of it took."""
    found = confirmation(NOISY, seconds=seconds, more=more)
    assert [each.params["rate"] for each in found.tied] == [1.0, 2.0]
    assert found.winner is found.candidates[0]


def test_what_is_resumed_takes_the_time_of_all_its_attempts() -> None:
    """Also where that makes the other one the cheaper one."""
    found = confirmation(
        NOISY, seconds={1.0: 1, 2.0: 10},
        more={1.0: {RUN: {"device": "GPU", "earlier": [0]}, "seconds": 100.0}},
    )  # fmt: skip
    assert found.candidates[0].seconds == 100.0
    assert found.winner is not None
    assert found.winner.params == {"rate": 2.0}


def test_what_is_worse_at_every_seed_is_not_taken_for_its_speed() -> None:
    """Two degrees of freedom call nearly everything a tie; a cheaper one must be as good."""
    found = confirmation({1.0: [0.95, 0.94, 0.96], 2.0: [0.93, 0.92, 0.91]}, seconds={2.0: 1})
    assert len(found.tied) == 2
    assert found.winner is found.candidates[0]


def test_nothing_below_the_default_is_taken_for_its_speed() -> None:
    """However near it is, and however cheap."""
    assert confirmation(NOISY, seconds={2.0: 1}).winner is not None
    found = confirmation(NOISY, seconds={2.0: 1}, default=1.0)
    assert found.winner is not None
    assert found.winner.baseline


def test_one_that_collapses_does_not_excuse_the_others() -> None:
    """Its seeds spread so far that the noise of all of them seems to be large."""
    found = confirmation(
        {1.0: [0.95, 0.951, 0.949], 2.0: [0.90, 0.902, 0.901], 3.0: [0.94, 0.2, 0.93]},
        seconds={2.0: 1, 3.0: 5},
    )
    assert found.winner is found.candidates[0]


def test_what_is_worse_is_rarely_taken() -> None:
    """Four configurations, three seeds, one better by two deviations; speeds are arbitrary.

    The best mean alone misses it in 2 of 100 simulations; the fastest of all within the noise, each
    pair judged by itself, in more than 60.
    """
    draw = np.random.default_rng(0)
    missed, simulations = 0, 150
    for _ in range(simulations):
        true = np.array([0.95, 0.94, 0.94, 0.94])[:, None]
        scores = true + draw.normal(0, 0.004, 3) + draw.normal(0, 0.005, (4, 3))
        found = confirmation(
            {float(place): [float(each) for each in row] for place, row in enumerate(scores)},
            seconds={float(place): int(draw.integers(30, 100)) for place in range(4)},
        )
        assert found.winner is not None
        missed += found.winner.params != {"rate": 0.0}
    assert missed <= 0.08 * simulations


def test_only_what_has_all_its_runs_is_taken() -> None:
    """One lucky run beside two that diverged is no configuration to have."""
    found = confirmation({1.0: [0.95, None, None], 2.0: [0.94, 0.93, 0.94]}, {1.0: 0.95, 2.0: 0.94})
    assert found.winner is not None
    assert found.winner.params == {"rate": 2.0}
    assert found.tied == [found.winner]
    assert found.left_out == [found.candidates[1]]
    assert display.judged(found)[0] == (
        "trial 0 failed with 2 of 3 seeds (runs 1 and 2 of x-confirm: diverged); it is not taken, "
        "since another one has more runs"
    )
    most = confirmation({1.0: [0.99, None, None], 2.0: [0.94, 0.93, None]})
    assert most.winner is not None
    assert most.winner.params == {"rate": 2.0}
    assert "no configuration has more runs" in display.judged(most)[0]


def test_where_all_miss_runs_common_seeds_are_compared() -> None:
    """An easy seed that only one has had says nothing for it."""
    found = confirmation({1.0: [0.99, None, 0.80], 2.0: [None, 0.50, 0.85]})
    assert found.winner is not None
    assert found.winner.params == {"rate": 2.0}
    assert (found.freedom, len(found.tied)) == (0, 2)
    assert "not told apart: too few runs to know the noise" in " ".join(display.judged(found))


def test_of_equal_ones_the_cheaper_one_is_taken() -> None:
    """Also with one seed, where nothing is known of the noise."""
    found = confirmation({1.0: [0.9], 2.0: [0.9], 3.0: [0.89]}, seconds={1.0: 100, 2.0: 50, 3.0: 1})
    assert found.winner is not None
    assert found.winner.params == {"rate": 2.0}


def test_a_loss_is_called_one() -> None:
    """The default is better than what may be taken, since it failed once."""
    found = confirmation(
        {1.0: [0.90, 0.91, 0.90], 2.0: [0.95, 0.96, None], 3.0: [0.5, 0.5, 0.5]}, default=2.0
    )
    gain = found.gain()
    assert gain is not None
    assert gain[0] == pytest.approx(-0.05)
    (line,) = [text for text in display.judged(found) if "the default configuration" in text]
    assert line.startswith("loss against the default configuration -0.05")


def test_luck_that_rounds_to_nothing_is_none() -> None:
    """0.0000 of the best score was luck: nobody needs to read that."""
    found = confirmation({1.0: [0.9, 0.9]}, {1.0: 0.90001})
    assert found.luck == pytest.approx(0.00001)
    assert display.judged(found) == []


def test_a_seed_that_was_searched_is_no_part_of_a_configuration() -> None:
    """It was another one in each run."""
    before = trial(1.0, 0.8, seed=5)
    before.number = 0
    found = compare(
        "x-confirm", [{"rate": 1.0, "seed": 11}], [trial(1.0, 0.9, 11)], [before], maximize=True
    )
    assert found.candidates[0].params == {"rate": 1.0}


@given(
    st.integers(2, 5).flatmap(
        lambda seeds: st.lists(
            st.lists(st.floats(0, 1), min_size=seeds, max_size=seeds), min_size=2, max_size=5
        )
    )
)
def test_the_noise_is_that_of_a_randomized_block_design(scores: list[list[float]]) -> None:
    """The residual mean square by hand; with two configurations it is the paired t test."""
    table = np.array(scores)
    count, seeds = table.shape
    means = table.mean(axis=1)
    left = table - table.mean(axis=0) - means[:, None] + table.mean()
    freedom = (count - 1) * (seeds - 1)
    error = np.sqrt(2 * (left**2).sum() / freedom / seeds)
    fitted = fit([dict(enumerate(row)) for row in scores])
    found = fitted.difference(0, 1)
    assert fitted.freedom == freedom
    assert found.mean == pytest.approx(means[0] - means[1], abs=1e-9)
    assert found.error == pytest.approx(error, abs=1e-9)
    if count == 2 and error > 1e-6:
        between = stats.ttest_rel(table[0], table[1]).confidence_interval(0.95)
        assert found.interval == pytest.approx(between, abs=1e-9)


def test_a_run_that_is_missing_is_missing() -> None:
    """The others of its seed say less, and nothing is made up for it: the fit by hand."""
    scores = [{1: 0.5, 2: 0.7, 3: 0.9}, {1: 0.4, 2: 0.65}]
    found = fit(scores).difference(0, 1)
    pairs = [0.5 - 0.4, 0.7 - 0.65]
    assert found.mean == pytest.approx(np.mean(pairs))
    assert found.interval == pytest.approx(interval(pairs))
    assert fit([{1: 0.5}, {2: 0.7}]).difference(1, 0).interval is None


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


def test_what_is_shown_of_an_interval_lies_where_scores_do() -> None:
    """Of two runs Student's t knows next to nothing, and would go beyond what there is."""
    scores: dict[float, list[float | None]] = {1.0: [0.9, 0.95], 2.0: [0.1, 0.7]}
    found = confirmation(scores, default=2.0)
    bounded = confirmation(scores, default=2.0, bounds=(0.0, 1.0))
    (first, second) = (each.interval for each in found.candidates)
    assert first is not None
    assert second is not None
    assert (first[1] > 1, second[0] < 0, second[1] > 1) == (True, True, True)
    assert [each.interval for each in bounded.candidates] == [(first[0], 1.0), (0.0, 1.0)]
    assert [each["interval"] for each in bounded.to_json()["candidates"]] == [
        (first[0], 1.0), (0.0, 1.0)
    ]  # fmt: skip
    unbounded, gain = found.gain(), bounded.gain()
    assert unbounded is not None
    assert gain is not None
    assert unbounded[1] is not None
    assert (unbounded[1][0] < -1, unbounded[1][1] > 1, gain[1]) == (True, True, (-1.0, 1.0))
    assert bounded.paired == 2
    (line,) = [text for text in display.judged(bounded) if "gain over the default" in text]
    assert "95% interval -1.0000 to +1.0000 over 2 seeds" in line
    assert any("to 1.0000, 2 runs" in text for text in display.confirmed(bounded))


@pytest.mark.parametrize(
    ("metric", "bounds"),
    [
        ("f1", (0, 1)), ("PER.f1", (0, 1)), ("mcc", (-1, 1)), ("loss", (0, np.inf)),
        ("of-a-plug-in", (-np.inf, np.inf)),
    ],
)  # fmt: skip
def test_the_range_of_a_metric(metric: str, bounds: tuple[float, float]) -> None:
    """Of what the tasks of hpo know; who knows what others have."""
    assert range_of(metric) == bounds


def test_json_is_whole() -> None:
    """What scripts read has each configuration with all its scores."""
    found = confirmation({1.0: [0.9, 0.8]}, default=1.0).to_json()
    (candidate,) = found["candidates"]
    assert (candidate["values"], candidate["baseline"]) == ([0.9, 0.8], True)
    assert (found["winner"], found["tied"], found["done"], found["planned"]) == (0, [0], 2, 2)
