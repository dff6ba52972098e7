"""A hub of its own that takes models: the calls that huggingface_hub makes to create and upload.

What is LFS's is told by its name: weights, which go to a place of their own, by their SHA-256.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_right"
_COMMIT = "c" * 40


@dataclass
class Hub:
    """What a hub has.

    Args:
        url: where it is.
        repositories: name -> path -> content.
        visible: name -> visibility.
        refuses: path of a call -> the status that it is answered with.
        asked: method and path of each call.
    """

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    visible: dict[str, str | None] = field(default_factory=dict)
    refuses: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:  # noqa: C901
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer a call of any method."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = urlsplit(self.path).path
            hub.asked.append(f"{self.command} {path}")
            if path.startswith("/large/"):  # its address is secret enough, as that of S3 is
                hub.large[path.removeprefix("/large/")] = body
                self._send(200, {})
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._send(401, {"error": "Invalid username or password."})
            elif status := next((hub.refuses[end] for end in hub.refuses if end in path), None):
                self._send(status, {"error": f"no {TOKEN} may do that"})
            else:
                self._send(*self._answer(path, body))

        do_GET = do_PUT = do_HEAD = do_POST  # noqa: N815  the names are those of http.server

        def _answer(self, path: str, body: bytes) -> tuple[int, Any]:  # noqa: PLR0911
            if path == "/api/repos/create":
                return self._create(json.loads(body))
            if path == "/api/validate-yaml":
                return 200, {"errors": [], "warnings": []}
            name = "/".join(path.removeprefix("/api/models/").strip("/").split("/")[:2])
            name = name.removesuffix(".git")
            if name not in hub.repositories:
                return 404, {"error": "Repository not found"}
            if path.endswith("/info/lfs/objects/batch"):
                return 200, {"transfer": "basic", "objects": [
                    {**each, "actions": {"upload": {"href": f"{hub.url}/large/{each['oid']}"}}}
                    for each in json.loads(body)["objects"]
                ]}  # fmt: skip
            if "/resolve/" in path:
                return 200, hub.repositories[name][path.rpartition("/")[2]]
            if "/preupload/" in path:
                return 200, {"files": [
                    {"path": each["path"], "shouldIgnore": False, "uploadMode":
                     "lfs" if each["path"].endswith(".safetensors") else "regular"}
                    for each in json.loads(body)["files"]
                ]}  # fmt: skip
            if "/commit/" in path:
                self._commit(hub.repositories[name], body)
                url = f"{hub.url}/{name}/commit/{_COMMIT}"
                return 200, {"commitUrl": url, "commitOid": _COMMIT}
            if "/tree/" in path:
                return 200, [
                    {"type": "file", "path": each, "size": len(content), "oid": "0" * 40}
                    for each, content in hub.repositories[name].items()
                ]
            files = [{"rfilename": each} for each in hub.repositories[name]]
            private = hub.visible.get(name) == "private"
            return 200, {
                "id": name, "sha": _COMMIT, "siblings": files, "private": private, "tags": []
            }  # fmt: skip

        def _create(self, asked: Mapping[str, Any]) -> tuple[int, Any]:
            name = f"{asked['organization']}/{asked['name']}"
            known = name in hub.repositories
            hub.repositories.setdefault(name, {})
            hub.visible.setdefault(name, asked.get("visibility"))
            return (409 if known else 200), {"url": f"{hub.url}/{name}", "name": name}

        def _commit(self, files: dict[str, bytes], body: bytes) -> None:
            for line in body.splitlines():
                entry = json.loads(line)
                said = entry["value"]
                if entry["key"] == "file":
                    files[said["path"]] = base64.b64decode(said["content"])
                elif entry["key"] == "lfsFile":
                    content = hub.large[said["oid"]]
                    assert hashlib.sha256(content).hexdigest() == said["oid"]
                    files[said["path"]] = content
                elif entry["key"] == "deletedFile":
                    del files[said["path"]]

        def _send(self, status: int, answer: Any) -> None:
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def serve() -> Iterator[Hub]:
    """Serve an empty hub on a free port."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
