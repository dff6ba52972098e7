"""Two parameters together, those that matter most: a landscape fitted to the trials.

Optuna's contour joins the trials by triangles, which shows noise as ridges. Here it is the mean of
a Gaussian process (scikit-learn's, Matérn 5/2 with a scale for each parameter and noise) over both
parameters, learnt from at most 250 trials; trials themselves are points, so that one sees where
the landscape rests on nothing. Scores that are far worse than the others count as the worst one
that the scale shows, which then says so: they would leave one colour for all others.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hpo.display import count, short
from hpo.parameters import Choice, Int, Parameter
from hpo.report.blocks import Block, Figure, Section, Undrawable
from hpo.report.plotting import (
    ACCENT,
    INK,
    PAPER,
    WARN,
    axis,
    even_ticks,
    hover,
    label,
    log_ticks,
    thinned,
    whole_step,
    worst_shown,
)
from hpo.report.slices import by_importance, is_known
from hpo.report.subject import Subject
from hpo.trials import TrialResult

_FEWEST = 6  # trials
_MOST = 250
_GRID = 36  # points on each side
_ROOM = 0.04  # of an axis, at each end: a point there is seen whole
_LEVELS = 14


def landscape(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw it."""
    (subject,) = subjects
    space = subject.view.spec.search_space().root
    numbers = [name for name in by_importance(subject) if _is_wide(space[name])][:2]
    if len(numbers) < 2:
        raise Undrawable("A landscape takes two parameters with numbers; this space has fewer.")
    having = [trial for trial in subject.completed if all(name in trial.params for name in numbers)]
    if len(having) < _FEWEST:
        raise Undrawable(f"A landscape takes {_FEWEST} completed trials; there are {len(having)}.")
    trials = thinned(having, _MOST, _MOST // 2)
    scores = np.array([trial.value for trial in trials], float)
    floor = worst_shown(list(scores), subject.sign)
    fitted = np.maximum(scores, floor) if subject.sign > 0 else np.minimum(scores, floor)
    if fitted.std() == 0:
        raise Undrawable("There is no landscape: all trials scored the same.")
    inputs = np.array(
        [[place_in_range(space[name], trial.params[name]) for name in numbers] for trial in trials]
    )
    x, y = (_ticks(space[name]) for name in numbers)
    grid = np.array(
        [
            [place_in_range(space[numbers[0]], a), place_in_range(space[numbers[1]], b)]
            for b in y
            for a in x
        ]
    )
    mean = _fit(inputs, fitted, grid).reshape(len(y), len(x))
    far = [trial for trial in trials if subject.sign * ((trial.value or 0.0) - floor) < 0]
    ends = {} if not far else _cut_scale(floor, mean, subject.sign)
    if far:
        mean = np.maximum(mean, floor) if subject.sign > 0 else np.minimum(mean, floor)
    x_axis, y_axis = (_look(space[name]) for name in numbers)
    data: list[dict[str, Any]] = [
        {
            "type": "contour", "x": x, "y": y, "z": mean.tolist(), "hoverinfo": "skip",
            "ncontours": _LEVELS, "line": {"width": 0}, "showscale": True,
            "colorscale": _scale(subject.sign), **ends.get("contour", {}),
            "colorbar": {"thickness": 10, "outlinewidth": 0, "title": {"text": ""}, "len": 0.9,
                         "tickfont": {"color": "var(--muted)", "size": 11},
                         **ends.get("bar", {})},
        },
        _points(subject, trials, numbers, far),
        {**_points(subject, [subject.marked], numbers), "marker": {
            "color": ACCENT, "size": 12, "line": {"color": PAPER, "width": 2}}},
    ]  # fmt: skip
    if subject.marked is None or any(name not in subject.marked.params for name in numbers):
        data.pop()
    yield Figure(
        "",
        data,
        {
            "xaxis": axis(numbers[0], **x_axis, range=_range(x, x_axis)),
            "yaxis": axis(numbers[1], **y_axis, range=_range(y, y_axis)),
        },
        height=440,
        note=" ".join(filter(None, [
            "These two matter most, of the parameters with numbers." if is_known(subject) else
            "Which parameters matter most cannot be told; these are the first two with numbers.",
            f"Colour is the expected {subject.view.metric}, by a Gaussian process over these two "
            "alone; far from any point it is a guess. Points are trials, the large one is the "
            "winner.",
            _cut(subject, far, floor),
        ])),
    )  # fmt: skip


def _cut(subject: Subject, far: Sequence[TrialResult], floor: float) -> str:
    """Say which trials the scale of colours does not reach; empty where it reaches all."""
    if not far:
        return ""
    than, worst = ("below", min) if subject.sign > 0 else ("above", max)
    last = worst(trial.value or 0.0 for trial in far)
    return (
        f"{count(len(far), 'trial')} scored {than} {floor:.4f}, where the scale ends "
        f"(the worst {last:.4f}): crosses, which count as {floor:.4f} here."
    )


def _cut_scale(floor: float, mean: np.ndarray, sign: int) -> dict[str, Any]:
    """Return levels that end at a score, and ticks that say that its colour is for worse ones."""
    best = float(mean.max() if sign > 0 else mean.min())
    low, high = sorted([floor, best])
    size = (high - low) / _LEVELS or 1.0
    ticks = [tick for tick in even_ticks(low, high) if abs(tick - floor) > size]
    worse = "≤" if sign > 0 else "≥"
    digits = max(len(f"{tick:.6g}".partition(".")[2]) for tick in [0.1, *ticks])
    return {
        "contour": {
            "autocontour": False, "zmin": low, "zmax": high,
            "contours": {"start": low + size / 2, "end": high - size / 2, "size": size},
        },
        "bar": {
            "tickvals": [floor, *ticks],
            "ticktext": [f"{worse} {floor:.4g}", *(f"{tick:.{digits}f}" for tick in ticks)],
        },
    }  # fmt: skip


def _points(
    subject: Subject,
    trials: Sequence[Any],
    names: Sequence[str],
    far: Sequence[TrialResult] = (),
) -> dict[str, Any]:
    """Return the trials as points; those whose score the scale does not reach as crosses."""
    numbers = {trial.number for trial in far}
    crossed = [trial is not None and trial.number in numbers for trial in trials]
    return {
        "type": "scatter", "mode": "markers", "showlegend": False, "hoverinfo": "text",
        "cliponaxis": False, "x": [trial.params.get(names[0]) for trial in trials],
        "y": [trial.params.get(names[1]) for trial in trials],
        "hovertext": [hover(subject, trial) for trial in trials],
        "marker": {
            "color": [WARN if each else INK for each in crossed], "opacity": 1,
            "size": [9 if each else 6 for each in crossed],
            "symbol": ["x" if each else "circle" for each in crossed],
            "line": {"color": PAPER, "width": 1},
        },
    }  # fmt: skip


def _look(parameter: Parameter) -> dict[str, Any]:
    low, high, log = _ends(parameter)
    if isinstance(parameter, Choice):
        values = sorted(parameter.values)
        ticks = {"tickvals": values, "ticktext": [label(short(each)) for each in values]}
        return {"type": "log", **ticks} if log else ticks
    if log:
        return {"type": "log", **log_ticks(low, high)}
    return {"dtick": whole_step([int(low), int(high)])} if isinstance(parameter, Int) else {}


def _range(ticks: Sequence[float], look: Mapping[str, Any]) -> list[float]:
    """Return the range of an axis as plotly takes it: exponents, where it is logarithmic."""
    low, high = ticks[0], ticks[-1]
    if look.get("type") == "log":
        low, high = math.log10(low), math.log10(high)
    room = _ROOM * (high - low)
    return [low - room, high + room]


def _scale(sign: int) -> list[list[Any]]:
    colours = [f"var(--scale-{index})" for index in range(3)][::sign]
    return [[index / 2, colour] for index, colour in enumerate(colours)]


def _is_wide(parameter: Parameter) -> bool:
    if isinstance(parameter, Choice):
        numeric = all(isinstance(each, int | float) and not isinstance(each, bool)
                      for each in parameter.values)  # fmt: skip
        return numeric and len(parameter.values) > 2
    return parameter.low < parameter.top()


def _ends(parameter: Parameter) -> tuple[float, float, bool]:
    """Return the lowest value, the highest, and whether their logarithms count."""
    if isinstance(parameter, Choice):
        values = sorted(float(each) for each in parameter.values)
        return values[0], values[-1], values[0] > 0 and values[-1] / values[0] >= 4
    return float(parameter.low), float(parameter.top()), parameter.log


def place_in_range(parameter: Parameter, value: Any) -> float:
    """Return where a number stands between the lowest and the highest, from 0 to 1."""
    low, high, log = _ends(parameter)
    if low >= high:
        return 0.5
    if log:
        return math.log(value / low) / math.log(high / low)
    return (float(value) - low) / (high - low)


def _ticks(parameter: Parameter) -> list[float]:
    low, high, log = _ends(parameter)
    ticks = (np.geomspace if log else np.linspace)(low, high, _GRID)
    return [float(each) for each in ticks]


def _fit(inputs: np.ndarray, scores: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mean of the scores at the points of the grid."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    kernel = Matern([0.5, 0.5], (0.1, 5.0), nu=2.5) + WhiteKernel(0.05, (1e-3, 1.0))
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a scale at its bound is an answer, too
        found: np.ndarray = model.fit(inputs, scores).predict(grid)
    return found


SECTION = Section("Two parameters together", landscape)
