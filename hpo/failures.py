"""When a study's failures end it, and how they are told."""

import re
from collections import Counter
from collections.abc import Container, Sequence

from optuna.trial import FrozenTrial, TrialState

from hpo.trials import REASON, UNCHARGED, TrialResult, has_outcome

ALIKE_FAILURES = 3  # first trials that all fail for one reason end a study


def hopeless(
    trials: Sequence[FrozenTrial], before: Container[int], max_failures: int | None
) -> str | None:
    """Say why a study's failures end it, if they do.

    Args:
        trials: all of the study.
        before: the numbers of those that had ended before this run.
        max_failures: so many end it; None is no limit.
    """
    ended = [trial for trial in trials if has_outcome(trial)]
    failed = [trial for trial in ended if trial.state == TrialState.FAIL]
    if max_failures is not None and len(failed) >= max_failures:
        why = f"{max_failures} trials failed (budget.max_failures)"
        return f"{why}: {told([TrialResult.of(trial) for trial in failed])}"
    new = [trial for trial in failed if trial.number not in before]
    if len(failed) == len(ended) and all_alike(new):
        why = f"the first {ALIKE_FAILURES} trials failed for the same reason"
        return f"{why}: {told([TrialResult.of(trial) for trial in new])}"
    return None


def all_alike(failed: Sequence[FrozenTrial]) -> bool:
    """Say whether enough trials failed, all of them for one reason.

    They may be more than enough, where several workers fail at once.
    """
    return len(failed) >= ALIKE_FAILURES and len(set(map(_cause, failed))) == 1


def _cause(trial: FrozenTrial) -> tuple[str, str]:
    """Return why a trial failed, without the numbers in which its message differs from others."""
    error = str(trial.user_attrs.get("error", ""))
    return str(trial.user_attrs.get(REASON)), re.sub(r"[0-9][0-9.e+-]*", "#", error)


def told(trials: Sequence[TrialResult]) -> str:
    """Count the failures among trials by reason, with the latest message of each."""
    counts = Counter(trial.reason for trial in trials if trial.state == "FAIL")
    latest = {trial.reason: trial.error for trial in trials if trial.state == "FAIL"}
    return "; ".join(
        f"{count} × {reason}" + (f" ({latest[reason]})" if latest[reason] else "")
        for reason, count in counts.items()
        if reason not in UNCHARGED
    )
