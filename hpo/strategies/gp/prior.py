"""What is expected before the first trial, in a form that data can overrule."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hpo.strategies.gp.dimensions import MIDDLE, Array
from hpo.strategies.gp.encoding import Space

BELIEF = 0.5  # how much better, in deviations of the score, the expected values are thought to be
DOUBT = 0.5  # the standard deviation of that number
LENGTH = 1.0  # the distance over which a score changes, where nothing else is said
LENGTH_PER_SPREAD = 4.0
LENGTH_OF_CATEGORIES = 2.0  # most of what is learnt with one category holds with the others


@dataclass(frozen=True)
class Around:
    """A good value of a numeric dimension is expected here, in coordinates.

    A narrow spread also says that the score is sensitive to the dimension.

    Args:
        center: the coordinate.
        spread: the standard deviation round it; above zero.
    """

    center: float
    spread: float

    def bump(self, column: Array) -> Array:
        """Return 1 at the best expectation, towards 0 away from it; (n,) to (n,)."""
        return np.asarray(np.exp(-0.5 * ((column - self.center) / self.spread) ** 2))


@dataclass(frozen=True)
class Among:
    """Good categories are expected in these proportions (one weight a category, none negative)."""

    weights: tuple[float, ...]

    def bump(self, column: Array) -> Array:
        """Return 1 at the best expectation, towards 0 away from it; (n,) to (n,)."""
        weights = np.array([*self.weights, 0.0])  # the last one for ABSENT, which is -1
        return np.asarray(weights[column.astype(int)] / max(weights.max(), 1e-12))


@dataclass(frozen=True)
class Trade:
    """The best value of the lead moves with the values of other dimensions.

    Where the score is a ridge across several dimensions, as it is across learning rate and batch
    size, distances along the axes say little. The model measures them along the ridge, whose
    direction it learns: in place of the lead it sees lead - sum_j slope_j lever_j.

    Args:
        slopes: of each other dimension, how far the best lead is expected to move: one slope over
            the unit range of a number, an offset for each category.
        doubts: of each of the same dimensions, the standard deviation of its slope or its offsets;
            in coordinates of the lead.
    """

    slopes: Mapping[int, tuple[float, ...]]
    doubts: Mapping[int, float]

    def center(self) -> Array:
        """Return the expected slopes, as the levers are ordered; (R,)."""
        return np.concatenate([np.array(slopes) for slopes in self.slopes.values()])

    def width(self) -> Array:
        """Return the standard deviation of each of them; (R,)."""
        doubts = [self.doubts[other] for other in self.slopes]
        return np.repeat(doubts, [len(slopes) for slopes in self.slopes.values()])

    def levers(self, rows: Array) -> Array:
        """Return what the slopes are multiplied with; (n, P) to (n, R)."""
        columns = []
        for other, slopes in self.slopes.items():
            if len(slopes) == 1:
                columns.append(rows[:, other] - MIDDLE)
            else:
                columns += [(rows[:, other] == index) * 1.0 for index in range(len(slopes))]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Prior:
    """Expectations about single dimensions, about a trade, and configurations to try first.

    Each expectation is a term of the model's mean whose coefficient is learnt beside the rest
    (basis functions with a Gaussian weight: Rasmussen & Williams 2006, section 2.7), so that one
    that is wrong loses its weight with the first contrary observations, and only that one. A factor
    on the acquisition that fades by the count of trials (piBO, Hvarfner et al. 2022,
    https://arxiv.org/abs/2204.11051) holds on to a wrong prior when trials are few.

    Args:
        expectations: index of the dimension -> what is expected there.
        starts: rows of configurations (k, P); NaN where a configuration says nothing.
        lead: the dimension that matters most, a numeric one: the learning rate; None if there is
            no such.
        trade: what is expected of the lead together with others; None if nothing.
    """

    expectations: Mapping[int, Around | Among] = field(default_factory=dict)
    starts: Array = field(default_factory=lambda: np.zeros((0, 0)))
    lead: int | None = None
    trade: Trade | None = None

    def lengths(self, space: Space) -> Array:
        """Return over which distance the score is expected to change, in coordinates; (P,)."""
        lengths = np.full(len(space), LENGTH_OF_CATEGORIES)
        lengths[space.numeric] = LENGTH
        for column, expected in self.expectations.items():
            if isinstance(expected, Around):
                lengths[column] = np.clip(LENGTH_PER_SPREAD * expected.spread, 0.1, LENGTH)
        return lengths

    def terms(self, rows: Array) -> Array:
        """Return the terms of the mean, one a dimension with an expectation; (n, P) to (n, H)."""
        bumps = [expected.bump(rows[:, i]) for i, expected in self.expectations.items()]
        return np.stack(bumps, axis=1) if bumps else np.zeros((len(rows), 0))

    def levers(self, rows: Array) -> Array:
        """Return the levers of the trade; (n, P) to (n, R), R is 0 without one."""
        return np.zeros((len(rows), 0)) if self.trade is None else self.trade.levers(rows)

    def bend(self, shares: Array, trust: float) -> Array:
        """Return shares in [0, 1] drawn towards what is expected of numeric dimensions; (n, P).

        Args:
            shares: of a draw that prefers nothing.
            trust: the weight of the expectation beside the even draw, in [0, 1].
        """
        bent = shares.copy()
        grid = np.linspace(0, 1, 513)
        for column, expected in self.expectations.items():
            if not isinstance(expected, Around):
                continue
            density = expected.bump(grid) + 1e-12
            density = trust * density / density.mean() + (1 - trust)
            steps = (density[1:] + density[:-1]) / 2
            reached = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
            bent[:, column] = np.interp(shares[:, column], reached, grid)
        return bent
