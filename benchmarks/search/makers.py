"""How each contender is made: strategies of ours as `hpo` runs them, those of others as they come.

Optuna's own samplers live as long as a study, as upstream means them to; ours are made anew for
every trial, as a worker does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    RandomSampler,
    TPESampler,
)

from benchmarks.search.optuna_search import OptunaSearcher
from benchmarks.search.simulation import Searcher
from hpo.parameters import Choice, Parameter
from hpo.space import SearchSpace
from hpo.strategies import STRATEGIES, Situation, Strategy
from hpo.strategies.published import starts

POINTS = {"learning_rate": 5, "num_train_epochs": 3}  # of the grid
REST = 2  # points of every other range


@dataclass(frozen=True)
class Setting:
    """What a contender may know: the space, its seed, and how many trials there will be."""

    space: SearchSpace
    seed: int
    trials: int


Make = Callable[[Setting], Searcher]


def ours(name: str) -> Make:
    """Return the maker of a strategy of the table `hpo.strategies.STRATEGIES`."""

    def make(setting: Setting) -> Searcher:
        strategy: Strategy = STRATEGIES.load(name)()
        return OptunaSearcher(setting.space, _each(strategy, setting))

    return make


def _each(strategy: Strategy, setting: Setting) -> Callable[[int], BaseSampler]:
    return lambda index: strategy.sampler(Situation(setting.space, setting.seed, index))


def grid(setting: Setting) -> Searcher:
    """Return our grid over ranges of a few points each, in the order in which `hpo` runs it."""
    strategy: Strategy = STRATEGIES.load("grid")()
    points = strategy.points(coarse(setting.space), setting.seed) or []
    return OptunaSearcher(setting.space, _each(strategy, setting), points[: setting.trials])


def coarse(space: SearchSpace) -> SearchSpace:
    """Return a space whose ranges have a number of points each."""

    def with_points(name: str, parameter: Parameter) -> dict[str, Any]:
        found = parameter.model_dump(exclude_none=True)
        if not isinstance(parameter, Choice):
            found["points"] = POINTS.get(name, REST)
        return found

    return SearchSpace.model_validate(
        {name: with_points(name, parameter) for name, parameter in space.root.items()}
    )


def _lasting(sampler: BaseSampler, setting: Setting) -> Searcher:
    return OptunaSearcher(setting.space, lambda _index: sampler)


def tpe(setting: Setting) -> Searcher:
    """Return Optuna's TPE with its defaults, which is what `hpo` calls `tpe`."""
    return _lasting(TPESampler(seed=setting.seed), setting)


def tpe_published(setting: Setting) -> Searcher:
    """Return the same, with the configurations first that `bayes` tries first."""
    sampler = TPESampler(seed=setting.seed)
    return OptunaSearcher(setting.space, lambda _index: sampler, starts(setting.space))


def gp(setting: Setting) -> Searcher:
    """Return Optuna's Gaussian process with its defaults, which is what `hpo` calls `gp`."""
    return _lasting(GPSampler(seed=setting.seed, warn_independent_sampling=False), setting)


def cma_es(setting: Setting) -> Searcher:
    """Return Optuna's CMA-ES; it draws categories at random."""
    return _lasting(CmaEsSampler(seed=setting.seed, warn_independent_sampling=False), setting)


def random(setting: Setting) -> Searcher:
    """Return independent draws."""
    return _lasting(RandomSampler(seed=setting.seed), setting)


def skopt_own(setting: Setting) -> Searcher:
    """Return scikit-optimize's own optimizer."""
    from benchmarks.search.skopt_search import SkoptSearcher

    return SkoptSearcher(setting.space, setting.seed)


def flaml(setting: Setting) -> Searcher:
    """Return FLAML's BlendSearch."""
    from benchmarks.search.flaml_search import FlamlSearcher

    return FlamlSearcher(setting.space, setting.seed, setting.trials)


def smac(setting: Setting) -> Searcher:
    """Return SMAC's facade for hyperparameters."""
    from benchmarks.search.smac_search import SmacSearcher

    return SmacSearcher(setting.space, setting.seed, setting.trials)
