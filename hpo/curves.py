"""Learning curves as pruners compare them: the best score so far, by training progress. Pure."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

PROGRESS = 1000  # reported steps an epoch; progress counts the same, whatever the batch size


@dataclass(frozen=True)
class Curve:
    """The best score so far of one training; greater is better.

    It is a step function, defined between evaluations too: trainings that are evaluated at other
    moments can be compared at each.

    Args:
        steps: of the evaluations, in thousandths of an epoch, ascending.
        best: the best score up to each; minus infinity as long as none was finite.
    """

    steps: tuple[int, ...]
    best: tuple[float, ...]

    @classmethod
    def of(cls, reports: Mapping[int, float], *, maximize: bool) -> "Curve":
        """Return the curve of what was reported: step -> value; NaN and infinity are no score."""
        steps = tuple(sorted(reports))
        best, highest = [], -math.inf
        for step in steps:
            score = reports[step] if maximize else -reports[step]
            if math.isfinite(score):
                highest = max(highest, score)
            best.append(highest)
        return cls(steps, tuple(best))

    @property
    def last(self) -> int:
        """The progress of the last evaluation; 0 before the first."""
        return self.steps[-1] if self.steps else 0

    @property
    def final(self) -> float:
        """The best score of all."""
        return self.best[-1] if self.best else -math.inf

    def at(self, progress: float) -> float:
        """Return the best score up to some progress, minus infinity if there was none."""
        reports = bisect_right(self.steps, progress)
        return self.best[reports - 1] if reports else -math.inf

    def forecast(self, end: float, haste: float) -> float:
        """Return what the training may come to if it goes on to rise as it did of late.

        The rate is the steepest rise from any evaluation in the later half to the last one: one
        flat step is no plateau. A training of a single evaluation may come to anything, and so may
        one that scored nothing finite at first.

        Args:
            end: of the schedule, in thousandths of an epoch.
            haste: how many times as fast as of late it may rise; 0 forecasts no rise.
        """
        left = max(0.0, end - self.last)
        if haste == 0 or left == 0 or not math.isfinite(self.final):
            return self.final
        earlier = list(zip(self.steps, self.best, strict=True))[:-1]
        late = [point for point in earlier if point[0] >= self.last / 2] or earlier[-1:]
        rates = [(self.final - best) / (self.last - step) for step, best in late]
        return self.final + max(rates, default=math.inf) * haste * left
