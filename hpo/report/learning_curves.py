"""The learning curve of each trial; where one was pruned or failed is marked."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from hpo.display import count
from hpo.report.best_so_far import scale
from hpo.report.blocks import Block, Figure, Section, Undrawable
from hpo.report.plotting import ACCENT, FAINT, INK, WARN, axis, hover, thinned, thinning
from hpo.report.subject import Subject
from hpo.trials import TrialResult

_MOST = 250  # curves
_BEST = 60  # of them are the best; the others are drawn at random


def points_of(trial: TrialResult, metric: str) -> list[tuple[float, float]]:
    """Return (epoch, score) of each evaluation that gave a finite score."""
    found = []
    for each in trial.evaluations:
        score = each.get("metrics", {}).get(metric)
        if score is not None and math.isfinite(score):
            found.append((float(each["epoch"]), float(score)))
    return found


def learning_curves(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw all of them in one figure."""
    (subject,) = subjects
    metric = subject.view.metric
    ended = [*subject.completed, *subject.pruned, *subject.failures]
    curves = [(trial, points) for trial in ended if (points := points_of(trial, metric))]
    if not curves:
        raise Undrawable("There are no learning curves: no evaluation is stored.")
    shown = thinned(curves, _MOST, _BEST)
    data = [
        _lines(subject, "completed", FAINT, [each for each in shown if each[0].state == "COMPLETE"])
    ]
    for state, name, colour, symbol in (
        ("PRUNED", "pruned", WARN, "x-thin"),
        ("FAIL", "failed", INK, "cross-thin"),
    ):
        those = [each for each in shown if each[0].state == state]
        if those:
            data.append(_lines(subject, "", FAINT, those))
            data.append(_ends(subject, f"{name} here", colour, symbol, those))
    best = subject.marked
    if best is not None:
        data.append(
            _line(subject, f"winner, trial {best.number}", ACCENT, best, points_of(best, metric))
        )
    if subject.baseline is not None and subject.baseline is not best:
        points = points_of(subject.baseline, metric)
        data.append(
            _line(subject, "default configuration", INK, subject.baseline, points, dash="dot")
        )
    single = all(len(points) == 1 for _, points in shown)
    yield Figure(
        "",
        data,
        {"xaxis": axis("epoch", rangemode="tozero"), "yaxis": {**axis(metric), **scale(subject)}},
        height=420,
        note=" ".join(
            filter(
                None,
                [
                    "Each trial was evaluated once: a curve is a point." if single else "",
                    _cut_off(subject, [points for _, points in shown]),
                    thinning(len(shown), len(curves)),
                ],
            )
        ),
    )


def _cut_off(subject: Subject, curves: Sequence[Sequence[tuple[float, float]]]) -> str:
    """Say that some evaluations are outside of the figure; empty where all are inside."""
    limits = scale(subject).get("range")
    if limits is None:
        return ""
    low, high = limits
    out = sum(not low <= score <= high for points in curves for _, score in points)
    side = "below" if subject.sign > 0 else "above"
    return f"{count(out, 'evaluation')} would be {side} the figure." if out else ""


def _lines(
    subject: Subject, name: str, colour: str, curves: Sequence[tuple[TrialResult, Any]]
) -> dict[str, Any]:
    """Return one trace of many curves, with a gap between them."""
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for trial, points in curves:
        x += [*(epoch for epoch, _ in points), None]
        y += [*(score for _, score in points), None]
        texts += [hover(subject, trial)] * len(points) + [""]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "showlegend": bool(name),
        "x": x,
        "y": y,
        "hovertext": texts,
        "hoverinfo": "text",
        "line": {"color": colour, "width": 1},
        "marker": {"color": colour, "size": 4},
    }


def _ends(
    subject: Subject,
    name: str,
    colour: str,
    symbol: str,
    curves: Sequence[tuple[TrialResult, list[tuple[float, float]]]],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [points[-1][0] for _, points in curves],
        "y": [points[-1][1] for _, points in curves],
        "hovertext": [hover(subject, trial) for trial, _ in curves],
        "hoverinfo": "text",
        "marker": {
            "size": 8,
            "symbol": symbol,
            "color": colour,
            "line": {"color": colour, "width": 1.75},
        },
    }


def _line(
    subject: Subject,
    name: str,
    colour: str,
    trial: TrialResult,
    points: Sequence[tuple[float, float]],
    dash: str = "solid",
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [epoch for epoch, _ in points],
        "y": [score for _, score in points],
        "hovertext": [hover(subject, trial)] * len(points),
        "hoverinfo": "text",
        "line": {"color": colour, "width": 2.5 if dash == "solid" else 1.5, "dash": dash},
        "marker": {"color": colour, "size": 6},
    }


SECTION = Section("Learning curves", learning_curves)
