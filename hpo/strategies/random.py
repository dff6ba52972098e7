"""Independent draws from the whole space: the baseline that every other strategy must beat."""

from optuna.samplers import BaseSampler, RandomSampler

from hpo.strategies import Situation


def random(situation: Situation) -> BaseSampler:
    """Return the sampler for one trial."""
    return RandomSampler(seed=situation.derived_seed())
