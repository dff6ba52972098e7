"""Every point of the grid once, in an order shuffled by the seed.

A grid that is stopped early is then a fair sample of itself.
"""

import random
from collections.abc import Mapping

from optuna.samplers import BaseSampler, RandomSampler

from hpo.errors import SpecError
from hpo.space import Scalar, SearchSpace
from hpo.strategies import Situation


class Grid:
    """The points are queued when the study is made; there is nothing left to sample."""

    def points(self, space: SearchSpace, seed: int) -> list[Mapping[str, Scalar]]:
        """List the points in the order in which they are run.

        Raises:
            SpecError: a range has neither `step` nor `points`.
        """
        try:
            points = list(space.points())
        except ValueError as error:
            raise SpecError(str(error)) from None
        random.Random(seed).shuffle(points)
        return list(points)

    def __call__(self, situation: Situation) -> BaseSampler:
        """Return a sampler for the form; a queued point leaves it nothing to draw."""
        return RandomSampler(seed=situation.derived_seed())


GRID = Grid()
