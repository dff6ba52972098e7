"""What may be searched: a number in a range, or one of several values.

Optuna's words for ranges. Pure: a trial is whatever has Optuna's three `suggest_*` methods.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, TypeGuard

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

MOST_POINTS = 100_000  # of a grid; each is a row of the database from the start
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
"""A value a parameter may take: what Optuna stores as a category and TOML can write."""


class SuggestingTrial(Protocol):
    """The part of `optuna.Trial` that a search space draws from."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Draw a real number."""

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Draw a whole number."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar | None]) -> Any:
        """Draw one of the choices."""


Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Prior(BaseModel):
    """Where a good value is expected: a bell curve, over the logarithm with `log`.

    Args:
        center: the value that is expected.
        spread: one standard deviation: a factor with `log`, steps from value to value for a choice,
            else a difference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    center: Scalar
    spread: Annotated[Finite, Field(gt=0)]


class _Parameter(BaseModel):
    """What all kinds of parameters take.

    Args:
        when: the parameter exists only where each parameter that is named has the value, or one of
            the values, that stand here.
        prior: where a good value is expected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: dict[StrictStr, Scalar | tuple[Scalar, ...]] | None = None
    prior: Prior | None = None

    def exists(self, others: Mapping[str, object]) -> bool:
        """Say whether the parameter exists, given the values of those it depends on."""
        return all(
            name in others and any(_same(others[name], value) for value in as_tuple(wanted))
            for name, wanted in (self.when or {}).items()
        )


class Float(_Parameter):
    """A real number in [low, high].

    Args:
        log: draw on a logarithmic scale.
        step: draw multiples of it above `low` only (not with `log`).
        points: how many evenly spaced values a grid tries (evenly in the logarithm with `log`);
            other strategies ignore it.
    """

    type: Literal["float"]
    low: Finite
    high: Finite
    log: StrictBool = False
    step: Annotated[Finite, Field(gt=0)] | None = None
    points: Annotated[StrictInt, Field(ge=2, le=MOST_POINTS)] | None = None

    @model_validator(mode="after")
    def _check(self) -> "Float":
        _check_range(self.low, self.high, log=self.log, step=self.step)
        if self.step is not None and self.points is not None:
            raise ValueError("found both step and points; a grid needs one of them")
        _check_prior(self.prior, self.low, self.high, log=self.log)
        return self

    def bounds(self) -> tuple[float, float]:
        """Return the lowest and the highest value."""
        return self.low, self.high

    def holds(self, value: object) -> bool:
        """Say whether a value may be drawn."""
        if not _is_number(value) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8  # as Optuna's FloatDistribution has it

    def top(self) -> float:
        """Return the highest value that may be drawn: the last step may end below `high`."""
        return self.high if self.step is None else _stepped(self.low, self.high, self.step)[-1]

    def suggest(self, name: str, trial: SuggestingTrial) -> float:
        """Draw a value from the trial."""
        # Optuna warns at each draw where the last step ends below high
        return trial.suggest_float(name, self.low, self.top(), step=self.step, log=self.log)

    def values_of_grid(self, name: str) -> list[float]:
        """List the values a grid tries.

        Raises:
            ValueError: neither `step` nor `points` says how many there are.
        """
        if self.step is not None:
            if (self.high - self.low) / self.step >= MOST_POINTS:
                raise ValueError(
                    f"space.{name}.step: found {self.step:g}, which makes more than "
                    f"{MOST_POINTS:,} values; expected a larger one"
                )
            return _stepped(self.low, self.high, self.step)
        if self.low == self.high:
            return [self.low]
        if self.points is None:
            raise ValueError(
                f"space.{name}: found a range without step or points; "
                "a grid needs one of them, for instance points = 5"
            )
        return _spread(self.low, self.high, self.points, log=self.log)


class Int(_Parameter):
    """A whole number in [low, high]; see `Float` for the rest."""

    type: Literal["int"]
    low: StrictInt
    high: StrictInt
    log: StrictBool = False
    step: Annotated[StrictInt, Field(ge=1)] = 1
    points: Annotated[StrictInt, Field(ge=2, le=MOST_POINTS)] | None = None

    @model_validator(mode="after")
    def _check(self) -> "Int":
        _check_range(self.low, self.high, log=self.log, step=self.step if self.step != 1 else None)
        if self.step != 1 and self.points is not None:
            raise ValueError("found both step and points; a grid needs one of them")
        _check_prior(self.prior, self.low, self.high, log=self.log)
        return self

    def bounds(self) -> tuple[int, int]:
        """Return the lowest and the highest value."""
        return self.low, self.high

    def holds(self, value: object) -> bool:
        """Say whether a value may be drawn."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def top(self) -> int:
        """Return the highest value that may be drawn; see `Float`."""
        return self.low + (self.high - self.low) // self.step * self.step

    def suggest(self, name: str, trial: SuggestingTrial) -> int:
        """Draw a value from the trial."""
        return trial.suggest_int(name, self.low, self.top(), step=self.step, log=self.log)

    def values_of_grid(self, name: str) -> Sequence[int]:
        """List the values a grid tries: every step, or `points` of them."""
        if self.points is None:
            return range(self.low, self.high + 1, self.step)
        spread = _spread(float(self.low), float(self.high), self.points, log=self.log)
        return list(dict.fromkeys(round(value) for value in spread))


class Choice(_Parameter):
    """One of several values of one kind; a single value is a constant."""

    type: Literal["choice"]
    values: Annotated[tuple[Scalar, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> "Choice":
        kinds = {_kind(value) for value in self.values}
        if len(kinds) > 1:
            raise ValueError(
                f"found values of several kinds ({', '.join(sorted(kinds))}); "
                "expected all of one kind"
            )
        if len(set(self.values)) < len(self.values):
            raise ValueError("found a value twice; expected distinct values")
        if self.prior is not None and not self.holds(self.prior.center):
            raise ValueError(
                f"found prior.center = {self.prior.center!r}; expected one of the values"
            )
        return self

    def holds(self, value: object) -> bool:
        """Say whether a value may be drawn."""
        return any(_same(value, each) for each in self.values)

    def suggest(self, name: str, trial: SuggestingTrial) -> Scalar:
        """Draw a value from the trial."""
        value: Scalar = trial.suggest_categorical(name, self.values)
        return value

    def values_of_grid(self, name: str) -> list[Scalar]:
        """List the values."""
        return list(self.values)


Parameter = Annotated[Float | Int | Choice, Field(discriminator="type")]


def described(parameter: Parameter) -> str:
    """Say in words what a parameter may be."""
    if isinstance(parameter, Choice):
        return "one of " + ", ".join(map(repr, parameter.values))
    stepped = parameter.step not in {None, 1}
    steps = f" in steps of {parameter.step:g}" if stepped and parameter.step is not None else ""
    kind = "a whole number" if isinstance(parameter, Int) else "a number"
    return f"{kind} from {parameter.low:g} to {parameter.high:g}{steps}"


def as_tuple(wanted: Scalar | tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    """Return the values that a condition names."""
    return wanted if isinstance(wanted, tuple) else (wanted,)


def _same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)  # True == 1


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_prior(prior: Prior | None, low: float, high: float, *, log: bool) -> None:
    if prior is None:
        return
    if not _is_number(prior.center) or not low <= prior.center <= high:
        raise ValueError(
            f"found prior.center = {prior.center!r}; expected a number from {low:g} to {high:g}"
        )
    if log and prior.spread <= 1:
        raise ValueError(
            f"found prior.spread = {prior.spread:g}; with log it is a factor: expected more than 1"
        )


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true/false"
    return "text" if isinstance(value, str) else "number"


def _check_range(low: float, high: float, *, log: bool, step: float | None) -> None:
    if low > high:
        raise ValueError(f"found low = {low:g} above high = {high:g}; expected low <= high")
    if log and low <= 0:
        raise ValueError(f"found log = true with low = {low:g}; a logarithmic range needs low > 0")
    if log and step is not None:
        raise ValueError("found both log and step; Optuna takes one of them")


def _stepped(low: float, high: float, step: float) -> list[float]:
    # in decimal, as Optuna counts them: in binary 0.3 / 0.1 is 2.9999…
    start, size = Decimal(str(low)), Decimal(str(step))
    count = int((Decimal(str(high)) - start) // size)
    return [float(start + index * size) for index in range(count + 1)]


def _spread(low: float, high: float, count: int, *, log: bool) -> list[float]:
    shares = [index / (count - 1) for index in range(1, count - 1)]
    if log:
        inner = [low * (high / low) ** share for share in shares]
    else:
        inner = [low + (high - low) * share for share in shares]
    # twelve digits read well; within the bounds and distinct however narrow the range is
    rounded = [min(max(float(f"{value:.12g}"), low), high) for value in inner]
    return list(dict.fromkeys([low, *rounded, high]))
