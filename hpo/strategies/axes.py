"""Optuna's distributions as the dimensions of the model, and configurations as its rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.parameters import Prior as Expected
from hpo.parameters import as_tuple
from hpo.space import SearchSpace
from hpo.strategies.gp.dimensions import Array, Dimension, choice
from hpo.strategies.gp.encoding import Space
from hpo.strategies.gp.prior import Among, Around, Prior, Trade
from hpo.strategies.published import (
    OPTIMIZER_DOUBT,
    RATE_DOUBT,
    expectations,
    optimizer_factor,
    rate_factor,
    starts,
)

_RATE = "learning_rate"
_DOUBT = 0.25  # the weight of a category that is not the expected one, beside 1


class Axes:
    """The parameters of a space; one that depends on others stands behind them."""

    def __init__(
        self, distributions: Mapping[str, BaseDistribution], space: SearchSpace | None
    ) -> None:
        self.searched = space
        order = list(distributions) if space is None else space.in_order()
        self.names = [name for name in order if name in distributions]
        self.distributions = distributions
        dimensions: list[Dimension] = []
        for name in self.names:
            dimensions.append(_dimension(distributions[name], self._when(name, dimensions)))
        self.space = Space(tuple(dimensions))

    def _when(
        self, name: str, before: list[Dimension]
    ) -> tuple[tuple[int, tuple[float, ...]], ...]:
        if self.searched is None:
            return ()
        conditions = []
        for other, wanted in (self.searched.root[name].when or {}).items():
            if other in self.names:  # else it has one value only, which is the one that is wanted
                column = self.names.index(other)
                coordinates = [
                    before[column].encode(self._inner(other, value)) for value in as_tuple(wanted)
                ]
                conditions.append((column, tuple(coordinates)))
        return tuple(conditions)

    def _inner(self, name: str, value: Any) -> Any:
        """Return a value as its dimension knows it."""
        distribution = self.distributions[name]
        if isinstance(distribution, CategoricalDistribution) and not _ordered(distribution):
            return int(distribution.to_internal_repr(value))
        return value

    def row(self, params: Mapping[str, Any]) -> Array | None:
        """Return a configuration as a row (P,); None if it is none of this space.

        Then it has drawn nothing yet, or somebody queued it through Optuna with another value.
        """
        if params.keys().isdisjoint(self.names):
            return None
        try:
            return self.space.encode(
                [self._inner(name, params[name]) if name in params else None for name in self.names]
            )
        except (ValueError, TypeError):
            return None

    def stacked(self, rows: Sequence[Array]) -> Array:
        """Return rows as a matrix; (n, P)."""
        return np.array(rows) if rows else np.zeros((0, len(self.names)))

    def params(self, row: Array) -> dict[str, Any]:
        """Return the configuration of a row; what does not exist is left out."""
        found: dict[str, Any] = {}
        for name, value in zip(self.names, self.space.decode(row), strict=True):
            distribution = self.distributions[name]
            if value is None:
                continue
            if isinstance(distribution, CategoricalDistribution) and not _ordered(distribution):
                found[name] = distribution.choices[int(value)]
            else:
                found[name] = value
        return found

    def prior(self) -> Prior:
        """Return what is expected, as far as it is about these parameters."""
        if self.searched is None:
            return Prior()
        expected = {
            name: each for name, each in expectations(self.searched).items() if name in self.names
        }
        around = {
            self.names.index(name): self._around(name, each) for name, each in expected.items()
        }
        rows = [
            [
                dimension.encode(self._inner(name, params[name])) if name in params else np.nan
                for name, dimension in zip(self.names, self.space.dimensions, strict=True)
            ]
            for params in starts(self.searched)
        ]
        lead = self._lead()
        trade = None if lead is None else self._trade(lead)
        return Prior(around, self.stacked([np.array(row) for row in rows]), lead, trade)

    def _lead(self) -> int | None:
        """Return the column of the learning rate, if it is searched as a number."""
        if _RATE not in self.names:
            return None
        column = self.names.index(_RATE)
        return None if self.space.dimensions[column].kind == "category" else column

    def _trade(self, lead: int) -> Trade | None:
        """Return how the best learning rate is expected to move with other parameters."""
        low, high = self._ends(lead)
        if low <= 0 or high <= low or not self._is_even_in_logarithm(lead):
            return None
        width = math.log(high / low)
        slopes: dict[int, tuple[float, ...]] = {}
        doubts = {}
        for column, name in enumerate(self.names):
            distribution = self.distributions[name]
            if self.space.dimensions[column].kind != "category":
                factors = [rate_factor(name, end) for end in self._ends(column)]
                if factors[0] and factors[1] and factors[0] != factors[1]:
                    slopes[column] = (math.log(factors[1] / factors[0]) / width,)
                    doubts[column] = math.log(RATE_DOUBT) / width
            elif name == "optim" and isinstance(distribution, CategoricalDistribution):
                slopes[column] = tuple(
                    math.log(optimizer_factor(str(each))) / width for each in distribution.choices
                )
                doubts[column] = math.log(OPTIMIZER_DOUBT) / width
        return Trade(slopes, doubts) if slopes else None

    def _ends(self, column: int) -> tuple[float, float]:
        """Return the lowest and the highest value of a numeric dimension."""
        dimension = self.space.dimensions[column]
        if dimension.kind == "rank":
            return float(dimension.values[0]), float(dimension.values[-1])
        return dimension.low, dimension.high

    def _is_even_in_logarithm(self, column: int) -> bool:
        """Say whether steps of the coordinate are factors; choices of a rate are taken to be."""
        dimension = self.space.dimensions[column]
        return dimension.kind == "rank" or dimension.log

    def _around(self, name: str, expected: Expected) -> Around | Among:
        column = self.names.index(name)
        dimension = self.space.dimensions[column]
        center = dimension.encode(self._inner(name, expected.center))
        if dimension.kind == "category":
            weights = [_DOUBT] * int(dimension.size)
            weights[int(center)] = 1.0
            return Among(tuple(weights))
        if dimension.kind == "rank":
            return Around(center, expected.spread / max(dimension.size - 1, 1))
        width = dimension.high - dimension.low
        if dimension.log:
            return Around(
                center, float(np.log(expected.spread) / np.log(dimension.high / dimension.low))
            )
        return Around(center, expected.spread / width)


def _ordered(distribution: CategoricalDistribution) -> bool:
    kinds = {type(value) for value in distribution.choices}
    return kinds <= {int, float} and len(set(distribution.choices)) == len(distribution.choices)


def _dimension(
    distribution: BaseDistribution, when: tuple[tuple[int, tuple[float, ...]], ...]
) -> Dimension:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return Dimension("float", low, high, log, step, when=when)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return Dimension("int", low, high, log, step, when=when)
        case CategoricalDistribution(choices=choices) if _ordered(distribution):
            return choice([value for value in choices if isinstance(value, int | float)], when)
        case CategoricalDistribution(choices=choices):
            return Dimension("category", values=tuple(range(len(choices))), when=when)
    raise TypeError(f"found {type(distribution).__name__}; expected one of Optuna's distributions")
