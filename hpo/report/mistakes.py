"""What the winner gets wrong on the validation split: what is taken for what, the worst rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo.display import count
from hpo.entities import Entity, entities
from hpo.mistakes import NONE, Mistake, Mistakes
from hpo.report.blocks import (
    Block,
    Cell,
    Column,
    Matrix,
    Passage,
    Section,
    Table,
    Text,
    Undrawable,
    Words,
)
from hpo.report.subject import Subject
from hpo.report.texts import NoTexts
from hpo.trials import MISTAKES

_MOST = 20  # classes of a matrix; of more the pairs are listed
_PAIRS = 20
_TEXT = 600  # characters of a text
_WORDS = 60  # of a sentence
_BEFORE = 8  # words in front of the first mistake
_NO_ENTITY = "no entity"


def mistakes(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Show what is taken for what, and quote the worst."""
    (subject,) = subjects
    found, where = _read(subject)
    words = any(not isinstance(each.said, int) for each in found.worst)
    unit = "sentence" if words else "row"
    singular, plural = ("has a mistake", "have a mistake") if words else ("is wrong", "are wrong")
    wrong = singular if found.wrong == 1 else plural
    rows = count(found.rows, unit)
    yield Text(f"Of {rows} of the validation split, {found.wrong} {wrong} ({where}).")
    if len(found.labels) <= _MOST:
        yield _matrix(found)
    else:
        yield _pairs(found)
    if found.bounds:
        ends = sum(found.bounds.values())
        yield Text(
            f"{count(ends, 'entity').replace('entitys', 'entities')} of the right type begin or "
            "end at another word, which counts as wrong.",
            note=True,
        )
    if not found.worst:
        return
    yield Text(
        f"The {count(len(found.worst), unit)} whose right answer the model thought least likely."
        if len(found.worst) > 1
        else f"The {unit} whose right answer the model thought least likely."
    )
    try:
        quoted = subject.texts.of(subject.view, [each.row for each in found.worst], words=words)
    except NoTexts as reason:
        yield Text(str(reason))
        yield _without_texts(found)
        return
    for mistake, row in zip(found.worst, quoted, strict=True):
        yield (_sentence if words else _text)(found, mistake, row)


def _read(subject: Subject) -> tuple[Mistakes, str]:
    if subject.run is None:
        raise Undrawable("There is no winner to look at: no trial has completed.")
    study, trial = subject.run
    stored = trial.record.get(MISTAKES)
    found = None if stored is None else Mistakes.from_record(stored)
    if found is None:
        raise Undrawable(
            f"Trial {trial.number} of {study} stores no mistakes: its task keeps none, or an "
            "earlier version of hpo trained it."
        )
    return found, f"trial {trial.number} of {study}"


def _matrix(found: Mistakes) -> Matrix:
    names = list(found.labels)
    has_none = any(NONE in pair for pair in found.counts)
    listed = [*names, *([_NO_ENTITY] if has_none else [])]
    place = {NONE: len(names)}
    counts = {
        (place.get(gold, gold), place.get(said, said)): number
        for (gold, said), number in found.counts.items()
    }
    return Matrix(
        listed, listed, counts, frozenset((index, index) for index in range(len(names))),
        "True (rows), and what it is taken for (columns)",
    )  # fmt: skip


def _pairs(found: Mistakes) -> Table:
    wrong = [(pair, number) for pair, number in found.counts.items() if pair[0] != pair[1]]
    wrong.sort(key=lambda each: (-each[1], each[0]))
    rows: list[list[Cell]] = [
        [_name(found, gold), _name(found, said), number] for (gold, said), number in wrong
    ]
    columns = [Column("true"), Column("taken for"), Column("times", numeric=True)]
    return Table(columns, rows[:_PAIRS], caption="What is confused most often")


def _name(found: Mistakes, place: int) -> str:
    return found.labels[place] if 0 <= place < len(found.labels) else _NO_ENTITY


def _without_texts(found: Mistakes) -> Table:
    classes = any(isinstance(each.said, int) for each in found.worst)
    columns = [
        Column("row", numeric=True),
        Column("loss", numeric=True, digits=2),
        *([Column("taken for"), Column("probability", numeric=True, digits=3)] if classes else []),
    ]
    rows: list[list[Cell]] = []
    for each in found.worst:
        said: list[Cell] = (
            [_name(found, each.said), each.sure] if isinstance(each.said, int) else []
        )
        rows.append([each.row, each.loss, *said])
    return Table(columns, rows, caption="Rows of the validation split, counted from 0")


def _text(found: Mistakes, mistake: Mistake, row: Mapping[str, Any]) -> Passage:
    said = _name(found, mistake.said) if isinstance(mistake.said, int) else "?"
    sure = "" if mistake.sure is None else f" with {mistake.sure:.3f}"
    title = f"{row['label']}, taken for {said}{sure} · loss {mistake.loss:.2f} · row {mistake.row}"
    text = str(row["text"])
    cut = text if len(text) <= _TEXT else f"{text[: _TEXT * 2 // 3]} … {text[-_TEXT // 3 :]}"
    return Passage(title, [("", [Words(cut)])])


def _sentence(found: Mistakes, mistake: Mistake, row: Mapping[str, Any]) -> Passage:
    words = [str(each) for each in row["tokens"]]
    right = entities(row["tags"])
    said = [] if isinstance(mistake.said, int) else mistake.said
    taken = [(_name(found, place), first, after) for place, first, after in said]
    wrong = [each for each in (*right, *taken) if (each in right) != (each in taken)]
    first = max(0, min((each[1] for each in wrong), default=0) - _BEFORE)
    span = range(first if len(words) > _WORDS else 0, min(len(words), first + _WORDS))
    return Passage(
        f"loss {mistake.loss:.2f} · row {mistake.row}",
        [
            ("true", _marked(words, right, taken, span)),
            ("found", _marked(words, taken, right, span)),
        ],
    )


def _marked(
    words: Sequence[str], mine: Sequence[Entity], other: Sequence[Entity], span: range
) -> list[Words]:
    """Return a part of a sentence with its entities; those the other has not are wrong."""
    found = [Words("…")] if span.start > 0 else []
    at = span.start
    for entity in sorted(mine, key=lambda each: each[1]):
        name, first, after = entity
        if first < at or first >= span.stop:
            continue
        if first > at:
            found.append(Words(" ".join(words[at:first])))
        found.append(Words(" ".join(words[first:after]), name, wrong=entity not in other))
        at = after
    if at < span.stop:
        found.append(Words(" ".join(words[at : span.stop])))
    return [*found, *([Words("…")] if span.stop < len(words) else [])]


SECTION = Section("What the winner gets wrong", mistakes)
