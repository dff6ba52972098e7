"""What a study file may say and hardly means: the preflight tells it, nobody refuses it."""

import math
from collections.abc import Iterator

from hpo.device import Device, cpu_has_bfloat16
from hpo.evaluations import range_of
from hpo.parameters import Choice, Float, Int
from hpo.pruning import can_prune
from hpo.spec import StudySpec
from hpo.strategies import Strategy
from hpo.training_arguments import DEFAULTS

_WIDE, _NARROW = 3.0, 1e-3  # spreads of a prior, in widths of its range


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
        *_ends(spec),
        *_confirmation(spec),
    ]


def about_device(spec: StudySpec, device: Device) -> list[str]:
    """Return what a study asks for that a device does not do as one would think, in sentences."""
    if device.kind != "cpu":
        return []
    asked = {
        name: "space" if name in spec.space.root else "training"
        for name in ("fp16", "bf16")
        if spec.training.get(name) is True or _may_be_true(spec, name)
    }
    found = []
    if "fp16" in asked:
        found.append(
            f"{asked['fp16']}.fp16: found true, but {device.name} is no GPU: trials train in full "
            "precision here"
        )
    if "bf16" in asked and not cpu_has_bfloat16():
        found.append(
            f"{asked['bf16']}.bf16: found true, but {device.name} has no bfloat16: it is emulated, "
            "and slower than full precision"
        )
    return found


def _may_be_true(spec: StudySpec, name: str) -> bool:
    parameter = spec.space.root.get(name)
    return isinstance(parameter, Choice) and True in parameter.values


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
        elif parameter.prior is not None:
            share = _share(parameter, parameter.prior.spread)
            if share > _WIDE:
                yield (
                    f"space.{name}.prior.spread: {parameter.prior.spread:g} is far wider than what "
                    "is searched; all values are expected alike, as without a prior"
                )
            elif share < _NARROW:
                yield (
                    f"space.{name}.prior.spread: {parameter.prior.spread:g} is far narrower than "
                    "what is searched; hardly another value is expected than the center"
                )


def _share(parameter: Choice | Float | Int, spread: float) -> float:
    """Return how wide a prior is, in widths of what is searched; with `log` those of exponents."""
    if isinstance(parameter, Choice):
        return spread / len(parameter.values)
    if parameter.log:
        return math.log(spread) / (math.log(parameter.high / parameter.low) or 1.0)
    return spread / (float(parameter.high - parameter.low) or 1.0)


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


def _ends(spec: StudySpec) -> Iterator[str]:
    """Look for ends that can never come, and for improvements that there cannot be."""
    trials, stop = spec.budget.trials, spec.stop
    if stop is not None and trials is not None and max(stop.patience, stop.min_trials) >= trials:
        yield (
            f"stop: {max(stop.patience, stop.min_trials)} trials must end first, and the budget is "
            f"{trials}; it never ends the study"
        )
    failures = spec.budget.max_failures
    if failures is not None and trials is not None and failures > trials:
        yield f"budget.max_failures: {failures}, but the budget is {trials}; it is never reached"
    low, high = range_of(spec.objective.metric or "f1")  # what the tasks optimise is a share
    deltas = {
        "stop.min_delta": 0.0 if stop is None else stop.min_delta,
        "prune.min_delta": spec.prune.min_delta,
    }
    for key, delta in deltas.items():
        if delta >= high - low:
            yield f"{key}: {delta:g}, but no score can improve by more than {high - low:g}"


def _confirmation(spec: StudySpec) -> Iterator[str]:
    if spec.confirm is None:
        return
    trials = spec.budget.trials
    if trials is not None and spec.confirm.top > trials:
        yield f"confirm.top: {spec.confirm.top}, but the budget is {trials}"
    if spec.confirm.seeds == 1:
        yield "confirm.seeds: 1; one run of each shows no noise, and gives no interval"
