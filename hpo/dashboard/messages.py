"""One HTTP request and its answer, as the pages of the dashboard see them."""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_LONGEST_FORM = 8192  # bytes


@dataclass(frozen=True)
class Request:
    """What a client asks for.

    Args:
        environ: of WSGI (https://peps.python.org/pep-3333/).
    """

    environ: Environ

    @property
    def method(self) -> str:
        """Such as GET."""
        return str(self.environ["REQUEST_METHOD"])

    @cached_property
    def path(self) -> str:
        """The path, decoded."""
        raw = str(self.environ.get("PATH_INFO", ""))
        return raw.encode("latin-1").decode("utf-8", "replace") or "/"

    @property
    def scheme(self) -> str:
        """How the client came: http or https."""
        return str(self.environ["wsgi.url_scheme"])

    @property
    def origin(self) -> str:
        """What a browser calls the origin of this server's own pages."""
        return f"{self.scheme}://{self.header('Host')}"

    @property
    def address(self) -> str:
        """Of the client."""
        return str(self.environ.get("REMOTE_ADDR", ""))

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, by its method."""
        return self.method in {"GET", "HEAD"}

    @property
    def wants_json(self) -> bool:
        """Whether a program asks, and no page is expected."""
        return self.path.startswith("/api/") or "text/html" not in self.header("Accept")

    def header(self, name: str) -> str:
        """Return a header; "" where there is none."""
        return str(self.environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))

    def cookie(self, name: str) -> str:
        """Return a cookie; "" where there is none."""
        try:
            found = SimpleCookie(self.header("Cookie")).get(name)
        except CookieError:
            return ""
        return "" if found is None else found.value

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the address."""
        return parse_qs(str(self.environ.get("QUERY_STRING", "")), errors="replace")

    def form(self) -> Mapping[str, str]:
        """Return the fields of a form that was sent, each once."""
        try:
            length = min(int(self.environ.get("CONTENT_LENGTH") or 0), _LONGEST_FORM)
        except ValueError:
            return {}
        text = self.environ["wsgi.input"].read(length).decode("utf-8", "replace")
        return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    status: HTTPStatus
    body: bytes = field(repr=False)
    kind: str
    headers: Headers = field(default_factory=list)

    def adding(self, *headers: tuple[str, str]) -> "Answer":
        """Return the same with further headers."""
        return replace(self, headers=[*self.headers, *headers])

    def send(self, request: Request, start: StartResponse) -> Iterable[bytes]:
        """Send it; what HEAD asks for has no body."""
        body = self.body
        headers = [*self.headers, ("Content-Type", self.kind), ("Content-Length", str(len(body)))]
        start(f"{self.status.value} {self.status.phrase}", headers)
        return [] if request.method == "HEAD" else [body]

    def packed(self, request: Request) -> "Answer":
        """Return it compressed, if the client takes that."""
        if "gzip" not in request.header("Accept-Encoding"):
            return self
        return replace(self, body=gzip.compress(self.body, 5, mtime=0)).adding(
            ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")
        )


def page(text: str, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Return an HTML page."""
    return Answer(status, text.encode(), "text/html; charset=utf-8")


def plain(text: str, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Return a line of text."""
    return Answer(status, f"{text}\n".encode(), "text/plain; charset=utf-8")


def reason(text: str, status: HTTPStatus) -> Answer:
    """Return a refusal as Optuna's dashboard words them, which its pages show."""
    return Answer(status, json.dumps({"reason": text}).encode(), "application/json")


def redirect(place: str) -> Answer:
    """Send the client to another page of this server."""
    return plain(f"see {place}", HTTPStatus.SEE_OTHER).adding(("Location", place))
