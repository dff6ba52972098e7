"""CSV and TSV -> a table; the first line names the columns."""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from hpo.data.tables import Problems, Table, listed
from hpo.errors import DataError

_Rows = list[tuple[int, list[str]]]


def delimited_table(text: str, name: str, delimiters: str, wanted: Sequence[str]) -> Table:
    """Read delimited rows.

    Args:
        text: the content of the file.
        name: what messages call the file.
        delimiters: those the file may have, the likeliest first; it has the first one that
            yields the wanted columns.
        wanted: the columns that will be read.

    Raises:
        DataError: the rows that have another number of cells than the first line, or the line
            at which the quotes are broken, or no such columns.
    """
    with _no_field_limit():
        headers = {delimiter: _header(text, delimiter) for delimiter in delimiters}
        delimiter = next((d for d in delimiters if set(wanted) <= set(headers[d])), delimiters[0])
        header = headers[delimiter]
        missing = [column for column in wanted if column not in header]
        if missing:
            raise DataError(
                f"{name}, line 1: found the columns {listed(header)}; expected {listed(missing)} "
                "among them (the first line names the columns; others can be mapped with "
                "data.text_column and data.label_column)"
            )
        if twice := [column for column in wanted if header.count(column) > 1]:
            raise DataError(f"{name}, line 1: found the column {listed(twice)} twice; expected one")
        rows = _tab_rows(text, name) if delimiter == "\t" else _rows(text, name, delimiter)
    cells = list(zip(*(cells for _, cells in rows[1:]), strict=True)) or [()] * len(header)
    columns = dict(zip(header, cells, strict=True))
    return Table(name, "line", [line for line, _ in rows[1:]], columns)


def _tab_rows(text: str, name: str) -> _Rows:
    # Many TSV files are written without quoting, where a text may well begin with a quotation
    # mark; read as quoted it would swallow the lines up to the next one. A file is quoted if
    # that changes no row, or if it is no table without.
    try:
        plain = _rows(text, name, "\t", csv.QUOTE_NONE)
    except DataError:
        return _rows(text, name, "\t")
    try:
        quoted = _rows(text, name, "\t")
    except DataError:
        return plain
    return quoted if len(quoted) == len(plain) else plain


def _rows(
    text: str, name: str, delimiter: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> _Rows:
    reader = csv.reader(
        # Keep line ends inside of quotes as they are.
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=quoting,
        strict=True,
    )
    problems = Problems()
    rows: _Rows = []
    line = 1
    try:
        for cells in reader:
            if cells:
                if rows and len(cells) != (width := len(rows[0][1])):
                    problems.add(
                        f"{name}, line {line}: found {len(cells)} cells; expected {width}, as in "
                        "the first line (is a text with a delimiter not quoted?)"
                    )
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.add(f"{name}, line {line}: broken quotes in the row that begins here: {error}")
    problems.raise_any()
    return rows


def _header(text: str, delimiter: str) -> list[str]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return next((cells for cells in reader if cells), [])
    except csv.Error:
        return []


@contextmanager
def _no_field_limit() -> Iterator[None]:
    # The module's limit of 131,072 characters a cell is a global one: put it back.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
