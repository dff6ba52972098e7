"""scikit-optimize's own `Optimizer` (https://scikit-optimize.readthedocs.io).

It knows neither failures, conditions nor what is pending: a failure is told as the worst score so
far, parameters that do not exist are drawn and left out, and what is pending is told to a copy with
upstream's own lie, the best score so far (`cl_min`).
"""

import copy
import math
from typing import Any

import numpy as np
from skopt import Optimizer
from skopt.space import Categorical, Dimension, Integer, Real
from threadpoolctl import threadpool_limits

from benchmarks.search.conditions import existing
from hpo.parameters import Choice, Int, Parameter
from hpo.space import SearchSpace

Point = tuple[Any, ...]


class SkoptSearcher:
    """A Gaussian process with its default acquisition, `gp_hedge`.

    Args:
        space: what is searched.
        seed: of all draws.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        dimensions = [_dimension(parameter) for parameter in space.root.values()]
        self._optimizer = Optimizer(dimensions, base_estimator="GP", random_state=seed)
        self._pending: list[Point] = []
        self._told: tuple[list[list[Any]], list[float]] = [], []  # not modelled yet
        self._worst = 0.0

    def ask(self) -> tuple[Point, dict[str, Any]]:
        """Fit a model to what was told, and ask it."""
        with threadpool_limits(1):
            if self._told[0]:
                self._optimizer.tell(*self._told)
                self._told = [], []
            point = tuple(self._believing().ask())
        self._pending.append(point)
        params = dict(zip(self._space.root, point, strict=True))
        return point, existing(self._space, params)

    def _believing(self) -> Optimizer:
        """Return a copy that takes pending points for done, or the optimizer if there are none."""
        if not self._pending or not self._optimizer.models:
            return self._optimizer
        liar = copy.copy(self._optimizer)
        liar.Xi, liar.yi = list(liar.Xi), list(liar.yi)
        liar.models, liar.gains_ = [], np.copy(liar.gains_)
        liar.tell([list(point) for point in self._pending], [min(liar.yi)] * len(self._pending))
        return liar

    def tell(self, ticket: Point, value: float) -> None:
        """Note a score for the next fit."""
        self._pending.remove(ticket)
        loss = self._worst if math.isnan(value) else -value
        self._worst = max(loss, self._worst) if self._optimizer.Xi or self._told[0] else loss
        self._told[0].append(list(ticket))
        self._told[1].append(loss)


def _dimension(parameter: Parameter) -> Dimension:
    if isinstance(parameter, Choice):
        return Categorical(list(parameter.values))
    prior = "log-uniform" if parameter.log else "uniform"
    kind = Integer if isinstance(parameter, Int) else Real
    return kind(parameter.low, parameter.high, prior=prior)
