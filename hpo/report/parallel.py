"""All parameters of a trial as one line, the better the stronger.

Optuna's figure is drawn by WebGL, which neither a strict page nor paper takes; its colours hide the
good trials among the many. Here they are drawn last, and strongest.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from hpo.display import folded, short
from hpo.parameters import Choice, Parameter
from hpo.report.blocks import Block, Figure, Section, Undrawable
from hpo.report.landscape import place_in_range
from hpo.report.plotting import ACCENT, FAINT, RULE, label, thinned, thinning
from hpo.report.slices import by_importance, is_known, which
from hpo.report.subject import Subject
from hpo.trials import TrialResult

_MOST = 300  # lines
_AXES = 8
_GROUPS = (("other trials", FAINT, 0.7, 1.0), ("best quarter", "var(--accent-soft)", 1.25, 0.5),
           ("best tenth", ACCENT, 2.0, 0.2))  # fmt: skip


def parallel(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw it."""
    (subject,) = subjects
    names = by_importance(subject)[:_AXES]
    space = subject.view.spec.search_space().root
    trials = thinned(subject.completed, _MOST, _MOST // 4)
    if len(trials) < 2 or not names:
        raise Undrawable("Trials cannot be compared: fewer than two have completed.")
    whole = len(subject.completed)
    groups = _grouped(subject, trials)
    data = [
        _lines(groups[name], names, space, (_title(name, whole), colour, width))
        for name, colour, width, _ in _GROUPS
        if groups[name]
    ]
    order = "the order of importance" if is_known(subject) else "the order of the study file"
    yield Figure(
        "", data, _layout(names, space), height=400,
        note=" ".join(filter(None, [
            f"Axes stand in {order}, each from its lowest value to its highest; a "
            "gap is a parameter that a trial did not have. Trials that tie are in one group.",
            thinning(len(trials), whole),
            which(subject, _AXES, len(space)) if len(space) > _AXES else "",
        ])),
    )  # fmt: skip


def _grouped(subject: Subject, trials: Sequence[TrialResult]) -> dict[str, list[TrialResult]]:
    """Return the trials by group; those with the same score are in the same one."""
    whole = len(subject.completed)
    limits = {"best tenth": max(1, whole // 10), "best quarter": max(2, whole // 4),
              "other trials": whole}  # fmt: skip
    place: dict[float | None, int] = {}
    for index, trial in enumerate(subject.completed):
        place.setdefault(trial.value, index)
    groups: dict[str, list[TrialResult]] = {name: [] for name, *_ in _GROUPS}
    for trial in trials:
        groups[next(name for name in limits if place[trial.value] < limits[name])].append(trial)
    return groups


def _title(group: str, whole: int) -> str:
    """Return what a group is called: below ten trials the best one is more than a tenth."""
    return "best" if group == "best tenth" and whole < 10 else group


def _lines(
    trials: Sequence[TrialResult],
    names: Sequence[str],
    space: dict[str, Parameter],
    look: tuple[str, str, float],
) -> dict[str, Any]:
    title, colour, width = look
    x: list[float | None] = []
    y: list[float | None] = []
    for trial in trials[::-1]:
        x += [*range(len(names)), None]
        y += [*(height(space[name], trial.params.get(name)) for name in names), None]
    return {
        "type": "scatter", "mode": "lines", "name": title, "x": x, "y": y, "hoverinfo": "skip",
        "line": {"color": colour, "width": width},
    }  # fmt: skip


def height(parameter: Parameter, value: object) -> float | None:
    """Return where a value stands on its axis, from 0 to 1; None where there is none."""
    if value is None:
        return None
    if isinstance(parameter, Choice):
        if not parameter.holds(value):
            return None
        last = len(parameter.values) - 1
        place = next(index for index, each in enumerate(parameter.values) if each == value)
        return place / last if last else 0.5
    return place_in_range(parameter, value)


def _layout(names: Sequence[str], space: dict[str, Parameter]) -> dict[str, Any]:
    notes: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        parameter = space[name]
        if isinstance(parameter, Choice):
            values = list(parameter.values)
            step = max(1, len(values) // 8)
            ticks = [(height(parameter, each), each) for each in values[::step]]
        else:
            ticks = [(0.0, parameter.low), (1.0, parameter.top())]
        notes += [
            {
                "x": place, "y": at, "text": label(short(each), 14), "showarrow": False,
                "xanchor": _anchor(place, len(names)),
                "font": {"size": 11, "color": "var(--ink)"}, "bgcolor": "var(--paper)",
                "yshift": -11 if at == 0 else 11 if at == 1 else 0, "opacity": 0.9,
            }
            for at, each in ticks
        ]  # fmt: skip
    return {
        "xaxis": {
            "tickvals": list(range(len(names))), "ticktext": [_heading(name) for name in names],
            "range": [-0.15, len(names) - 0.85], "gridcolor": RULE,
            "ticklabeloverflow": "allow", "tickangle": 0,
        },
        "yaxis": {"visible": False, "range": [-0.14, 1.14]},
        "annotations": notes,
    }  # fmt: skip


def _heading(name: str) -> str:
    """Return a name broken at its underscores, so that it has room beside the others."""
    lines = folded(" ".join(name.split()), 14).split("\n")
    return "<br>".join(label(line, 14) for line in lines[:3])


def _anchor(place: int, of: int) -> str:
    if place == 0:
        return "left"
    return "right" if place == of - 1 else "center"


SECTION = Section("Trials as lines", parallel)
