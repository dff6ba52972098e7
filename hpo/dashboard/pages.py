"""Our own pages as HTML: the login, the list of studies, words where something went wrong.

Every name in them is escaped, and Optuna's page gets a bar that leads back to ours.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from hpo.dashboard.studies import Listed
from hpo.display import count, duration

ASSETS = {
    "page.css": "text/css; charset=utf-8",
    "bar.css": "text/css; charset=utf-8",
    "bar.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""What our pages load, and its kind; nothing in it is worth a login."""

_HEAD, _END = "</head>", "</body>"
_LOADED = '<link rel="stylesheet" href="/hpo/bar.css"><script defer src="/hpo/bar.js"></script>'


@cache
def asset(name: str) -> bytes:
    """Return one of `ASSETS`."""
    return (files("hpo.dashboard") / "assets" / name).read_bytes()


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("hpo.dashboard", "assets"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _page(template: str, again: int | None = None, **values: Any) -> str:
    return _environment().get_template(template).render(again=again, **values)


def login(place: str, said: str = "") -> str:
    """Return the page that asks for the password.

    Args:
        place: where to go on.
        said: why the last attempt failed.
    """
    return _page("login.html", next=place, said=said)


def words(heading: str, text: str, again: int | None = None) -> str:
    """Return a page that says something; after `again` seconds it is asked for once more."""
    return _page("words.html", again, heading=heading, text=text)


def studies(
    listed: Sequence[Listed],
    unreadable: Sequence[str],
    *,
    storage: str,
    login: bool,
    write: bool,
) -> str:
    """Return the list of studies.

    Args:
        listed: the studies.
        unreadable: a sentence for each that cannot be read.
        storage: where they are, as it may be shown.
        login: whether somebody signed in, who may want to sign out.
        write: whether anything can be changed.
    """
    return _page(
        "studies.html", studies=[_row(each) for each in listed], unreadable=unreadable,
        storage=storage, login=login, write=write, version=version("hpo"),
    )  # fmt: skip


def report_of(name: str) -> str:
    """Return the address of a study's report; a name may be anything."""
    return f"/report?{urlencode({'study': name})}"


def _row(listed: Listed) -> dict[str, Any]:
    study = listed.view
    left, budget = study.seconds_left(), study.budget
    return {
        "id": listed.id,
        "name": study.name,
        "about": [study.spec.task, ", ".join(study.spec.models()), study.spec.strategy],
        "state": study.condition,
        "done": count(study.done, "trial") if budget is None else f"{study.done} of {budget}",
        "share": None if not budget else round(100 * min(1, study.done / budget)),
        "time": duration(study.seconds) + ("" if left is None else f", {duration(left)} left"),
        "metric": study.metric,
        "best": "–" if study.best is None else f"{study.best.value:.4f}",
        "report": report_of(study.name),
    }


def with_bar(html: str, *, login: bool, write: bool) -> str:
    """Return Optuna's page with our bar in it.

    Raises:
        ValueError: the page is not as it was.
    """
    if html.count(_HEAD) != 1 or html.count(_END) != 1:
        raise ValueError("optuna-dashboard's page has another shape")
    bar = [
        "" if write else '<span class="tag">read-only</span>',
        '<a class="report" href="/" hidden>Report</a><a href="/">Studies</a>',
        '<form method="post" action="/logout"><button>Sign out</button></form>' if login else "",
    ]
    found = html.replace(_HEAD, _LOADED + _HEAD)
    kind = "yes" if write else "no"
    nav = f'<nav id="hpo-bar" aria-label="hpo" data-write="{kind}">{"".join(bar)}</nav>'
    return found.replace(_END, nav + _END)
