"""A finished trial as everything that reads a study sees it: read-only, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from hpo.leases import HELD, TicketView

HANDED_BACK = "handed back"  # by a process that was asked to go
ABANDONED = "abandoned"  # by a process that died, or was held up
STORAGE_AWAY = "storage away"  # for longer than the lease; its process lived to say so
UNCHARGED = {HANDED_BACK, ABANDONED, STORAGE_AWAY, None}
"""Reasons for which a trial ended without an outcome: another one continues it.

None is that of a second Ctrl-C which came while upstream had the word.
"""

POISON = "killed every time"

RUN = "hpo:run"
"""What a trial is created with, in one attribute: each one costs the database a statement or two.

`ticket`, and the `epoch` of its claim (see `hpo.leases`); the numbers of the `earlier` attempts;
`worker` and `device`; `output`, the study's folder there; `versions` other than the study's; when
it began, `at` seconds since 1970 by the database's clock.
"""

ENDED = "hpo:ended"
"""When an attempt that somebody else ended last made progress, in seconds since 1970.

By the database's clock, like `at` of `RUN`.
"""

FIRST_STEP = "first_step"  # behind 0, where an earlier attempt was resumed
CHECKPOINT = "checkpoint"  # relative to the folder of the study
REASON = "reason"
MISTAKES = "mistakes"  # what its best evaluation got wrong, without texts; see `hpo.mistakes`


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Args:
        number: Optuna's.
        state: Optuna's name of it: COMPLETE, PRUNED, FAIL, RUNNING, WAITING.
        params: name -> value.
        value: the objective at the trial's best evaluation; None unless it was trained to its end.
        reported: the objective at its latest evaluation.
        metrics: all metrics of that evaluation.
        evaluations: each with `epoch`, `step`, `metrics`, `seconds`.
        seconds: wall clock.
        reason: why it failed, in a word or two; `error` is the whole sentence.
        checkpoint: where the weights of the best evaluation are; None once they are deleted.
        counts: whether it counts against the budget.
        record: everything else that is stored: recipe, device, peak memory, …
        until: of one whose worker is gone while Optuna has it running: when it last made progress,
            in seconds since 1970 by the database's clock.
    """

    number: int
    state: str
    params: dict[str, Any]
    value: float | None
    reported: float | None
    metrics: dict[str, float]
    evaluations: list[dict[str, Any]]
    seconds: float | None
    reason: str | None
    error: str | None
    checkpoint: str | None
    counts: bool
    record: dict[str, Any]
    until: float | None = None

    @classmethod
    def of(cls, trial: FrozenTrial, until: float | None = None) -> "TrialResult":
        """Read a trial of Optuna's."""
        attrs, reported = trial.user_attrs, trial.intermediate_values
        return cls(
            number=trial.number,
            state=trial.state.name,
            params=params_of(trial),
            value=trial.value if trial.state == TrialState.COMPLETE else None,
            reported=reported[max(reported)] if reported else None,
            metrics=attrs.get("metrics", {}),
            evaluations=attrs.get("evaluations", []),
            seconds=active_seconds(trial) if trial.state.is_finished() else None,
            reason=attrs.get(REASON),
            error=attrs.get("error"),
            checkpoint=_below(run_of(trial).get("output"), attrs.get(CHECKPOINT)),
            counts=has_outcome(trial),
            record={name: attrs[name] for name in sorted(attrs) if name not in _FIELDS},
            until=until,
        )


_FIELDS = {"metrics", "evaluations", REASON, "error", CHECKPOINT}


def _below(folder: str | None, path: str | None) -> str | None:
    if path is None or folder is None:
        return path
    whole = Path(folder, path)
    deleted = Path(folder).is_dir() and not whole.exists()  # else it is on another machine
    return None if deleted else str(whole)


def active_seconds(trial: FrozenTrial) -> float:
    """Return how long an attempt ran: of one that somebody else ended, up to its last progress."""
    ended = trial.user_attrs.get(ENDED)
    if ended is not None:
        return max(0.0, float(ended) - float(run_of(trial).get("at", ended)))
    return trial.duration.total_seconds() if trial.duration is not None else 0.0


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters of a trial, also of one that waits for its turn or was cut short."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def folder_of(trial: FrozenTrial | Trial | int) -> str:
    """Return the name of a trial's folder, given it or its number."""
    number = trial if isinstance(trial, int) else trial.number
    return f"trial-{number:04d}"


def run_of(trial: FrozenTrial | Trial) -> dict[str, Any]:
    """Return what a trial was created with; see `RUN`."""
    found: dict[str, Any] = trial.user_attrs.get(RUN, {})
    return found


def attempts_of(trial: FrozenTrial | Trial) -> list[int]:
    """Return the numbers of a trial and of the attempts before it, the first one first."""
    return [*run_of(trial).get("earlier", []), trial.number]


def latest_attempts(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the latest attempt of each ticket; a trial without a ticket stands for itself."""
    latest: dict[object, FrozenTrial] = {}
    for trial in trials:  # in the order of their numbers
        latest[run_of(trial).get("ticket", f"trial {trial.number}")] = trial
    return list(latest.values())


def left_behind(
    trials: Sequence[FrozenTrial], tickets: Sequence[TicketView], now: float
) -> dict[int, float]:
    """Return when trials last made progress that nobody runs, though Optuna has them running.

    Args:
        trials: of a study.
        tickets: of the study, at least those that are held.
        now: seconds since 1970 by the database's clock, when the tickets were read.

    Returns:
        Number of a trial -> seconds since 1970 by that clock.
    """
    held = {each.number: each for each in tickets if each.state == HELD}
    found = {}
    for trial in trials:
        run = run_of(trial)
        if trial.state != TrialState.RUNNING or "at" not in run or "ticket" not in run:
            continue
        ticket = held.get(run["ticket"])
        if ticket is not None and ticket.epoch != run.get("epoch", ticket.epoch):
            ticket = None  # somebody took it over
        if ticket is None:
            evaluations = trial.user_attrs.get("evaluations", [])
            found[trial.number] = run["at"] + max(
                (each["seconds"] for each in evaluations), default=0
            )
        elif ticket.lease is not None and ticket.lease < 0:
            found[trial.number] = max(run["at"], now - (ticket.idle or 0.0))
    return found


def wall_seconds(
    trials: Sequence[FrozenTrial], now: float, until: Mapping[int, float] | None = None
) -> float:
    """Return the wall clock from a study's first trial on, without the time in which none ran.

    Args:
        trials: of the study.
        now: seconds since 1970 by the database's clock, as the starts of trials are: those of
            workers may differ.
        until: when those ran last that were left behind.
    """
    spans = []
    for trial in trials:
        if trial.datetime_start is not None:
            start = run_of(trial).get("at", trial.datetime_start.timestamp())
            running = (until or {}).get(trial.number, now)
            end = start + active_seconds(trial) if trial.state.is_finished() else running
            spans.append((start, end))
    total, covered = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, covered))
        covered = max(covered, end)
    return total


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
