"""How the next configuration is chosen: an Optuna sampler by name.

A new strategy is a `Strategy` in this folder and a line in the table below (or an entry point in
the group `hpo.strategies`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo.errors import SpecError
from hpo.plugins import Plugins

if TYPE_CHECKING:
    import optuna

    from hpo.space import Scalar, SearchSpace
    from hpo.spec import StudySpec

STRATEGIES = Plugins(
    "strategy",
    {
        "bayes": "hpo.strategies.bayes:Bayes",
        "tpe": "hpo.strategies.tpe:Tpe",
        "random": "hpo.strategies.random:Random",
        "grid": "hpo.strategies.grid:Grid",
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


class Strategy:
    """A way to choose configurations: it samples, unless it is made of points."""

    def sampler(self, situation: Situation) -> "optuna.samplers.BaseSampler":
        """Return the sampler for one trial."""
        raise NotImplementedError

    def points(self, space: "SearchSpace", seed: int) -> "list[Mapping[str, Scalar]] | None":
        """Return the points that are the study, each of them run once; None where it samples.

        Raises:
            SpecError: the space has no such points.
        """
        return None


def load_strategy(spec: "StudySpec") -> Strategy:
    """Return the strategy of a study.

    Raises:
        BadInput: there is no such strategy, its points cannot be listed, or it would never end.
    """
    made: type[Strategy] = STRATEGIES.load(spec.strategy)
    strategy = made()
    endless = spec.budget.trials is None and spec.budget.hours is None
    if strategy.points(spec.search_space(), spec.seed) is None and endless:
        raise SpecError(
            f"budget: found neither trials nor hours; expected one of them, since "
            f"{spec.strategy} has no end of its own"
        )
    return strategy
