"""JSON -> a table: one object a line, or one array of objects."""

import json
from collections.abc import Sequence
from typing import Any

from hpo.data.tables import MISSING, Problems, Table, quoted
from hpo.errors import DataError


def json_table(text: str, name: str) -> Table:
    """Read rows from JSON lines, or from an array.

    Raises:
        DataError: all broken lines, and all rows that are no objects.
    """
    if text.lstrip().startswith("["):
        return _array_table(text, name)
    problems = Problems()
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    # Not splitlines: U+2028 and its like may stand in a JSON string as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.add(f"{name}, line {number}: broken JSON: {_reason(error)}")
            continue
        if isinstance(record, dict):
            records.append(record)
            lines.append(number)
        else:
            problems.add(
                f"{name}, line {number}: found {quoted(record)}; expected an object, "
                'such as {"text": "…", "label": "…"}'
            )
    problems.raise_any()
    return Table(name, "line", lines, columns_of(records))


def columns_of(records: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns, in the order in which their names first occur."""
    names = dict.fromkeys(key for record in records for key in record)
    return {key: [record.get(key, MISSING) for record in records] for key in names}


def _array_table(text: str, name: str) -> Table:
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{name}{line}: broken JSON: {_reason(error)}") from None
    problems = Problems()
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            problems.add(f"{name}, row {number}: found {quoted(record)}; expected an object")
    problems.raise_any()
    return Table(name, "row", range(1, len(records) + 1), columns_of(records))


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
