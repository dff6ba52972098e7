"""One parameter of a search space as a column of numbers.

A number's coordinate lies in [0, 1], evenly in the logarithm where the range is; a numeric
choice's is its rank, any other choice's its index.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Value = bool | int | float | str

MIDDLE = 0.5


@dataclass(frozen=True)
class Dimension:
    """One parameter; `choice` makes those that are no range.

    Args:
        kind: a range of real or of whole numbers, choices with an order, choices without one.
        low: of a range.
        high: of a range.
        log: coordinates are even in the logarithm.
        step: between the values of a range; None where they are dense.
        values: the choices, numbers in rising order.
        when: the parameter exists where each of these earlier dimensions (by index) exists and
            has one of the coordinates.
    """

    kind: Literal["float", "int", "rank", "category"]
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    step: float | None = None
    values: tuple[Value, ...] = ()
    when: tuple[tuple[int, tuple[float, ...]], ...] = ()

    @cached_property
    def size(self) -> float:
        """How many values there are; infinite where they are dense."""
        if self.values:
            return len(self.values)
        if self.low == self.high:
            return 1
        if self._step is None:
            return math.inf
        width = Decimal(str(self.high)) - Decimal(str(self.low))  # as Optuna counts steps
        return int(width // Decimal(str(self._step))) + 1

    @cached_property
    def _step(self) -> float | None:
        return 1 if self.kind == "int" and self.step is None else self.step

    @cached_property
    def _ends(self) -> tuple[float, float]:
        top = self.high if self._step is None else self.low + (self.size - 1) * self._step
        return self._scale(self.low), self._scale(top)

    def _scale(self, number: float) -> float:
        return math.log(number) if self.log else number

    def encode(self, value: Value) -> float:
        """Return the coordinate of a value; where it is out of range, that of the nearest end.

        Raises:
            ValueError: it is none of the choices, or no finite number.
        """
        if self.kind in ("rank", "category"):
            index = self.values.index(value)
            return float(index) if self.kind == "category" else index / max(self.size - 1, 1)
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"found {value!r}; expected a finite number")
        first, last = self._ends
        if first == last:
            return MIDDLE
        place = self._scale(min(max(number, self.low), self.high))
        return float(self.snap(np.array([(place - first) / (last - first)]))[0])

    def decode(self, coordinate: float) -> Value:
        """Return the value at a coordinate, as plain Python."""
        if self.kind in ("rank", "category"):
            index = coordinate if self.kind == "category" else coordinate * (self.size - 1)
            return self.values[round(float(index))]
        first, last = self._ends
        place = first + float(coordinate) * (last - first)
        number = min(max(math.exp(place) if self.log else place, self.low), self.high)
        if self._step is None:
            # 3e-05, and not 2.9999999999999977e-05
            return min(max(float(f"{number:.12g}"), self.low), self.high)
        index = min(max(round((number - self.low) / self._step), 0), int(self.size) - 1)
        # in decimal: in binary 3 * 0.1 is 0.30000000000000004
        exact = Decimal(str(self.low)) + index * Decimal(str(self._step))
        return int(exact) if self.kind == "int" else float(exact)

    def snap(self, coordinates: Array) -> Array:
        """Return the nearest coordinates, in number, that values have; (n,) to (n,)."""
        if self.kind == "category" or self.size == math.inf:
            return coordinates
        if self.size == 1:
            return np.full_like(coordinates, 0.0 if self.kind == "rank" else MIDDLE)
        if not self.log:
            last_index = self.size - 1
            return np.asarray(np.rint(coordinates * last_index) / last_index)
        first, last = self._ends
        return self._at(np.exp(first + coordinates * (last - first)))

    def spread(self, shares: Array) -> Array:
        """Return the coordinates at shares in [0, 1] of a draw in which no value is preferred."""
        if self.size == math.inf:
            return shares
        if self.kind == "category":
            return np.minimum(np.floor(shares * self.size), self.size - 1)
        if self.size == 1:
            return self.snap(shares)
        if not self.log:
            return np.minimum(np.floor(shares * self.size), self.size - 1) / (self.size - 1)
        half = (self._step or 1) / 2
        first, last = math.log(max(self.low - half, self.low / 2)), math.log(self.high + half)
        return self._at(np.exp(first + shares * (last - first)))

    def levels(self) -> Array:
        """Return the coordinates of all values; of a finite dimension only."""
        index = np.arange(self.size)
        if self.log and self.size > 1:
            return self._at(self.low + index * (self._step or 1))
        return self.spread((index + 0.5) / self.size)

    def _at(self, numbers: Array) -> Array:
        """Return the coordinates of the values nearest to numbers of a logarithmic range."""
        first, last = self._ends
        step = self._step or 1
        index = np.clip(np.rint((numbers - self.low) / step), 0, self.size - 1)
        return np.asarray((np.log(self.low + index * step) - first) / (last - first))


def choice(
    values: Sequence[Value], when: tuple[tuple[int, tuple[float, ...]], ...] = ()
) -> Dimension:
    """Return the dimension of choices: ordered by rank where all are numbers (but not booleans)."""
    ordered = all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
    if ordered:
        return Dimension("rank", values=tuple(sorted(values)), when=when)
    return Dimension("category", values=tuple(values), when=when)
