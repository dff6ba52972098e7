"""A running `hpo dashboard`, and questions to it with every header in the test's hand."""

import http.client
import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.faults.processes import PATIENCE, Ended, Process, wait_until

PASSWORD = "c4n4ry of the dashboard"
TOKEN = "c4n4ry-token"
VARIABLES = {"HPO_DASHBOARD_PASSWORD": PASSWORD, "HPO_DASHBOARD_TOKEN": TOKEN}


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


class Served:
    """A dashboard that answers.

    Args:
        process: that serves it.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.address = first_line(process).rstrip("/")
        parts = urlsplit(self.address)
        self.port = int(parts.port or 0)
        self.cookie = ""

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str = "",
    ) -> Reply:
        """Ask for something; whoever signed in before sends the cookie."""
        given = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
        if self.cookie:
            given.setdefault("Cookie", self.cookie)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            connection.putheader(name, value)
        if body or method in {"POST", "PUT"}:
            connection.putheader("Content-Length", str(len(body.encode())))
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        connection.close()
        return reply

    def page(self, path: str) -> Reply:
        """Ask as a browser that shows a page."""
        return self.ask(path, headers={"Accept": "text/html"})

    def change(self, path: str, method: str, **fields: Any) -> Reply:
        """Ask for a change, as Optuna's page does."""
        headers = {"Origin": self.address, "Content-Type": "application/json"}
        return self.ask(path, method, headers, json.dumps(fields))

    def sign_in(self, password: str = PASSWORD, place: str = "/", **headers: str) -> Reply:
        """Send the login's form; a session that begins is kept."""
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.address}
        fields = urlencode({"password": password, "next": place})
        reply = self.ask("/login", "POST", {**form, "Accept": "text/html", **headers}, fields)
        self.cookie = (reply.headers.get("Set-Cookie") or "").partition(";")[0]
        return reply


def start(folder: Path, url: str, *options: str, **env: str) -> Process:
    """Start the command on a port that is free."""
    number = len(list(folder.glob("dashboard-*")))
    line = ["dashboard", "--port", "0", "--storage", url, *options]
    return Process(line, folder / f"dashboard-{number}", env)


def end(process: Process) -> Ended:
    """Wait until it ends; one that serves after all is killed, and fails the test at once."""
    try:
        wait_until(lambda: process.over() or _has_spoken(process), "the end")
        return process.end() if process.over() else Ended(-1, "it serves", process.said())
    finally:
        process.kill()


def _has_spoken(process: Process) -> bool:
    return process.stdout.exists() and process.stdout.stat().st_size > 0


def first_line(process: Process) -> str:
    """Wait for the address that the command prints."""
    wait_until(lambda: process.over() or _has_spoken(process), "the address")
    assert not process.over(), process.said()
    return process.stdout.read_text("utf-8").splitlines()[0]


@contextmanager
def served(folder: Path, url: str, *options: str, **env: str) -> Iterator[Served]:
    """Serve a storage; the process ends with the body, without a traceback."""
    process = start(folder, url, *options, **env)
    try:
        yield Served(process)
        process.send(signal.SIGTERM)
        assert process.end().code == 75
        assert "HPO_DEBUG" in env or "Traceback" not in process.said()
    finally:
        process.kill()
