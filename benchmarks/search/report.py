"""The results as Markdown and as JSON."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from typing import Any

from benchmarks.search.ask_times import LIMIT
from benchmarks.search.comparisons import OURS, Results, comparisons, ratios
from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.estimates import Estimate
from benchmarks.search.makers import POINTS, REST
from benchmarks.search.summary import CHECKPOINTS, RANKED, Row, compare

LIBRARIES = (
    "optuna", "cmaes", "scikit-optimize", "FLAML", "smac", "ConfigSpace", "numpy", "scipy",
    "scikit-learn", "torch",
)  # fmt: skip


def about(results: Results) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores {platform.machine()}",
        "versions": {"Python": platform.python_version(), **_versions()},
        "seeds": results.seeds,
        "runs": len(results.runs),
        "planned": len(results.planned),
        "missing": results.missing(),
        "minutes": round(sum(run.seconds for run in results.runs) / 60, 1),
        "incomplete": {
            name: each.incomplete for name, each in results.problems.items() if each.incomplete
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def as_json(results: Results) -> dict[str, Any]:
    """Return everything that the Markdown says, for programs."""
    return {
        "about": about(results),
        "comparisons": [
            {"title": each.title, "rows": [asdict(row) for row in compare(each.runs, each.unit)]}
            for each in comparisons(results)
        ],
        "ratios": [asdict(each) for each in ratios(results)],
        "ask_seconds": results.ask_seconds,
    }


def as_markdown(results: Results) -> str:
    """Return the document that `benchmarks/search.md` is."""
    facts = about(results)
    libraries = ", ".join(f"{name} {found}" for name, found in facts["versions"].items())
    parts = [
        "# Search strategies compared",
        f"{facts['date']}, {facts['machine']}, one thread; {libraries}. {facts['runs']} of "
        f"{facts['planned']} runs in {facts['minutes']:.1f} minutes of one core; {facts['seeds']} "
        "seeds. Written by `python -m benchmarks.search`; `README.md` beside this file says how to "
        "read it.",
        *(f"**Missing:** {count} runs of {name}." for name, count in facts["missing"].items()),
        *(f"**Provisional:** {name}, {why}." for name, why in facts["incomplete"].items()),
    ]
    for each in comparisons(results):
        rows = sorted(compare(each.runs, each.unit), key=_place)
        parts += [f"## {each.title}", _table(_HEAD, [_cells(row) for row in rows])]
    parts += _ratio_parts(results)
    if results.ask_seconds:
        parts += ["## Processor time of one answer", _ask_table(results)]
    spread = ", ".join(f"{count} of {name}" for name, count in POINTS.items())
    parts.append(f"The grid has {spread} and {REST} of every other range.")
    return "\n\n".join(parts) + "\n"


_HEAD = [
    "strategy", *(f"{trials}" for trials in CHECKPOINTS), f"rank at {RANKED}", "repeats", "ask, ms",
    "runs",
]  # fmt: skip


def _place(row: Row) -> float:
    known = row.regrets.get(RANKED) or next(iter(row.regrets.values()), None)
    return known.value if known else 0.0


def _cells(row: Row) -> list[str]:
    return [
        CONTENDERS[row.contender].label,
        *(_estimate(row.regrets.get(trials), 3) for trials in CHECKPOINTS),
        "" if row.rank is None else f"{row.rank:.1f}",
        f"{row.repeats:.1f} %" if row.repeats else "none",
        f"{1000 * row.ask_seconds:.{1 if row.ask_seconds < 0.01 else 0}f}",
        str(row.runs),
    ]


def _estimate(found: Estimate | None, digits: int) -> str:
    if found is None:
        return ""
    text = f"{found.value:.{digits}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _ratio_parts(results: Results) -> Iterable[str]:
    for title, group in groupby(ratios(results), key=lambda each: each.title):
        rows = [
            [each.other, *(_estimate(each.at.get(trials), 2) for trials in CHECKPOINTS)]
            for each in group
        ]
        yield f"## Regret of {OURS} as a share of that of others, where both ran: {title}"
        yield _table(["beside", *(str(trials) for trials in CHECKPOINTS)], rows)


def _ask_table(results: Results) -> str:
    times = results.ask_seconds
    sizes = list(next(iter(times.values())))
    rows = [
        [CONTENDERS[name].label, *(_milliseconds(found[size]) for size in sizes)]
        for name, found in times.items()
    ]
    for name, found in times.items():
        if name != OURS and OURS in times:
            shares = [_times_as_long(found[size], times[OURS][size]) for size in sizes]
            rows.append([f"{CONTENDERS[name].label} / {OURS}", *shares])
    return _table(["finished trials, 9 parameters, in memory", *sizes], rows)


def _milliseconds(seconds: float | None) -> str:
    return f"> {LIMIT:.0f} s" if seconds is None else f"{1000 * seconds:.0f} ms"


def _times_as_long(other: float | None, ours: float | None) -> str:
    if ours is None:
        return ""
    return f"> {LIMIT / ours:.0f}" if other is None else f"{other / ours:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
