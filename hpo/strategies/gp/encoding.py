"""Configurations of a search space as rows of numbers, one column a dimension.

Where a parameter does not exist, a number rests in the middle of its range and a category is at
ABSENT, so that each configuration has one row only.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpo.strategies.gp.dimensions import MIDDLE, Array, Dimension, Value

ABSENT = -1.0
COUNTED = 5000  # a space with conditions is counted one by one up to here


@dataclass(frozen=True)
class Space:
    """A search space of P dimensions; one that depends on others stands behind them."""

    dimensions: tuple[Dimension, ...]

    def __len__(self) -> int:
        return len(self.dimensions)

    @cached_property
    def size(self) -> float:
        """How many configurations there are; if many, an upper bound."""
        bound = math.prod(dimension.size for dimension in self.dimensions)
        if not math.isfinite(bound) or not any(each.when for each in self.dimensions):
            return bound
        counted = sum(1 for _ in itertools.islice(self.rows(), COUNTED + 1))
        return counted if counted <= COUNTED else bound

    @cached_property
    def numeric(self) -> NDArray[np.intp]:
        """The columns that are numbers."""
        return np.array([i for i, d in enumerate(self.dimensions) if d.kind != "category"], np.intp)

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """The dimension that each feature belongs to; (Q,)."""
        owners = list(self.numeric)
        for column, dimension in enumerate(self.dimensions):
            if dimension.kind == "category":
                owners += [column] * int(dimension.size)
        return np.array(owners, np.intp)

    def encode(self, values: Sequence[Value | None]) -> Array:
        """Return the row (P,) of a configuration; None where a parameter does not exist.

        Raises:
            ValueError: a value that is no choice, or no finite number.
        """
        row = [
            _rest(dimension) if value is None else dimension.encode(value)
            for dimension, value in zip(self.dimensions, values, strict=True)
        ]
        return np.array(row)

    def decode(self, row: Array) -> list[Value | None]:
        """Return the values of a row (P,); None where a parameter does not exist."""
        exists = self.exists(row[None])[0]
        return [
            dimension.decode(coordinate) if present else None
            for dimension, coordinate, present in zip(self.dimensions, row, exists, strict=True)
        ]

    def exists(self, rows: Array) -> NDArray[np.bool_]:
        """Return which parameters exist in each configuration; (n, P) to (n, P)."""
        there = np.ones(rows.shape, dtype=bool)
        for column, dimension in enumerate(self.dimensions):
            for other, coordinates in dimension.when:
                near = np.isclose(rows[:, other, None], np.array(coordinates)[None], atol=1e-6)
                there[:, column] &= there[:, other] & near.any(axis=1)
        return there

    def settle(self, rows: Array) -> Array:
        """Return the nearest configurations: values that exist, the rest at rest; (n, P)."""
        settled = rows.copy()
        for column, dimension in enumerate(self.dimensions):
            settled[:, column] = dimension.snap(rows[:, column])
        exists = self.exists(settled)
        for column, dimension in enumerate(self.dimensions):
            if dimension.when:
                settled[~exists[:, column], column] = _rest(dimension)
        return settled

    def spread(self, shares: Array) -> Array:
        """Return the configurations at shares in [0, 1] that prefer no value; (n, P)."""
        return self.settle(self.all_existing(shares))

    def all_existing(self, shares: Array) -> Array:
        """Return the same with a value for every parameter, be there one or not; (n, P)."""
        columns = [d.spread(shares[:, column]) for column, d in enumerate(self.dimensions)]
        return np.stack(columns, axis=1)

    def features(self, rows: Array) -> Array:
        """Return what distances are measured between; (n, P) to (n, Q).

        Numbers as they are, categories one-hot: two different ones are at distance 1.
        """
        parts = [rows[:, self.numeric]]
        for column, dimension in enumerate(self.dimensions):
            if dimension.kind == "category":
                parts.append((rows[:, column, None] == np.arange(dimension.size)) / math.sqrt(2))
        return np.concatenate(parts, axis=1)

    def rows(self) -> Iterator[Array]:
        """Yield the row (P,) of every configuration of a finite space once."""
        levels = [dimension.levels().tolist() for dimension in self.dimensions]
        return (np.array(row) for row in self._extended((), levels))

    def _extended(
        self, begun: tuple[float | None, ...], levels: Sequence[Sequence[float]]
    ) -> Iterator[list[float]]:
        """Yield the configurations that begin so; None stands where a parameter does not exist."""
        if len(begun) == len(self.dimensions):
            pairs = zip(begun, self.dimensions, strict=True)
            yield [_rest(dimension) if place is None else place for place, dimension in pairs]
            return
        there = all(
            (place := begun[other]) is not None
            and any(math.isclose(place, each, abs_tol=1e-6) for each in coordinates)
            for other, coordinates in self.dimensions[len(begun)].when
        )
        for place in levels[len(begun)] if there else (None,):
            yield from self._extended((*begun, place), levels)

    def table(self) -> Array:
        """Return every configuration of a finite space once; (size, P)."""
        return np.array(list(self.rows()))

    def unseen(self, seen: set[bytes]) -> Array | None:
        """Return the first configuration of a finite space that was not seen; None if all were."""
        return next((row for row in self.rows() if key_of(row) not in seen), None)


def key_of(row: Array) -> bytes:
    """Return what is equal for equal configurations."""
    return bytes((np.round(row, 9) + 0.0).tobytes())  # + 0.0: there is a -0.0


def _rest(dimension: Dimension) -> float:
    if dimension.kind == "category":
        return ABSENT
    return float(dimension.snap(np.array([MIDDLE]))[0])
