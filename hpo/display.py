"""How studies are written for a person: tables, durations, the conclusion of a run."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hpo.candidates import Confirmation
from hpo.columns import Column, lay_out, wrapped
from hpo.leases import TicketView
from hpo.pool_view import WorkerView
from hpo.refusals import Refusal
from hpo.study import StudyView
from hpo.trials import TrialResult
from hpo.workers import is_gone, shown

if TYPE_CHECKING:
    from hpo.check import Report
    from hpo.warm_start import Overlap

_ROWS = 12  # trials in the live table
_ENDLESS = 10_000  # columns of what is no terminal
_BARS = "▁▂▃▄▅▆▇█"


def trial_table(
    study: StudyView, title: str, rows: int = _ROWS, width: int = _ENDLESS
) -> RenderableType:
    """Return the table of a study's latest trials; the best one is always among them.

    Args:
        study: whose trials.
        title: above it.
        rows: at most so many trials.
        width: of the terminal; where parameters find no room in columns, each trial gets lines.
    """
    shown = _latest(study, rows)
    found: Table | Group = _wide_table(study, shown)
    if Measurement.get(_measuring(), _measuring().options, found).maximum > width:
        found = _narrow_table(study, shown, width)
    # `Text` throughout: a name of the user's may hold what rich takes for markup. And no title of
    # the table, which would break it to the table's width.
    return Group(Text(title, style="italic"), found)


def lines_a_trial(study: StudyView, width: int) -> int:
    """Return how many lines a trial takes in the table, at most."""
    shown = _latest(study, _ROWS)
    if (
        Measurement.get(_measuring(), _measuring().options, _wide_table(study, shown)).maximum
        <= width
    ):
        return 1
    return 1 + max((len(_parameters(study, trial, width)) for trial in shown), default=0)


def _measuring() -> Console:
    return Console(width=_ENDLESS)


def _latest(study: StudyView, rows: int) -> list[TrialResult]:
    shown = [trial for trial in study.trials if trial.state != "WAITING"][-rows:]
    if study.best is not None and study.best.number not in {trial.number for trial in shown}:
        shown = [study.best, *shown[1:]]
    return shown


def _is_best(study: StudyView, trial: TrialResult) -> bool:
    return study.best is not None and trial.number == study.best.number


def _cells(trial: TrialResult) -> tuple[str, str, str, str]:
    seconds = "" if trial.seconds is None else duration(trial.seconds)
    return str(trial.number), _score(trial), seconds, trial.reason or trial.state.lower()


def _wide_table(study: StudyView, shown: Sequence[TrialResult]) -> Table:
    """Return a table with a column for each parameter."""
    table = _table()
    names = study.spec.search_space().names()
    for heading in ("trial", study.metric, *names, "time", "state"):
        table.add_column(Text(folded(heading)), overflow="fold")
    for trial in shown:
        number, score, seconds, state = _cells(trial)
        table.add_row(
            number,
            score,
            *(Text(short(trial.params.get(name))) for name in names),
            seconds,
            state,
            style="bold green" if _is_best(study, trial) else None,
        )
    return table


def _narrow_table(study: StudyView, shown: Sequence[TrialResult], width: int) -> Group:
    """Return a table with the parameters of each trial in lines below it."""
    cells = list(zip(*map(_cells, shown), strict=True)) or [()] * 4
    headings = ("trial", study.metric, "time", "state")
    columns = [Column(heading, list(each)) for heading, each in zip(headings, cells, strict=True)]
    heading, rule, *rows = lay_out(columns[0], columns[1:], _ENDLESS).splitlines()
    lines = [Text(heading, style="bold"), Text(rule)]
    for row, trial in zip(rows, shown, strict=True):
        style = "bold green" if _is_best(study, trial) else ""
        text = [row, *_parameters(study, trial, width)]
        lines += [Text(line, style=style, overflow="fold") for line in text]
    return Group(*lines)


def _parameters(study: StudyView, trial: TrialResult, width: int) -> list[str]:
    names = study.spec.search_space().names()
    known = [f"{name}={short(trial.params[name])}" for name in names if name in trial.params]
    return wrapped(known, width)


def _score(trial: TrialResult) -> str:
    """Return a trial's score; in brackets the latest of one that has not come to its end."""
    if trial.value is not None:
        return f"{trial.value:.4f}"
    return "" if trial.reported is None else f"({trial.reported:.4f})"


def _table(**options: Any) -> Table:
    """Return a table that takes no more room than its words."""
    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), **options)


def folded(name: str, width: int = 10) -> str:
    """Break a name at its underscores, so that its column is no wider than its values."""
    lines = [""]
    for part in re.findall(r"[^_]+_*|_+", name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def holder(ticket: TicketView) -> str:
    """Return who holds a ticket, or held it last, and since when its trial made no progress."""
    words = [f"ticket {ticket.number}", ticket.state, shown(ticket.worker or "")]
    if ticket.device:
        words.append(ticket.device)
    if ticket.epoch > 1:
        words.append(f"attempt {ticket.epoch}")
    if ticket.deaths:
        words.append(count(ticket.deaths, "attempt") + " lost")
    if ticket.idle is not None:
        words.append(f"last progress {duration(ticket.idle)} ago")
    if ticket.idle is not None and is_gone(ticket.worker or ""):
        words.append("its worker is gone; the next one takes it")
    elif ticket.lease is not None and ticket.lease < 0:
        words.append("its worker is gone, or cut off")
    return "  ".join(words)


def refusal_of(study: str, refusal: Refusal) -> str:
    """Return who leaves a study to others, since when, why, and what can be done."""
    who = shown(refusal.worker)
    again = f"in {duration(refusal.again)}" if refusal.again > 0 else "when it looks next"
    advice = f"{refusal.advice}, or" if refusal.advice else "else"
    return (
        f"study {study} is left to others by {who} for {duration(refusal.since)}: {refusal.why}\n"
        f"  {who} tries again {again}; {advice} start `hpo worker` where it can be served"
    )


def budget_of(study: StudyView) -> str:
    """Return the budget in words."""
    budget = study.spec.budget
    trials = study.points if budget.trials is None else budget.trials
    parts = [
        "" if trials is None else count(trials, "trial"),
        "" if budget.hours is None else f"{budget.hours:g} h ({duration(study.seconds)} spent)",
    ]
    return " or ".join(part for part in parts if part) or "no budget"


def written(params: dict[str, Any]) -> str:
    """Return parameters as one line."""
    return ", ".join(f"{name}={short(value)}" for name, value in params.items())


def short(value: object) -> str:
    """Return a value with as many digits as matter."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


def duration(seconds: float) -> str:
    """Return a time in words: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def bar(share: float, width: int = 24) -> str:
    """Return a progress bar."""
    full = round(min(1.0, share) * width)
    return "━" * full + "╌" * (width - full)


def sparkline(values: list[float]) -> str:
    """Return a learning curve in one line, with its last value."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    bars = "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)
    return f"{bars} {values[-1]:.4f}"


def study_table(studies: list[StudyView], width: int = _ENDLESS) -> str:
    """Return one line a study, or two where the terminal has no room for it.

    Args:
        studies: which.
        width: of the terminal.
    """
    lefts = [study.seconds_left() for study in studies]
    bests = [study.best for study in studies]
    means = [_confirmed(study.confirmation) for study in studies]
    ranked = any(study.priority for study in studies)
    dones = [
        str(study.done) if study.budget is None else f"{study.done}/{study.budget}"
        for study in studies
    ]
    columns = [
        Column("strategy", [study.spec.strategy for study in studies], 3, spared=True),
        Column("state", [study.condition for study in studies], 9),
        Column("done", dones, 8),
        Column("at work", [str(study.running or "") for study in studies], 6),
        Column("metric", [study.metric for study in studies], 1, spared=True),
        Column("best", ["" if best is None else f"{best.value:.4f}" for best in bests], 7),
        *([Column("confirmed", means, 8)] if any(means) else []),
        Column("time", [duration(study.seconds) for study in studies], 2, spared=True),
        Column("left", ["" if left is None else duration(left) for left in lefts], 5),
        *([Column("priority", [str(study.priority) for study in studies], 4)] if ranked else []),
    ]
    return lay_out(Column("study", [study.name for study in studies]), columns, width)


def _confirmed(found: Confirmation | None) -> str:
    """Return the winner's mean; in brackets while runs are missing."""
    if found is None or found.winner is None or found.winner.mean is None:
        return ""
    return f"{found.winner.mean:.4f}" if found.complete else f"({found.winner.mean:.4f})"


def worker_table(pool: list[WorkerView], width: int = _ENDLESS) -> str:
    """Return one line a worker, or two where the terminal has no room for it.

    Args:
        pool: the workers.
        width: of the terminal.
    """
    studies = [each.study or (f"only {each.serves}" if each.serves else "") for each in pool]
    signs = ["" if each.idle is None else f"{duration(each.idle)} ago" for each in pool]
    columns = [
        Column("device", [each.device or "" for each in pool], 2, spared=True),
        Column("state", [each.doing for each in pool]),
        Column("study", studies),
        Column("trial", ["" if each.trial is None else str(each.trial) for each in pool], 5),
        Column("since", ["" if each.since is None else duration(each.since) for each in pool], 3),
        Column("last sign", signs, 4),
        Column(
            "lease", ["" if each.lease is None else duration(each.lease) for each in pool], 1,
            spared=True,
        ),
    ]  # fmt: skip
    return lay_out(Column("worker", [shown(each.worker) for each in pool]), columns, width)


def queued(study: StudyView, pool: list[WorkerView], start: str) -> str:
    """Return what is said of a study that was submitted, and of those who are there to take it.

    Args:
        study: as it is now.
        pool: the workers that may serve it.
        start: the command that starts one.
    """
    if study.condition == "done":
        return f"study {study.name} is done; nothing is left to run (a larger --trials goes on)"
    if study.condition == "paused":
        return f"study {study.name} is paused; `hpo resume` lets it go on"
    if not pool:
        refused = " (who is there leaves it to others: see `hpo status`)" if study.refusals else ""
        none = f"no worker is there to take it{refused}: start one, `{start}`"
        return f"study {study.name} is queued; {none}"
    waiting = sum(each.doing == "waiting" for each in pool)
    doing = f"{waiting} waiting, {len(pool) - waiting} at work"
    return f"study {study.name} is queued for {count(len(pool), 'worker')}: {doing}"


def conclusion(study: StudyView, more: str, export: str, report: str) -> str:
    """Return what a run ends with: the best configuration, to copy, and where things lie.

    Args:
        study: one with a best trial.
        more: the command that shows the trials.
        export: the command that makes a model of the winner.
        report: the command that writes the report.
    """
    best = study.best
    if best is None:
        raise ValueError(f"study {study.name}: no trial has completed")
    found, params, weights = study.confirmation, best.params, best.checkpoint
    if found is not None and found.winner is not None:
        params, weights = found.winner.params, found.winner.checkpoint(found.sign)
    lines = [
        f"study {study.name}: {count(study.done, 'trial')} in {duration(study.seconds)}; "
        f"best {study.metric} {best.value:.4f} in trial {best.number}",
        *([] if found is None else confirmed(found)),
        *([] if found is None else _unconfirmed(found, best)),
        "",
        *(f"  {name} = {toml(value)}" for name, value in params.items()),
        "",
        *([] if weights is None else [f"weights  {weights}"]),
        *([f"model    {export}"] if "recipe" in best.record else []),  # else none of transformers'
        f"trials   {more}",
        f"report   {report}",
    ]
    if best.value == 0:
        nothing = f"No trial learned anything: the best {study.metric} is 0."
        lines += ["", f"{nothing} Look at the range of learning_rate and at the number of epochs."]
    return "\n".join(lines)


def line_of_prose(line: str, width: int) -> str:
    """Return a line, broken at words where it is too long; what is to be copied stays whole."""
    if not line.startswith(("study ", "  ")) or " = " in line:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    broken = textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(broken) if len(line) > width else line


def confirmed(found: Confirmation) -> list[str]:
    """Return what the best configurations came to with other seeds, in lines."""
    state = "" if found.complete else f" ({found.done} of {found.planned} runs)"
    lines = ["", f"trained again with new seeds, the same for all{state}:"]
    for each in found.candidates:
        if each.mean is None:
            lines.append(f"  {each.name:<12}no run has completed")
            continue
        notes = [count(len(each.values), "run")]
        if each.interval is not None:
            low, high = each.interval
            notes.insert(0, f"95% interval {low:.4f} to {high:.4f}")
        if each.searched is not None:
            notes.append(f"{each.searched:.4f} in the search")
        if each.baseline:
            notes.append("the default configuration")
        spread = "" if each.deviation is None else f" ± {each.deviation:.4f}"
        taken = " <- taken" if each is found.winner else ""
        lines.append(f"  {each.name:<12}mean {each.mean:.4f}{spread}; {', '.join(notes)}{taken}")
    return [*lines, *(f"  {sentence}" for sentence in judged(found))]


def _unconfirmed(found: Confirmation, best: TrialResult) -> list[str]:
    """Say so where the search has gone on since, and found better."""
    if best.number in {each.trial for each in found.candidates}:
        return []
    return [f"  trial {best.number}, the search's best, is not confirmed yet"]


def judged(found: Confirmation) -> list[str]:
    """Return what follows from a confirmation, in sentences."""
    return [*failed_runs(found), *_tied(found), *_luck(found), *_gain(found)]


def failed_runs(found: Confirmation) -> Iterator[str]:
    """Tell which runs failed, and what that means for their configurations."""
    out = {id(each) for each in found.left_out}
    for each in found.candidates:
        if not each.failed:
            continue
        numbers = listed([str(run.number) for run in each.failed])
        runs = f"run{'s' if len(each.failed) > 1 else ''} {numbers} of {found.study}"
        said = f"{each.name} failed with {len(each.failed)} of {count(each.planned, 'seed')}"
        means = "no configuration has more runs"
        if id(each) in out:
            means = "it is not taken, since another one has more runs"
        yield f"{said} ({runs}: {each.reasons}); {means}"


def _tied(found: Confirmation) -> Iterator[str]:
    if len(found.tied) < 2:
        return
    names = listed([each.name for each in found.tied])
    alike = f"{names} differ by no more than the noise"
    if not found.freedom:
        alike = f"{names} are not told apart: too few runs to know the noise"
    yield f"{alike}; {taken_for(found)}"


def taken_for(found: Confirmation) -> str:
    """Return which one of those that the noise hides is taken, and for what."""
    best, winner = found.tied[0], found.winner or found.tied[0]
    if winner is best or not winner.seconds or not best.seconds:
        return f"{best.name} has the best mean"
    less = 1 - winner.seconds / best.seconds
    good = f"{winner.name} is about as good as the best mean, {best.name}"
    return f"{good}, and takes {less:.0%} less time to train"


def _luck(found: Confirmation) -> Iterator[str]:
    if found.luck is not None and round(found.luck, 4) > 0:
        yield f"{found.luck:.4f} of the search's best score was luck"


def _gain(found: Confirmation) -> Iterator[str]:
    gain = found.gain()
    if gain is None or found.winner is None or found.winner.baseline:
        return
    mean, between = gain
    sure = doubt = ""
    if between is not None:
        seeds = count(found.paired, "seed")
        sure = f", 95% interval {between[0]:+.4f} to {between[1]:+.4f} over {seeds}"
        doubt = "; that is within the noise" if between[0] <= 0 <= between[1] else ""
    word = "loss against" if round(mean, 4) < 0 else "gain over"
    yield f"{word} the default configuration {mean:+.4f}{sure}{doubt}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def toml(value: object) -> str:
    """Return a scalar as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):  # JSON leaves DEL as it is, TOML does not
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def count(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def check_summary(report: "Report") -> str:
    """Return what the preflight found."""
    lines = [
        f"{report.study} is fit to run",
        f"  task        {report.task}, {report.direction} {report.metric}",
        f"  strategy    {report.strategy}",
        *(f"  start       {written(each)}" for each in report.starts),
        *(
            f"              {line}"
            for belief in report.beliefs
            for line in textwrap.wrap(belief, 64, subsequent_indent="  ")
        ),
        *(f"  warm start  {taught(overlap)}" for overlap in report.warm_start),
        f"  pruning     {report.pruning}",
        f"  device      {report.device}",
        f"  disk        {size(report.disk_free)} free, a trial needs {size(report.disk_needed)}",
    ]
    if report.points is not None:
        lines.append(f"  grid        {report.points} points")
    lines += [
        f"  model       {model.name}: {model.parameters / 1e6:.1f} M weights, inputs up to "
        f"{model.max_length} sub-tokens, loss of one batch {model.loss:.3f}"
        for model in report.models
    ]
    lines.append(f"  labels      {', '.join(report.labels)}")
    for name, split in report.splits.items():
        counts = ", ".join(f"{label} {count}" for label, count in split["labels"].items())
        lines.append(f"  {name:<12}{split['rows']} rows: {counts}")
    lines += [f"  note        {notice}" for notice in report.notices]
    return "\n".join(lines)


def taught(overlap: "Overlap") -> str:
    """Return what an earlier study has to teach, in words."""
    what = f" ({overlap.measured})" if overlap.measured else ""
    trials = count(overlap.trials, "trial")
    words = [f"{overlap.study}: {trials}{what} over {', '.join(overlap.common)}"]
    if overlap.constant:
        words.append(f"there always {written(overlap.constant)}")
    if overlap.unknown:
        words.append(f"not known there: {', '.join(overlap.unknown)}")
    if overlap.ignored:
        words.append(f"not searched here: {', '.join(overlap.ignored)}")
    return "; ".join(words)


def size(count: int) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
