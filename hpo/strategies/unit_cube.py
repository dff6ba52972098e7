"""Configurations as points for a model: numbers in [0, 1], categories as their index."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Point = tuple[float, ...]


@dataclass(frozen=True)
class Category:
    """An unordered parameter; its coordinate is the index of the choice."""

    distribution: CategoricalDistribution

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.distribution.choices)

    middle = 0.0  # there is none; any choice would do

    def encode(self, value: Any) -> float:
        """Return the coordinate of a value; raises a ValueError where it is no choice."""
        return self.distribution.to_internal_repr(value)

    def decode(self, coordinate: float) -> Any:
        """Return the value at a coordinate."""
        return self.distribution.choices[int(coordinate)]

    def coordinates(self) -> list[float]:
        """Return the coordinates of all values."""
        return [float(index) for index in range(self.size)]


@dataclass(frozen=True)
class Range:
    """An ordered parameter; its coordinate is even in the logarithm where the range is.

    Discrete values have a share of the axis each, around their coordinate: equal ones, or with
    `log` those of Optuna.
    """

    distribution: FloatDistribution | IntDistribution
    middle = 0.5

    @property
    def size(self) -> int | None:
        """How many values there are; None if they are dense."""
        range_ = self.distribution
        if range_.step is None:
            return None
        return round((range_.high - range_.low) / range_.step) + 1

    @cached_property
    def _ends(self) -> tuple[float, float]:
        low, high = float(self.distribution.low), float(self.distribution.high)
        if self.distribution.log:
            margin = 0.5 if self.size else 0.0
            return math.log(low - margin), math.log(high + margin)
        return (-0.5, self.size - 0.5) if self.size else (low, high)

    def encode(self, value: Any) -> float:
        """Return the coordinate of a value; the nearest end where it is out of range.

        Raises:
            ValueError: it is no number.
        """
        range_ = self.distribution
        number = min(max(range_.to_internal_repr(value), float(range_.low)), float(range_.high))
        if range_.log:
            place = math.log(number)
        else:
            place = round((number - range_.low) / range_.step) if range_.step else number
        first, last = self._ends
        return min(max((place - first) / (last - first), 0.0), 1.0)

    def decode(self, coordinate: float) -> Any:
        """Return the value at a coordinate, as plain Python."""
        range_ = self.distribution
        first, last = self._ends
        place = first + float(coordinate) * (last - first)
        if range_.log:
            place = math.exp(place)
        elif range_.step is not None:
            index = min(max(round(place), 0), (self.size or 1) - 1)
            if isinstance(range_, IntDistribution):
                return range_.low + index * range_.step
            # in decimal: in binary 3 * 0.1 is 0.30000000000000004
            return float(Decimal(str(range_.low)) + index * Decimal(str(range_.step)))
        if isinstance(range_, IntDistribution):
            return min(max(round(place), range_.low), range_.high)
        return min(max(place, range_.low), range_.high)

    def coordinates(self) -> list[float]:
        """Return the coordinates of all values; raises a ValueError where they are dense."""
        if self.size is None or self.distribution.step is None:
            raise ValueError("found a dense range; its values cannot be listed")
        low, step = self.distribution.low, self.distribution.step
        return [self.encode(low + index * step) for index in range(self.size)]


class UnitCube:
    """The configurations of a search space without single-valued parameters."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.axes = {name: _axis(distribution) for name, distribution in space.items()}

    @property
    def size(self) -> float:
        """How many configurations there are; infinite if a range is dense."""
        return math.prod(
            math.inf if axis.size is None else float(axis.size) for axis in self.axes.values()
        )

    def point(self, params: Mapping[str, Any]) -> Point:
        """Return the point of a configuration, with what it has no value for in the middle.

        Raises:
            ValueError, TypeError: a value is none of the parameter's kind, or no choice.
        """
        return tuple(
            axis.encode(params[name]) if name in params else axis.middle
            for name, axis in self.axes.items()
        )

    def place(self, params: Mapping[str, Any]) -> Point | None:
        """Return the point of a trial's parameters; None where it has none of the space's.

        It was queued by hand with another value, or has drawn nothing yet.
        """
        if params.keys().isdisjoint(self.axes):
            return None
        try:
            return self.point(params)
        except (ValueError, TypeError):
            return None

    def params(self, point: Point) -> dict[str, Any]:
        """Return the configuration at a point."""
        pairs = zip(self.axes.items(), point, strict=True)
        return {name: axis.decode(coordinate) for (name, axis), coordinate in pairs}

    def points(self) -> Iterator[Point]:
        """Yield the point of every configuration; raises a ValueError where they are infinite."""
        return itertools.product(*(axis.coordinates() for axis in self.axes.values()))


def _axis(distribution: BaseDistribution) -> Category | Range:
    if isinstance(distribution, CategoricalDistribution):
        return Category(distribution)
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return Range(distribution)
    raise TypeError(f"found a {type(distribution).__name__}; expected one of Optuna's three")
