"""Each parameter against the score."""

import random
from collections.abc import Iterator, Sequence

from hpo.parameters import Choice
from hpo.report.best_so_far import cut_off, scale
from hpo.report.blocks import Block, Figure, Section, Text, Undrawable
from hpo.report.importance import importances
from hpo.report.plotting import ACCENT, FAINT, axis, hover, placed, thinned, thinning
from hpo.report.subject import Subject
from hpo.trials import TrialResult

_MOST = 12  # parameters
_POINTS = 600  # in one figure
_JITTER = (0.12, 0.28)  # of a category's room, so that its trials do not hide each other
_CROWD = 60  # trials that need the most of it


def slices(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw a small figure for each parameter; those that matter most first, where that is known."""
    (subject,) = subjects
    if not subject.completed:
        raise Undrawable("There is nothing to draw: no trial has completed.")
    names = by_importance(subject)
    trials = thinned(subject.completed, _POINTS, _POINTS // 4)
    if subject.marked is not None and subject.marked not in trials:
        trials.append(subject.marked)
    for name in names[:_MOST]:
        having = [trial for trial in trials if name in trial.params]
        if having:
            yield _slice(subject, name, having)
    notes = [thinning(len(trials), len(subject.completed))]
    space = subject.view.spec.search_space().root
    if any(isinstance(space[name], Choice) for name in names[:_MOST]):
        notes.append("Other trials with the same choice are spread beside it.")
    if len(names) > _MOST:
        notes.append(which(subject, _MOST, len(names)))
    yield Text(
        " ".join(filter(None, ["The marked point is the winner.", cut_off(subject), *notes])),
        note=True,
    )


def which(subject: Subject, drawn: int, of: int) -> str:
    """Say which of the parameters are drawn."""
    if is_known(subject):
        return f"The {drawn} of {of} parameters that matter most are drawn."
    return f"The first {drawn} of {of} parameters are drawn: which matter most cannot be told."


def is_known(subject: Subject) -> bool:
    """Say whether one can tell how much each parameter matters."""
    try:
        return bool(importances(subject))
    except Undrawable:
        return False


def by_importance(subject: Subject) -> list[str]:
    """Return the names of the parameters, those that matter most first where that is known."""
    names = subject.view.spec.search_space().names()
    if not is_known(subject):
        return names
    shares = importances(subject)
    return sorted(names, key=lambda name: -shares[name][1])


def _slice(subject: Subject, name: str, trials: Sequence[TrialResult]) -> Figure:
    parameter = subject.view.spec.search_space().root[name]
    places, more = placed(parameter, [trial.params[name] for trial in trials])
    draw = random.Random(0)
    best = next((index for index, trial in enumerate(trials) if trial is subject.marked), None)
    if "range" in more:  # categories; the winner stands where it is
        room = _JITTER[len(trials) >= _CROWD]
        places = [
            place if index == best else place + draw.uniform(-room, room)
            for index, place in enumerate(places)
        ]
    data = [
        {
            "type": "scatter", "mode": "markers", "x": places, "showlegend": False,
            "y": [trial.value for trial in trials], "hoverinfo": "text",
            "hovertext": [hover(subject, trial) for trial in trials],
            "marker": {"color": FAINT, "size": 6, "opacity": 0.85},
        }
    ]  # fmt: skip
    if best is not None:
        data.append(
            {
                "type": "scatter", "mode": "markers", "x": [places[best]], "showlegend": False,
                "y": [trials[best].value], "hoverinfo": "text",
                "hovertext": [hover(subject, trials[best])],
                "marker": {"color": ACCENT, "size": 10},
            }
        )  # fmt: skip
    layout = {
        "xaxis": {**more, "tickangle": 0} if more.get("type") == "log" else more or {"nticks": 5},
        "yaxis": {**axis(subject.view.metric), **scale(subject), "nticks": 5},
    }
    return Figure(name, data, layout, height=230, small=True)


SECTION = Section("Each parameter", slices)
