"""The dashboard as one WSGI application: who answers what, and what is said where that fails."""

import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from http import HTTPStatus
from importlib.resources import files
from threading import BoundedSemaphore
from typing import Any

from hpo.dashboard import pages, policies
from hpo.dashboard.door import Door, Terms
from hpo.dashboard.kept import Busy
from hpo.dashboard.messages import Answer, App, Environ, Request, StartResponse, page, redirect
from hpo.dashboard.refusals import away, busy, guarded, ours, told
from hpo.dashboard.studies import NO_SUCH, Studies
from hpo.errors import BadInput, StorageError, UnknownVersion
from hpo.patience import patience
from hpo.storage import shown
from hpo.transactions import reading

_PATIENCE = 1.0  # seconds that a page waits for a storage that is away; then it says so
_OPTUNAS = ("/api/", "/static/", "/favicon.ico")  # what its dashboard answers; the rest is ours
_NUMBER = re.compile(r"[0-9]{1,9}")  # as many digits as PostgreSQL's integers surely hold
_CACHED = "private, no-cache"  # kept, and asked for whether it is still so


class Dashboard:
    """Optuna's dashboard behind a login, with pages of our own.

    Args:
        studies: what our pages show.
        optunas: its application, on the same storage.
        terms: on which it is served.
    """

    def __init__(self, studies: Studies, optunas: App, terms: Terms) -> None:
        self._studies = studies
        self._optunas = optunas
        self._terms = terms
        self._door = Door(terms)
        self._room = BoundedSemaphore(terms.most)
        self._own: Mapping[str, Callable[[Request], Answer]] = {
            "/": self._list, "/report": self._report,
        }  # fmt: skip
        html = (files("optuna_dashboard") / "index.html").read_text(encoding="utf-8")
        self._shell = pages.with_bar(html, login=terms.login.needed, write=terms.write)

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        request = Request(environ)
        answer = self._door.stop(request)
        if answer is not None:
            return answer.send(request, start)
        if request.path.startswith("/static/"):
            return self._ask_optunas(request, start)
        if not self._room.acquire(blocking=False):
            return busy(request).send(request, start)
        try:
            with patience(_PATIENCE), reading() if request.is_read else nullcontext():
                return self._inside(request, start)
        finally:
            self._room.release()

    def _inside(self, request: Request, start: StartResponse) -> Iterable[bytes]:
        if request.path.startswith(_OPTUNAS):
            return self._ask_optunas(request, start)
        try:
            answer = self._answer(request)
        except BadInput as error:
            answer = told(request, HTTPStatus.NOT_FOUND, "Not found", str(error))
        except Busy:
            answer = busy(request)
        except UnknownVersion as error:
            answer = told(request, HTTPStatus.CONFLICT, "Of another version", str(error))
        except StorageError as error:
            answer = away(request, str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours: still words, the rest on request
            if os.environ.get("HPO_DEBUG"):
                traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
            answer = told(request, HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of hpo's", text)
        return answer.send(request, start)

    def _answer(self, request: Request) -> Answer:
        if own := self._own.get(request.path):
            return own(request)
        if request.path.startswith("/csv/"):
            return self._csv(request)
        if request.path == "/dashboard" or request.path.startswith("/dashboard/"):
            self._studies.check()  # or its page would come, and stay empty
            shell = page(self._shell).packed(request)
            return shell.adding(*policies.headers(policies.DASHBOARD))
        if request.path in {"/login", "/logout"}:
            return guarded(redirect("/"))
        return told(request, HTTPStatus.NOT_FOUND, "Not found", "There is no such page.")

    def _list(self, _: Request) -> Answer:
        listed, unreadable = self._studies.listed()
        text = pages.studies(
            listed, unreadable, storage=shown(self._studies.opened.engine.url),
            login=self._terms.login.needed, write=self._terms.write,
        )  # fmt: skip
        return ours(page(text))

    def _report(self, request: Request) -> Answer:
        ids = [_number(each) for each in request.query.get("id", [])]
        names = [self._studies.name_of(each) for each in ids] + request.query.get("study", [])
        if not names:
            return guarded(redirect("/"))
        html = self._studies.report(names)
        return page(html).packed(request).adding(*policies.headers(policies.of_report(html)))

    def _csv(self, request: Request) -> Answer:
        number = _number(request.path.removeprefix("/csv/"))
        wanted = request.query.get("trial_ids", [""])[0]
        numbers = {_number(each) for each in wanted.split(",") if each.strip()}
        text = self._studies.csv(number, numbers)
        found = Answer(HTTPStatus.OK, text.encode("utf-8-sig"), "text/csv; charset=utf-8")
        kept = ("Content-Disposition", f'attachment; filename="study-{number}.csv"')
        return guarded(found.adding(kept))

    def _ask_optunas(self, request: Request, start: StartResponse) -> Iterable[bytes]:
        """Let Optuna's dashboard answer; the headers are ours."""
        is_static = not request.path.startswith("/api/")
        ours = policies.headers(policies.NOTHING, _CACHED if is_static else "no-store")
        names = {name.lower() for name, _ in ours}

        def began(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            kept = [(name, value) for name, value in headers if name.lower() not in names]
            return start(status, [*kept, *ours], *rest)

        # It takes this header for granted.
        return self._optunas({"HTTP_ACCEPT_ENCODING": "", **request.environ}, began)


def _number(text: str) -> int:
    """Return what an address names; raises a `BadInput` where it is no number of anything."""
    if not _NUMBER.fullmatch(text.strip()):
        raise BadInput(NO_SUCH)
    return int(text)
