"""What a source of data yields, before its rows are checked: columns, and where each row stands."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from hpo.errors import DataError
from hpo.spec import DataSpec

MAX_PROBLEMS = 10

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
    """Mistakes, collected so that they are reported together."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def add(self, *problems: str) -> None:
        """Add mistakes; of very many only the first and the count are kept."""
        self._first += problems[: MAX_PROBLEMS - len(self._first)]
        self._count += len(problems)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Add the problems of a `DataError` that the block raises, and go on behind it."""
        try:
            yield
        except DataError as error:
            self.add(*error.problems)

    def raise_any(self) -> None:
        """Raise a `DataError` with what was collected, if anything was."""
        if self._count:
            rest = self._count - len(self._first)
            raise DataError([*self._first, *([f"… and {rest} more"] if rest else [])])


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
