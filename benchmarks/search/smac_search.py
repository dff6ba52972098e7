"""SMAC's facade for hyperparameters: random forests, log EI (https://automl.github.io/SMAC3).

It is told that scores have no noise (`deterministic`): else it spends a tenth to a quarter of the
trials on repeats, and on six development landscapes of six it found less in a hundred. Otherwise
its own defaults: a quarter of the trials are a Sobol design, every fifth of the rest is random, and
the forest is fitted again every eight trials.
"""

import logging
import math
import tempfile
from pathlib import Path
from typing import Any

from ConfigSpace import (
    AndConjunction,
    Categorical,
    ConfigurationSpace,
    Float,
    InCondition,
    Integer,
)
from numpy.random import default_rng
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory import StatusType, TrialInfo, TrialValue

from benchmarks.search.landscape import configuration, draw
from hpo.parameters import Choice, Int, Parameter, as_tuple
from hpo.space import SearchSpace

WORST = 1.0  # the cost of a failure: that of a score of 0


class SmacSearcher:
    """One optimization.

    Args:
        space: what is searched; its conditions are passed on.
        seed: of all draws.
        trials: how many there will be, which its design is made for.
    """

    def __init__(self, space: SearchSpace, seed: int, trials: int) -> None:
        self._space = space
        self._random = default_rng(seed)
        self._folder = tempfile.TemporaryDirectory()  # goes with the searcher
        scenario = Scenario(
            _converted(space),
            output_directory=Path(self._folder.name),
            deterministic=True,
            crash_cost=WORST,
            n_trials=trials,
            seed=seed,
        )
        facade = HyperparameterOptimizationFacade
        self._facade = facade(scenario, _never, overwrite=True, logging_level=logging.ERROR)

    def ask(self) -> tuple[TrialInfo | None, dict[str, Any]]:
        """Return the next trial; a random one where it has no more."""
        try:
            info = self._facade.ask()
        except StopIteration:
            row = draw(self._space, 1, self._random)
            return None, configuration(self._space, row, 0)
        found = dict(info.config)
        return info, {name: found[name] for name in self._space.root if name in found}

    def tell(self, ticket: TrialInfo | None, value: float) -> None:
        """Pass the cost on, or that there is none."""
        if ticket is None:
            return  # it knows nothing of it
        failed = math.isnan(value)
        status = StatusType.CRASHED if failed else StatusType.SUCCESS
        cost = WORST if failed else 1 - value
        self._facade.tell(ticket, TrialValue(cost=cost, status=status), save=False)


def _never(config: Any, seed: int = 0) -> float:  # SMAC looks at the names
    raise RuntimeError(f"found a call with {config} and {seed}; expected ask and tell only")


def _converted(space: SearchSpace) -> ConfigurationSpace:
    found = ConfigurationSpace()
    made = {name: _hyperparameter(name, each) for name, each in space.root.items()}
    found.add(list(made.values()))
    for name, parameter in space.root.items():
        conditions = [
            InCondition(made[name], made[other], list(as_tuple(wanted)))
            for other, wanted in (parameter.when or {}).items()
        ]
        if conditions:
            found.add(AndConjunction(*conditions) if len(conditions) > 1 else conditions[0])
    return found


def _hyperparameter(name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        ordered = not isinstance(parameter.values[0], str | bool)
        return Categorical(name, list(parameter.values), ordered=ordered)
    kind = Integer if isinstance(parameter, Int) else Float
    return kind(name, (parameter.low, parameter.high), log=parameter.log)
