"""What a source of data yields, before its rows are checked: columns, and where each row stands."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from hpo.errors import DataError
from hpo.spec import DataSpec

MAX_PROBLEMS = 10  # different ones
_MORE_PLACES = 3  # that are named of one mistake, beside the first

Layout = Literal["tokens", "text"]
"""NER: lists of words with a tag each; sentiment: a text with a label."""

SplitName = Literal["train", "validation", "test"]

SPLIT_ALIASES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing"),
}
"""What data sets call their splits, the likeliest name first."""


class _Missing:
    """The value of a cell that its row does not have; unlike None, the file does not say it."""


MISSING = _Missing()


@dataclass(frozen=True)
class Table:
    """The rows of one file, or of one split of a data set.

    Args:
        name: what messages call it: the file, or the data set and its split.
        unit: what `numbers` counts: the lines of a text file, or rows.
        numbers: the number of each row, counted from 1.
        columns: name -> one value a row, `MISSING` where a row does not have the column.
        class_names: column -> the names of its integers, where the format carries them.
        token_lines: column files only: the line of each token of each row.
    """

    name: str
    unit: Literal["line", "row"]
    numbers: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    token_lines: Sequence[Sequence[int]] | None = None

    def place(self, row: int, token: int | None = None) -> str:
        """Name the place of a row, or of one of its tokens, both counted from 0."""
        if self.token_lines is not None:
            return f"{self.name}, line {self.token_lines[row][token or 0]}"
        place = f"{self.name}, {self.unit} {self.numbers[row]}"
        return place if token is None else f"{place}, token {token + 1}"


def split_names(spec: DataSpec, split: SplitName) -> tuple[str, ...] | None:
    """Return what the study names as a split: files, or splits of the data set."""
    names: tuple[str, ...] | None = getattr(spec, split)
    return names


class Problems:
    """Mistakes, collected so that they are reported together, each with the places that have it."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}  # of each mistake, the first ones
        self._counts: dict[str, int] = {}
        self._rest = 0

    def add(self, *problems: str) -> None:
        """Add mistakes (`PLACE: what`); of very many only the first and the count are kept."""
        for problem in problems:
            place, _, what = problem.partition(": ")
            if ", " not in place:  # it is no row's
                place, what = "", problem
            if what not in self._places and len(self._places) == MAX_PROBLEMS:
                self._rest += 1
                continue
            places = self._places.setdefault(what, [])
            self._counts[what] = self._counts.get(what, 0) + 1
            if len(places) <= _MORE_PLACES:
                places.append(place)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Add the problems of a `DataError` that the block raises, and go on behind it."""
        try:
            yield
        except DataError as error:
            self.add(*error.problems)

    def raise_any(self) -> None:
        """Raise a `DataError` with what was collected, if anything was."""
        if self._places:
            rest = [f"… and {self._rest} more"] if self._rest else []
            raise DataError([*map(self._told, self._places), *rest])

    def _told(self, what: str) -> str:
        first, *others = self._places[what]
        problem = f"{first}: {what}" if first else what
        if not (first and others):
            return problem
        table, *_, column = first.split(", ")  # what they have in common is not said again
        shown = [each.removeprefix(f"{table}, ") for each in others]
        shown = [each.removesuffix(f", {column}") for each in shown]
        more = self._counts[what] - 1 - len(shown)
        return f"{problem}; also {'; '.join(shown)}{f' and {more} more' if more else ''}"


def quoted(value: object) -> str:
    """Write a value for a message; a long one is cut."""
    if value is MISSING:
        return "nothing"
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def listed(names: Sequence[object]) -> str:
    """Write names for a message; of many only the first."""
    shown = ", ".join(quoted(name) for name in names[:20])
    return f"{shown}, … ({len(names)} in all)" if len(names) > 20 else shown or "none"
