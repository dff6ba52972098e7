"""The PostgreSQL servers of the tests: they end with whoever started them, and tell if none can."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests import postgres_programs
from tests.postgres import Server, private_server, shared_server
from tests.postgres_programs import NoServer

START = """
from tests.postgres import OwnServer
server = OwnServer.start()
print(server.folder, flush=True)
input()
"""


def value(url: str, query: str) -> object:
    """Return the first value that a query has, on a connection of its own."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone() if cursor.description else None
    connection.close()
    return row and row[0]


def test_a_killed_run_leaves_nothing(request: pytest.FixtureRequest) -> None:
    """After kill -9 the server ends, and its folder is deleted."""
    with subprocess.Popen(
        [sys.executable, "-c", START], cwd=request.config.rootpath, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        assert run.stderr is not None
        folder = Path(run.stdout.readline().strip())
        assert (folder / "data" / "postmaster.pid").is_file()
        run.kill()
        run.stderr.read()  # to its end, when the last process that holds it is gone: the keeper
    assert not folder.exists()


def test_a_private_server_crashes_and_comes_back() -> None:
    """It has its own settings, both ways to reach it, and its data after a crash."""
    with private_server(max_connections=17) as server:
        url = server.new_database()
        value(url, "CREATE TABLE numbers AS SELECT 42")
        port = urlsplit(url).port
        by_socket = Server(f"postgresql:///postgres?host={server.folder}&port={port}&user=postgres")
        copy = by_socket.new_database(url)
        server.restart("immediate")
        assert value(url, "SHOW max_connections") == "17"
        assert value(copy, "SELECT * FROM numbers") == 42
        assert (server.bin / "postgres").is_file()
        by_socket.stop()
        with pytest.raises(psycopg2.OperationalError, match="does not exist"):
            value(copy, "SELECT 1")
        server.pg_ctl("stop", "-m", "fast")
        with pytest.raises(psycopg2.OperationalError, match="refused"):
            value(url, "SELECT 1")
        server.pg_ctl("start")
        assert value(url, "SELECT * FROM numbers") == 42
    assert not server.folder.exists()


def test_where_there_is_none_the_ways_to_one_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable, no programs, no package: one message with the three."""
    monkeypatch.delenv(postgres_programs.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_programs, "_PLACES", ())
    monkeypatch.setattr(postgres_programs, "_PACKAGE", "no_such_package")
    with pytest.raises(NoServer, match=r"(?s)apt-get.*pip install.*HPO_TEST_POSTGRES="):
        shared_server()
