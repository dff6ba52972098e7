"""Who is let in to the dashboard, and what is refused before anything is read."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from hpo.dashboard import pages
from hpo.dashboard.hosts import Hosts, is_own
from hpo.dashboard.login import LIFETIME, Login
from hpo.dashboard.messages import Answer, Request, page, plain, reason, redirect
from hpo.dashboard.refusals import guarded, not_allowed, ours, too_many


@dataclass(frozen=True)
class Terms:
    """On which terms the dashboard is served.

    Args:
        hosts: the names it answers to.
        login: who gets in.
        cookie: what the session's cookie is called.
        write: whether notes are edited and studies deleted.
        most: questions that are put to the storage at a time; further ones are to come again.
    """

    hosts: Hosts
    login: Login
    cookie: str
    write: bool
    most: int


class Door:
    """What every request has to pass.

    Args:
        terms: on which the dashboard is served.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def stop(self, request: Request) -> Answer | None:
        """Return what is answered before anybody is let in; None lets a request in."""
        if not self._terms.hosts.allow(request):
            text = "This server has another name; `hpo dashboard --allow-host NAME` adds one."
            return guarded(plain(text, HTTPStatus.MISDIRECTED_REQUEST))
        if found := _open_to_all(request):
            return found
        token = None
        if self._terms.login.needed:
            if request.path == "/login":
                return self._log_in(request)
            token = _bearer(request)
            if refusal := self._refuse_strangers(request, token):
                return refusal
        if request.is_read:
            return None
        return self._refuse_change(request, by_token=token is not None)  # which was the right one

    def _refuse_strangers(self, request: Request, token: str | None) -> Answer | None:
        if token is not None:
            tried = self._terms.login.attempt(token, request.address)
            if tried.wait:
                return too_many(request, tried.wait)
            if tried.is_right:
                return None
        elif self._terms.login.is_open(request.cookie(self._cookie(request))):
            return None
        if request.wants_json or not request.is_read:
            refusal = reason("sign in first", HTTPStatus.UNAUTHORIZED)
            return guarded(refusal.adding(("WWW-Authenticate", "Bearer")))
        place = request.path
        if query := request.environ.get("QUERY_STRING"):
            place += f"?{query}"
        where = "/login" if place == "/" else f"/login?{urlencode({'next': place})}"
        return guarded(redirect(where))

    def _log_in(self, request: Request) -> Answer:
        if request.is_read:
            place = _place(request.query.get("next", ["/"])[0])
            if self._terms.login.is_open(request.cookie(self._cookie(request))):
                return guarded(redirect(place))
            return ours(page(pages.login(place)))
        if request.method != "POST" or not is_own(request):
            return guarded(reason("sign in by the page itself", HTTPStatus.FORBIDDEN))
        form = request.form()
        place = _place(form.get("next", "/"))
        tried = self._terms.login.attempt(form.get("password", ""), request.address)
        if tried.wait:
            return too_many(request, tried.wait)
        if not tried.is_right:
            said = "That is neither the password nor the token."
            return ours(page(pages.login(place, said), HTTPStatus.UNAUTHORIZED))
        cookie = self._set_cookie(request, self._terms.login.begin(), LIFETIME)
        return guarded(redirect(place).adding(("Set-Cookie", cookie)))

    def _log_out(self, request: Request) -> Answer:
        self._terms.login.end(request.cookie(self._cookie(request)))
        cookie = self._set_cookie(request, "", 0)
        return guarded(redirect("/login").adding(("Set-Cookie", cookie)))

    def _cookie(self, request: Request) -> str:
        # A browser takes a name of this kind from nobody but this server, and over TLS alone.
        return f"__Host-{self._terms.cookie}" if request.scheme == "https" else self._terms.cookie

    def _set_cookie(self, request: Request, value: str, age: float) -> str:
        secure = "; Secure" if request.scheme == "https" else ""
        name = self._cookie(request)
        return f"{name}={value}; Path=/; Max-Age={age:.0f}; HttpOnly; SameSite=Strict{secure}"

    def _refuse_change(self, request: Request, *, by_token: bool) -> Answer | None:
        if request.method not in {"POST", "PUT", "DELETE"}:
            return not_allowed("this method changes nothing here")
        # No page of somebody else's makes a browser send a token; a cookie, it may.
        if not by_token and not is_own(request):
            return guarded(
                reason("what changes anything must come from a page here", HTTPStatus.FORBIDDEN)
            )
        if request.path == "/logout":
            return self._log_out(request)
        if not self._terms.write:
            return not_allowed("this dashboard is read-only; `hpo dashboard --write` is not")
        if not request.path.startswith("/api/"):
            return not_allowed("nothing is changed here")
        return None


def _bearer(request: Request) -> str | None:
    """Return the token that a script sends; None where there is none of that kind."""
    kind, _, token = request.header("Authorization").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _open_to_all(request: Request) -> Answer | None:
    """Return what everybody gets: a sign of life, and what the page of the login loads."""
    if request.path == "/health":
        return guarded(plain("ok"))
    name = request.path.removeprefix("/hpo/")
    if request.is_read and name in pages.ASSETS and name != request.path:
        found = Answer(HTTPStatus.OK, pages.asset(name), pages.ASSETS[name])
        return guarded(found, cache="max-age=300")
    return None


def _place(wanted: str) -> str:
    """Return where somebody goes on who has signed in: a page of ours, and nobody else's."""
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\", "/login", "/logout"))
    return wanted if is_ours and wanted.isprintable() and wanted.isascii() else "/"
