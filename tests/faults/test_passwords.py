"""A server that asks for a password: each way to give it works, and none lets it out."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql
from sqlalchemy import make_url

from hpo.errors import StorageError
from hpo.postgresql import PASSWORD_FILE
from hpo.storage import open_storage
from tests.faults.field import NAME, Field
from tests.faults.processes import wait_until
from tests.postgres import OwnServer, private_server

CANARY = "c4n4ry"
PASSWORD = CANARY + r" é@:/%?\'"  # whatever a way must escape
OURS = ("HPO_STORAGE", PASSWORD_FILE)  # the others are libpq's: no line of ours sees them
WAYS = (*OURS, "PGPASSWORD", "PGPASSFILE", "HOME")
ANSWERS = (
    "storage check --json", "storage check", "storage init", "storage init --json", "list",
    "list --json", f"status {NAME}", f"status {NAME} --json", f"best {NAME}", f"best {NAME} --json",
    f"set {NAME} --priority 1 --json", f"pause {NAME} --json",
)  # fmt: skip


@dataclass(frozen=True)
class Guarded:
    """A database whose owner must give a password.

    Args:
        server: that it is on.
        url: of the database, without the password.
        trusted: the same for an administrator, who needs none.
    """

    server: OwnServer
    url: str
    trusted: str

    def way(self, name: str, folder: Path, password: str = PASSWORD) -> dict[str, str]:
        """Return the variables with which a password is given, files in a folder."""
        folder.mkdir()
        if name == "HPO_STORAGE":
            full = make_url(self.url).set(password=password)
            return {name: full.render_as_string(hide_password=False)}
        given = {"HPO_STORAGE": self.url, name: password}
        if name == PASSWORD_FILE:
            (folder / "password").write_text(f"{password}\n", encoding="utf-8")
            given[name] = str(folder / "password")
        if name in {"PGPASSFILE", "HOME"}:
            file = folder / ".pgpass"
            escaped = password.replace("\\", r"\\").replace(":", r"\:")
            file.write_text(f"127.0.0.1:*:*:*:{escaped}\n", encoding="utf-8")
            file.chmod(0o600)
            given[name] = str(file if name == "PGPASSFILE" else folder)
        return given


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A server that lets nobody but its administrator in without a password."""
    with private_server(password_encryption="scram-sha-256") as own:
        own.ask_for_passwords()
        yield own


@pytest.fixture
def guarded(server: OwnServer) -> Iterator[Guarded]:
    """A new database of a new role with that password."""
    role = f"me_{uuid4().hex[:8]}"
    trusted = server.new_database()
    with psycopg2.connect(trusted) as connection, connection.cursor() as cursor:
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}; ALTER DATABASE {} OWNER TO {}")
        name, database = sql.Identifier(role), sql.Identifier(str(make_url(trusted).database))
        cursor.execute(made.format(name, sql.Literal(PASSWORD), database, name))
    connection.close()
    yield Guarded(server, make_url(trusted).set(username=role).render_as_string(), trusted)
    server.drop(trusted)


@pytest.fixture
def field(tmp_path: Path, guarded: Guarded) -> Iterator[Field]:
    """A study on that database; the password is in no file of its folder."""
    (tmp_path / "field").mkdir()
    made = Field(tmp_path / "field", guarded.trusted)
    yield made
    made.close()


def seen_by_all() -> str:
    """Return all command lines of the machine, as anybody may read them."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_text(encoding="utf-8", errors="replace").replace("\0", " "))
        except OSError:  # it has ended
            continue
    return "\n".join(lines)


@pytest.mark.parametrize("name", WAYS)
def test_no_way_lets_the_password_out(
    field: Field, guarded: Guarded, tmp_path: Path, name: str
) -> None:
    """A study runs to its end; logs, answers, errors, files, tables, processes: no canary in any.

    Its worker is a process that `hpo run --workers` has started, and is handed back in between.
    """
    given = {**guarded.way(name, tmp_path / "right"), "HPO_DEBUG": "1"}
    closed = make_url(given["HPO_STORAGE"]).set(port=9).render_as_string(hide_password=False)
    nowhere = field.start_alone("storage", "check", env={**given, "HPO_STORAGE": closed})
    study = str(field.write(3, budget={"trials": 3}))
    field.script(steps=10**6)
    plugins = field.folder / f"process-{len(field.processes)}" / "site"
    path = os.pathsep.join([str(plugins), *sys.path])
    run = field.start_alone(
        "run", study, "--name", NAME, "--workers", "1", "--output", str(field.output),
        env={**given, "PYTHONPATH": path},
    )  # fmt: skip
    wait_until(lambda: field.log("began") or run.over(), "a trial")
    assert not run.over(), run.said()
    shown = seen_by_all()
    assert f"-m hpo worker --output={field.output}" in shown
    run.send(signal.SIGTERM)
    assert run.end().code == 75, run.said()

    field.script(faults={"1": "diverged"}, evaluate=True)
    asked = ["--output", str(field.output)]
    assert field.start_alone("worker", NAME, *asked, env=given).end().code == 0
    for words in ANSWERS if name in OURS else ANSWERS[:1]:
        options = [] if words.startswith("storage") else asked
        field.start_alone(*words.split(), *options, env=given)
    answers = [process.end() for process in field.processes[3:]]
    assert [answer.code for answer in answers] == [0] * len(answers)

    wrong = {**given, **guarded.way(name, tmp_path / "wrong", f"{CANARY} wrong")}
    refused = field.start_alone("list", env=wrong).end()
    assert refused.code == 4
    assert "password authentication failed" in refused.stderr
    assert "Traceback" in refused.stderr, "HPO_DEBUG asks for it"
    assert nowhere.end().code == 4
    assert "127.0.0.1:9" in nowhere.said()

    field.check(3)
    tables = subprocess.run(
        [guarded.server.bin / "pg_dump", guarded.trusted],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert NAME in tables
    files = {file: file.read_bytes() for file in field.folder.rglob("*") if file.is_file()}
    logs = [file for file in files if file.name == "worker-0.log"]
    assert logs, "of the worker that was started"
    leaks = [str(file) for file, content in files.items() if CANARY.encode() in content]
    assert not leaks
    assert CANARY not in shown + tables


def test_a_refusal_leaves_no_connection(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps the error does not keep the server waiting for a password."""
    monkeypatch.setenv("HOME", "/nonexistent")
    for each in ("PGPASSWORD", "PGPASSFILE", PASSWORD_FILE):
        monkeypatch.delenv(each, raising=False)
    with pytest.raises(StorageError, match="no password supplied") as kept:
        open_storage(guarded.url)
    other = guarded.server.new_database()
    with closing(psycopg2.connect(guarded.server.url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '20s'")  # it waits for all to come so far
            cursor.execute(f"DROP DATABASE {make_url(other).database}")
    guarded.server._made.remove(str(make_url(other).database))
    assert kept.value.__context__ is not None


FOUND = {
    "HPO_STORAGE": "in the URL", PASSWORD_FILE: f"in the file of {PASSWORD_FILE}",
    "PGPASSWORD": "in PGPASSWORD", "PGPASSFILE": "in the file of PGPASSFILE",
    "HOME": "in ~/.pgpass",
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_whose_password_is_wrong(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The place that it was found in is named, once; so is none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for each in ("PGPASSWORD", "PGPASSFILE", PASSWORD_FILE):
        monkeypatch.delenv(each, raising=False)
    with pytest.raises(StorageError) as refused:
        open_storage(guarded.url)
    ways = f"expected one in {PASSWORD_FILE}, PGPASSWORD, PGPASSFILE or the URL"
    assert str(refused.value).endswith(f"no password supplied; {ways}")
    given = guarded.way(name, tmp_path / "wrong", f"{CANARY} wrong")
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(StorageError) as refused:
        open_storage(given["HPO_STORAGE"])
    assert str(refused.value).endswith(f"; the password was found {FOUND[name]}")
    assert "storage postgresql://" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found nothing in "),
        (b"\n", "found nothing in "),
        (b"one\ntwo\n", "found several lines in "),
        (b"c4n4ry\r\nc4n4ry", "found several lines in "),
        (b"\xff", "found no text file"),
        (None, "found no text file"),
    ],
)
def test_a_file_that_holds_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, message: str
) -> None:
    """It is told in one line, before the server is asked; what may be the password is not."""
    file = tmp_path / CANARY
    if content is not None:
        file = tmp_path / "password"
        file.write_bytes(content)
    monkeypatch.setenv(PASSWORD_FILE, str(file))
    with pytest.raises(StorageError) as refused:
        open_storage("postgresql://me@127.0.0.1:9/hpo")
    assert str(refused.value).startswith(f"{PASSWORD_FILE}: {message}")
    assert "expected the path of a file that holds the password" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert CANARY not in str(refused.value)


def test_a_folder_in_place_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named: what exists is no password."""
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path))
    with pytest.raises(StorageError, match=f"{tmp_path} cannot be read: Is a directory"):
        open_storage("postgresql://me@127.0.0.1:9/hpo")


@pytest.mark.parametrize(
    ("content", "in_url"),
    [(PASSWORD, {}), (f"{PASSWORD}\n", {}), (f"{PASSWORD}\r\n", {}),
     ("wrong", {"password": PASSWORD}), ("wrong", {"query": {"password": PASSWORD}})],
)  # fmt: skip
def test_which_password_counts(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    content: str, in_url: dict[str, Any],
) -> None:  # fmt: skip
    """That of the URL, then that of the file, whatever ends its line, then libpq's own."""
    (tmp_path / "password").write_bytes(content.encode())
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    monkeypatch.setenv("PGPASSWORD", "wrong")
    url = make_url(guarded.url).set(**in_url)
    open_storage(url.render_as_string(hide_password=False)).engine.dispose()


def test_a_password_that_changed(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read whenever a storage is opened."""
    file = tmp_path / "password"
    file.write_text("old")
    monkeypatch.setenv(PASSWORD_FILE, str(file))
    with pytest.raises(StorageError, match="password authentication failed"):
        open_storage(guarded.url)
    file.write_text(PASSWORD)
    open_storage(guarded.url).engine.dispose()
