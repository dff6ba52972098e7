"""Evaluations of one trial, and which of them is the best: pure, and known to everyone above."""

import math
from dataclasses import asdict, dataclass
from typing import Any

LOSS = "eval_loss"  # the entry of the Trainer's log that is an evaluation
_SPEED = {"runtime", "samples_per_second", "steps_per_second", "model_preparation_time"}
_SHARES = {"accuracy", "f1", "macro_f1", "precision", "recall"}
_RANGES = {"loss": (0.0, math.inf), "mcc": (-1.0, 1.0), **dict.fromkeys(_SHARES, (0.0, 1.0))}


def range_of(metric: str) -> tuple[float, float]:
    """Return between which values a metric lies; that of one class (`PER.f1`) as that of all."""
    return _RANGES.get(metric.rpartition(".")[2], (-math.inf, math.inf))


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: after how many epochs and steps, with which metrics, after how long."""

    epoch: float
    step: int
    metrics: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Objective:
    """Which metric is optimised, and whether larger is better."""

    metric: str
    maximize: bool

    def best(self, evaluations: list[Evaluation]) -> Evaluation:
        """Return the best evaluation, the first one of equals."""
        sign = 1 if self.maximize else -1
        return max(evaluations, key=lambda each: sign * each.metrics[self.metric])


def read_entry(entry: dict[str, Any]) -> Evaluation:
    """Read an evaluation from an entry of the Trainer's log."""
    metrics = {
        name.removeprefix("eval_"): float(value)
        for name, value in entry.items()
        if name.startswith("eval_")
    }
    return Evaluation(
        epoch=round(float(entry["epoch"]), 4),
        step=int(entry["step"]),
        metrics={name: value for name, value in metrics.items() if name not in _SPEED},
        seconds=round(float(entry.get("hpo_seconds", 0.0)), 3),
    )


def as_record(evaluations: list[Evaluation]) -> list[dict[str, Any]]:
    """Return evaluations as a trial stores them."""
    return [asdict(each) for each in evaluations]
