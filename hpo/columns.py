"""Tables that fit a terminal: names stay whole, what matters least is left out, nothing is cut.

Where a line would be too long, columns of little weight go first; where that does not do, the name
of each row gets a line of its own, above the rest. A pipe has no width, and gets everything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

_GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        heading: above it.
        cells: one a row.
        weight: columns of less weight are left out first; one of weight 0 is kept in any case.
        spared: it is left out before names get lines of their own.
    """

    heading: str
    cells: Sequence[str]
    weight: int = 0
    spared: bool = False

    @property
    def width(self) -> int:
        """The room that it takes."""
        return max(cell_len(text) for text in (self.heading, *self.cells))

    def is_empty(self) -> bool:
        """Say whether there is nothing in it."""
        return not any(self.cells)


def lay_out(names: Column, others: Sequence[Column], width: int) -> str:
    """Return a table of which no line is longer than the terminal, as far as names allow.

    Args:
        names: the first column, whose cells are to be copied.
        others: the columns behind it.
        width: of the terminal, in cells.
    """
    in_line = _fitting(others, width - names.width - len(_GAP), spared_only=True)
    if in_line is not None:
        return "\n".join(_lines([names, *in_line]))
    rest = _fitting(others, width - len(_GAP), spared_only=False) or others
    heading, rule, *rows = _lines(rest)
    lines = [names.heading, _GAP + heading, _GAP + rule]
    for name, row in zip(names.cells, rows, strict=True):
        lines += [name, _GAP + row]
    return "\n".join(line.rstrip() for line in lines)


def _fitting(columns: Sequence[Column], room: int, *, spared_only: bool) -> Sequence[Column] | None:
    """Leave out columns until the rest has room; None if that takes more than may be left out."""
    left = list(columns)
    while sum(each.width for each in left) + len(_GAP) * (len(left) - 1) > room:
        spare = [each for each in left if each.spared or (each.weight and not spared_only)]
        empty = [each for each in left if each.is_empty()]
        if not spare and not empty:
            return None if spared_only else left
        left.remove(min(empty or spare, key=lambda each: each.weight))
    return left


def _lines(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the heading, a rule, and one line a row."""
    widths = [each.width for each in columns]
    yield _line([each.heading for each in columns], widths)
    yield "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    for row in zip(*(each.cells for each in columns), strict=True):
        yield _line(row, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        text + " " * (width - cell_len(text)) for text, width in zip(cells, widths, strict=True)
    )
    return _GAP.join(padded).rstrip()


def wrapped(parts: Sequence[str], width: int, indent: str = "  ") -> list[str]:
    """Return parts, such as `name=value`, in lines that are broken between two of them only."""
    lines: list[str] = []
    for place, part in enumerate(parts):
        text = part + ("," if place + 1 < len(parts) else "")
        if lines and cell_len(lines[-1]) + 1 + cell_len(text) <= width:
            lines[-1] += f" {text}"
        else:
            lines.append(indent + text)
    return lines
