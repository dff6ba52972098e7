"""What a section is made of: text, tables, figures, HTML; and what a section is. Pure.

Names, values and messages are text wherever they come from: `Text`, `Table`, `Passage` and the
labels of figures take them as they are, and whoever writes a page escapes them. Only `Html` is not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

if TYPE_CHECKING:
    from hpo.report.subject import Subject

Cell = str | float | int | None


class Undrawable(Exception):
    """A figure cannot be drawn; the message is a sentence that says why."""


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Args:
        text: it.
        note: whether it is an aside, such as how a figure was made.
    """

    text: str
    note: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        title: its heading.
        numeric: whether its cells are numbers, which stand to the right.
        digits: after the point, or None for as many as matter.
    """

    title: str
    numeric: bool = False
    digits: int | None = None


@dataclass(frozen=True)
class Table:
    """A table that can be sorted.

    Args:
        columns: of it.
        rows: cells in the order of the columns.
        marked: the indices of rows that stand out.
        caption: what it shows, for those who do not see it.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    marked: frozenset[int] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure of plotly's.

    Args:
        title: what it shows; may be empty under a section's own.
        data: its traces. A colour such as `var(--accent)` is one of the page's, light or dark.
        layout: of it, over that of the page.
        height: in pixels.
        small: whether several stand beside each other.
        note: how to read it.
    """

    title: str
    data: list[dict[str, Any]] = field(repr=False)
    layout: dict[str, Any] = field(default_factory=dict, repr=False)
    height: int = 360
    small: bool = False
    note: str = ""


@dataclass(frozen=True)
class Matrix:
    """Counts of what was taken for what.

    Args:
        rows: the names of what is there.
        columns: the names of what it was taken for.
        counts: (row, column) -> how often; what is missing is 0.
        right: the cells that are no mistakes.
        caption: what it shows.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    counts: Mapping[tuple[int, int], int] = field(repr=False)
    right: frozenset[tuple[int, int]] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class Words:
    """A part of a text.

    Args:
        text: it.
        name: what it is marked as; empty where it is not.
        wrong: whether the mark is a mistake.
    """

    text: str
    name: str = ""
    wrong: bool = False


@dataclass(frozen=True)
class Passage:
    """A text of the data and what a model made of it.

    Args:
        title: in a few words.
        lines: what a line is, which may be empty, and its parts.
    """

    title: str
    lines: Sequence[tuple[str, Sequence[Words]]] = field(repr=False)


@dataclass(frozen=True)
class Html:
    """HTML of a plug-in's own; it answers for what it does not escape."""

    markup: Markup


Block = Text | Table | Figure | Matrix | Passage | Html
Blocks = Iterable[Block]


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Args:
        title: its heading.
        make: from the studies to what it shows. `Undrawable` says in a sentence why there is
            nothing; any other error is told in the page too, which is made without the section.
        of: whether it is about one study, or compares several.
    """

    title: str
    make: "Callable[[Sequence[Subject]], Blocks]"
    of: Literal["one", "several"] = "one"
