"""Optuna's tree-structured Parzen estimator, with its own defaults (Bergstra et al. 2011)."""

from optuna.samplers import BaseSampler, TPESampler
from typing_extensions import override

from hpo.strategies import Situation, Strategy


class Tpe(Strategy):
    """Models where the good configurations are, and where the others."""

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        return TPESampler(seed=situation.derived_seed())
