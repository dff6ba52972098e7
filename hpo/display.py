"""How studies are written for a person: tables, durations, the conclusion of a run."""

import json
import re
import textwrap
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from hpo.candidates import Confirmation
from hpo.leases import TicketView
from hpo.pool_view import WorkerView
from hpo.study import StudyView
from hpo.trials import TrialResult
from hpo.workers import is_gone, shown

if TYPE_CHECKING:
    from hpo.check import Report
    from hpo.warm_start import Overlap

_ROWS = 12  # trials in the live table
_BARS = "▁▂▃▄▅▆▇█"


def trial_table(study: StudyView, title: str, rows: int = _ROWS) -> Table:
    """Return the table of a study's latest trials; the best one is always among them."""
    # `Text` throughout: a name of the user's may hold what rich takes for markup.
    table = _table(title=Text(title), title_justify="left")
    names = study.spec.search_space().names()
    for heading in ("trial", study.metric, *names, "time", "state"):
        table.add_column(Text(folded(heading)), overflow="fold")
    shown = [trial for trial in study.trials if trial.state != "WAITING"][-rows:]
    if study.best is not None and study.best.number not in {trial.number for trial in shown}:
        shown = [study.best, *shown[1:]]
    for trial in shown:
        best = study.best is not None and trial.number == study.best.number
        table.add_row(
            str(trial.number),
            _score(trial),
            *(Text(short(trial.params.get(name))) for name in names),
            "" if trial.seconds is None else duration(trial.seconds),
            trial.reason or trial.state.lower(),
            style="bold green" if best else None,
        )
    return table


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


def budget_of(study: StudyView) -> str:
    """Return the budget in words."""
    budget = study.spec.budget
    parts = [
        "" if budget.trials is None else count(budget.trials, "trial"),
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


def study_table(studies: list[StudyView]) -> Table:
    """Return one line a study."""
    table = _table()
    ranked = any(study.priority for study in studies)
    headings = ["study", "strategy", "state", "done", "at work", "metric", "best", "time", "left"]
    for heading in [*headings, *(["priority"] if ranked else [])]:
        table.add_column(heading, overflow="fold")
    for study in studies:
        left = study.seconds_left()
        table.add_row(
            Text(study.name),
            Text(study.spec.strategy),
            study.condition,
            str(study.done) if study.budget is None else f"{study.done}/{study.budget}",
            str(study.running or ""),
            Text(study.metric),
            "" if study.best is None else f"{study.best.value:.4f}",
            duration(study.seconds),
            "" if left is None else duration(left),
            *([str(study.priority)] if ranked else []),
        )
    return table


def worker_table(pool: list[WorkerView]) -> Table:
    """Return one line a worker."""
    table = _table()
    headings = ["worker", "device", "state", "study", "trial", "since", "last sign", "lease"]
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for each in pool:
        serves = f"only {each.serves}" if each.serves else ""
        table.add_row(
            Text(shown(each.worker)),
            Text(each.device or ""),
            each.doing,
            Text(each.study or serves),
            "" if each.trial is None else str(each.trial),
            "" if each.since is None else duration(each.since),
            "" if each.idle is None else f"{duration(each.idle)} ago",
            "" if each.lease is None else duration(each.lease),
        )
    return table


def conclusion(study: StudyView, more: str) -> str:
    """Return what a run ends with: the best configuration, to copy, and where things lie.

    Args:
        study: one with a best trial.
        more: the command that shows the trials.
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
        f"trials   {more}",
    ]
    if best.value == 0:
        nothing = f"No trial learned anything: the best {study.metric} is 0."
        lines += ["", f"{nothing} Look at the range of learning_rate and at the number of epochs."]
    return "\n".join(lines)


def confirmed(found: Confirmation) -> list[str]:
    """Return what the best configurations came to with other seeds, in lines."""
    state = "" if found.complete else f" ({found.done} of {found.planned} runs)"
    lines = ["", f"trained again with new seeds, the same for all{state}:"]
    for each in found.candidates:
        name = "default" if each.trial < 0 else f"trial {each.trial}"
        if each.mean is None:
            lines.append(f"  {name:<10}no run has completed")
            continue
        notes = [count(len(each.values), "run")]
        if each.interval is not None:
            notes.insert(0, f"95% interval {each.interval[0]:.4f} to {each.interval[1]:.4f}")
        if each.searched is not None:
            notes.append(f"{each.searched:.4f} in the search")
        if each.baseline:
            notes.append("the default configuration")
        spread = "" if each.deviation is None else f" ± {each.deviation:.4f}"
        taken = " <- taken" if each is found.winner else ""
        lines.append(f"  {name:<10}mean {each.mean:.4f}{spread}; {', '.join(notes)}{taken}")
    return [*lines, *(f"  {sentence}" for sentence in judged(found))]


def _unconfirmed(found: Confirmation, best: TrialResult) -> list[str]:
    """Say so where the search has gone on since, and found better."""
    if best.number in {each.trial for each in found.candidates}:
        return []
    return [f"  trial {best.number}, the search's best, is not confirmed yet"]


def judged(found: Confirmation) -> list[str]:
    """Return what follows from a confirmation, in sentences."""
    sentences = []
    if len(found.tied) > 1 and found.winner is not None:
        names = " and ".join(str(each.trial) for each in found.tied)
        sentences.append(
            f"trials {names} differ by no more than the noise; {found.winner.trial} trains fastest"
        )
    if found.luck is not None and found.luck > 0:
        sentences.append(f"{found.luck:.4f} of the search's best score was luck")
    gain = found.gain()
    if gain is not None and found.winner is not None and not found.winner.baseline:
        mean, between = gain
        sure = "" if between is None else f", 95% interval {between[0]:+.4f} to {between[1]:+.4f}"
        within = between is not None and between[0] <= 0
        doubt = "; that is within the noise" if within else ""
        sentences.append(f"better than the default configuration by {mean:+.4f}{sure}{doubt}")
    return sentences


def toml(value: object) -> str:
    """Return a scalar as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


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
