"""A proxy before a PostgreSQL server that passes a COMMIT on and keeps the answer to itself.

It speaks as much of the protocol as that takes: where a message begins, and of which kind it is.
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_HEAD = 5  # bytes: the kind, and the length of what follows but for the kind
_ASKED, _READY = ord("Q"), ord("Z")


class Proxy:
    """Lets everything through, but for the answer that it is told to lose.

    Args:
        url: of the server's database.
        door: where clients come in.
    """

    def __init__(self, url: str, door: socket.socket) -> None:
        self._server = (urlsplit(url).hostname or "", urlsplit(url).port or 5432)
        self._door = door
        self._lock = threading.Lock()
        self._coming = 0  # the COMMIT whose answer is lost is the how-many-eth; 0 is none
        self.lost = 0
        self.url = urlsplit(url)._replace(
            netloc=f"{urlsplit(url).username}@127.0.0.1:{door.getsockname()[1]}",
            query="sslmode=disable&gssencmode=disable",  # what is encrypted cannot be read
        ).geturl()  # fmt: skip

    def lose(self, which: int = 1) -> None:
        """Lose the answer to the next COMMIT, or to a later one, and the connection with it."""
        with self._lock:
            self._coming, self.lost = which, 0

    def serve(self) -> None:
        """Take connections until the door is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server, suppress(OSError):
            asked = b""
            begun = False  # the first message has no kind
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is server:
                        client.sendall(data)
                        continue
                    asked += data
                    while message := _first(asked, has_kind=begun):
                        asked, begun = asked[len(message) :], True
                        server.sendall(message)
                        if self._is_to_be_lost(message):
                            _await_answer(server)
                            with self._lock:
                                self.lost += 1
                            return

    def _is_to_be_lost(self, message: bytes) -> bool:
        with self._lock:
            if self._coming == 0 or message[0] != _ASKED or message[_HEAD:-1] != b"COMMIT":
                return False
            self._coming -= 1
            return self._coming == 0


def _first(data: bytes, *, has_kind: bool) -> bytes:
    """Return the first message of what came, or nothing if it is not whole yet."""
    head = _HEAD if has_kind else _HEAD - 1
    if len(data) < head:
        return b""
    length = int.from_bytes(data[head - 4 : head], "big") + head - 4
    return data[:length] if len(data) >= length else b""


def _await_answer(server: socket.socket) -> None:
    """Read until the server has done what it was asked: it is ready for the next question."""
    answer = b""
    while data := server.recv(1 << 16):
        answer += data
        while message := _first(answer, has_kind=True):
            answer = answer[len(message) :]
            if message[0] == _READY:
                return


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    """Put a proxy before a server."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        made = Proxy(url, door)
        threading.Thread(target=made.serve, daemon=True).start()
        yield made
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)  # or its thread would wait on
