"""A hub of its own: the few calls of the Hugging Face hub that loading a data set makes."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40
Repositories = Mapping[str, Mapping[str, bytes]]


def _handler(repositories: Repositories) -> type[BaseHTTPRequestHandler]:  # noqa: C901
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Answer a request of any method."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
                self._api("/".join(parts[2:4]), parts[4:])
            elif parts[0] == "datasets" and "resolve" in parts:
                self._file("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
            else:
                self._send(404, b"")

        do_HEAD = do_POST = do_GET  # noqa: N815  the names are those of http.server

        def _refused(self, name: str, revision: str) -> bool:
            if name == "owner/gated":
                self._send(403, b"", {"X-Error-Code": "GatedRepo"})
            elif name not in repositories:
                self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("main", COMMIT):
                self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            else:
                return False
            return True

        def _api(self, name: str, rest: list[str]) -> None:
            if self._refused(name, rest[1] if len(rest) > 1 else "main"):
                return
            files = repositories[name]
            entries = [
                {
                    "type": "file",
                    "path": path,
                    "size": len(content),
                    "oid": sha1(content, usedforsecurity=False).hexdigest(),
                }
                for path, content in files.items()
                if rest[:1] != ["tree"] or path.startswith("/".join(rest[2:]))
            ]
            info = {
                "id": name,
                "sha": COMMIT,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in files],
            }
            listing = rest[:1] in (["tree"], ["paths-info"])
            self._send(200, json.dumps(entries if listing else info).encode())

        def _file(self, name: str, revision: str, path: str) -> None:
            if self._refused(name, revision):
                return
            content = repositories[name].get(path)
            if content is None:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            else:
                etag = sha1(content, usedforsecurity=False).hexdigest()
                self._send(200, content, {"ETag": f'"{etag}"'})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"X-Repo-Commit": COMMIT, **(headers or {})}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serve(repositories: Repositories) -> Iterator[str]:
    """Serve repositories, name -> path -> content, on a free port; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(repositories))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
