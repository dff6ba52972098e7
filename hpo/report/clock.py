"""When trials ran: moments on one axis that leaves out the time in which none did. Pure."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from hpo.trials import ENDED, RUN, TrialResult


@dataclass(frozen=True)
class Span:
    """When an attempt at a trial ran, in seconds since 1970 by the database's clock."""

    start: float
    end: float


def span_of(trial: TrialResult, now: float) -> Span | None:
    """Return when a trial ran; None where it has not begun, or that is not stored.

    Args:
        trial: an attempt.
        now: the end of one that runs; one whose worker is gone ran until its last progress.
    """
    start = trial.record.get(RUN, {}).get("at")
    if start is None or trial.state == "WAITING":
        return None
    if trial.state == "RUNNING":
        return Span(float(start), max(float(start), now if trial.until is None else trial.until))
    ended = trial.record.get(ENDED)
    end = float(ended) if ended is not None else float(start) + (trial.seconds or 0.0)
    return Span(float(start), max(float(start), end))


class Clock:
    """Seconds since the first trial began, without the time in which no trial ran.

    Args:
        spans: of all attempts.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        merged: list[Span] = []
        for span in sorted(spans, key=lambda each: each.start):
            if merged and span.start <= merged[-1].end:
                merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
            else:
                merged.append(span)
        self._merged = merged
        self._starts = [span.start for span in merged]
        self._before = [0.0]
        for span in merged:
            self._before.append(self._before[-1] + span.end - span.start)

    @property
    def first(self) -> float | None:
        """When the first trial began; None before that."""
        return self._starts[0] if self._starts else None

    @property
    def total(self) -> float:
        """The seconds in which a trial ran, at least."""
        return self._before[-1]

    def at(self, moment: float) -> float:
        """Return the seconds up to a moment, which is given in seconds since 1970."""
        index = bisect_right(self._starts, moment) - 1
        if index < 0:
            return 0.0
        span = self._merged[index]
        return self._before[index] + min(moment, span.end) - span.start
