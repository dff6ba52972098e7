"""The Bayesian default: a few evenly spread trials, then the tree-structured Parzen estimator.

Ten independent draws, TPE's own start, leave holes as wide as the narrow good region of a
learning rate; the points of a scrambled Sobol sequence do not (Owen 1998).
"""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler
from typing_extensions import override

from hpo.strategies import Situation, Strategy

SPREAD_TRIALS = 8


class Bayes(Strategy):
    """Spreads the first trials over the space, then models it."""

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        seed = situation.derived_seed()
        if situation.index >= SPREAD_TRIALS:
            return TPESampler(n_startup_trials=0, seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # The storage keeps the place in the sequence, so the seed must be the study's. The
            # first trial of all and every category are drawn apart, with the trial's own seed.
            return QMCSampler(
                qmc_type="sobol",
                scramble=True,
                seed=situation.seed,
                independent_sampler=RandomSampler(seed=seed),
                warn_independent_sampling=False,
            )
