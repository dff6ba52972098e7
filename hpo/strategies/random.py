"""Independent draws from the whole space: the baseline that every other strategy must beat."""

from optuna.samplers import BaseSampler, RandomSampler
from typing_extensions import override

from hpo.strategies import Situation, Strategy


class Random(Strategy):
    """Draws every configuration afresh."""

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        return RandomSampler(seed=situation.derived_seed())
