"""When a study has plateaued: its best has not improved for so many trials.

`optuna.terminator` is deprecated as a whole, and judges by a model of the space; this looks at the
outcomes alone.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

from optuna.trial import FrozenTrial, TrialState

from hpo.spec import StopSpec
from hpo.trials import has_outcome, latest_attempts


def plateau(outcomes: Sequence[float | None], stop: StopSpec) -> int | None:
    """Return behind how many outcomes a study had plateaued first; None if it has not.

    What comes later changes nothing of that: whoever looks later concludes the same.

    Args:
        outcomes: the score of each trial, greater is better; None for one that has none.
        stop: after how many outcomes without an improvement.
    """
    best = list(accumulate((-math.inf if score is None else score for score in outcomes), func=max))
    for count in range(max(stop.patience + 1, stop.min_trials), len(best) + 1):
        before, now = best[count - 1 - stop.patience], best[count - 1]
        if math.isfinite(before) and now - before <= stop.min_delta:
            return count
    return None


def outcomes(trials: Sequence[FrozenTrial], *, maximize: bool) -> list[float | None]:
    """Return the outcomes of a study, in the order in which its trials were first started.

    They end before the first trial that still runs: all workers see the same beginning, whoever
    was faster. A trial that failed says nothing and is left out; one that was pruned improved
    nothing.
    """
    found: list[float | None] = []
    for trial in latest_attempts(trials):  # keeps the place of the first attempt
        if not has_outcome(trial):
            break
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            found.append(trial.value if maximize else -trial.value)
        elif trial.state == TrialState.PRUNED:
            found.append(None)
    return found


def told(trials: Sequence[FrozenTrial], stop: StopSpec | None, *, maximize: bool) -> str | None:
    """Say why a study is over, if it has plateaued."""
    if stop is None:
        return None
    count = plateau(outcomes(trials, maximize=maximize), stop)
    if count is None:
        return None
    by = f" by more than {stop.min_delta:g}" if stop.min_delta else ""
    return (
        f"the study has plateaued: the last {stop.patience} of {count} trials did not improve the "
        f"best{by}; a larger stop.patience goes on"
    )
