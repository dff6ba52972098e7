"""Where trainings fail is learnt apart from what they score."""

import numpy as np
import pytest

from hpo.strategies.gp.dimensions import Dimension
from hpo.strategies.gp.encoding import Space, key_of
from hpo.strategies.gp.feasibility import LEAST, Feasibility
from hpo.strategies.gp.prior import Prior
from hpo.strategies.gp.proposal import History, propose
from hpo.strategies.gp.surrogate import Belief, Inputs

PLANE = Space((Dimension("float"), Dimension("float")))
GRID = np.stack([axis.ravel() for axis in np.meshgrid(*[np.linspace(0.05, 0.95, 7)] * 2)], axis=1)
BELIEF = Belief(PLANE.owners, np.ones(2), (0.5, 0.5))


def inputs(rows: np.ndarray) -> Inputs:
    """Return configurations as the model sees them."""
    return Inputs(PLANE.features(rows), np.zeros((len(rows), 0)), np.zeros((len(rows), 0)))


def test_chances_follow_what_failed() -> None:
    """High where nothing failed, low where everything did, even at the border, and never zero."""
    learnt = Feasibility(inputs(GRID), GRID[:, 0] > 0.5, BELIEF, BELIEF.center())
    chances = np.exp(learnt.log_chance(inputs(np.array([[0.1, 0.4], [0.575, 0.5], [0.9, 0.6]]))))
    assert chances[0] > 0.9
    assert chances[1] == pytest.approx(0.5, abs=0.2)
    assert LEAST <= chances[2] < 0.1
    far = np.exp(learnt.log_chance(inputs(np.array([[40.0, 40.0]]))))
    assert far >= LEAST


def test_nothing_failed() -> None:
    """Then no configuration is less promising for it."""
    learnt = Feasibility(inputs(GRID), np.zeros(len(GRID), bool), BELIEF, BELIEF.center())
    assert (learnt.log_chance(inputs(GRID)) == 0).all()


def test_failures_are_told_from_trainings_that_learnt_nothing() -> None:
    """Both score as low: the best is at the border, and is left on the one side only."""
    values = np.where(GRID[:, 0] > 0.5, np.nan, 0.0)
    middle = int(np.argmin(((GRID - 0.5) ** 2).sum(axis=1)))
    values[middle] = 0.1
    past = History(GRID, values, np.zeros((0, 2)))
    rows = [propose(PLANE, past, Prior(), seed, 49) for seed in range(8)]
    assert all(row is not None and row[0] < 0.505 for row in rows)
    nothing = History(GRID, np.nan_to_num(values), np.zeros((0, 2)))
    others = [propose(PLANE, nothing, Prior(), seed, 49) for seed in range(8)]
    assert any(row is not None and row[0] > 0.505 for row in others)


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_while_all_scores_are_alike_the_widest_gap_is_closed(value: float) -> None:
    """A model of nothing goes from corner to corner; a sweep of the learning rate finds a way."""
    space = Space((Dimension("float"), Dimension("float", 1e-6, 1e-3, log=True), *PLANE.dimensions))
    rows = np.zeros((0, 4))
    for index in range(12):
        past = History(rows, np.full(len(rows), value), np.zeros((0, 4)))
        row = propose(space, past, Prior(lead=1), 0, index)
        assert row is not None
        rows = np.concatenate([rows, row[None]])
    assert len({key_of(row) for row in rows}) == 12
    assert np.diff(np.sort(np.r_[rows[:, 1], 0.0, 1.0])).max() < 0.16


def test_while_all_scores_are_alike_failures_are_avoided() -> None:
    """Of two halves of which one always fails, the other one is drawn as long as nothing scores."""
    rows = np.zeros((0, 2))
    for index in range(30):
        values = np.where(rows[:, 0] > 0.5, np.nan, 0.0)
        row = propose(PLANE, History(rows, values, np.zeros((0, 2))), Prior(lead=1), 0, index)
        assert row is not None
        rows = np.concatenate([rows, row[None]])
    assert (rows[10:, 0] > 0.5).mean() < 0.25
