"""A dashboard of a PostgreSQL: the reader's role is enough, it may be away, no password leaves."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import ReadOnlySqlTransaction
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from hpo import notes, storage
from hpo.dashboard.read_only import protect
from tests.dashboard.server import PASSWORD, VARIABLES, Served, served
from tests.faults.processes import wait_until
from tests.postgres import OwnServer, private_server
from tests.report.studies import BASE, trial
from tests.studies_made import make_spec

READER = "c4n4ry-reader"
ROLES = Path(storage.__file__).parent / "roles.sql"


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A server with a study and the two roles, of which the reader must give a password."""
    with private_server() as own:
        opened = storage.open_storage(own.url)
        spec = make_spec({**BASE, "budget": {"trials": 2}})
        study = storage.create_or_attach(
            opened, "films", spec, direction="maximize", facts={storage.METRIC: "accuracy"}
        )
        study.add_trials([trial(0, 0.5), trial(1, 0.6)])
        notes.conclude(opened, "films")
        opened.engine.dispose()
        roles = ["--set=worker=hpo_worker", "--set=reader=hpo_reader", "--file", str(ROLES)]
        subprocess.run([own.bin / "psql", own.url, "--quiet", *roles], check=True)
        with psycopg2.connect(own.url) as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER ROLE hpo_reader PASSWORD '{READER}'")
        connection.close()
        own.ask_for_passwords()
        yield own


@pytest.fixture(scope="module")
def dashboard(server: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard on the reader's role, with a password of its own."""
    url = make_url(server.url).set(username="hpo_reader").render_as_string()
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "reader").write_text(READER)
    given = {"HPO_STORAGE_PASSWORD_FILE": str(folder / "reader"), "HPO_DEBUG": "1"}
    with served(folder, url, **given, **VARIABLES) as found:
        found.sign_in()
        yield found


def test_the_reader_is_enough_and_no_password_leaves(dashboard: Served) -> None:
    """Every page and every figure; of no password is a word said or seen by others."""
    paths = ("/", "/dashboard/studies/1", "/api/meta", "/api/studies", "/api/studies/1", "/csv/1",
             "/api/studies/1/param_importances", "/api/studies/1/plot/timeline", "/report?id=1",
             "/favicon.ico", "/static/bundle.js")  # fmt: skip
    replies = {path: dashboard.page(path) for path in paths}
    assert {path: reply.status for path, reply in replies.items()} == dict.fromkeys(paths, 200)
    assert "trial 1" in replies["/api/studies/1"].json()["note"]["body"]
    dashboard.sign_in("c4n4ry wrong")
    dashboard.sign_in()
    line = Path(f"/proc/{dashboard.process.pid}/cmdline").read_text("utf-8")
    process = dashboard.process
    said = line + process.said() + process.stdout.read_text("utf-8")
    for reply in replies.values():
        said += str(reply.headers) + reply.body.decode("utf-8", "replace")
    assert "c4n4ry" not in said


@pytest.mark.parametrize("write", [False, True])
def test_the_database_refuses_to_change(server: OwnServer, write: bool) -> None:
    """Without --write an engine of an owner changes nothing either."""
    opened = storage.open_storage(server.url, create=False)
    if write:
        opened.set_study_system_attr(1, "dashboard:note_ver", 1)
    else:
        protect(opened.engine)
        with pytest.raises(DBAPIError) as refused, opened.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM studies")
        assert isinstance(refused.value.orig, ReadOnlySqlTransaction)
    opened.engine.dispose()


def test_a_database_that_goes_away(server: OwnServer, dashboard: Served) -> None:
    """Pages say so with 503 and try again, programs get JSON; afterwards all is as before."""
    server.pg_ctl("stop", "-m", "fast")
    try:
        wait_until(lambda: dashboard.page("/").status == 503, "what is kept to be asked anew")
        for path in ("/", "/dashboard/studies/1", "/report?id=1"):
            reply = dashboard.page(path)
            assert reply.status == 503
            assert "The storage cannot be read now" in reply.text
            assert '<meta http-equiv="refresh" content="5">' in reply.text
            assert reply.headers["Retry-After"] == "5"
            assert READER not in reply.text
        for path in ("/api/studies", "/api/studies/1/param_importances", "/csv/1"):
            reply = dashboard.ask(path)
            assert reply.status == 503
            assert reply.json()["reason"].startswith("storage postgresql://hpo_reader@")
        assert dashboard.ask("/health").status == 200
        assert dashboard.page("/login").status == 303
    finally:
        server.pg_ctl("start")
    wait_until(lambda: dashboard.ask("/api/studies/1").status == 200, "the dashboard to recover")
    assert "films" in dashboard.page("/").text
    assert PASSWORD not in dashboard.process.said()
