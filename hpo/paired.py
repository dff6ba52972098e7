"""Configurations that were run with the same seeds, compared: a randomized block design.

Each seed is a block: score = configuration + seed + residual. The residual's variance is estimated
over all configurations at once, with (K-1)(S-1) degrees of freedom for K of them and S seeds, since
the two that a pair of configurations has with three seeds tell next to nothing (Montgomery, Design
and Analysis of Experiments, chapter 4). Least squares does the same where runs are missing. With
two configurations it is the paired t test. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

LEVEL = 0.95  # of intervals
EQUAL = 1e-12  # a difference of scores that is merely the rounding of floats


@dataclass(frozen=True)
class Difference:
    """By how much the mean of one configuration lies above that of another.

    Args:
        mean: over the seeds that both have, or that others tie together.
        error: its standard error; None where nothing is left to estimate it from.
        interval: at 95%, by Student's t; None where there is no error.
    """

    mean: float
    error: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def is_noise(self) -> bool:
        """Whether the two are not told apart."""
        return self.interval is None or (self.interval[0] <= EQUAL and self.interval[1] >= -EQUAL)


@dataclass(frozen=True)
class Blocks:
    """What a fit over all configurations came to.

    Args:
        effects: of the configurations, shape (K,); their means where none misses a seed.
        covariance: of the effects, shape (K, K); None without degrees of freedom.
        freedom: degrees of freedom of the residuals.
    """

    effects: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    freedom: int

    def difference(self, one: int, other: int) -> Difference:
        """Return by how much one configuration scores above another, given their places."""
        mean = float(self.effects[one] - self.effects[other])
        if self.covariance is None:
            return Difference(mean)
        matrix = self.covariance
        variance = matrix[one, one] + matrix[other, other] - 2 * matrix[one, other]
        error = float(np.sqrt(max(0.0, variance)))
        half = float(student.ppf((1 + LEVEL) / 2, self.freedom)) * error
        return Difference(mean, error, (mean - half, mean + half))


def fit(scores: Sequence[Mapping[Any, float]]) -> Blocks:
    """Fit scores by configuration and seed.

    Args:
        scores: of each configuration, by seed; each has one at least. Where no chain of common
            seeds ties them together, the plain means are all there is.
    """
    if not scores:
        return Blocks(np.zeros(0), None, 0)
    seeds = list(dict.fromkeys(seed for each in scores for seed in each))
    rows = [
        (place, seeds.index(seed), value)
        for place, each in enumerate(scores)
        for seed, value in each.items()
    ]
    count = len(scores)
    design = np.zeros((len(rows), count + len(seeds)))
    for row, (place, seed, _) in enumerate(rows):
        design[row, place] = design[row, count + seed] = 1.0
    design[:, count:] -= np.array([1.0 / len(seeds)])  # effects of seeds are around none
    design = np.delete(design, count, axis=1)
    values = np.array([value for *_, value in rows])
    found, _, rank, _ = np.linalg.lstsq(design, values)
    if rank < design.shape[1]:
        return Blocks(np.array([np.mean(list(each.values())) for each in scores]), None, 0)
    freedom = len(rows) - int(rank)
    if freedom == 0:
        return Blocks(found[:count], None, 0)
    left = values - design @ found
    inverse = np.linalg.inv(design.T @ design)[:count, :count]
    return Blocks(found[:count], inverse * float(left @ left) / freedom, freedom)
