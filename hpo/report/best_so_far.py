"""The best score against trials and against time, with the line of the default configuration."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hpo.display import count
from hpo.report.blocks import Block, Figure, Section, Undrawable
from hpo.report.plotting import (
    ACCENT,
    FAINT,
    INK,
    MOST_POINTS,
    axis,
    hover,
    thinned,
    thinning,
    worst_shown,
)
from hpo.report.subject import Moment, Subject


def best_so_far(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw both."""
    (subject,) = subjects
    if not subject.completed:
        raise Undrawable("There is no best score: no trial has completed.")
    shown = _drawn(subject)
    note = " ".join(filter(None, [cut_off(subject), thinning(len(shown), len(subject.completed))]))
    yield _figure(subject, shown, "trials", [moment.count for moment in shown], note)
    timed = [moment for moment in shown if moment.seconds is not None]
    if timed:
        unit, size = unit_of(subject.clock.total)
        left_out = "Time in which no trial ran is left out."
        yield _figure(
            subject, timed, unit, [(moment.seconds or 0.0) / size for moment in timed], left_out
        )


def unit_of(seconds: float) -> tuple[str, float]:
    """Return the unit for a time axis and its seconds."""
    if seconds < 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def column_unit(seconds: Iterable[float]) -> tuple[str, float]:
    """Return the unit for a column of times and its seconds: minutes, unless all are short."""
    return ("seconds", 1.0) if max(seconds, default=0.0) < 300 else ("minutes", 60.0)


def improvements(history: Sequence[Moment]) -> list[Moment]:
    """Return the moments at which the best changed, and the last one."""
    found = [
        moment
        for before, moment in zip([None, *history], history, strict=False)
        if moment.best is not None and (before is None or before.best != moment.best)
    ]
    return found if not history or (found and found[-1] is history[-1]) else [*found, history[-1]]


def _drawn(subject: Subject) -> list[Moment]:
    """Return the moments of completed trials, thinned."""
    scored = [moment for moment in subject.history if moment.trial.value is not None]
    steps = {moment.count for moment in improvements(subject.history)}
    ranked = sorted(scored, key=lambda moment: moment.count not in steps)
    kept = thinned(ranked, MOST_POINTS, min(len(steps), MOST_POINTS // 2))
    return sorted(kept, key=lambda moment: moment.count)


def _figure(
    subject: Subject, shown: list[Moment], unit: str, places: list[float], note: str
) -> Figure:
    metric = subject.view.metric
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "markers", "name": "trial", "x": places,
            "y": [moment.trial.value for moment in shown],
            "hovertext": [hover(subject, moment.trial) for moment in shown],
            "hoverinfo": "text", "marker": {"color": FAINT, "size": 7},
        },
        {
            "type": "scatter", "mode": "lines", "name": "best so far", "x": places,
            "y": [moment.best for moment in shown], "hoverinfo": "skip",
            "line": {"color": ACCENT, "width": 2.5, "shape": "hv"},
        },
    ]  # fmt: skip
    last = len(subject.outcomes) if unit == "trials" else places[-1]
    if last > places[-1]:
        data[1]["x"] = [*places, last]
        data[1]["y"] = [*data[1]["y"], subject.history[-1].best]
    default = subject.baseline
    if default is not None:
        data.append(
            {
                "type": "scatter", "mode": "lines", "name": "default configuration",
                "x": [min(0, places[0]), last], "y": [default.value] * 2, "hoverinfo": "skip",
                "line": {"color": INK, "width": 1.2, "dash": "dot"},
            }
        )  # fmt: skip
    layout = {
        "xaxis": axis(unit, rangemode="tozero"),
        "yaxis": {**axis(metric), **scale(subject)},
    }
    return Figure(f"{metric} against {unit if unit == 'trials' else 'time'}",
                  data, layout, note=note)  # fmt: skip


def scale(subject: Subject) -> dict[str, Any]:
    """Return the range of a score axis where one bad score would flatten all others."""
    scores = [trial.value or 0.0 for trial in subject.completed]
    best, worst = scores[0], worst_shown(scores, subject.sign)
    if worst == scores[-1] or best == worst:
        return {}
    room = 0.05 * abs(best - worst)
    low, high = sorted([best + subject.sign * room, worst - subject.sign * room])
    return {"range": [low, high]}


def cut_off(subject: Subject) -> str:
    """Say how many trials are outside of that range; empty where all are inside."""
    limits = scale(subject).get("range")
    if limits is None:
        return ""
    out = sum(not limits[0] <= (trial.value or 0.0) <= limits[1] for trial in subject.completed)
    side = "below" if subject.sign > 0 else "above"
    return f"{count(out, 'trial')} with far worse scores would be {side} the figure." if out else ""


SECTION = Section("Progress of the search", best_so_far)
