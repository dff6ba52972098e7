"""A finished trial as everything that reads a study sees it: read-only, without torch."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

HANDED_BACK = "handed back"  # by a process that was asked to go
ABANDONED = "abandoned"  # by a process that died
UNCHARGED = {HANDED_BACK, ABANDONED, None}
"""Reasons for which a trial ended without an outcome: another one continues it.

None is that of a second Ctrl-C which came while upstream had the word.
"""

POISON = "killed every time"

FOLDER = "hpo:folder"
ATTEMPT = "hpo:attempt"
DEATHS = "hpo:deaths"  # of processes that ran it
WORKER = "worker"  # host:process
CHECKPOINT = "checkpoint"  # relative to the folder of the study
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
    def of(cls, trial: FrozenTrial, folder: str | None = None) -> "TrialResult":
        """Read a trial of Optuna's; `folder` is that of its study."""
        attrs = trial.user_attrs
        return cls(
            number=trial.number,
            state=trial.state.name,
            params=params_of(trial),
            value=trial.value if trial.state == TrialState.COMPLETE else None,
            metrics=attrs.get("metrics", {}),
            evaluations=attrs.get("evaluations", []),
            seconds=active_seconds(trial) if trial.state.is_finished() else None,
            reason=attrs.get(REASON),
            error=attrs.get("error"),
            checkpoint=_below(folder, attrs.get(CHECKPOINT)),
            record={name: attrs[name] for name in sorted(attrs) if name not in _FIELDS},
        )


_FIELDS = {"metrics", "evaluations", REASON, "error", CHECKPOINT}


def _below(folder: str | None, path: str | None) -> str | None:
    return path if path is None or folder is None else f"{folder}/{path}"


def active_seconds(trial: FrozenTrial) -> float:
    """Return how long an attempt ran: of one whose process died, up to its last evaluation."""
    if trial.user_attrs.get(REASON) in {ABANDONED, POISON}:
        evaluations = trial.user_attrs.get("evaluations", [])
        return float(evaluations[-1]["seconds"]) if evaluations else 0.0
    return trial.duration.total_seconds() if trial.duration is not None else 0.0


def here() -> str:
    """Return what a trial that this process runs stores as its worker."""
    return f"{socket.gethostname()}:{os.getpid()}"


def lives(worker: str) -> bool:
    """Say whether the process that runs a trial may still be alive."""
    if not worker:
        return False  # it died before it could say who it was
    host, _, process = worker.rpartition(":")
    if host != socket.gethostname():
        return True  # who knows
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return worker != here()


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters of a trial, also of one that waits for its turn or was cut short."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def folder_of(trial: FrozenTrial | Trial) -> str:
    """Return the name of a trial's folder; one that continues another has that one's."""
    return str(trial.user_attrs.get(FOLDER, f"trial-{trial.number:04d}"))


def has_outcome(trial: FrozenTrial) -> bool:
    """Say whether a trial counts against the budget."""
    return trial.state.is_finished() and not was_cut_short(trial)


def was_cut_short(trial: FrozenTrial) -> bool:
    """Say whether a trial ended without an outcome; another one continues it."""
    return trial.state == TrialState.FAIL and trial.user_attrs.get(REASON) in UNCHARGED


def best_of(trials: Sequence[FrozenTrial], *, maximize: bool) -> list[FrozenTrial]:
    """Return the completed trials, the best first and the earlier one first of equals."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    sign = -1 if maximize else 1
    return sorted(completed, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
