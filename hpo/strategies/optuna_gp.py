"""Optuna's Gaussian process with log expected improvement, with its own defaults.

https://arxiv.org/abs/2310.20708; trials that run are counted in (q-batch log EI).
"""

from typing import Annotated

from optuna.samplers import BaseSampler, GPSampler
from pydantic import Field, StrictInt
from typing_extensions import override

from hpo.strategies import Situation, Strategy, StrategyOptions


class GpOptions(StrategyOptions):
    """What `strategy_options` may say.

    Args:
        startup_trials: those that complete, drawn at random, before the first model.
    """

    startup_trials: Annotated[StrictInt, Field(ge=1)] = 10


class Gp(Strategy):
    """Models the objective with Optuna's Gaussian process."""

    Options = GpOptions

    def __init__(self, options: GpOptions | None = None) -> None:
        self.options = options or GpOptions()

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        # It holds torch and OpenBLAS to one thread while it fits, and gives them back
        # (https://github.com/optuna/optuna/pull/6753). Upstream advises OMP_NUM_THREADS=1 on top,
        # which would slow the training that runs in this process.
        return GPSampler(
            seed=situation.derived_seed(),
            n_startup_trials=self.options.startup_trials,
            deterministic_objective=False,  # a training with another seed scores differently
            warn_independent_sampling=False,  # conditional parameters are drawn at random
        )
