"""The process that serves the dashboard: a socket, threads, and an end when it is asked to go."""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from hpo import storage
from hpo.binding import BindingStorage
from hpo.dashboard.app import Dashboard
from hpo.dashboard.door import Terms
from hpo.dashboard.hosts import Hosts, bracketed, is_loopback, is_wildcard, name_of
from hpo.dashboard.login import Login
from hpo.dashboard.messages import App
from hpo.dashboard.read_only import protect
from hpo.dashboard.secrets_given import PASSWORD, secrets_given
from hpo.dashboard.studies import Studies
from hpo.errors import BadInput
from hpo.signals import Stop

_INSIDE = 10  # questions to the storage at a time
_THREADS = _INSIDE + 4  # that many are left for who is at the door: the login, a sign of life
_WAIT = 5.0  # seconds that a server is waited for at first
_LISTEN = 0.25  # seconds between two looks whether the process is to go
_GOING = 5.0  # seconds that answers in the making are given then
_LEASE = 12.0  # seconds; half of it is how long a server that says nothing is waited for
_LIMITS: dict[str, Any] = {
    "ident": None,  # no version of the server in the headers
    "connection_limit": 200, "channel_timeout": 60,  # seconds
    "max_request_body_size": 1 << 20, "max_request_header_size": 1 << 15,  # bytes
    "clear_untrusted_proxy_headers": True,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where the dashboard is served.

    Args:
        host, port: to listen at; port 0 is any that is free.
        allowed: names that it is called by, beside those of this machine.
        proxy: the address of a reverse proxy whose word on who asks, and how, is taken.
        write: whether notes are edited and studies deleted.
    """

    host: str
    port: int
    allowed: Sequence[str] = ()
    proxy: str | None = None
    write: bool = False

    @property
    def is_private(self) -> bool:
        """Whether nobody but this machine reaches it."""
        alone = all(is_loopback(name_of(each)) for each in self.allowed)
        return is_loopback(self.host) and self.proxy is None and alone


def serve(url: str, place: Place, ready: Callable[[str, bool], None]) -> None:
    """Serve the dashboard of a storage until the process is asked to go.

    Args:
        url: of the storage.
        place: where.
        ready: is told the address, and whether it asks for a password, once it is served.

    Raises:
        BadInput: it cannot be served there, or would be open to the world, or to be changed by
            whoever has an account on this machine.
        StorageError: the storage cannot be read.
        HandedBack, KeyboardInterrupt: a signal.
    """
    check_installed()
    login = Login(secrets_given())
    if not login.needed and (place.write or not place.is_private):
        # Loopback is everybody's who has an account here, as on a cluster's login node.
        risk = (
            "--write: every user of this machine could delete studies" if place.is_private
            else f"--host {place.host}: others would see the dashboard"
        )  # fmt: skip
        raise BadInput(
            f"{risk}, and found no password; expected one in {PASSWORD} or in a file that "
            f"{PASSWORD}_FILE names"
        )
    with Stop() as stop:
        listening = _listen(place.host, place.port)
        with listening:
            port = int(listening.getsockname()[1])
            hosts = Hosts(place.host, port, place.allowed)
            opened = storage.open_storage(url, create=False, wait=_WAIT, lease=_LEASE)
            if not place.write:
                protect(opened.engine)
            terms = Terms(hosts, login, f"hpo_session_{port}", place.write, _INSIDE)
            app = Dashboard(Studies(opened), _optunas(opened, write=place.write), terms)
            name = "127.0.0.1" if is_wildcard(place.host) else bracketed(place.host)
            address = f"http://{name}:{port}/"
            with stop.deferred():
                _run(app, listening, place.proxy, stop, lambda: ready(address, login.needed))
            opened.engine.dispose()
        stop.leave()


def check_installed() -> None:
    """Raise a `BadInput` where the packages that serve are missing."""
    lacking = [name for name in ("optuna_dashboard", "waitress") if find_spec(name) is None]
    if lacking:
        names = " and ".join(name.replace("_", "-") for name in lacking)
        raise BadInput(
            f"hpo dashboard: found no {names}; expected what `pip install 'hpo[dashboard]'` brings"
        )


def _optunas(opened: BindingStorage, *, write: bool) -> App:
    from optuna_dashboard import wsgi

    from hpo.dashboard.shown_storage import ShownStorage

    if not os.environ.get("HPO_DEBUG"):  # it logs a traceback for each question with a wrong number
        logging.getLogger("optuna_dashboard").disabled = True
        for name in ("_app", "_bottle_util", "_importance"):
            logging.getLogger(f"optuna_dashboard.{name}").disabled = True
    app: App = wsgi(ShownStorage(opened, write=write))
    return app


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        BadInput: the port is taken, or the host is none of this machine's.
    """
    where = f"{bracketed(host)}:{port}"
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = min(found, key=lambda each: each[0])  # IPv4 first
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BadInput(
            f"--host: {host}: {error.strerror}; expected one of this machine's"
        ) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise BadInput(
            f"--port: cannot listen at {where}: {error.strerror}; expected a free port, or 0"
        ) from None
    return listening


def _run(
    app: App, listening: socket.socket, proxy: str | None, stop: Stop, ready: Callable[[], None]
) -> None:
    from waitress import create_server, wasyncore

    trusted = {} if proxy is None else {
        "trusted_proxy": proxy, "trusted_proxy_count": 1,
        "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
    }  # fmt: skip
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    sockets: dict[int, Any] = {}
    server = create_server(
        app, map=sockets, sockets=[listening], threads=_THREADS, **_LIMITS, **trusted
    )
    try:
        ready()
        while not stop.requested():
            wasyncore.loop(timeout=_LISTEN, use_poll=True, map=sockets, count=1)
    finally:
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=_GOING)
        wasyncore.close_all(sockets)
