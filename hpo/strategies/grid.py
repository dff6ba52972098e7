"""Every point of the grid once, in an order shuffled by the seed.

A grid that is stopped early is then a fair sample of itself.
"""

import random
from collections.abc import Mapping
from itertools import islice

from optuna.samplers import BaseSampler, RandomSampler
from typing_extensions import override

from hpo.errors import SpecError
from hpo.parameters import MOST_POINTS, Scalar
from hpo.space import SearchSpace
from hpo.strategies import Situation, Strategy


class Grid(Strategy):
    """The points are queued when the study is made; there is nothing left to sample."""

    @override
    def points(self, space: SearchSpace, seed: int) -> list[Mapping[str, Scalar]]:
        try:
            points: list[Mapping[str, Scalar]] = list(islice(space.points(), MOST_POINTS + 1))
        except ValueError as error:
            raise SpecError(str(error)) from None
        if len(points) > MOST_POINTS:
            raise SpecError(
                f"space: found a grid of more than {MOST_POINTS:,} points; expected fewer values, "
                "larger steps, or another strategy"
            )
        random.Random(seed).shuffle(points)
        return points

    @override
    def extends(self, stored: SearchSpace, new: SearchSpace) -> bool:
        before = {frozenset(point.items()) for point in stored.points()}
        return before <= {frozenset(point.items()) for point in new.points()}

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        return RandomSampler(seed=situation.derived_seed())  # a queued point leaves it no draw
