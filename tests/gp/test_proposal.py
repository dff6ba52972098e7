"""The next configuration: never one that was tried, always in the space, better than chance."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from hpo.strategies.gp.candidates import improved, latin_hypercube, moved
from hpo.strategies.gp.dimensions import Array, Dimension, choice
from hpo.strategies.gp.encoding import Space, key_of
from hpo.strategies.gp.prior import Around, Prior
from hpo.strategies.gp.proposal import (
    DESIGN,
    History,
    _inputs,
    _model,
    _thinned,
    plan,
    propose,
)
from tests.gp.spaces import FINE_TUNING, SMALL, dimensions, history, score

NOTHING = Prior()
STARTS = np.full((2, len(FINE_TUNING)), np.nan)
STARTS[:, 0] = 0.5, 0.4
PUBLISHED = Prior({0: Around(0.45, 0.15)}, STARTS)


def study(space: Space, prior: Prior, trials: int, workers: int = 1, seed: int = 0) -> Array:
    """Return the configurations of a study in the order of their ends; workers end in turn."""
    rows = np.zeros((0, len(space)))
    pending = np.zeros((0, len(space)))
    for index in range(trials):
        row = propose(space, History(rows, score(rows), pending), prior, seed, index)
        if row is None:
            break
        pending = np.concatenate([pending, row[None]])
        if len(pending) == workers:
            rows, pending = np.concatenate([rows, pending[:1]]), pending[1:]
    return np.concatenate([rows, pending])


def check(space: Space, row: Array | None, past: History) -> None:
    """Refuse a row that is no configuration of the space, or one that was seen."""
    assert row is not None
    assert row.shape == (len(space),)
    assert np.isfinite(row).all()
    assert key_of(space.settle(row[None])[0]) == key_of(row)
    assert key_of(row) not in {key_of(seen) for seen in (*past.rows, *past.pending)}
    space.decode(row)


@settings(max_examples=40, deadline=None)
@given(st.lists(dimensions(), min_size=1, max_size=4), st.integers(0, 25), st.integers(0, 3))
def test_any_space_gets_a_new_configuration_of_its_own(
    parts: list[Dimension], count: int, pending: int
) -> None:
    """Whatever the space, the row is in it and new; None only where everything was seen."""
    space = Space(tuple(parts))
    past = history(space, count, pending=pending)
    row = propose(space, past, NOTHING, 0, count + pending)
    if row is None:
        seen = {key_of(seen) for seen in (*past.rows, *past.pending)}
        assert all(key_of(row) in seen for row in space.rows())
    else:
        check(space, row, past)


@pytest.mark.parametrize("workers", [1, 4])
def test_no_configuration_comes_twice_and_a_finite_space_ends(workers: int) -> None:
    """All of a small space with conditions comes once each, then None, pending ones included."""
    rows = study(SMALL, NOTHING, 30, workers)
    assert len(rows) == len({key_of(row) for row in rows}) == len(SMALL.table())


def test_the_last_configuration_of_a_large_finite_space_is_found() -> None:
    """Where draws would not hit it, the one that is left is found by going through them all."""
    space = Space((Dimension("int", 0, 99), Dimension("int", 0, 49)))
    left = space.table()
    missing, rows = left[3777], np.delete(left, 3777, axis=0)
    past = History(rows, score(rows), np.zeros((0, 2)))
    assert propose(space, past, NOTHING, 0, len(rows)) == pytest.approx(missing)
    full = History(left, score(left), np.zeros((0, 2)))
    assert propose(space, full, NOTHING, 0, len(left)) is None


def test_same_arguments_give_the_same_row_and_other_seeds_another() -> None:
    """Nothing is kept between calls, and nothing is drawn from elsewhere."""
    past = history(FINE_TUNING, 20, pending=2)
    one, same = (propose(FINE_TUNING, past, PUBLISHED, 5, 22) for _ in range(2))
    assert one is not None
    assert same is not None
    assert key_of(one) == key_of(same)
    other = propose(FINE_TUNING, past, PUBLISHED, 6, 22)
    assert other is not None
    assert key_of(other) != key_of(one)


def test_start_configurations_come_first_then_a_design() -> None:
    """What a start fixes is kept, the rest is drawn; the design has one point in each slice."""
    rows = study(FINE_TUNING, PUBLISHED, 2 + DESIGN)
    assert rows[:2, 0] == pytest.approx([0.5, 0.4])
    assert rows == pytest.approx(plan(FINE_TUNING, PUBLISHED, 0))
    slices = np.floor(latin_hypercube(DESIGN, 5, default_rng(0)) * DESIGN)
    assert (np.sort(slices, axis=0) == np.arange(DESIGN)[:, None]).all()


@pytest.mark.parametrize(
    "values",
    [
        np.full(15, np.nan),
        np.full(15, 0.5),
        np.r_[np.full(14, np.nan), 0.5],
        np.r_[np.full(7, math.inf), np.full(7, -math.inf), 1.0],
        np.r_[np.full(7, 1e308), np.full(8, -1e308)],
        np.r_[np.full(8, np.nan), np.linspace(0, 1, 7)],
    ],
)
def test_any_values_are_borne(values: Array) -> None:
    """Failures, a constant objective and extreme values still give a new configuration."""
    past = history(FINE_TUNING, 15)
    past = History(past.rows, values, past.pending)
    check(FINE_TUNING, propose(FINE_TUNING, past, PUBLISHED, 0, 15), past)


def test_two_hundred_parameters() -> None:
    """A wide space gets a new configuration at any length of its history."""
    space = Space(FINE_TUNING.dimensions[:5] * 40)
    for count in (0, 1, 30):
        past = history(space, count, pending=1)
        check(space, propose(space, past, NOTHING, 0, 50 + count), past)


def test_a_long_history_is_thinned_and_the_best_stay() -> None:
    """With thousands of trials the search goes on round the best ones."""
    past = history(FINE_TUNING, 3000)
    rows = [propose(FINE_TUNING, past, NOTHING, 0, 3000 + k) for k in range(3)]
    better = np.mean(
        [score(row[None])[0] > np.quantile(past.values, 0.9) for row in rows if row is not None]
    )
    assert better == 1


@pytest.mark.parametrize("center", [0.2, 0.9], ids=["right", "wrong"])
def test_it_is_better_than_chance_whatever_the_prior_says(center: float) -> None:
    """After 20 trials the best is better than the best of 60 random ones, prior right or wrong."""
    space = Space(tuple(Dimension("float") for _ in range(4)))
    prior = Prior({i: Around(center, 0.1) for i in range(4)}, np.full((1, 4), center))
    rows = [score(study(space, prior, 20, seed=seed)).max() for seed in range(3)]
    chance = [history(space, 60, seed=seed).values.max() for seed in range(3)]
    assert np.mean(rows) > np.mean(chance)


def test_every_second_turn_is_for_what_is_known_best() -> None:
    """From some trial on: nearer to the best than where improvement is sought."""
    space = Space((Dimension("float"), Dimension("float")))
    past = history(space, 40)
    known, sought = (
        [propose(space, past, NOTHING, seed, turn) for seed in range(6)] for turn in (40, 41)
    )
    far_known, far_sought = (np.abs(np.array(rows) - 0.2).max(axis=1) for rows in (known, sought))
    assert far_known.max() < far_sought.min()


@pytest.mark.parametrize(("others", "turns"), [(3, {40, 42}), (4, {40, 41, 43})])
def test_in_a_crowd_two_of_three_turns_are_for_what_is_known_best(
    others: int, turns: set[int]
) -> None:
    """Where so many others look around already."""
    space = Space((Dimension("float"), Dimension("float")))
    past = history(space, 40)
    elsewhere = np.array([[0.9, 0.9], [0.9, 0.6], [0.6, 0.9], [0.7, 0.7]])[:others]
    crowd = History(past.rows, past.values, elsewhere)
    rows = np.array([propose(space, crowd, NOTHING, 1, turn) for turn in range(40, 44)])
    far = np.abs(rows - 0.2).max(axis=1)
    known, sought = ([far[turn - 40] for turn in range(40, 44) if (turn in turns) is best]
                     for best in (True, False))  # fmt: skip
    assert max(known) < min(sought) / 2


def test_a_prior_says_where_to_look() -> None:
    """What is expected, and nothing else, tells two sides of a space apart that scored alike."""
    space = Space((Dimension("float"), Dimension("float")))
    rows = np.array([[0.5, 0.3], [0.5, 0.6], [0.5, 0.9], [0.5, 0.1]])
    past = History(rows, np.array([0.5, 0.4, 0.1, 0.2]), np.zeros((0, 2)))
    for center in (0.1, 0.9):
        prior = Prior({0: Around(center, 0.05)})
        model, _, _ = _model(space, past, prior, default_rng(0))
        near, far = (np.array([[place, 0.5]]) for place in (center, 1 - center))
        assert model.mean(_inputs(space, prior, near)) > model.mean(_inputs(space, prior, far))


def test_hill_climbing_improves() -> None:
    """Beyond the best of what it begins with."""
    space = Space((Dimension("float"), Dimension("float")))
    rows = space.spread(default_rng(0).random((50, 2)))
    found, promises = improved(space, rows, score, default_rng(1))
    assert promises.max() == pytest.approx(score(found).max())
    assert score(found).max() > score(rows).max() / 10  # negative: ten times as near


def test_thinning_keeps_the_best_half() -> None:
    """And others drawn from the rest, each once."""
    scores = default_rng(0).random(1000)
    kept = _thinned(scores, 100, default_rng(1))
    assert len(set(kept.tolist())) == 100
    assert set(np.argsort(-scores)[:50]) <= set(kept.tolist())
    assert scores[kept].min() < np.sort(scores)[500]


def test_every_branch_is_looked_at_more_than_once() -> None:
    """One poor look does not write off what exists with another value of a parameter only."""
    own = [Dimension("float", when=((0, (float(index),)),)) for index in range(3)]
    space = Space((choice(["a", "b", "c"]), Dimension("float"), *own))
    rows = study(space, NOTHING, 24)
    assert min(np.bincount(rows[:, 0].astype(int), minlength=3)) >= 4


@pytest.mark.parametrize("index", [40, 41])
def test_failures_are_avoided(index: int) -> None:
    """Where half of the space fails, proposals come from the other half, in any turn."""
    space = Space((Dimension("float"), Dimension("float")))
    past = history(space, 40)
    failing = np.where(past.rows[:, 0] > 0.5, np.nan, past.rows[:, 1])
    past = History(past.rows, failing, past.pending)
    rows = [propose(space, past, NOTHING, seed, index) for seed in range(5)]
    assert all(row is not None and row[0] < 0.6 for row in rows)


@pytest.mark.parametrize("index", [13, 30, 31])
def test_pending_trials_push_others_away(index: int) -> None:
    """While proposals are pending, the next one is elsewhere, whatever its turn is for."""
    space = Space((Dimension("float"), Dimension("float")))
    past = history(space, 12)
    gaps = []
    for seed in range(4):
        first = propose(space, past, NOTHING, seed, index)
        assert first is not None
        pending = History(past.rows, past.values, first[None])
        later = propose(space, pending, NOTHING, seed, index)
        assert later is not None
        gaps.append(float(np.abs(later - first).max()))
    assert min(gaps) > 0.02


def test_another_study_guides_and_its_configurations_may_be_tried() -> None:
    """Observations of another source, of another scale, lead to their best region at once."""
    space = Space((Dimension("float"), Dimension("float")))
    elsewhere = history(space, 60)
    rows = np.concatenate([elsewhere.rows, np.array([[0.9, 0.9], [0.8, 0.1]])])
    values = np.concatenate([100 + 50 * elsewhere.values, score(rows[-2:])])
    past = History(
        rows, values, np.zeros((0, 2)), np.r_[np.ones(60), 0, 0], np.r_[np.full(60, 0.1), 0, 0]
    )
    found = [propose(space, past, NOTHING, seed, 2 * DESIGN) for seed in range(5)]
    assert np.mean([score(row[None])[0] for row in found if row is not None]) > -0.1
    table = SMALL.table()
    all_elsewhere = History(table, score(table), np.zeros((0, 3)), np.ones(len(table)))
    assert propose(SMALL, all_elsewhere, NOTHING, 0, DESIGN) is not None


def test_moves_stay_in_the_space_and_change_something() -> None:
    """Neighbours are configurations; most differ, also where all numbers are discrete."""
    rows = SMALL.table()[[0, 4, 8]].repeat(60, axis=0)
    neighbours = moved(SMALL, rows, (0.01, 0.2), default_rng(0))
    table = {key_of(row) for row in SMALL.table()}
    assert {key_of(row) for row in neighbours} <= table
    assert (neighbours != rows).any(axis=1).mean() > 0.2


def test_a_parameter_that_comes_to_exist_has_a_value() -> None:
    """Starts that fix the parent only, and moves that switch it on, give the child a category."""
    space = Space((choice([0, 1]), choice(["a", "b", "c"], when=((0, (1.0,)),))))
    for seed in range(8):
        start = plan(space, Prior({}, np.array([[1.0, np.nan]])), seed)[0]
        assert start[0] == 1
        assert start[1] in (0, 1, 2)
    neighbours = moved(space, np.tile([[0.0, -1.0]], (300, 1)), (0.2, 0.5), default_rng(0))
    assert {tuple(row) for row in neighbours} == {(0, -1), (1, 0), (1, 1), (1, 2)}
