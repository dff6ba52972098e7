"""The regression, its transformations and the acquisition."""

import math

import numpy as np
import pytest
from numpy.random import default_rng

from hpo.strategies.gp.acquisition import log_augmented_improvement, log_h
from hpo.strategies.gp.prior import Among, Around, Prior, Trade
from hpo.strategies.gp.surrogate import Belief, Inputs, Loss, Sample, Surrogate, fit
from hpo.strategies.gp.warping import warp, warp_by_source
from tests.gp.spaces import FINE_TUNING, score

TRADE = Trade({1: (0.2,), 4: (0.0, 0.1, -0.1)}, {1: 0.1, 4: 0.2})
PRIOR = Prior({0: Around(0.4, 0.2), 4: Among((2.0, 1.0, 1.0))}, lead=0, trade=TRADE)
BELIEF = Belief(
    FINE_TUNING.owners,
    PRIOR.lengths(FINE_TUNING),
    (0.5, 0.5),
    slopes=np.array([0.2, 0.0, 0.1, -0.1]),
    doubts=np.array([0.1, 0.2, 0.2, 0.2]),
)


def sample(count: int) -> tuple[Sample, np.ndarray]:
    """Return observations of the score, and their rows."""
    rows = FINE_TUNING.spread(default_rng(2).random((count, len(FINE_TUNING))))
    return Sample(inputs(rows), warp(score(rows)), np.zeros(count)), rows


def inputs(rows: np.ndarray) -> Inputs:
    """Return configurations as the model sees them."""
    return Inputs(FINE_TUNING.features(rows), PRIOR.terms(rows), PRIOR.levers(rows))


def test_gradient_is_that_of_the_value() -> None:
    """The analytic gradient agrees with central differences in every parameter."""
    count = len(BELIEF.center())
    loss = Loss(sample(25)[0], BELIEF)
    at = BELIEF.center() + default_rng(3).normal(0, 0.4, count)
    numeric = [(loss(at + e)[0] - loss(at - e)[0]) / 2e-5 for e in 1e-5 * np.eye(count)]
    assert loss(at)[1] == pytest.approx(numeric, abs=1e-5)


def test_regression_learns_and_knows_what_it_does_not() -> None:
    """Predictions follow the score elsewhere; doubt is small at observations and large away."""
    observed, _ = sample(80)
    model = Surrogate(observed, fit(observed, BELIEF), BELIEF)
    fresh = FINE_TUNING.spread(default_rng(4).random((200, len(FINE_TUNING))))
    mean, doubt = model.predict(inputs(fresh))
    assert np.corrcoef(mean, score(fresh))[0, 1] > 0.8
    assert model.mean(inputs(fresh)) == pytest.approx(mean)
    assert model.predict(observed.inputs)[1].mean() < doubt.mean()


def test_a_ridge_across_dimensions_is_seen() -> None:
    """Where the best lead moves with another dimension, its direction is learnt from few trials."""
    rows = FINE_TUNING.spread(default_rng(5).random((30, len(FINE_TUNING))))
    ridge = warp(-abs(rows[:, 0] - 0.5 - 0.4 * (rows[:, 1] - 0.5)))
    learnt = fit(Sample(inputs(rows), ridge, np.zeros(30)), BELIEF)[-4:]
    assert learnt[0] == pytest.approx(0.4, abs=0.06)
    assert learnt[1:] == pytest.approx(BELIEF.slopes[1:].mean(), abs=0.15)


def test_an_observation_with_more_noise_counts_less() -> None:
    """Extra noise draws the prediction away from an observation."""
    observed, _ = sample(20)
    parameters = fit(observed, BELIEF)
    noisy = Sample(observed.inputs, observed.scores, np.full(20, 50.0))
    far = [
        np.abs(Surrogate(s, parameters, BELIEF).mean(s.inputs) - s.scores).mean()
        for s in (observed, noisy)
    ]
    assert far[0] < far[1]


def test_identical_configurations_do_not_break_the_factorisation() -> None:
    """The same row many times with different scores has a finite prediction between them."""
    observed, _ = sample(4)
    one = observed.part(np.zeros(30, np.intp))
    spread = Sample(one.inputs, np.linspace(-1, 1, 30), one.extra_noise)
    model = Surrogate(spread, fit(spread, BELIEF), BELIEF)
    assert abs(model.mean(one.inputs.part(np.zeros(1, np.intp)))[0]) < 0.5


def test_logarithm_of_improvement_is_exact_and_never_underflows() -> None:
    """It agrees with the formula where that can be computed, and falls without end below."""
    z = np.linspace(-5, 5, 41)
    phi = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    exact = np.log(phi + z * np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z]))
    assert log_h(z) == pytest.approx(exact, abs=1e-6)
    deep = log_h(-np.logspace(0, 8, 200))
    assert np.isfinite(deep).all()
    assert (np.diff(deep) < 0).all()


def test_looking_again_where_all_is_known_is_worth_little() -> None:
    """At equal mean, the less certain place promises more, and noise lowers the promise."""
    mean, doubt = np.zeros(2), np.array([0.01, 0.3])
    quiet = log_augmented_improvement(mean, doubt, 0.0, 1e-6)
    noisy = log_augmented_improvement(mean, doubt, 0.0, 0.1)
    assert quiet[1] > quiet[0]
    assert (noisy < quiet).all()
    assert noisy[1] - noisy[0] > quiet[1] - quiet[0]


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0, 3.0, math.nan],
        [1.0, 2.0, 3.0, -math.inf],
        [1.0, 2.0, 3.0, math.inf],
        [-1e308, 0.0, 1e308, 1e307],
        [0.9, 0.9, 0.9, 0.1],
    ],
)
def test_scores_become_finite_and_keep_their_order(values: list[float]) -> None:
    """What is not finite counts as the worst; the rest keeps its order; mean 0, variance 1."""
    raw = np.array(values)
    warped = warp(raw)
    fine = np.isfinite(raw)
    assert np.isfinite(warped).all()
    assert (warped[~fine] == warped[fine].min()).all()
    order = np.argsort(raw[fine], kind="stable")
    assert (np.diff(warped[fine][order]) >= 0).all()
    assert (warped.mean(), warped.std()) == (pytest.approx(0, abs=1e-9), pytest.approx(1))


def test_a_divergence_does_not_flatten_the_top() -> None:
    """One score far below leaves the others apart."""
    scores = [0.90, 0.91, 0.92, 0.93]
    assert np.ptp(warp(np.array([*scores, -1e6]))[:4]) > 0.2


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [math.nan, math.nan]])
def test_scores_that_say_nothing_are_zero(values: list[float]) -> None:
    """Without a difference between scores there is nothing to regress."""
    assert (warp(np.array(values)) == 0).all()


def test_offset_and_scale_of_another_study_vanish() -> None:
    """Each source is warped by itself."""
    values = np.array([1.0, 2.0, 4.0])
    both = warp_by_source(np.concatenate([values, 100 + 7 * values]), np.repeat([0, 1], 3))
    assert both[:3] == pytest.approx(both[3:])


def test_shares_are_drawn_towards_what_is_expected() -> None:
    """Full trust puts most of the draw within two spreads, none leaves it even."""
    shares = np.tile(((np.arange(400) + 0.5) / 400)[:, None], (1, len(FINE_TUNING)))
    near = [np.mean(abs(PRIOR.bend(shares, trust)[:, 0] - 0.4) < 0.2) for trust in (0, 0.5, 1)]
    assert near[0] == pytest.approx(0.4, abs=0.01)
    assert near[0] < near[1] < near[2]
    assert (PRIOR.bend(shares, 1.0)[:, 1] == shares[:, 1]).all()


def test_a_term_of_the_prior_is_highest_where_expected() -> None:
    """Numbers fall off with distance, categories follow their weights, absent ones count 0."""
    rows = np.full((3, len(FINE_TUNING)), 0.5)
    rows[:, 0], rows[:, 4] = [0.4, 0.6, 1.0], [0.0, 1.0, -1.0]
    terms = PRIOR.terms(rows)
    assert terms[0] == pytest.approx([1, 1])
    assert terms[1] == pytest.approx([math.exp(-0.5), 0.5])
    assert terms[2, 1] == 0
