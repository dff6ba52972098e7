"""What the figures share: labels that are text, axes, thinning of what is too much to be seen."""

import html
import math
import random
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from hpo.display import short
from hpo.parameters import Choice, Parameter
from hpo.report.subject import Subject
from hpo.trials import TrialResult

T = TypeVar("T")
ACCENT, INK, MUTED, RULE, WARN, PAPER = (
    f"var(--{name})" for name in ("accent", "ink", "muted", "rule", "warn", "paper")
)
FAINT = "var(--faint)"
SERIES = tuple(f"var(--series-{index})" for index in range(6))
_FEW_TICKS, _MOST_TICKS = 3, 8
_NEAR = 0.01  # a trial at 0.00999 still has its tick at 0.01
MOST_POINTS = 1000  # of a scatter of trials; more are not told apart
# Format and control characters: a reversed or invisible name could pass for another one.
_UNSEEN = re.compile(r"[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def label(text: object, width: int = 48) -> str:
    """Return a name as a label of plotly's, which reads tags and entities in any text.

    See https://plotly.com/chart-studio-help/adding-HTML-and-links-to-charts: `<a href=…>` would
    become a link that leaves the page.
    """
    plain = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", str(text))
    cut = plain if len(plain) <= width else f"{plain[: width - 1]}…"
    return html.escape(cut, quote=False)


def hover(subject: Subject, trial: TrialResult) -> str:
    """Return what is shown of a trial under the pointer."""
    lines = [f"trial {trial.number}, {trial.reason or trial.state.lower()}"]
    score = trial.value if trial.value is not None else trial.reported
    if score is not None:
        lines.append(f"{subject.view.metric} {score:.4f}")
    lines += [f"{name} = {short(value)}" for name, value in list(trial.params.items())[:12]]
    return "<br>".join(label(line, 64) for line in lines)


def thinned(trials: Sequence[T], most: int, keep: int) -> list[T]:
    """Return at most so many, in their order: the first `keep` and a fixed draw of the others."""
    if len(trials) <= most:
        return list(trials)
    chosen = random.Random(0).sample(range(keep, len(trials)), most - keep)
    return [trials[index] for index in (*range(keep), *sorted(chosen))]


def thinning(shown: int, of: int, which: str = "trials") -> str:
    """Say that not all are shown; empty where they are."""
    if shown >= of:
        return ""
    return f"{shown:,} of {of:,} {which} are drawn: the best, and others drawn at random."


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a title."""
    return {"title": {"text": label(title)}, **more}


def placed(parameter: Parameter | None, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Place the values of a parameter on an axis.

    Returns:
        The places, and what the axis needs: one of categories is numbered from 0.
    """
    if isinstance(parameter, Choice) or not all(map(_is_number, values)):
        known = list(parameter.values) if isinstance(parameter, Choice) else []
        categories = list(dict.fromkeys([*known, *values]))
        places = [categories.index(value) for value in values]
        return places, {
            "tickvals": list(range(len(categories))),
            "ticktext": [label(short(each), 18) for each in categories],
            "range": [-0.5, len(categories) - 0.5],
        }
    log = bool(getattr(parameter, "log", False)) and all(value > 0 for value in values)
    if log:
        return list(values), {"type": "log", **log_ticks(min(values), max(values))}
    whole = all(isinstance(value, int) for value in values)
    return list(values), {"tickformat": "d", "dtick": whole_step(values)} if whole else {}


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Return ticks within a range: powers of ten, and some between them where these are few.

    Each says its whole value, and all in one notation.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [low] if low == high else [low, high]
    for parts in ((1,), (1, 3), (1, 2, 5)):
        found = [float(f"{part}e{power}") for power in range(first, last + 1) for part in parts]
        within = [tick for tick in found if low * (1 - _NEAR) <= tick <= high * (1 + _NEAR)]
        if len(within) >= _FEW_TICKS:
            ticks = within[:: math.ceil(len(within) / _MOST_TICKS)]
            break
    powers = ticks[0] < 1e-3 or ticks[-1] >= 1e5
    return {"tickvals": ticks, "ticktext": [_power(t) if powers else f"{t:.3g}" for t in ticks]}


def _power(number: float) -> str:
    """Return a number such as 3e-4."""
    mantissa, _, power = f"{number:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"


def even_ticks(low: float, high: float) -> list[float]:
    """Return some five round numbers at equal distances within a range."""
    if low >= high:
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(part * power for part in (1, 2, 5, 10) if part * power >= rough * (1 - 1e-9))
    return [float(f"{index * step:.6g}")
            for index in range(math.ceil(low / step), math.floor(high / step) + 1)]  # fmt: skip


def whole_step(values: Sequence[int]) -> int:
    """Return the distance of ticks of a whole number: six of them at most."""
    return max(1, math.ceil((max(values) - min(values)) / 5))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def worst_shown(scores: Sequence[float], sign: int) -> float:
    """Return the worst score that a scale needs to reach: far ones would flatten all others."""
    ranked = sorted(scores, key=lambda score: -sign * score)
    quarter, median = ranked[len(ranked) // 4], ranked[len(ranked) // 2]
    limit = median - sign * 4 * max(abs(ranked[0] - median), abs(quarter - median))
    worst = ranked[-1]
    if abs(ranked[0] - worst) <= 1.5 * abs(ranked[0] - limit):
        return worst  # what is near the limit costs little room
    return max(worst, limit) if sign > 0 else min(worst, limit)
