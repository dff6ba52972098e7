"""What the trials of a study are worth to a model: a finite loss each, the smaller the better."""

import math
from collections.abc import Sequence
from typing import TypeVar

from optuna.trial import FrozenTrial, TrialState

from hpo.trials import has_outcome

HUGE = 1e100  # squares of it can still be added up

T = TypeVar("T")
Losses = list[tuple[FrozenTrial, float]]


def losses_of(
    trials: Sequence[FrozenTrial], *, maximize: bool, failure: float | None = None
) -> Losses:
    """Return each trial that there is something to learn from, with its loss.

    - A completed trial: its value; an infinite one is the best or the worst finite one.
    - A pruned trial: the best finite value that it reported, as the objective is the best
      evaluation; nothing is known of one that reported none.
    - A trial that failed for a reason of its configuration's (it diverged, ran out of memory, …)
      or whose values are not finite: `failure` if given, else the worst loss of all, so that its
      neighbourhood is avoided. One that was cut short tells nothing.

    Where no trial has a finite value there is no worst, and all are the same: 0.
    """
    found = [
        (trial, loss)
        for trial in trials
        if (loss := _loss(trial, -1.0 if maximize else 1.0)) is not None
    ]
    finite = [loss for _, loss in found if math.isfinite(loss)]
    best, worst = min(finite, default=0.0), max(finite, default=0.0)
    failed = worst if failure is None else failure
    return [(trial, max(loss, best) if loss < math.inf else failed) for trial, loss in found]


def _loss(trial: FrozenTrial, sign: float) -> float | None:
    match trial.state:
        case TrialState.COMPLETE:
            return _bounded(sign * trial.values[0])
        case TrialState.PRUNED if trial.intermediate_values:
            reported = [sign * value for value in trial.intermediate_values.values()]
            return min(
                (_bounded(each) for each in reported if math.isfinite(each)), default=math.inf
            )
        case TrialState.FAIL if has_outcome(trial):
            return math.inf
        case _:
            return None


def _bounded(loss: float) -> float:
    return min(max(loss, -HUGE), HUGE) if math.isfinite(loss) else loss


def best_and_latest(examples: list[tuple[T, float]], limit: int) -> list[tuple[T, float]]:
    """Return at most so many of what has a loss, in their order: half the best, half the latest."""
    if len(examples) <= limit:
        return examples
    ranked = sorted(range(len(examples)), key=lambda index: examples[index][1])
    kept = dict.fromkeys([*ranked[: limit // 2], *reversed(range(len(examples)))])
    return [examples[index] for index in sorted(list(kept)[:limit])]
