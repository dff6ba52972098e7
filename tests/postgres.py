"""A real PostgreSQL server for the tests: the one of HPO_TEST_POSTGRES, or one started here."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg2
from typing_extensions import override

from tests.postgres_programs import (
    VARIABLE,
    account_of_server,
    copy_programs,
    programs,
    within_reach,
)

PATIENCE = 120.0  # seconds; a limit for what hangs, nothing waits that long
# Who must give a password: whoever comes by TCP, but for the administrator of the tests.
_GUARDED = """
local all all trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
_SOCKET_BYTES = 100  # what a path of a socket may have on any system, and a little less
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 200,
    "shared_buffers": "32MB",
    "fsync": "off",  # a crash of the machine may take the data with it, one of the server not
    "full_page_writes": "off",
}
# Starts the server, and ends it as soon as nobody holds the other end of standard input: however
# the tests ended, kill -9 included. The arguments: folder of the programs, folder, settings.
_KEEPER = """
trap '' PIPE
if { "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --no-locale --no-sync &&
    echo "$3" >>"$2/data/postgresql.conf" &&
    "$1/pg_ctl" -D "$2/data" -l "$2/log" -w start; } >>"$2/log" 2>&1
then echo ready
else echo failed
fi
read -r _
"$1/pg_ctl" -D "$2/data" -m immediate -w stop >>"$2/log" 2>&1
rm -rf "$2"
"""


class Server:
    """A running server, to make databases in.

    Args:
        url: of a database of it; the user may create others.
    """

    def __init__(self, url: str) -> None:
        self.url = _with_database(url, _database(url))
        self._made: set[str] = set()

    @property
    def bin(self) -> Path:
        """The folder of `psql`, `pg_dump` and the like."""
        return programs()

    def new_database(self, template: str = "template0") -> str:
        """Create a database, and return its URL.

        Args:
            template: URL or name of the database whose tables it gets; nobody may be connected.
        """
        name = f"hpo_test_{uuid4().hex[:12]}"
        self._execute(f'CREATE DATABASE {name} TEMPLATE "{_database(template)}"')
        self._made.add(name)
        return _with_database(self.url, name)

    def drop(self, url: str) -> None:
        """Drop a database that `new_database` created, whoever is connected to it."""
        name = _database(url)
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._made.remove(name)

    def stop(self) -> None:
        """Drop what is left of the databases that were created."""
        for name in list(self._made):
            self.drop(name)

    def _execute(self, statement: str) -> None:
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True  # no database is created in a transaction
            with connection.cursor() as cursor:
                cursor.execute(statement)


class OwnServer(Server):
    """A server that was started here, and ends with this process.

    Args:
        url: of its first database.
        folder: of its socket (so `?host={folder}` reaches it too), its data and its log.
        bin_: of its programs.
        keeper: the process that ends it.
    """

    def __init__(self, url: str, folder: Path, bin_: Path, keeper: "subprocess.Popen[str]") -> None:
        super().__init__(url)
        self.folder = folder
        self._bin = bin_
        self._keeper = keeper

    @classmethod
    def start(cls, **settings: object) -> Self:
        """Start one; the arguments go into its `postgresql.conf`.

        Raises:
            NoServer: there are no programs to start.
        """
        bin_ = programs()
        folder = _make_folder()
        if not within_reach(bin_ / "postgres"):
            bin_ = copy_programs(bin_, folder / "programs")
        account = account_of_server()
        if account:
            os.chown(folder, account["user"], account["group"])
        port = free_port()
        chosen = _SETTINGS | {"port": port, "unix_socket_directories": folder} | settings
        text = "\n".join(f"{key} = '{value}'" for key, value in chosen.items())
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", bin_, folder, text], cwd="/", text=True,
            env={"LC_ALL": "C", "PATH": os.environ["PATH"]}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True, **account,
        )  # fmt: skip
        server = cls(f"postgresql://postgres@127.0.0.1:{port}/postgres", folder, bin_, keeper)
        if keeper.stdout is None or keeper.stdout.readline() != "ready\n":
            log = (folder / "log").read_text(encoding="utf-8", errors="replace")
            server.stop()
            raise RuntimeError(f"PostgreSQL of {bin_} did not start:\n{log}")
        return server

    @property
    @override
    def bin(self) -> Path:
        return self._bin

    @override
    def stop(self) -> None:
        """End it, and delete its data."""
        with suppress(OSError):  # a test may have failed while it was frozen
            self.thaw()
        if self._keeper.returncode is None:
            self._keeper.communicate(timeout=PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)  # where only its owner may delete it

    def ask_for_passwords(self) -> None:
        """Let nobody but the administrator in by TCP who gives no password."""
        (self.folder / "data" / "pg_hba.conf").write_text(_GUARDED, encoding="utf-8")
        self.pg_ctl("reload")

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Restart it: `fast` ends all connections, `immediate` is a crash with recovery."""
        self.pg_ctl("restart", "-m", mode)

    def freeze(self) -> None:
        """Stop all its processes where they are: it accepts connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        file = self.folder / "data" / "postmaster.pid"
        first = int(file.read_text(encoding="ascii").splitlines()[0])
        os.kill(first, number)  # before the others: it makes no new ones then
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended
                fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
                if int(fields.split()[1]) == first:
                    os.kill(int(stat.parent.name), number)

    def pg_ctl(self, *arguments: str) -> None:
        """Do to it what `pg_ctl` can do, such as `stop` and later `start`."""
        folder = self.folder
        subprocess.run(
            [self.bin / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", *arguments],
            cwd="/", check=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
            **account_of_server(),
        )  # fmt: skip


def shared_server() -> Server:
    """Return the server of HPO_TEST_POSTGRES, else one that is started; both want their `stop`.

    Raises:
        NoServer: there is neither.
    """
    url = os.environ.get(VARIABLE)
    return Server(url) if url else OwnServer.start()


@contextmanager
def private_server(**settings: object) -> Iterator[OwnServer]:
    """Start a server that a test may stop and restart; its arguments as in `postgresql.conf`."""
    server = OwnServer.start(**settings)
    try:
        yield server
    finally:
        server.stop()


def _database(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"postgresql://{parts.netloc}/{name}{query}"  # geturl drops the // of an empty place


def _make_folder() -> Path:
    for place in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp follows
        longest = f"{place.resolve()}/hpo-pg-12345678/.s.PGSQL.12345"
        if len(os.fsencode(longest)) < _SOCKET_BYTES and within_reach(place.resolve()):
            break
    return Path(tempfile.mkdtemp(prefix="hpo-pg-", dir=place)).resolve()


def free_port() -> int:
    """Return a port that nobody listens at."""
    # Below those that systems give to outgoing connections: it must stay free over a restart.
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
