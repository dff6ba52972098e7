"""Who may see the dashboard: a password or token is compared, sessions end, guessing is slow.

Guesses are counted by where they come from: behind a proxy that does not say who asks, or behind a
port that Docker publishes, that is one address for everybody. Whoever guesses there must not lock
out those who know, and a password that may be guessed must not be compared as often as anybody
likes (https://cheatsheetseries.owasp.org/cheatsheets/Authentication_Cheat_Sheet.html, "Account
Lockout"). So:

- What nobody guesses, such as `openssl rand -hex 32` makes, is compared first, and always let in.
  Limits are for what has less than 64 bits (NIST SP 800-63B, 5.1.2.2 and 5.2.2).
- A shorter secret has `TRIES` failures of a network, and one more each `ANOTHER` seconds; between
  them it is not compared. That is as slow as a lockout of five minutes, and ends after half of one.

An attempt costs one hash of a short text; none sleeps, which would hold a thread of the server.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address, ip_network
from threading import Lock

LIFETIME = 12 * 3600.0  # seconds that a session lasts
TRIES, ANOTHER = 10, 30.0  # failures of one network at once; seconds until it has one more
_SESSIONS = 1000  # at a time; the oldest one ends
_NETWORKS = 10_000  # that are remembered
_LONGEST = 1024  # characters of what is tried
_LONG, _KINDS = 20, 8  # characters, and how many distinct ones, of what nobody guesses


@dataclass(frozen=True)
class Tried:
    """What came of an attempt to sign in.

    Args:
        is_right: it was the password or the token.
        wait: seconds until the next attempt counts; 0 where this one did.
    """

    is_right: bool
    wait: float = 0.0


class Login:
    """The password and the token, the sessions of those who knew one, and who guesses.

    Nothing of it is kept on a disk: sessions end with the process.

    Args:
        given: what lets somebody in, each.
        clock: seconds, monotonic.
    """

    def __init__(self, given: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._unguessable = [_digest(each) for each in given if is_unguessable(each)]
        self._guessable = [_digest(each) for each in given if not is_unguessable(each)]
        self._clock = clock
        self._lock = Lock()
        self._sessions: OrderedDict[bytes, float] = OrderedDict()  # digest -> when it ends
        self._full: OrderedDict[str, float] = OrderedDict()  # network -> when all tries are back

    @property
    def needed(self) -> bool:
        """Whether anybody has to say anything."""
        return bool(self._unguessable or self._guessable)

    def attempt(self, tried: str, address: str) -> Tried:
        """Compare what somebody says with the password and the token; a failure is remembered."""
        given = _digest(tried[:_LONGEST])
        if _is_one(given, self._unguessable):
            return Tried(is_right=True)
        network = _network(address)
        with self._lock:  # or several at a time would have a try more, each
            now = self._clock()
            full = max(now, self._full.get(network, now))
            if (wait := full - now - (TRIES - 1) * ANOTHER) > 0:
                return Tried(is_right=False, wait=wait)
            is_right = _is_one(given, self._guessable)
            if not is_right:
                self._full[network] = full + ANOTHER
                self._full.move_to_end(network)
                while len(self._full) > _NETWORKS:
                    self._full.popitem(last=False)
            return Tried(is_right)

    def begin(self) -> str:
        """Begin a session, and return what its cookie holds."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_digest(token)] = self._clock() + LIFETIME
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        return token

    def is_open(self, token: str) -> bool:
        """Say whether a cookie is that of a session."""
        with self._lock:
            ends = self._sessions.get(_digest(token))
            return ends is not None and self._clock() < ends

    def end(self, token: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(token), None)


def is_unguessable(secret: str) -> bool:
    """Say whether a secret is too long to be found by asking a server, as far as its text tells."""
    return len(secret) >= _LONG and len(set(secret)) >= _KINDS


def _is_one(given: bytes, digests: Sequence[bytes]) -> bool:
    """Say whether a digest is one of several; each is compared, in the same time if it differs."""
    return sum(hmac.compare_digest(given, each) for each in digests) > 0


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _network(address: str) -> str:
    """Return whom failures are counted for: an IPv4 address, a /64 of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network((found, 64 if found.version == 6 else 32), strict=False))
