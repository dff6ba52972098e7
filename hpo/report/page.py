"""The page: everything is in it, every name is escaped, and nothing may be fetched.

The policy in its head allows the scripts that it holds, by their digests, and no connection at all
(https://www.w3.org/TR/CSP3/). plotly.js writes styles of its own, so styles are not told apart.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from hpo.display import short
from hpo.report.blocks import Cell, Column, Figure
from hpo.report.cautions import cautions
from hpo.report.sections import Made
from hpo.report.subject import Subject
from hpo.report.summary import facts, snippets

_DIGITS = 6  # that matter, of a number in a figure


def page(
    subjects: Sequence[Subject], sections: Sequence[Made], links: Mapping[str, str] | None = None
) -> str:
    """Return the report as HTML, 5 MB of which are plotly.js.

    Args:
        subjects: the studies.
        sections: what is said of them.
        links: name of a study -> its page in a dashboard.
    """
    assets = {each.name: each.read_text(encoding="utf-8") for each in
              (files("hpo.report") / "assets").iterdir() if each.is_file()}  # fmt: skip
    environment = Environment(
        loader=DictLoader(assets), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(cell=cell, sortable=_sortable, figure=_figure, code=_code)
    environment.tests["numeric"] = lambda value: isinstance(value, int | float)
    scripts = {"plotly": get_plotlyjs().replace("\r\n", "\n"), "page": assets["page.js"]}
    return environment.get_template("page.html").render(
        subjects=[{**_top(each), "dashboard": (links or {}).get(each.name)} for each in subjects],
        title=" · ".join(subject.name for subject in subjects),
        sections=[each for each in sections if not each.missing],
        missing=[each for each in sections if each.missing],
        style=Markup(assets["page.css"]),  # noqa: S704 - ours
        scripts={name: Markup(text) for name, text in scripts.items()},  # noqa: S704 - ours, plotly's
        digests=[_digest(text) for text in scripts.values()],
        made=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        version=version("hpo"),
    )


def _top(subject: Subject) -> dict[str, Any]:
    written, spec = snippets(subject), subject.view.spec
    first = subject.clock.first
    return {
        "name": subject.name,
        "about": [
            {"ner": "named entity recognition", "sentiment": "sentiment analysis"}.get(
                spec.task, spec.task
            ),
            ", ".join(spec.models()),
            f"strategy {spec.strategy}",
            *([] if first is None else [f"begun {datetime.fromtimestamp(first, UTC):%-d %B %Y}"]),
        ],
        "facts": facts(subject),
        "cautions": cautions(subject),
        "params": {} if subject.winner is None else subject.winner.params,
        "snippets": []
        if written is None
        else [
            {"title": "Study file", "language": "TOML", "code": written[0]},
            {"title": "TrainingArguments", "language": "Python", "code": written[1]},
        ],
    }


def _code(text: str) -> Markup:
    """Return text whose parts between backticks are code; all of it is escaped."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a backtick of somebody's name
        return escape(text)
    pairs = (Markup("<code>{}</code>").format(each) if index % 2 else each
             for index, each in enumerate(parts))  # fmt: skip
    return Markup("").join(pairs)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def cell(value: Cell, column: Column) -> str:
    """Return what a cell of a table reads."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float) and column.digits is not None:
        return f"{value:.{column.digits}f}"
    return short(value)


def _sortable(value: Cell) -> str:
    """Return what a cell is sorted by."""
    return "" if value is None else str(value)


def _figure(figure: Figure) -> Markup:
    """Return a figure as JSON that no browser takes for anything else."""
    text = json.dumps(_plain({"data": figure.data, "layout": figure.layout}), allow_nan=False)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(safe)  # noqa: S704 - neither a tag nor an entity is left in it


def _plain(value: Any) -> Any:
    """Return what JSON knows: infinities are gaps, and digits that no one sees are left out."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    number = float(value)
    return float(f"{number:.{_DIGITS}g}") if math.isfinite(number) else None
