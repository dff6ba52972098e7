"""A search space as Optuna's distributions, for samplers that want all of it before a trial."""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.parameters import Scalar
from hpo.space import SearchSpace


def distributions_of(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return name -> the distribution that drawing the parameter stores with a trial.

    Optuna takes a sampler's value only where its distribution is the one that is asked for, so
    the parameters are drawn here as they are in a trial.
    """
    recorder = _Recorder()
    for name, parameter in space.root.items():
        parameter.suggest(name, recorder)
    return recorder.found


class _Recorder:
    """Keeps what it is asked to draw from; what it returns is in the range."""

    def __init__(self) -> None:
        self.found: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.found[name] = FloatDistribution(low, high, step=step, log=log)
        return low

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        self.found[name] = IntDistribution(low, high, step=step, log=log)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Scalar | None]) -> Any:
        self.found[name] = CategoricalDistribution(choices)
        return choices[0]
