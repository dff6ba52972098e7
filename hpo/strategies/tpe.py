"""Optuna's tree-structured Parzen estimator, with its own defaults (Bergstra et al. 2011)."""

from optuna.samplers import BaseSampler, TPESampler

from hpo.strategies import Situation


def tpe(situation: Situation) -> BaseSampler:
    """Return the sampler for one trial."""
    return TPESampler(seed=situation.derived_seed())
