"""Resolve a plug-in by name: a literal table of ours first, then an entry-point group.

Nothing is imported before a name is asked for, so a table costs nothing and a broken plug-in
hurts only those who name it.
"""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hpo.errors import BadInput


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest of the known names, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


@dataclass(frozen=True)
class Plugins:
    """The plug-ins of one kind.

    Args:
        kind: what one of them is called in messages, such as `"task"`.
        table: name -> `"module:attribute"`.
        group: the entry-point group in which other packages offer more, such as `"hpo.tasks"`.
    """

    kind: str
    table: Mapping[str, str]
    group: str

    def names(self) -> list[str]:
        """Return all names, ours first; reading the entry points imports none of them."""
        return list(dict.fromkeys([*self.table, *(point.name for point in self._points())]))

    def load(self, name: str) -> Any:
        """Import and return the plug-in.

        Raises:
            BadInput: no plug-in has that name, or it cannot be imported.
        """
        if target := self.table.get(name):
            module, _, attribute = target.partition(":")
            return getattr(importlib.import_module(module), attribute)
        for point in self._points():
            if point.name == name:
                try:
                    return point.load()
                except Exception as error:  # whatever a foreign package raises on import
                    raise BadInput(
                        f"{self.kind} {name!r}: the plug-in {point.value!r} cannot be loaded: "
                        f"{type(error).__name__}: {error}"
                    ) from error
        raise BadInput(
            f"{self.kind}: found {name!r}; known are {', '.join(self.names())}"
            f"{nearest(name, self.names())}"
        )

    def _points(self) -> list[EntryPoint]:
        return list(entry_points(group=self.group))
