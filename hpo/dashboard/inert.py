"""Names that stay text in figures: plotly.js reads tags in every label, links among them.

Behind each `<` comes a character that nobody sees, so that no tag is one that plotly knows
(https://github.com/plotly/plotly.js/blob/v3.0.0/src/lib/svg_text_utils.js, buildSVGText). Pages
escape names by themselves, and would show `&lt;` as it is.
"""

from copy import copy
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

_JOINER = "\N{WORD JOINER}"


def inert(text: str) -> str:
    """Return a text without tags, which looks the same."""
    return text.replace("<", f"<{_JOINER}")


def original(text: str) -> str:
    """Return the text that `inert` was given."""
    return text.replace(f"<{_JOINER}", "<")


def inert_trial(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial whose names and values have no tags; most are returned as they are."""
    names = {name: inert(name) for name in trial.params}
    kinds = {name: _inert(kind) for name, kind in trial.distributions.items()}
    if all(name == shown for name, shown in names.items()) and kinds == trial.distributions:
        return trial
    found = copy(trial)
    found.params = {names[name]: inert_value(value) for name, value in trial.params.items()}
    found.distributions = {names.get(name, name): kind for name, kind in kinds.items()}
    return found


def inert_attributes(attrs: dict[str, Any]) -> dict[str, Any]:
    """Return attributes without tags; what is JSON is cut into text by the dashboard."""
    return {inert(name): inert_value(value) for name, value in attrs.items()}


def inert_value(value: Any) -> Any:
    """Return a value without tags."""
    return inert(value) if isinstance(value, str) else value


@lru_cache(maxsize=256)
def _inert(kind: BaseDistribution) -> BaseDistribution:
    if not isinstance(kind, CategoricalDistribution):
        return kind
    return CategoricalDistribution([inert_value(each) for each in kind.choices])
