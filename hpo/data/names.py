"""The value of a cell -> a class name or a tag."""

import re
from collections.abc import Sequence

from hpo.data.schemes import parse_tag
from hpo.data.tables import listed, quoted
from hpo.plugins import nearest

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")


class ClassNames:
    """How the values of a column become class names.

    Args:
        declared: the names in the study file; they win.
        own: the names that the data set gives to the integers of the column.
    """

    def __init__(self, declared: Sequence[str] | None, own: Sequence[str] | None) -> None:
        self._declared = declared
        self._own = own
        self._known: dict[str | int, str] = {}

    def __call__(self, value: object) -> str:
        """Return the name.

        Raises:
            ValueError: what was found, and what would be right.
        """
        if type(value) is not str and type(value) is not int:  # True is an int, but no number
            raise ValueError(f"found {quoted(value)}; expected text or an integer")
        if value not in self._known:
            self._known[value] = self._checked(self._name(value))
        return self._known[value]

    def _name(self, value: str | int) -> str:
        if isinstance(value, int):
            return self._numbered(value, self._own)
        if not value.strip():
            raise ValueError("found empty text; expected a name")
        if not encodable(value):
            raise ValueError("found half a surrogate pair; expected Unicode text")
        if self._declared is None or value in self._declared:
            return value
        if _INTEGER.fullmatch(value):
            return self._numbered(int(value), None)
        return self._undeclared(value, self._declared)

    def _undeclared(self, value: str, declared: Sequence[str]) -> str:
        raise ValueError(
            f"found {value!r}; expected one of data.labels: {listed(declared)}"
            f"{nearest(value, declared)}"
        )

    def _numbered(self, value: int, own: Sequence[str] | None) -> str:
        names = self._declared
        if own is not None and (names is None or set(own) <= set(names)):
            names = own  # the study file says no more than their order
        if names is None:
            return self._unnamed(value)
        if own is None and str(value) in names:  # stars from 1 to 5, declared as such
            return str(value)
        if value == -1 and own is not None:
            raise ValueError("found -1, a hidden label; expected a label")
        if not 0 <= value < len(names):
            raise ValueError(
                f"found {value}; expected 0 to {len(names) - 1}, the numbers of {listed(names)}"
            )
        return names[value]

    def _unnamed(self, value: int) -> str:
        return str(value)

    def _checked(self, name: str) -> str:
        return name


class TagNames(ClassNames):
    """How the values of a column become tags, in whatever scheme."""

    def _undeclared(self, value: str, declared: Sequence[str]) -> str:
        return value  # declared in IOB2 perhaps, and to be converted: checked after that

    def _unnamed(self, value: int) -> str:
        raise ValueError(
            f"found the integer {value} without a name; expected tags as text, or the names of "
            "the integers in data.labels"
        )

    def _checked(self, name: str) -> str:
        if parse_tag(name) is None:
            raise ValueError(
                f"found the tag {name!r}; expected O, or a prefix and a type such as B-PER (is "
                "data.tags_column right?)"
            )
        return name


def encodable(text: str) -> bool:
    """Tell whether text is Unicode; JSON may hold half a surrogate pair, no tokenizer takes it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
