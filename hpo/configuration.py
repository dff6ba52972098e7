"""A configuration as TOML, as a study file says it: to be copied from a report or a model card."""

import re
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from hpo.display import toml
from hpo.recipe import Recipe
from hpo.spec import FineTuningSpec

_COMMENT = 52  # characters
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(recipe: Recipe, remarks: Sequence[str] = ()) -> str:
    """Return a configuration as a study file says it, below comments."""
    usual = FineTuningSpec().model_dump()
    ours = {
        name: value
        for name, value in recipe.fine_tuning.model_dump().items()
        if value != usual.get(name)
    }
    lines = [*comments(remarks), f"model = {toml(recipe.pinned)}"]
    for title, table in (("fine_tuning", ours), ("training", recipe.training)):
        pairs = [f"{_key(name)} = {_value(value)}" for name, value in table.items()
                 if value is not None]  # fmt: skip
        lines += ["", f"[{title}]", *pairs] if pairs else []
    return "\n".join(lines) + "\n"


def comments(remarks: Sequence[str]) -> list[str]:
    """Return comments as lines that need no scrolling; what is indented is code and stays whole."""
    lines = (
        [each] if each.startswith(" ") else wrap(each, _COMMENT, break_long_words=False)
        for each in remarks
    )
    return [f"# {line}" for each in lines for line in each]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_key(name)} = {_value(each)}" for name, each in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return toml(value)
