"""What a person sees while trials run: a live table in a terminal, plain lines elsewhere."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from typing_extensions import override

from hpo.display import (
    bar,
    budget_of,
    duration,
    holder,
    lines_a_trial,
    sparkline,
    trial_table,
    written,
)
from hpo.display import count as counted
from hpo.leases import TicketView
from hpo.study import StudyView
from hpo.trials import TrialResult

if TYPE_CHECKING:
    from hpo.evaluations import Evaluation


_ROWS = 12  # trials in the live table, where the terminal is high enough
_BESIDE = 10  # lines above and below them
_AWAY = "the storage does not answer"
_HELD = 12  # lines of those who are at work
_STOPPING = "saving the running trial; Ctrl-C again leaves at once"


class Progress:
    """Who is told what happens; this one shows nothing.

    Attributes:
        shown: whether it shows anything. To look at a whole study after each trial costs time.
    """

    shown = False

    def preparing(self, what: str) -> None:
        """Something before the first trial takes a while."""

    def begin(self, study: StudyView) -> None:
        """The study is about to run, or to go on."""

    def started(self, number: int, params: dict[str, Any]) -> None:
        """A trial was drawn."""

    def watched(self, study: StudyView, tickets: list[TicketView]) -> None:
        """Other processes are at work; that is how it stands."""

    def stepped(self, step: int, steps: int) -> None:
        """The running trial took an optimizer step."""

    def evaluated(self, evaluations: "list[Evaluation]") -> None:
        """The running trial was evaluated; all its evaluations so far."""

    def ended(self, study: StudyView, trial: TrialResult) -> None:
        """A trial has ended."""

    def waiting(self, count: int) -> None:
        """Nothing is left to claim, but other workers still hold some trials."""

    def note(self, text: str) -> None:
        """Something happened that whoever reads a log wants to know."""

    def away(self, since: float | None) -> None:
        """The storage does not answer since a moment of the monotonic clock; None: it does."""

    def stopping(self) -> None:
        """The process was asked to stop; the running trial is being saved."""

    def end(self, study: StudyView) -> None:
        """No trial is left to run."""

    def close(self) -> None:
        """Nothing more will come, whatever the reason."""


class Lines(Progress):
    """One plain line an event, for logs.

    In a file or a pipe each begins with the time: in UTC, so that the logs of machines in several
    zones, and of one whose clocks are changed for summer, can be merged by sorting them.
    """

    shown = True

    def __init__(self, console: Console, prefix: str = "") -> None:
        self.console = console
        self.prefix = prefix  # of each line, where a process works on several studies
        self.metric = "objective"
        self.clock = _Clock()
        self.waited_for = 0
        self.is_away = False

    @override
    def preparing(self, what: str) -> None:
        self._say(f"{what} …")

    @override
    def begin(self, study: StudyView) -> None:
        self.metric = study.metric
        self.clock = _Clock()
        for notice in study.notices:
            self._say(f"data: {notice}")
        going_on = f", {_going_on(study)}" if study.done else ""
        self._say(
            f"study {study.name}: {study.spec.task}, strategy {study.spec.strategy}, "
            f"{budget_of(study)}{going_on}"
        )

    @override
    def started(self, number: int, params: dict[str, Any]) -> None:
        self._say(f"trial {number} started: {written(params)}")

    @override
    def evaluated(self, evaluations: "list[Evaluation]") -> None:
        latest = evaluations[-1]
        self._say(
            f"  epoch {latest.epoch:g}: {self.metric} {latest.metrics[self.metric]:.4f}"
            + (f", loss {latest.metrics['loss']:.4f}" if "loss" in latest.metrics else "")
        )

    @override
    def ended(self, study: StudyView, trial: TrialResult) -> None:
        self.clock.count(trial)
        result = (
            f"{self.metric} {trial.value:.4f}"
            if trial.value is not None
            else ": ".join(filter(None, [trial.state.lower(), trial.error or trial.reason]))
        )
        best = (
            ""
            if study.best is None
            else f"; best {study.best.value:.4f} (trial {study.best.number})"
        )
        seconds = "" if trial.seconds is None else f" in {duration(trial.seconds)}"
        self._say(f"trial {trial.number} ended{seconds}: {result}{best}{self.clock.left(study)}")

    @override
    def waiting(self, count: int) -> None:
        if count != self.waited_for:
            self._say(f"waiting for {counted(count, 'trial')} of other workers")
        self.waited_for = count

    @override
    def note(self, text: str) -> None:
        self._say(text)

    @override
    def away(self, since: float | None) -> None:
        if self.is_away != (since is not None):
            self.is_away = since is not None
            self._say(f"{_AWAY}; it is asked again" if self.is_away else "the storage is back")

    @override
    def stopping(self) -> None:
        self._say(_STOPPING)

    def _say(self, text: str) -> None:
        stamp = "" if self.console.is_terminal else f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} "
        lines = [f"{stamp}{self.prefix}{line}" for line in text.splitlines()]
        # A terminal that is gone, or a pipe that nobody reads, ends no trial.
        with suppress(OSError, SystemExit):  # the second is what rich makes of a broken pipe
            for line in lines:
                self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveTable(Progress):
    """A table of trials, the best so far, the running trial's learning curve and the time left."""

    shown = True

    def __init__(self, console: Console) -> None:
        self.console = console
        self.study: StudyView | None = None
        self.number: int | None = None
        self.params: dict[str, Any] = {}
        self.share = (0, 1)
        self.curve: list[float] = []
        self.clock = _Clock()
        self.held: list[str] = []
        self.away_since: float | None = None
        self.live = Live(console=console, refresh_per_second=4, get_renderable=self.table)

    @override
    def preparing(self, what: str) -> None:
        self.console.print(Text(f"{what} …", style="dim"))

    @override
    def begin(self, study: StudyView) -> None:
        for notice in study.notices:
            self.console.print(Text(f"data: {notice}", style="yellow"))
        self.study = study
        self.clock = _Clock()
        if _spent(study):
            self.console.print(Text(_going_on(study)))
        self.live.start()

    @override
    def started(self, number: int, params: dict[str, Any]) -> None:
        self.number, self.params, self.share, self.curve = number, params, (0, 1), []

    @override
    def watched(self, study: StudyView, tickets: list[TicketView]) -> None:
        self.study, self.number = study, None
        # Now, and not with each frame: who has gone since has settled the ticket.
        running = {ticket.number: trial for ticket, trial in study.running_trials()}
        self.held = [
            _at_work(study, ticket, running.get(ticket.number))
            for ticket in tickets
            if ticket.idle is not None
        ]

    @override
    def away(self, since: float | None) -> None:
        if since is None or self.away_since is None:
            self.away_since = since

    @override
    def stepped(self, step: int, steps: int) -> None:
        self.share = (step, steps)

    @override
    def evaluated(self, evaluations: "list[Evaluation]") -> None:
        metric = self.study.metric if self.study is not None else "loss"
        self.curve = [each.metrics[metric] for each in evaluations]

    @override
    def ended(self, study: StudyView, trial: TrialResult) -> None:
        self.clock.count(trial)
        self.study, self.number = study, None

    @override
    def end(self, study: StudyView) -> None:
        self.study, self.number = study, None
        self.close()

    @override
    def note(self, text: str) -> None:
        self.console.print(Text(text))

    @override
    def stopping(self) -> None:
        self.console.print(_STOPPING)

    @override
    def close(self) -> None:
        """Leave the terminal as it was; the last table stays."""
        self.live.stop()

    def table(self) -> Group:
        """Return what it shows now."""
        study = self.study
        if study is None:
            return Group()
        title = f"{study.name} · {study.spec.task} · {study.spec.strategy} · {budget_of(study)}"
        width = self.console.width
        room = self.console.height - _BESIDE - min(len(self.held), _HELD)
        rows = max(2, min(_ROWS, room // lines_a_trial(study, width)))
        table = trial_table(study, title, rows, width)
        lines = [Text("")]
        if self.number is not None:
            step, steps = self.share
            curve = "" if not self.curve else f"  {study.metric} {sparkline(self.curve)}"
            lines.append(
                Text(f"trial {self.number}  {bar(step / max(steps, 1))} {step}/{steps}{curve}")
            )
            lines.append(Text(f"  {written(self.params)}", style="dim"))
        lines += [Text(line, style="dim") for line in self.held[:_HELD]]
        if len(self.held) > _HELD:
            lines.append(Text(f"and {len(self.held) - _HELD} more at work", style="dim"))
        best = study.best
        if best is not None:
            lines.append(
                Text(
                    f"best {study.metric} {best.value:.4f}  trial {best.number}", style="bold green"
                )
            )
        told = [f"{study.done} done", *_counts(study)]
        lines.append(Text(f"{', '.join(told)}{self.clock.left(study)}", style="dim"))
        if self.away_since is not None:
            since = duration(time.monotonic() - self.away_since)
            lines.append(Text(f"{_AWAY} since {since}; it is asked again", style="yellow"))
        return Group(table, *lines)


def _at_work(study: StudyView, ticket: TicketView, trial: TrialResult | None) -> str:
    """Return who holds a ticket, with the learning curve of its trial."""
    curve = (
        [] if trial is None else [each["metrics"].get(study.metric) for each in trial.evaluations]
    )
    scores = [score for score in curve if score is not None]
    who = holder(ticket) if trial is None else f"trial {trial.number}  {holder(ticket)}"
    return f"{who}  {sparkline(scores)}" if scores else who


def _counts(study: StudyView) -> list[str]:
    """Return how many trials failed or were pruned, and how many run, as far as there are any."""
    states = {"FAIL": "failed", "PRUNED": "pruned"}
    found = [
        f"{study.counts[state]} {word}" for state, word in states.items() if study.counts.get(state)
    ]
    return [*found, f"{study.at_work} at work"] if study.at_work is not None else found


def _spent(study: StudyView) -> bool:
    return study.budget is not None and study.done >= study.budget


def _going_on(study: StudyView) -> str:
    nothing = "; nothing is left to run (a larger --trials goes on)" if _spent(study) else ""
    return f"{study.done} done already{nothing}"


class _Clock:
    """Estimates the time left from the trials that were seen to end."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.ended = 0

    def count(self, trial: TrialResult) -> None:
        self.ended += 1

    def left(self, study: StudyView) -> str:
        bounds = []
        if study.at_work is not None:  # others were at work before anybody looked
            left = study.seconds_left()
            bounds += [] if left is None else [left]
        elif self.ended and study.budget is not None:
            each = (time.monotonic() - self.started) / self.ended
            bounds.append(each * (study.budget - study.done))
        if study.spec.budget.hours is not None:
            bounds.append(study.spec.budget.hours * 3600 - study.seconds)
        seconds = min(bounds, default=0.0)
        return f"; about {duration(seconds)} left" if seconds > 0 else ""
