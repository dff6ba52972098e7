"""Column files -> a table: one token a line, a blank line between sentences (CoNLL-2003 and kin).

The token is in the first column and the tag in the last one, unless the study says otherwise.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hpo.data.tables import Problems, Table, quoted
from hpo.errors import DataError
from hpo.spec import DataSpec

_BLANKS = re.compile("[ \t]+")  # not \s: a no-break space may be a token
_TAG = re.compile(r"O|[BIESLUMW]-.+")


def conll_table(text: str, name: str, spec: DataSpec) -> Table:
    """Read the sentences of a column file as the columns `tokens` and `tags`.

    Raises:
        DataError: the lines that have too few or too many columns, or no such column.
    """
    text = text.replace("\r\n", "\n")
    lines = text.split("\n" if "\n" in text else "\r")
    columns = _recognise(lines, name, spec)
    problems = Problems()
    tokens: list[list[str]] = []
    tags: list[list[str]] = []
    token_lines: list[list[int]] = []
    inside = False
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("-DOCSTART-"):
            inside = False
            continue
        cells = columns.cells(line)
        if line.startswith("#") and columns.is_comment(cells):
            continue
        if not columns.fits(cells):
            problems.add(
                f"{name}, line {number}: found {_count(cells)}; expected {columns.width}, as in "
                "most lines"
            )
            continue
        if not inside:
            inside = True
            tokens.append([])
            tags.append([])
            token_lines.append([])
        tokens[-1].append(cells[columns.token])
        tags[-1].append(cells[columns.tag].strip(" \r"))
        token_lines[-1].append(number)
    problems.raise_any()
    return Table(
        name,
        "line",
        [numbers[0] for numbers in token_lines],
        {"tokens": tokens, "tags": tags},
        token_lines=token_lines,
    )


@dataclass(frozen=True)
class _Columns:
    """How the lines of a file are cut, and which of their columns are read."""

    split: Callable[[str], list[str]]
    width: int
    token: int
    tag: int
    all_lines_alike: bool

    def cells(self, line: str) -> list[str]:
        """Cut a line; a token that is empty keeps its place before a blank."""
        cells = self.split(line)
        if len(cells) == self.width - 1 and self.split is _by_blanks and line[0] in " \t":
            cells.insert(0, "")
        return cells

    def fits(self, cells: Sequence[str]) -> bool:
        """Tell whether a line has the columns that are read.

        A column counted from the end is the right one only if the line is complete.
        """
        if self.all_lines_alike:
            return len(cells) == self.width
        return len(cells) > max(self.token, self.tag)

    def is_comment(self, cells: Sequence[str]) -> bool:
        """Tell whether a line that begins with `#` has no columns like the data."""
        if cells[0].strip("#"):
            return False  # `#hashtag`, a token
        return len(cells) != self.width or not _TAG.fullmatch(cells[self.tag])


def _recognise(lines: Iterable[str], name: str, spec: DataSpec) -> _Columns:
    filled = [line for line in lines if line.strip() and not line.startswith("-DOCSTART-")]
    data = [line for line in filled if not line.startswith(("# ", "#\t"))] or filled
    if not data:
        raise DataError(f"{name}: found no token; expected one a line")
    split, (width, hits) = _by_tab, _mode(line.count("\t") + 1 for line in data)
    if width < 2 or hits < len(data):
        # A file in which some lines have tabs among blanks, or a tab file with defects.
        blank_width, blank_hits = _mode(len(_by_blanks(line)) for line in data)
        if width < 2 or blank_hits > hits:
            split, width = _by_blanks, blank_width
    if width < 2:
        raise DataError(
            f"{name}: found one column; expected a token and its tag in each line, between them "
            "a tab or blanks"
        )
    given = "tokens_column" in spec.model_fields_set
    token = _number("tokens_column", spec.tokens_column if given else 0, width, name)
    tags_column = -1 if spec.tags_column is None else spec.tags_column
    tag = _number("tags_column", tags_column, width, name)
    return _Columns(split, width, token, tag, all_lines_alike=min(token, tag) < 0)


def _number(key: str, column: str | int, width: int, name: str) -> int:
    if isinstance(column, int) and -width <= column < width:
        return column
    raise DataError(
        f"data.{key}: found {column!r} for the column file {name}, whose columns have no names; "
        f"expected a number from 0 to {width - 1}, or from -{width} to -1 counted from the end"
    )


def _by_tab(line: str) -> list[str]:
    return line.split("\t")


def _by_blanks(line: str) -> list[str]:
    return _BLANKS.split(line.strip(" \t"))


def _mode(widths: Iterable[int]) -> tuple[int, int]:
    counts = Counter(widths)
    return max(counts.items(), key=lambda item: (item[1], item[0]))


def _count(cells: Sequence[str]) -> str:
    if len(cells) == 1:
        return f"one column, {quoted(cells[0])}"
    return f"{len(cells)} columns"
