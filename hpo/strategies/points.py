"""The configurations that are listed, each of them once.

What a confirmation is made of (`hpo.confirmation`); a study file may list some of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial
from pydantic import Field, StrictStr
from typing_extensions import override

from hpo.errors import SpecError
from hpo.parameters import Scalar
from hpo.space import SearchSpace
from hpo.strategies import Situation, Strategy, StrategyOptions
from hpo.trials import params_of

SEED = "seed"


class PointsOptions(StrategyOptions):
    """What `strategy_options` may say.

    Args:
        points: the configurations, each with a value for every parameter that exists.
    """

    points: Annotated[tuple[dict[StrictStr, Scalar], ...], Field(min_length=1)]


class Points(Strategy):
    """The points are queued when the study is made; there is nothing left to sample."""

    Options = PointsOptions

    def __init__(self, options: PointsOptions) -> None:
        self.options = options

    @override
    def points(self, space: SearchSpace, seed: int) -> list[Mapping[str, Scalar]]:
        problems = [
            f"strategy_options.points[{index}].{problem}"
            for index, point in enumerate(self.options.points)
            for problem in (*space.misfits(point), *_missing(space, point))
        ]
        if problems:
            raise SpecError(problems)
        return list(self.options.points)

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        return RandomSampler(seed=situation.derived_seed())  # a queued point leaves it no draw

    @override
    def kept(self, ranked: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
        """Return the best trial of each configuration, whatever its seed."""
        best: dict[frozenset[tuple[str, Scalar]], FrozenTrial] = {}
        for trial in ranked:
            params = params_of(trial)
            best.setdefault(frozenset(item for item in params.items() if item[0] != SEED), trial)
        return list(best.values())


def _missing(space: SearchSpace, point: Mapping[str, Scalar]) -> list[str]:
    return [
        f"{name}: found no value; expected one"
        for name, parameter in space.root.items()
        if name not in point and parameter.exists(point)
    ]
