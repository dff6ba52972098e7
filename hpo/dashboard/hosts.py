"""By which names the server may be called, and which pages may send it something.

A page of somebody else's can make a browser ask any server that it reaches. With a name of its own
that it lets point here (DNS rebinding) it would even read the answers: so only known names count
(https://github.com/taviso/rbndr). What changes anything must come from a page of this server
(https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html).
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address

from hpo.dashboard.messages import Request
from hpo.errors import BadInput

_HERE = ("localhost", "127.0.0.1", "[::1]")
_NAME = re.compile(r"(?P<name>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?")


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Say whether what listens there is reached by every address of the machine."""
    try:
        return ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def name_of(allowed: str) -> str:
    """Return the name in NAME or NAME:PORT, as browsers send it.

    Raises:
        BadInput: it is none.
    """
    return _parse(allowed)["name"]


def _parse(allowed: str) -> re.Match[str]:
    found = _NAME.fullmatch(allowed)
    if found is None:
        raise BadInput(
            f"--allow-host: found {allowed!r}; expected a name as browsers send it, NAME or "
            "NAME:PORT"
        )
    return found


class Hosts:
    """The names that count.

    Args:
        host: that is listened at.
        port: of it.
        allowed: further names; without a port they count with any.

    Raises:
        BadInput: one of them is no name.
    """

    def __init__(self, host: str, port: int, allowed: Sequence[str] = ()) -> None:
        own = [] if is_wildcard(host) else [bracketed(host)]
        self._exact = {f"{name}:{port}".lower() for name in (*_HERE, *own)}
        if port in {80, 443}:
            self._exact |= {name.lower() for name in (*_HERE, *own)}
        self._names: set[str] = set()
        for each in allowed:
            (self._exact if _parse(each)["port"] else self._names).add(each.lower())

    def allow(self, request: Request) -> bool:
        """Say whether a request calls the server by a name of its own."""
        host = request.header("Host").lower()
        found = _NAME.fullmatch(host)
        return found is not None and (host in self._exact or found["name"] in self._names)


def is_own(request: Request) -> bool:
    """Say whether a request comes from a page of this server, by what browsers say of it."""
    site, origin = request.header("Sec-Fetch-Site"), request.header("Origin")
    if origin:
        return origin.lower() == request.origin.lower() and site in {"", "same-origin"}
    return site == "same-origin"
