"""What all synthetic landscapes share: many configurations as columns, and scores made of them.

A landscape's optimum is drawn first and every loss is zero there and nowhere negative, so that the
best score is known exactly instead of being searched for.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeGuard

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from benchmarks.search.problem import Params
from hpo.parameters import Choice, Int, Parameter, as_tuple
from hpo.space import SearchSpace

Array = NDArray[np.float64]
Columns = dict[str, Array]
"""Name -> values (n,): numbers as they are, other choices as their index, NaN where absent."""

TYPICAL = 4096  # draws whose median is the typical score


class Landscape(ABC):
    """A synthetic fine-tuning; a subclass draws top, floor and optimum, and gives scores and risks.

    Args:
        number: every coefficient is drawn with it.
        off: by how many decades the best learning rate is off the published ones.
    """

    family: ClassVar[str]
    space: ClassVar[SearchSpace]
    incomplete = ""
    size = np.inf
    floor: float
    top: float  # the score at the optimum
    optimum: dict[str, Any]

    def __init__(self, number: int, off: int = 0) -> None:
        self.name = f"{self.family}-{number}"
        self.off = off
        self.prior_is_wrong = off != 0
        rng = default_rng([*self.family.encode(), number])
        self.prepare(rng)
        while not self._is_optimum_in_reach():
            self.prepare(rng)
        self.best = self.true(self.optimum)
        self.typical = float(np.median(self.scores(draw(self.space, TYPICAL, rng))))

    def _is_optimum_in_reach(self) -> bool:
        """Say whether the optimum lies in the space and before the cliff."""
        at_optimum = as_columns(self.space, [self.optimum])
        return not list(self.space.misfits(self.optimum)) and self.risk(at_optimum)[0] == 0

    @abstractmethod
    def prepare(self, rng: Generator) -> None:
        """Draw the optimum and the coefficients."""

    @abstractmethod
    def quality(self, columns: Columns) -> Array:
        """Return the scores of trainings that do not fail, without noise; (n,)."""

    @abstractmethod
    def risk(self, columns: Columns) -> Array:
        """Return the probabilities that a training fails, exactly 0 at the optimum; (n,)."""

    @abstractmethod
    def observe(self, params: Params, rng: Generator) -> float:
        """Return the score of one training; NaN if it failed."""

    @abstractmethod
    def seconds(self, params: Params) -> float:
        """Return about how long a training takes."""

    def scores(self, columns: Columns) -> Array:
        """Return the true scores, a failure counting as the floor; (n,)."""
        risk = self.risk(columns)
        return (1 - risk) * self.quality(columns) + risk * self.floor

    def true(self, params: Params) -> float:
        """Return the true score of a configuration."""
        return float(self.scores(as_columns(self.space, [params]))[0])


def as_columns(space: SearchSpace, configurations: Sequence[Params]) -> Columns:
    """Return configurations as columns."""
    return {
        name: np.array([_number(parameter, each.get(name)) for each in configurations])
        for name, parameter in space.root.items()
    }


def _number(parameter: Parameter, value: Any) -> float:
    if value is None:
        return np.nan
    return float(parameter.values.index(value)) if _is_named(parameter) else float(value)


def _is_named(parameter: Parameter) -> TypeGuard[Choice]:
    return isinstance(parameter, Choice) and not isinstance(parameter.values[0], int | float)


def draw(space: SearchSpace, count: int, rng: Generator) -> Columns:
    """Draw configurations evenly, those of logarithmic ranges evenly in the logarithm."""
    columns: Columns = {}
    for name in space.in_order():
        parameter = space.root[name]
        columns[name] = _drawn(parameter, count, rng)
        for other, wanted in (parameter.when or {}).items():
            values = [_number(space.root[other], value) for value in as_tuple(wanted)]
            columns[name][~np.isin(columns[other], values)] = np.nan
    return columns


def _drawn(parameter: Parameter, count: int, rng: Generator) -> Array:
    if isinstance(parameter, Choice):
        values = [_number(parameter, value) for value in parameter.values]
        return rng.choice(values, count)
    if isinstance(parameter, Int):
        return rng.integers(parameter.low, parameter.high + 1, count).astype(float)
    if parameter.log:
        return np.exp(rng.uniform(np.log(parameter.low), np.log(parameter.high), count))
    return rng.uniform(parameter.low, parameter.high, count)


def configuration(space: SearchSpace, columns: Columns, row: int) -> dict[str, Any]:
    """Return one of the configurations that stand in columns."""
    found: dict[str, Any] = {}
    for name, parameter in space.root.items():
        number = float(columns[name][row])
        if np.isnan(number):
            continue
        if _is_named(parameter):
            found[name] = parameter.values[int(number)]
        elif isinstance(parameter, Choice):
            found[name] = next(value for value in parameter.values if value == number)
        else:
            found[name] = int(number) if isinstance(parameter, Int) else number
    return found


def ramp(excess: Array, width: float) -> Array:
    """Return probabilities that rise from exactly 0 to exactly 1 around an excess of 0; (n,)."""
    return np.clip(0.5 + excess / width, 0, 1)
