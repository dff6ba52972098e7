"""How the next configuration is chosen: an Optuna sampler by name.

A new strategy is a `Strategy` in this folder and a line in the table below (or an entry point in
the group `hpo.strategies`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from hpo.errors import SpecError
from hpo.plugins import Plugins
from hpo.validation import problems

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from hpo.parameters import Scalar
    from hpo.space import SearchSpace
    from hpo.spec import StudySpec
    from hpo.warm_start import EarlierStudy

STRATEGIES = Plugins(
    "strategy",
    {
        "bayes": "hpo.strategies.bayes:Bayes",
        "tpe": "hpo.strategies.tpe:Tpe",
        "gp": "hpo.strategies.optuna_gp:Gp",
        "skopt": "hpo.strategies.skopt_gp:Skopt",
        "random": "hpo.strategies.random:Random",
        "grid": "hpo.strategies.grid:Grid",
        "points": "hpo.strategies.points:Points",
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
        earlier: the studies to learn from; none unless the strategy `learns_from_others`.
    """

    space: "SearchSpace"
    seed: int
    index: int
    earlier: "Sequence[EarlierStudy]" = ()

    def derived_seed(self) -> int:
        """Return a seed of this trial's own.

        A sampler lives for one trial; with the study's seed it would repeat its draw for ever.
        """
        from numpy.random import SeedSequence

        return int(SeedSequence([self.seed, self.index]).generate_state(1)[0])


class StrategyOptions(BaseModel):
    """What `strategy_options` may say; a strategy that takes any has a model of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Strategy:
    """A way to choose configurations: it samples, unless it is made of points.

    It is made with an instance of its `Options`, or with nothing if it has none. One that
    `learns_from_others` is given a study's `warm_start`; one that `heeds_priors` looks at those of
    the parameters.
    """

    Options: ClassVar[type[StrategyOptions] | None] = None
    learns_from_others: ClassVar[bool] = False
    heeds_priors: ClassVar[bool] = False

    def sampler(self, situation: Situation) -> "optuna.samplers.BaseSampler":
        """Return the sampler for one trial."""
        raise NotImplementedError

    def points(self, space: "SearchSpace", seed: int) -> "list[Mapping[str, Scalar]] | None":
        """Return the points that are the study, each of them run once; None where it samples.

        Raises:
            SpecError: the space has no such points.
        """
        return None

    def told(self, space: "SearchSpace", earlier: "Sequence[EarlierStudy]" = ()) -> list[str]:
        """Say in sentences what is believed of a space before its first trial."""
        return []

    def kept(self, ranked: "Sequence[FrozenTrial]", count: int) -> "list[FrozenTrial]":
        """Return the trials that keep their weights.

        Args:
            ranked: the completed ones, the best first.
            count: how many the study asks for (`keep_checkpoints`).
        """
        return list(ranked[:count])

    def extends(self, stored: "SearchSpace", new: "SearchSpace") -> bool:
        """Say whether a study of one space may go on with another, since it only adds to it."""
        return False


def load_strategy(spec: "StudySpec") -> Strategy:
    """Return the strategy of a study.

    Raises:
        BadInput: there is no such strategy, its options are wrong, its points cannot be listed,
            or it would never end.
    """
    strategy = _make(spec)
    endless = spec.budget.trials is None and spec.budget.hours is None
    points = strategy.points(spec.search_space(), spec.seed)
    if points is not None and spec.start:
        raise SpecError(f"start: found beside {spec.strategy}, which runs its own points only")
    if spec.warm_start and not getattr(strategy, "learns_from_others", False):
        raise SpecError(
            f"warm_start: found beside {spec.strategy}, which learns from its own trials only; "
            "expected no warm_start, or a strategy that learns from others, such as bayes"
        )
    if points is None and endless:
        raise SpecError(
            f"budget: found neither trials nor hours; expected one of them, since "
            f"{spec.strategy} has no end of its own"
        )
    return strategy


def _make(spec: "StudySpec") -> Strategy:
    found: Any = STRATEGIES.load(spec.strategy)
    given: dict[str, Any] = spec.strategy_options
    options: type[StrategyOptions] | None = getattr(found, "Options", None)
    if options is None:
        if given:
            raise SpecError(
                f"strategy_options: found {', '.join(given)}; {spec.strategy} takes no options"
            )
        strategy: Strategy = found()
        return strategy
    # in the file's own shape, so that a problem's key is that of the file
    shape = create_model("Shape", strategy_options=(options, ...))
    try:
        checked: Any = shape.model_validate({"strategy_options": given})
    except ValidationError as error:
        raise SpecError(problems(error, {"": type(spec), "strategy_options": options})) from None
    made: Strategy = found(checked.strategy_options)
    return made
