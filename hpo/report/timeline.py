"""Who worked when: a line for each worker, its trials by outcome, and the time it was idle.

The runs of the confirmation are among them, told apart, on a clock that covers both.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo.display import count, duration
from hpo.report.best_so_far import column_unit, unit_of
from hpo.report.blocks import Block, Cell, Column, Figure, Section, Table, Text, Undrawable
from hpo.report.clock import Clock, span_of
from hpo.report.plotting import ACCENT, FAINT, MUTED, WARN, axis, hover, label
from hpo.report.subject import Subject
from hpo.trials import RUN, TrialResult
from hpo.workers import shown

_MOST = 40  # workers
_BARS = 3000  # more segments are not told apart, and are drawn together
_STATES = {
    "COMPLETE": ("completed", ACCENT),
    "PRUNED": ("pruned", "var(--accent-soft)"),
    "FAIL": ("failed", WARN),
    "RUNNING": ("running", MUTED),
    "CUT": ("cut short", FAINT),
    "CONFIRMED": ("confirmation", "var(--series-2)"),
}


@dataclass(frozen=True)
class Stint:
    """One attempt of a worker.

    Args:
        start, end: in seconds on the clock.
        trial: what it worked on.
        confirms: whether that is a run of the confirmation.
    """

    start: float
    end: float
    trial: TrialResult
    confirms: bool = False

    @property
    def state(self) -> str:
        """What became of it: a key of `_STATES`."""
        if self.trial.state == "FAIL" and not self.trial.counts:
            return "CUT"
        done = self.confirms and self.trial.state in {"COMPLETE", "RUNNING"}
        return "CONFIRMED" if done else self.trial.state


@dataclass(frozen=True)
class Shift:
    """What one worker did.

    Args:
        worker: its name, for people.
        device: that it used.
        stints: its attempts, in their order.
        busy: seconds in which it had a trial.
        present: seconds from its first trial's start to its last one's end.
    """

    worker: str
    device: str
    stints: list[Stint]
    busy: float
    present: float

    @property
    def idle(self) -> float:
        """The seconds between its trials."""
        return max(0.0, self.present - self.busy)


def clock_of(subject: Subject) -> Clock:
    """Return the time of a study and of its confirmation, without that in which no trial ran."""
    spans = (span_of(trial, subject.now) for _, trial in _attempts(subject))
    return Clock(span for span in spans if span is not None)


def _attempts(subject: Subject) -> Iterator[tuple[bool, TrialResult]]:
    """Yield every attempt, and whether it is of the confirmation."""
    yield from ((False, trial) for trial in subject.view.trials)
    if subject.confirming is not None:
        yield from ((True, trial) for trial in subject.confirming.trials)


def shifts(subject: Subject, clock: Clock) -> list[Shift]:
    """Return what each worker did, in the order in which they came."""
    by_worker: dict[tuple[str, str], list[Stint]] = defaultdict(list)
    for confirms, trial in _attempts(subject):
        span = span_of(trial, subject.now)
        if span is not None:
            run = trial.record.get(RUN, {})
            who = (str(run.get("worker", "?")), str(run.get("device", "?")))
            by_worker[who].append(Stint(clock.at(span.start), clock.at(span.end), trial, confirms))
    found = []
    for (worker, device), stints in by_worker.items():
        ordered = sorted(stints, key=lambda each: each.start)
        busy = sum(each.end - each.start for each in ordered)
        present = max(each.end for each in ordered) - ordered[0].start
        found.append(Shift(shown(worker), device, ordered, busy, present))
    return sorted(found, key=lambda each: each.stints[0].start)


def timeline(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw the workers, and list how busy they were."""
    (subject,) = subjects
    clock = clock_of(subject)
    workers = shifts(subject, clock)
    if not workers:
        raise Undrawable("There is no timeline: no trial has stored when it ran.")
    listed = sorted(workers, key=lambda each: -each.busy)[:_MOST]
    drawn = [each for each in workers if each in listed]
    unit, size = unit_of(clock.total)
    idle = sum(each.idle for each in workers)
    present = sum(each.present for each in workers)
    if present > 0:
        yield Text(
            f"{count(len(workers), 'worker')}, {_idle(idle, present)} between the first and the "
            "last trial of each."
        )
    names = [f"{each.worker}" for each in drawn]
    note = "Time in which no trial ran is left out. Gaps are the time between two trials."
    if len(drawn) < len(workers):
        note += f" The {len(drawn)} busiest of {len(workers):,} workers are drawn."
    yield Figure(
        "",
        _traces(subject, drawn, clock.total, size),
        {
            "xaxis": axis(unit, rangemode="tozero"),
            "yaxis": {
                "tickvals": list(range(len(drawn))),
                "ticktext": [label(name, 24) for name in names],
                "range": [len(drawn) - 0.4, -0.6],
                "showgrid": False,
            },
        },
        height=110 + 30 * len(drawn),
        note=note,
    )
    unit, size = column_unit(time for each in drawn for time in (each.busy, each.idle))
    columns = [
        Column("worker"),
        Column("device"),
        Column("trials", numeric=True),
        *([Column("to confirm", numeric=True)] if subject.confirming else []),
        Column(f"busy, {unit}", numeric=True, digits=1),
        Column(f"idle, {unit}", numeric=True, digits=1),
        Column("idle, %", numeric=True, digits=1),
    ]
    rows: list[list[Cell]] = [
        [
            each.worker,
            each.device,
            sum(not stint.confirms for stint in each.stints),
            *([sum(stint.confirms for stint in each.stints)] if subject.confirming else []),
            each.busy / size,
            each.idle / size,
            100 * each.idle / each.present if each.present else 0.0,
        ]
        for each in drawn
    ]
    yield Table(columns, rows, caption="Workers and devices")


def _idle(idle: float, present: float) -> str:
    """Return in words how much of the time workers were idle."""
    if idle < 0.05:
        return "never idle"
    time = f"{idle:.1f} s" if idle < 10 else duration(idle)
    share = idle / present
    return f"idle for {time}, {f'{share:.0%}' if share >= 0.01 else 'less than 1%'} of the time"


def _traces(
    subject: Subject, drawn: Sequence[Shift], whole: float, size: float
) -> list[dict[str, Any]]:
    total = sum(len(each.stints) for each in drawn)
    joined = whole / 500 if total > _BARS else -1.0  # seconds
    traces = []
    for state, (name, colour) in _STATES.items():
        x: list[float | None] = []
        y: list[int | None] = []
        texts: list[str] = []
        for place, each in enumerate(drawn):
            for stint in _joined(each.stints, state, joined):
                start, end = stint.start / size, stint.end / size
                x += [start, (start + end) / 2, end, None]
                y += [place, place, place, None]
                texts += [_hover(subject, stint)] * 3 + [""] if joined < 0 else []
        if x:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": name,
                    "showlegend": True,
                    "x": x,
                    "y": y,
                    "hovertext": texts,
                    "hoverinfo": "text" if texts else "skip",
                    "line": {"color": colour, "width": 13},
                }
            )
    if not traces:
        raise Undrawable("There is no timeline: no trial took any time.")
    return traces


def _hover(subject: Subject, stint: Stint) -> str:
    return f"{'confirmation<br>' if stint.confirms else ''}{hover(subject, stint.trial)}"


def _joined(stints: Sequence[Stint], state: str, gap: float) -> Iterator[Stint]:
    """Yield the stints of one state; those closer than the gap are one."""
    last: Stint | None = None
    for stint in stints:
        if stint.state != state:
            continue
        if last is not None and stint.start - last.end <= gap:
            last = replace(stint, start=last.start, end=max(last.end, stint.end))
            continue
        if last is not None:
            yield last
        last = stint
    if last is not None:
        yield last


SECTION = Section("Workers and devices", timeline)
