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
    owned.script(steps=40)
    worker = owned.worker()
    owned.wait_for("began")
    (listed,) = list_workers(owner)
    assert (listed.pid, listed.serves) == (worker.pid, NAME)
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
    """It makes studies, too, and changes their budget; tickets of deleted ones are the owner's."""
    opened = storage.open_storage(owned.url)
    orphans = Tickets(opened.engine, "deleted", worker="")
    orphans.issue([None])
    owned.url = url_of(owned, names["worker"])
    said = owned.start("submit", str(owned.write(3)), "--name", "submitted", "--priority", "1")
    assert said.end().code == 0, said.said()
    assert owned.start("set", "submitted", "--trials", "4").end().code == 0
    assert len(orphans.view()) == 1
    opened.engine.dispose()


def test_a_reader_reads(owned: Field, names: dict[str, str]) -> None:
    """It sees a study and changes nothing, which it is told in one message."""
    owned.url = url_of(owned, names["reader"])
    shown = owned.start("status", NAME, "--json").end()
    assert json.loads(shown.stdout)["study"] == NAME
    pool = owned.start("workers", "--json").end()
    assert json.loads(pool.stdout) == {"workers": []}
    assert refused(owned.url, "DELETE FROM hpo_workers")
    assert refused(owned.url, "UPDATE studies SET study_name = 'x'")
    paused = owned.start("pause", NAME).end()
    assert paused.code == 4
    assert "permission denied" in paused.stderr
    assert "Traceback" not in paused.stderr
    checked = owned.start_alone("storage", "check", owned.url, "--json").end()
    assert checked.code == 4
    found: dict[str, Any] = json.loads(checked.stdout.partition("\n}")[0] + "\n}")
    assert not found["fit"]
    assert "INSERT on trials" in found["missing"]


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
