"""What the test split showed, as `hpo test` stored it: a report looks at nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.display import count
from hpo.report.blocks import Block, Cell, Column, Section, Table, Text
from hpo.report.subject import Subject
from hpo.report.summary import span


def test_split(subjects: Sequence[Subject]) -> Iterator[Block]:
    """List what was scored, and by how much the winner is better."""
    (subject,) = subjects
    look = subject.look
    if look is None:
        return
    yield Text(_seen(subject, look))
    rows: list[list[Cell]] = [_row(each) for each in look["results"]]
    columns = [
        Column(""),
        Column("run"),
        Column(look["metric"], numeric=True, digits=4),
        Column("95% interval"),
        Column("on validation", numeric=True, digits=4),
    ]
    yield Table(columns, rows, frozenset({0}), f"The test split, {count(look['rows'], 'row')}")
    if gain := look.get("gain"):
        low, high = gain["interval"]
        doubt = "; that is within the noise" if low <= 0 <= high else ""
        yield Text(
            f"The gain over the default configuration is {gain['value']:+.4f}, "
            f"{span((low, high), '+')}{doubt}."
        )
    for note in look["notes"]:
        yield Text(note)
    if bootstrap := look.get("bootstrap"):
        method = f"{bootstrap['method']}, {bootstrap['resamples']:,} resamples"
        yield Text(f"Intervals: {method}.", note=True)


def _seen(subject: Subject, look: Mapping[str, Any]) -> str:
    times = len(subject.view.looks)
    often = "once" if times == 1 else f"{times} times, the last time"
    return (
        f"The {count(look['rows'], 'row')} of the test split were scored {often} at {look['at']}."
    )


def _row(result: Mapping[str, Any]) -> list[Cell]:
    between = result["interval"]
    return [
        result["role"],
        f"trial {result['trial']} of {result['study']}",
        result["value"],
        "" if between is None else f"{between[0]:.4f} to {between[1]:.4f}",
        result["validation"],
    ]


SECTION = Section("The test split", test_split)
