"""A finished trial as everything that reads a study sees it: read-only, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

HANDED_BACK = "handed back"  # by a process that was asked to go
ABANDONED = "abandoned"  # by a process that died
UNCHARGED = {HANDED_BACK, ABANDONED}
"""Reasons for which a trial ended without an outcome: another one continues it."""

POISON = "killed every time"

FOLDER = "hpo:folder"
ATTEMPT = "hpo:attempt"
REASON = "reason"


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Args:
        number: Optuna's.
        state: Optuna's name of it: COMPLETE, PRUNED, FAIL, RUNNING, WAITING.
        params: name -> value.
        value: the objective at the trial's best evaluation.
        metrics: all metrics of that evaluation.
        evaluations: each with `epoch`, `step`, `metrics`, `seconds`.
        seconds: wall clock.
        reason: why it failed, in a word or two; `error` is the whole sentence.
        checkpoint: where the weights of the best evaluation are, or were.
        record: everything else that is stored: recipe, device, peak memory, …
    """

    number: int
    state: str
    params: dict[str, Any]
    value: float | None
    metrics: dict[str, float]
    evaluations: list[dict[str, Any]]
    seconds: float | None
    reason: str | None
    error: str | None
    checkpoint: str | None
    record: dict[str, Any]

    @classmethod
    def of(cls, trial: FrozenTrial) -> "TrialResult":
        """Read a trial of Optuna's."""
        attrs = trial.user_attrs
        return cls(
            number=trial.number,
            state=trial.state.name,
            params=params_of(trial),
            value=trial.value if trial.state == TrialState.COMPLETE else None,
            metrics=attrs.get("metrics", {}),
            evaluations=attrs.get("evaluations", []),
            seconds=trial.duration.total_seconds() if trial.duration is not None else None,
            reason=attrs.get(REASON),
            error=attrs.get("error"),
            checkpoint=attrs.get("checkpoint"),
            record={name: attrs[name] for name in sorted(attrs) if name not in _FIELDS},
        )


_FIELDS = {"metrics", "evaluations", REASON, "error", "checkpoint"}


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters of a trial, also of one that waits for its turn."""
    return dict(trial.params or trial.system_attrs.get("fixed_params", {}))


def has_outcome(trial: FrozenTrial) -> bool:
    """Say whether a trial counts against the budget."""
    return trial.state.is_finished() and trial.user_attrs.get(REASON) not in UNCHARGED


def best_of(trials: Sequence[FrozenTrial], *, maximize: bool) -> list[FrozenTrial]:
    """Return the completed trials, the best first and the earlier one first of equals."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    sign = -1 if maximize else 1
    return sorted(completed, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
