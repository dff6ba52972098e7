"""How the next configuration is chosen: an Optuna sampler by name.

A new strategy is a function in this folder that satisfies `Strategy`, and a line in the table
below (or an entry point in the group `hpo.strategies`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hpo.plugins import Plugins

if TYPE_CHECKING:
    import optuna

    from hpo.space import Scalar, SearchSpace

STRATEGIES = Plugins(
    "strategy",
    {
        "bayes": "hpo.strategies.bayes:bayes",
        "tpe": "hpo.strategies.tpe:tpe",
        "random": "hpo.strategies.random:random",
        "grid": "hpo.strategies.grid:GRID",
    },
    "hpo.strategies",
)


@dataclass(frozen=True)
class Situation:
    """What a strategy may look at.

    Args:
        space: what is searched.
        seed: the study's.
        index: how many trials were started before this one.
    """

    space: "SearchSpace"
    seed: int
    index: int

    def derived_seed(self) -> int:
        """Return a seed of this trial's own.

        A sampler lives for one trial; with the study's seed it would repeat its draw for ever.
        """
        from numpy.random import SeedSequence

        return int(SeedSequence([self.seed, self.index]).generate_state(1)[0])


class Strategy(Protocol):
    """A way to choose configurations.

    It may also have a method `points(space, seed) -> list[dict]`: then these very points are the
    study, each one is queued once, and the sampler is never asked.
    """

    def __call__(self, situation: Situation) -> "optuna.samplers.BaseSampler":
        """Return the sampler for one trial."""
        ...


def load_strategy(name: str) -> Strategy:
    """Return a strategy by name.

    Raises:
        BadInput: there is no such strategy.
    """
    strategy: Strategy = STRATEGIES.load(name)
    return strategy


def points_of(
    strategy: Strategy, space: "SearchSpace", seed: int
) -> "list[Mapping[str, Scalar]] | None":
    """Return the points that a strategy is made of, or None where it samples."""
    points: Any = getattr(strategy, "points", None)
    return None if points is None else list(points(space, seed))
