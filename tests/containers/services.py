"""Services of the Compose file as processes of this machine, with the commands that stand there.

Paths of the containers are folders here, and the host `db` is a server that was started here: libpq
takes its address from `PGHOSTADDR` and `PGPORT`, so that URLs stay as they are.
"""

import os
import subprocess
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.containers import files
from tests.faults.processes import PATIENCE
from tests.postgres import OwnServer, free_port

# Binds what a service may write to, makes the rest read-only, and becomes the command.
_CONFINED = """
while [ "$1" != -- ]; do mount --bind "$1" "$1"; shift; done
shift
mount -o remount,bind,ro /
exec "$@"
"""


_UNSHARE = ("unshare", "--mount", "--map-root-user", "sh", "-euc")


@cache
def can_confine() -> bool:
    """Say whether a process can be given a read-only root here."""
    line = [*_UNSHARE, _CONFINED, "sh", "--", "true"]
    try:
        return subprocess.run(line, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Services:
    """The services of docker-compose.yml.

    Args:
        folder: for what containers have in volumes.
        server: what `db` is.
        variables: what processes are given beside what the files say.
    """

    def __init__(self, folder: Path, server: OwnServer, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        given = {"HPO_SECRETS": str(self.secrets), "HPO_STUDIES": str(folder / "studies")}
        self.compose: Any = files.filled_in(files.read(files.COMPOSE), given)
        for name in ("database", "runs", "cache", "studies", "tmp"):
            (folder / name).mkdir()
        self._server = server
        self._variables = variables
        self.port = free_port()  # what the dashboard's is here
        self._places = {
            "8080": str(self.port),
            "/run/secrets": str(self.secrets), "/hpo/runs": str(folder / "runs"),
            "/hpo/cache": str(folder / "cache"), "/hpo/studies": str(folder / "studies"),
            "/var/lib/postgresql/data": str(folder / "database"),
            "/roles.sql": str(files.ROOT / "hpo" / "roles.sql"),
        }  # fmt: skip

    def start(self, name: str, *arguments: str, log: str = "") -> "subprocess.Popen[bytes]":
        """Start a service, with other arguments if they are given (`docker compose run`)."""
        service = self.compose["services"][name]
        entry = service.get("entrypoint") or self._image_entry(service)
        return self._start(name, [*entry, *(arguments or service.get("command", []))], log)

    def run(self, name: str, *arguments: str) -> str:
        """Run a service to its end, which must be a good one; returns its standard output."""
        log = f"{name}-run"
        code = self.start(name, *arguments, log=log).wait(PATIENCE)
        assert code == 0, self.log(log)
        return (self.folder / f"{log}.out").read_text(encoding="utf-8")

    def health(self, name: str) -> int:
        """Return the exit code of a service's health check."""
        kind, *line = self.compose["services"][name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self._start(name, line, f"{name}-health").wait(PATIENCE)

    def log(self, name: str) -> str:
        """Return what a process said on standard error."""
        return (self.folder / f"{name}.err").read_text(encoding="utf-8")

    def said(self, name: str) -> str:
        """Return what a process said on standard output."""
        return (self.folder / f"{name}.out").read_text(encoding="utf-8")

    def _image_entry(self, service: Any) -> list[str]:
        assert service["image"] == "hpo:cpu"
        return ["hpo"]  # as tests/containers/test_files.py sees

    def _start(self, name: str, line: list[str], log: str) -> "subprocess.Popen[bytes]":
        service = self.compose["services"][name]
        environment = service["environment"]
        if service["image"].startswith("hpo:"):
            environment = {**files.image_environment(), **environment}
        port = self._server.url.rpartition(":")[2].partition("/")[0]
        path = [sysconfig.get_path("scripts"), str(self._server.bin), os.environ["PATH"]]
        env = {
            **{key: self._here(value) for key, value in environment.items()},
            **self._variables, "PGHOSTADDR": "127.0.0.1", "PGPORT": port,
            "PATH": os.pathsep.join(path), "TMPDIR": str(self.folder / "tmp"), "HOME": "/nowhere",
        }  # fmt: skip
        line = [self._here(word) for word in line]
        if service["read_only"] and can_confine():
            writable = [
                self.folder / "tmp",
                *map(Path, self._variables.get("WRITABLE", "").split()),
            ]
            volumes = [volume.split(":") for volume in service.get("volumes", [])]
            writable += [Path(self._here(each[1])) for each in volumes if each[2:] != ["ro"]]
            line = [*_UNSHARE, _CONFINED, "sh", *map(str, writable), "--", *line]
        with (
            (self.folder / f"{log or name}.out").open("wb") as out,
            (self.folder / f"{log or name}.err").open("wb") as error,
        ):
            return subprocess.Popen(
                line, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=error
            )

    def _here(self, text: str) -> str:
        """Return a text with the paths of the containers made those of here."""
        for place, here in self._places.items():
            text = text.replace(place, here)
        return text
