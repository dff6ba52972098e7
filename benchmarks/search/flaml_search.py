"""FLAML's BlendSearch: local search from good points with Optuna beside it.

https://microsoft.github.io/FLAML. It knows no flat conditions: parameters that do not exist are
drawn and left out. Costs are not told, since strategies are compared at equal numbers of trials.
"""

import itertools
import logging
import math
import warnings
from typing import Any

from numpy.random import default_rng

from benchmarks.search.conditions import existing
from benchmarks.search.landscape import configuration, draw
from hpo.parameters import Choice, Int, Parameter
from hpo.space import SearchSpace

TRIES = 50  # it answers None where it would repeat itself; `flaml.tune.run` asks again, too


class FlamlSearcher:
    """One search.

    Args:
        space: what is searched.
        seed: of all draws.
        trials: how many there will be, which it plans with.
    """

    def __init__(self, space: SearchSpace, seed: int, trials: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its AutoML is not installed
            from flaml import BlendSearch
        logging.getLogger("flaml").setLevel(logging.ERROR)
        self._space = space
        self._numbers = itertools.count()
        self._random = default_rng(seed)
        self._search = BlendSearch(
            metric="score",
            mode="max",
            space={name: _domain(parameter) for name, parameter in space.root.items()},
            num_samples=trials,
            seed=seed,
        )

    def ask(self) -> tuple[tuple[str, dict[str, Any]], dict[str, Any]]:
        """Return what it suggests."""
        for number in itertools.islice(self._numbers, TRIES):
            whole = self._search.suggest(str(number))
            if whole is not None:
                return (str(number), whole), existing(self._space, whole)
        row = draw(self._space, 1, self._random)
        return ("", {}), configuration(self._space, row, 0)

    def tell(self, ticket: tuple[str, dict[str, Any]], value: float) -> None:
        """Pass a score on, or that there is none."""
        number, whole = ticket
        if not number:
            return  # it knows nothing of it
        if math.isnan(value):
            self._search.on_trial_complete(number, error=True)
        else:
            self._search.on_trial_complete(number, {"config": whole, "score": value})


def _domain(parameter: Parameter) -> Any:
    from flaml import tune

    if isinstance(parameter, Choice):
        return tune.choice(list(parameter.values))
    if isinstance(parameter, Int):
        draw_int = tune.lograndint if parameter.log else tune.randint
        return draw_int(parameter.low, parameter.high + 1)
    draw_float = tune.loguniform if parameter.log else tune.uniform
    return draw_float(parameter.low, parameter.high)
