"""A database that a team shares: who may what, and whether it is fit."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import make_url

from hpo import storage
from hpo.leases import Tickets
from hpo.pool_view import list_workers
from hpo.storage_check import check
from tests.faults.field import NAME, Field
from tests.postgres import Server

ROLES = Path(storage.__file__).parent / "roles.sql"


@pytest.fixture
def owned(postgres: Server, tmp_path: Path) -> Iterator[Field]:
    """A study on a server, made by the owner of the database."""
    url = postgres.new_database()
    field = Field(tmp_path, url)
    field.create(4)
    yield field
    field.close()
    postgres.drop(url)


@pytest.fixture
def names(owned: Field, postgres: Server) -> Iterator[dict[str, str]]:
    """The two roles, made by the SQL that `hpo storage roles` prints."""
    owner = owned.url  # tests change it
    made = {role: f"hpo_{role}_{uuid4().hex[:8]}" for role in ("worker", "reader")}
    variables = [f"--set={role}={name}" for role, name in made.items()]
    said = owned.start_alone("storage", "roles").end()
    assert said.stdout == ROLES.read_text(encoding="utf-8")
    for _ in range(2):  # the second time there is nothing left to do
        subprocess.run(
            [postgres.bin / "psql", owned.url, "--quiet", "--set=ON_ERROR_STOP=1", *variables],
            input=said.stdout, text=True, check=True,
        )  # fmt: skip
    yield made
    with psycopg2.connect(owner) as connection, connection.cursor() as cursor:
        for name in made.values():
            cursor.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    connection.close()


def url_of(field: Field, role: str) -> str:
    """Return the URL with which a role is connected."""
    return make_url(field.url).set(username=role).render_as_string(hide_password=False)


def refused(url: str, statement: str) -> bool:
    """Say whether a role may not do something."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except InsufficientPrivilege:
            return True
        finally:
            connection.rollback()
    return False


def test_a_worker_works_and_destroys_nothing(owned: Field, names: dict[str, str]) -> None:
    """It runs a study to its end, listed meanwhile; it drops, alters and deletes nothing."""
    owner, owned.url = owned.url, url_of(owned, names["worker"])
    owned.arm("telling")
    worker = owned.worker()
    owned.reached("telling")
    (listed,) = list_workers(owner)
    assert (listed.pid, listed.serves) == (worker.pid, NAME)
    owned.go("telling")
    assert worker.end().code == 0
    assert list_workers(owner) == []
    for statement in (
        "DROP TABLE trials", "DELETE FROM studies", "DELETE FROM trials", "DELETE FROM hpo_tickets",
        "TRUNCATE trial_values", "ALTER TABLE studies ADD COLUMN x int", "CREATE TABLE t (i int)",
    ):  # fmt: skip
        assert refused(owned.url, statement), statement
    assert check(owned.url).is_fit()
    owned.url = owner
    owned.check(4)


def test_a_worker_submits(owned: Field, names: dict[str, str]) -> None:
    """It makes studies and changes their budget; to delete them and tickets is the owner's."""
    opened = storage.open_storage(owned.url)
    orphans = Tickets(opened.engine, "deleted", worker="")
    orphans.issue([None])
    owned.url = url_of(owned, names["worker"])
    said = owned.start("submit", str(owned.write(3)), "--name", "submitted", "--priority", "1")
    assert said.end().code == 0, said.said()
    assert owned.start("set", "submitted", "--trials", "4").end().code == 0
    kept = owned.start("delete", "submitted", "--yes").end()
    assert kept.code == 4
    (line,) = kept.stderr.splitlines()
    assert (
        f"the role '{names['worker']}' may not delete studies; expected that of the owner" in line
    )
    assert len(orphans.view()) == 1
    opened.engine.dispose()


def test_a_reader_reads(owned: Field, names: dict[str, str]) -> None:
    """It sees a study and changes nothing, which it is told in one message."""
    owned.url = url_of(owned, names["reader"])
    shown = owned.start("status", NAME, "--json").end()
    assert json.loads(shown.stdout)["study"] == NAME
    pool = owned.start("workers", "--json").end()
    assert json.loads(pool.stdout) == {"workers": []}
    watched = owned.start("watch", NAME, "--once", "--json").end()
    assert (watched.code, json.loads(watched.stdout)["study"]) == (0, NAME)
    assert refused(owned.url, "DELETE FROM hpo_workers")
    assert refused(owned.url, "UPDATE studies SET study_name = 'x'")
    checked = owned.start_alone("storage", "check", owned.url, "--json").end()
    assert checked.code == 4
    found: dict[str, Any] = json.loads(checked.stdout.partition("\n}")[0] + "\n}")
    assert not found["fit"]
    assert "INSERT on trials" in found["missing"]


@pytest.mark.parametrize(
    "words",
    ["worker", f"worker {NAME}", "run STUDY", "submit STUDY --name new", "submit STUDY",
     f"pause {NAME}", f"resume {NAME}", f"stop {NAME} --now", f"set {NAME} --trials 9"],
)  # fmt: skip
def test_a_reader_does_not_work(owned: Field, names: dict[str, str], words: str) -> None:
    """It is told so at once, in one line that says what is missing and who may."""
    study = str(owned.write(4))
    trusted, owned.url = owned.url, url_of(owned, names["reader"])
    arguments = [study if word == "STUDY" else word for word in words.split()]
    if words.endswith("STUDY"):
        arguments += ["--name", NAME]
    ended = owned.start(*arguments).end()
    assert ended.code == 4, ended.stderr
    (told,) = [line for line in ended.stderr.splitlines() if line.startswith("hpo: ")]
    url = make_url(owned.url).set(query={}).render_as_string()
    assert told.startswith(f"hpo: storage {url}: ")
    assert "expected the role of a worker, which `hpo storage roles` makes, or the owner's" in told
    if words.split(maxsplit=1)[0] in {"worker", "run", "submit"}:
        role = (
            f"the role '{names['reader']}' cannot work here, it lacks INSERT on studies and 21 more"
        )
        assert role in told
    else:
        assert "permission denied for table study_user_attributes" in told
    assert "Traceback" not in ended.stderr
    owned.url = trusted
    assert owned.finish().code == 0
    owned.check(4)


@pytest.mark.parametrize(
    "words",
    ["list", "list --json", f"status {NAME}", f"best {NAME}", f"best {NAME} --json",
     f"report {NAME} -o -", "workers"],
)  # fmt: skip
def test_a_reader_sees_two_studies(owned: Field, names: dict[str, str], words: str) -> None:
    """Every command that reads, of several studies, too."""
    assert owned.finish().code == 0
    second = ["submit", str(owned.write(2)), "--name", "second"]
    assert owned.start(*second).end().code == 0
    owned.url = url_of(owned, names["reader"])
    ended = (
        owned.start_alone(*words.split(), "--storage", owned.url)
        if words.startswith("report")
        else owned.start(*words.split())
    ).end()
    assert ended.code == 0, ended.stderr
    assert (NAME if words != "workers" else "no worker is there") in ended.stdout


def test_check(field: Field) -> None:
    """Server, round trip, clock, a lease that leaves nothing behind, and how many it carries."""
    assert field.start_alone("storage", "init", field.url).end().code == 0
    found = check(field.url)
    assert found.is_fit()
    assert found.server.startswith(("SQLite 3", "PostgreSQL 1"))
    assert found.round_trip > 0
    assert abs(found.clock) < 5
    assert (found.workers is None) == field.url.startswith("sqlite")
    opened = storage.open_storage(field.url)
    with opened.engine.connect() as connection:
        for table in ("studies", "study_user_attributes", "hpo_tickets", "hpo_workers"):
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}")  # noqa: S608
            assert count.scalar() == 0
    opened.engine.dispose()
    printed = field.start_alone("storage", "check", field.url).end()
    assert printed.code == 0
    assert "is fit to be worked on" in printed.stdout


def test_a_storage_without_tables(field: Field) -> None:
    """Is told as such."""
    ended = field.start_alone("storage", "check", field.url).end()
    assert ended.code == 4
    assert "nothing has been run" in ended.stderr
    assert "`hpo storage init` makes its tables" in ended.stderr


def test_a_storage_is_named_as_for_other_commands(tmp_path: Path) -> None:
    """As an argument, by --storage or by HPO_STORAGE; not by two that differ, nor by none."""
    url = f"sqlite:///{tmp_path}/hpo.db"
    field = Field(tmp_path, url)
    for command in ("init", "check"):
        for words in ([url], ["--storage", url], [url, "--storage", url]):
            assert field.start_alone("storage", command, *words).end().code == 0
        named = field.start_alone("storage", command, env={"HPO_STORAGE": url}).end()
        assert named.code == 0, named.stderr
        others = {"HPO_STORAGE": "postgresql://nowhere/x"}
        assert field.start_alone("storage", command, url, env=others).end().code == 0
        for words in ([], [url, "--storage", "sqlite:///other.db"]):
            wrong = field.start_alone("storage", command, *words, env={"HPO_STORAGE": ""}).end()
            assert (wrong.code, "expected" in wrong.stderr) == (2, True)
    field.close()


def test_the_check_knows_what_a_worker_would_lack(owned: Field, names: dict[str, str]) -> None:
    """Each right on each table that a trial is written to, and each limit of connections."""
    url = url_of(owned, names["worker"])
    whole = check(url)
    assert (whole.missing, whole.lease) == ([], True)
    assert whole.workers is not None
    assert whole.workers > 3
    with psycopg2.connect(owned.url) as connection, connection.cursor() as cursor:
        cursor.execute(f"REVOKE INSERT ON trial_params FROM {names['worker']}")
        cursor.execute(f"ALTER ROLE {names['worker']} CONNECTION LIMIT 8")
    connection.close()
    found = check(url)
    assert found.missing == ["INSERT on trial_params"]
    assert found.workers is not None
    assert found.workers <= 3  # five are left to people
