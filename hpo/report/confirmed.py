"""The confirmation: each seed's score, the means and their intervals, and what follows."""

from collections.abc import Iterator, Sequence
from typing import Any

from hpo.candidates import Candidate, Confirmation
from hpo.display import duration, judged
from hpo.report.blocks import Block, Column, Figure, Section, Table, Text
from hpo.report.plotting import ACCENT, FAINT, INK, MUTED, axis, label
from hpo.report.subject import Subject


def confirmed(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw every candidate, and list them."""
    (subject,) = subjects
    found = subject.found
    if found is None:
        return
    for sentence in judged(found):
        yield Text(f"{sentence[0].upper()}{sentence[1:]}.")
    known = [each for each in found.candidates if each.mean is not None]
    if not known:
        yield Text("No run of the confirmation has completed yet.")
        return
    shown = known[::-1]  # plotly counts from below
    metric = subject.view.metric
    yield Figure(
        "",
        _traces(found, shown),
        {
            "xaxis": axis(metric),
            "yaxis": {
                "tickvals": list(range(len(shown))),
                "ticktext": [label(name_of(each)) for each in shown],
                "range": [-0.6, len(shown) - 0.4],
                "showgrid": False,
            },
        },
        height=110 + 46 * len(shown),
        note="Points are seeds, the same ones for all; bars are 95% intervals of the mean by "
        "Student's t.",
    )
    yield _table(found, known)


def name_of(candidate: Candidate) -> str:
    """Return what a candidate is called."""
    is_named = candidate.baseline and candidate.trial >= 0
    return f"{candidate.name}{' (default)' if is_named else ''}"


def _traces(found: Confirmation, shown: list[Candidate]) -> list[dict[str, Any]]:
    seeds = [(value, place) for place, each in enumerate(shown) for value in each.values]
    bars: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "mean, 95% interval",
            "showlegend": place == 0,
            "x": [each.mean],
            "y": [place],
            "hoverinfo": "text",
            "hovertext": [label(f"{name_of(each)}: mean {each.mean:.4f}")],
            "marker": {
                "color": colour,
                "size": 11,
                "symbol": "line-ns",
                "line": {"width": 3, "color": colour},
            },
            "error_x": {
                "type": "data",
                "symmetric": False,  # where it is cut to the range of the metric
                "array": [_reach(each)[1]],
                "arrayminus": [_reach(each)[0]],
                "color": colour,
                "thickness": 1.5,
                "width": 0,
            },
        }
        for place, each in enumerate(shown)
        for colour in [ACCENT if each is found.winner else INK]
    ]
    searched = [
        (each.searched, place) for place, each in enumerate(shown) if each.searched is not None
    ]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "seed",
            "x": [value for value, _ in seeds],
            "y": [place for _, place in seeds],
            "hoverinfo": "x",
            "marker": {"color": FAINT, "size": 9},
        },
        *bars,
        {
            "type": "scatter",
            "mode": "markers",
            "name": "in the search",
            "x": [value for value, _ in searched],
            "y": [place for _, place in searched],
            "hoverinfo": "x",
            "marker": {
                "color": MUTED,
                "size": 9,
                "symbol": "diamond-open",
                "line": {"color": MUTED, "width": 1.5},
            },
        },
    ]


def _reach(each: Candidate) -> tuple[float, float]:
    """Return how far the interval reaches below and above the mean."""
    if each.interval is None or each.mean is None:
        return 0.0, 0.0
    low, high = each.interval
    return each.mean - low, high - each.mean


def _table(found: Confirmation, known: list[Candidate]) -> Table:
    columns = [
        Column("configuration"),
        Column("mean", numeric=True, digits=4),
        Column("deviation", numeric=True, digits=4),
        Column("95% from", numeric=True, digits=4),
        Column("to", numeric=True, digits=4),
        Column("in the search", numeric=True, digits=4),
        Column("runs", numeric=True),
        Column("a run takes"),
    ]
    rows = [
        [
            name_of(each),
            each.mean,
            each.deviation,
            *(each.interval or (None, None)),
            each.searched,
            len(each.values),
            "" if each.seconds is None else duration(each.seconds),
        ]
        for each in known
    ]
    marked = frozenset(index for index, each in enumerate(known) if each is found.winner)
    return Table(columns, rows, marked, "The configurations that were trained again")


SECTION = Section("Is it the best, or was it lucky?", confirmed)
