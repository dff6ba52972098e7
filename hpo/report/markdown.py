"""The report as Markdown, for a README or a wiki: what is text and what is a table of it."""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from hpo.report.blocks import Figure, Matrix, Passage, Table, Text, Words
from hpo.report.cautions import cautions
from hpo.report.page import cell
from hpo.report.sections import Made
from hpo.report.subject import Subject
from hpo.report.summary import facts, snippets

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~$&@-]|:(?=//))")
_ROWS = 15  # of a table


def markdown(subjects: Sequence[Subject], sections: Sequence[Made]) -> str:
    """Return the report as Markdown."""
    several = len(subjects) > 1
    tops = [line for subject in subjects for line in _top(subject, "##" if several else "#")]
    parts: list[str] = []
    for section in sections:
        text = list(_body(section))
        if text:
            parts += [f"## {escaped(section.title)}", "", *text]
    # as on the page: what several are compared by stands before each of them
    title = [f"# {len(subjects)} studies compared", ""]
    lines = [*title, *parts, *tops] if several else [*tops, *parts]
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: object) -> str:
    """Return text that Markdown, and HTML in it, leave as it is, on one line."""
    return _SPECIAL.sub(lambda found: _written(found[0]), " ".join(str(text).split()))


def _written(character: str) -> str:
    # `&#58;` keeps `javascript:` and `https:` from becoming links; the others have escapes
    entities = {"<": "&lt;", ">": "&gt;", "&": "&amp;", ":": "&#58;", "@": "&#64;"}
    if character in "-()+!#":  # harmless inside a line
        return character
    return entities.get(character, f"\\{character}")


def _top(subject: Subject, level: str) -> Iterator[str]:
    yield f"{level} {escaped(subject.name)}"
    yield ""
    for fact in facts(subject):
        yield f"- **{escaped(fact.name)}**: {escaped(fact.value)} ({escaped(fact.detail)})"
    yield ""
    found = cautions(subject)
    for caution in found:
        yield f"> {escaped(f'{caution.text} {caution.advice}')}"
        yield ">"
    if found:
        yield ""
    written = snippets(subject)
    if written is not None:
        yield from _fenced("toml", written[0])
        yield from _fenced("python", written[1])


def _fenced(language: str, code: str) -> list[str]:
    longest = max((len(each) for each in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", code.rstrip("\n"), fence, ""]


def _body(section: Made) -> Iterator[str]:
    for block, after in zip_longest(section.blocks, section.blocks[1:]):
        if isinstance(block, Text) and not block.note:
            yield from (escaped(block.text), "")
        elif isinstance(block, Table):
            yield from _table(block)
        elif isinstance(block, Matrix):
            yield from _matrix(block)
        elif isinstance(block, Passage):
            yield from _passage(block)
            if not isinstance(after, Passage):
                yield ""
        elif isinstance(block, Figure):
            continue


def _matrix(matrix: Matrix) -> Iterator[str]:
    yield _row(["", *(escaped(name) for name in matrix.columns)])
    yield _row(["---", *("--:" for _ in matrix.columns)])
    for row, name in enumerate(matrix.rows):
        counts = (matrix.counts.get((row, column), 0) for column in range(len(matrix.columns)))
        yield _row([escaped(name), *map(str, counts)])
    yield ""


def _passage(passage: Passage) -> Iterator[str]:
    yield f"- {escaped(passage.title)}"
    for name, parts in passage.lines:
        text = " ".join(map(_words, parts))
        yield f"  - {name}: {text}" if name else f"  - {text}"


def _words(part: Words) -> str:
    text = escaped(part.text)
    if not part.name:
        return text
    mark = "~~" if part.wrong else "**"
    return f"{mark}{text}{mark} ({escaped(part.name)})"


def _table(table: Table) -> Iterator[str]:
    yield _row([escaped(column.title) for column in table.columns])
    yield _row(["--:" if column.numeric else "---" for column in table.columns])
    for row in table.rows[:_ROWS]:
        yield _row([escaped(cell(value, column))
                    for value, column in zip(row, table.columns, strict=True)])  # fmt: skip
    yield ""
    if len(table.rows) > _ROWS:
        yield from (f"The first {_ROWS} of {len(table.rows):,} rows.", "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
