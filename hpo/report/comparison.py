"""Several studies beside each other: at equal trials and at equal time."""

from collections.abc import Iterator, Sequence
from typing import Any

from hpo.display import count, duration
from hpo.report.best_so_far import improvements, unit_of
from hpo.report.blocks import Block, Cell, Column, Figure, Section, Table, Text
from hpo.report.plotting import SERIES, axis, label
from hpo.report.subject import Moment, Subject

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def best_at(
    subject: Subject, *, trials: int | None = None, seconds: float | None = None
) -> float | None:
    """Return the best score after so many outcomes, or so many seconds; None without one."""
    best = None
    for moment in subject.history:
        late = seconds is not None and (moment.seconds is None or moment.seconds > seconds + 1e-6)
        if late or (trials is not None and moment.count > trials):
            break
        best = moment.best
    return best


def equal_trials(subjects: Sequence[Subject]) -> int:
    """Return how many outcomes each of the studies has at least; those without any aside."""
    return min((len(each.outcomes) for each in subjects if each.outcomes), default=0)


def equal_seconds(subjects: Sequence[Subject]) -> float:
    """Return how long each of the studies has run at least; those that have not aside."""
    return min((each.clock.total for each in subjects if each.clock.total > 0), default=0.0)


def comparison(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Compare them in a table and in two figures with a line each."""
    yield from _differences(subjects)
    yield _table(subjects)
    scored = [subject for subject in subjects if subject.completed]
    if not scored:
        yield Text("There is no line to draw: no trial of any of them has completed.")
        return
    unit, size = unit_of(max(subject.clock.total for subject in scored))
    counted = [
        [(float(moment.count), moment) for moment in improvements(subject.history)]
        for subject in scored
    ]
    yield _figure(scored, "trials", counted)
    timed = [
        [
            (moment.seconds / size, moment)
            for moment in improvements(subject.history)
            if moment.seconds is not None
        ]
        for subject in scored
    ]
    if any(timed):
        yield _figure(scored, unit, timed)


def _differences(subjects: Sequence[Subject]) -> Iterator[Block]:
    metrics = {(subject.view.metric, subject.view.maximize) for subject in subjects}
    if len(metrics) > 1:
        names = ", ".join(sorted({name for name, _ in metrics}))
        yield Text(f"These studies optimise different things ({names}): their scores cannot be "
                   "compared.")  # fmt: skip
    if len({subject.view.fingerprint for subject in subjects}) > 1:
        yield Text("These studies have different data: a difference in score may be one of data.")
    commits: dict[str, set[str]] = {}
    for subject in subjects:
        for trial in subject.view.trials:
            recipe = trial.record.get("recipe") or {}
            if "commit" in recipe:
                commits.setdefault(recipe["model"], set()).add(recipe["commit"])
    if several := [model for model, each in commits.items() if len(each) > 1]:
        yield Text(f"Trials of these studies began with different commits of {', '.join(several)}: "
                   "a difference in score may be one of its weights.")  # fmt: skip


def _table(subjects: Sequence[Subject]) -> Table:
    trials, seconds = equal_trials(subjects), equal_seconds(subjects)
    columns = [
        Column("study"), Column("best", numeric=True, digits=4),
        Column(f"after {count(trials, 'trial')}", numeric=True, digits=4),
        Column(f"after {duration(seconds)}", numeric=True, digits=4),
        Column("confirmed mean", numeric=True, digits=4), Column("95% interval"),
        Column("trials", numeric=True), Column("time"), Column("strategy"), Column("model"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for subject in subjects:
        winner = subject.winner
        confirmed = winner is not None and winner.confirmed
        between = winner.interval if winner is not None else None
        rows.append(
            [
                subject.name,
                subject.completed[0].value if subject.completed else None,
                best_at(subject, trials=trials), best_at(subject, seconds=seconds),
                winner.score if confirmed and winner is not None else None,
                "" if between is None else f"{between[0]:.4f} to {between[1]:.4f}",
                len(subject.outcomes), duration(subject.clock.total),
                subject.view.spec.strategy, ", ".join(subject.view.spec.models()),
            ]
        )  # fmt: skip
    return Table(columns, rows, caption="At equal trials and at equal time, as far as each has got")


def _figure(
    subjects: Sequence[Subject], unit: str, lines: Sequence[Sequence[tuple[float, Moment]]]
) -> Figure:
    data: list[dict[str, Any]] = []
    for index, (subject, points) in enumerate(zip(subjects, lines, strict=True)):
        colour = SERIES[index % len(SERIES)]
        data.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": label(subject.name),
                "x": [place for place, _ in points], "y": [moment.best for _, moment in points],
                "hovertext": [
                    label(f"{subject.name}: {moment.best:.4f} by trial {moment.trial.number}", 99)
                    for _, moment in points if moment.best is not None
                ],
                "hoverinfo": "text", "marker": {"color": colour, "size": 5},
                "line": {"color": colour, "width": 2.25, "shape": "hv",
                         "dash": _DASHES[index // len(SERIES) % len(_DASHES)]},
            }
        )  # fmt: skip
    metrics = " / ".join(dict.fromkeys(subject.view.metric for subject in subjects))
    return Figure(
        f"Best so far against {unit if unit == 'trials' else 'time'}",
        data,
        {"xaxis": axis(unit, rangemode="tozero"), "yaxis": axis(metrics)},
        height=400,
        note="" if unit == "trials" else "Time in which no trial ran is left out.",
    )


SECTION = Section("Side by side", comparison, of="several")
