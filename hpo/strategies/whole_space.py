"""What samplers share that choose all parameters of a trial at once."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial
from typing_extensions import override

from hpo.space import SearchSpace
from hpo.strategies.distributions import distributions_of


class WholeSpaceSampler(BaseSampler):
    """Knows the whole space, or what all finished trials share of it.

    Args:
        space: the whole space; without one, the parameters that all finished trials share, as
            Optuna's samplers do, and random draws of the others.
        seed: of the random draws.
    """

    def __init__(self, space: SearchSpace | None, seed: int | None) -> None:
        self._space = space
        self._independent = RandomSampler(seed=seed)
        self._intersection = IntersectionSearchSpace()

    @override
    def reseed_rng(self) -> None:
        self._independent.reseed_rng()

    @override
    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._space is None:
            found = self._intersection.calculate(study)
        else:
            found = distributions_of(self._space)
        return {name: each for name, each in found.items() if not each.single()}

    @override
    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _is_drawn(self, params: Mapping[str, Any], search_space: Mapping[str, Any]) -> bool:
        """Say whether nothing is left to choose: the trial continues an earlier attempt."""
        if search_space.keys() <= params.keys():
            return True
        return self._space is not None and self._space.is_drawn(params)
