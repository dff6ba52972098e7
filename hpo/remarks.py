"""What a study file may say and hardly means: the preflight tells it, nobody refuses it."""

from collections.abc import Iterator

from hpo.parameters import Choice
from hpo.pruning import can_prune
from hpo.spec import StudySpec
from hpo.strategies import Strategy
from hpo.training_arguments import DEFAULTS


def remarks(spec: StudySpec, strategy: Strategy, points: int | None) -> list[str]:
    """Return what the user may not have meant, in sentences.

    Args:
        spec: the study.
        strategy: its strategy.
        points: how many a grid has; None for a strategy that samples.
    """
    return [
        *_steps(spec),
        *_starts(spec),
        *_priors(spec, strategy),
        *_budget(spec, strategy, points),
        *_pruning(spec),
    ]


def _steps(spec: StudySpec) -> Iterator[str]:
    for name, parameter in spec.space.root.items():
        if not isinstance(parameter, Choice) and parameter.top() < parameter.high:
            yield (
                f"space.{name}: steps of {parameter.step:g} from {parameter.low:g} end at "
                f"{parameter.top():g}; {parameter.high:g} is never tried"
            )


def _starts(spec: StudySpec) -> Iterator[str]:
    distinct = {frozenset(each.items()) for each in spec.start}
    if len(distinct) < len(spec.start):
        yield "start: a configuration stands there twice, and is tried twice"
    if spec.budget.trials is not None and len(spec.start) > spec.budget.trials:
        yield f"start: {len(spec.start)} configurations, but the budget is {spec.budget.trials}"


def _priors(spec: StudySpec, strategy: Strategy) -> Iterator[str]:
    for name, parameter in spec.space.root.items():
        if parameter.prior is not None and not getattr(strategy, "heeds_priors", False):
            yield f"space.{name}.prior: {spec.strategy} does not use it; bayes does"


def _budget(spec: StudySpec, strategy: Strategy, points: int | None) -> Iterator[str]:
    trials = spec.budget.trials
    if trials is None:
        return
    if points is not None and trials > points:
        yield f"budget.trials: {trials}, but the grid has {points} points, each run once"
    startup = getattr(getattr(strategy, "options", None), "startup_trials", 0)
    if startup >= trials:
        yield (
            f"strategy_options.startup_trials: {startup} random trials, and a budget of {trials}; "
            "nothing is modelled"
        )


def _pruning(spec: StudySpec) -> Iterator[str]:
    if spec.prune.strategy == "none":
        return
    trials, searched = spec.budget.trials, spec.space.root.get("num_train_epochs")
    if trials is not None and trials <= spec.prune.n_startup_trials:
        yield (
            f"prune.n_startup_trials: {spec.prune.n_startup_trials} must complete first, and the "
            f"budget is {trials}; no trial is ever pruned"
        )
    settings = {**DEFAULTS, **spec.training}
    longest: object = settings.get("num_train_epochs", 3)
    if searched is not None:
        longest = max(searched.values if isinstance(searched, Choice) else searched.bounds())
    by_steps = "max_steps" in settings.keys() | spec.space.root.keys()
    if by_steps or not isinstance(longest, int | float):
        return
    by_epoch = settings["eval_strategy"] == "epoch"
    if not can_prune(spec.prune, longest, by_epoch=by_epoch):
        hint = ', or eval_strategy = "steps" with several evaluations an epoch' if by_epoch else ""
        yield (
            f"prune: with {longest:g} epochs at most no trial is ever pruned; expected a lower "
            f"warmup_epochs, warmup_share or min_epochs{hint}"
        )
