"""How well the winner does for each entity type, or each class."""

from collections.abc import Iterator, Mapping, Sequence

from hpo.report.blocks import Block, Cell, Column, Figure, Section, Table, Text, Undrawable
from hpo.report.plotting import ACCENT, FAINT, MUTED, axis, label
from hpo.report.subject import Subject

_FIGURES = ("precision", "recall", "f1", "support")
_LOOKS = (
    ("precision", FAINT, "triangle-right"),
    ("recall", MUTED, "triangle-left"),
    ("f1", ACCENT, "circle"),
)
_MOST = 40


def by_class(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return name of a class -> precision, recall, f1, support; in the order of support."""
    found: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        kind, dot, figure = name.rpartition(".")
        if dot and figure in _FIGURES:
            found.setdefault(kind, {})[figure] = value
    whole = {kind: each for kind, each in found.items() if "f1" in each}
    return dict(sorted(whole.items(), key=lambda pair: -pair[1].get("support", 0.0)))


def classes(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw and list them."""
    (subject,) = subjects
    if subject.winner is None:
        raise Undrawable("There is no winner to look at: no trial has completed.")
    found = by_class(subject.winner.metrics)
    if not found:
        raise Undrawable("The winner's trial stores no figures for each class.")
    what = "Entity types" if subject.view.spec.task == "ner" else "Classes"
    if subject.winner.runs > 1:
        yield Text(f"{what} of the winner, means over {subject.winner.runs} seeds.")
    names = list(found)[:_MOST][::-1]
    traces = []
    for figure, colour, symbol in _LOOKS:
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": figure, "hoverinfo": "x",
                "x": [found[name].get(figure) for name in names], "y": list(range(len(names))),
                "marker": {"color": colour, "size": 11 if figure == "f1" else 9, "symbol": symbol},
            }
        )  # fmt: skip
    values = [value for name in names for key, value in found[name].items() if key != "support"]
    yield Figure(
        "",
        traces,
        {
            "xaxis": {**axis(""), "range": [max(-0.02, min(values) - 0.08), 1.02]},
            "yaxis": {"tickvals": list(range(len(names))),
                      "ticktext": [label(name, 24) for name in names],
                      "range": [-0.6, len(names) - 0.4]},
        },
        height=100 + 34 * len(names),
    )  # fmt: skip
    columns = [
        Column("type" if subject.view.spec.task == "ner" else "class"),
        *(Column(figure, numeric=True, digits=4) for figure in _FIGURES[:3]),
        Column("support", numeric=True, digits=0),
    ]
    rows: list[list[Cell]] = [
        [name, *(each.get(figure) for figure in _FIGURES)] for name, each in found.items()
    ]
    yield Table(columns, rows, caption=f"{what} on the validation split")


SECTION = Section("What the winner gets right", classes)
