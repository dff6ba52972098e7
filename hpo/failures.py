"""When a study's failures end it, and how they are told."""

import re
from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from hpo.trials import REASON, UNCHARGED, TrialResult

ALIKE_FAILURES = 3  # first trials that all fail for one reason end a study


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
