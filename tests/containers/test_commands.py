"""The commands of docker-compose.yml, run as processes against a real server."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg2
import pytest
from sqlalchemy import make_url

from tests.containers.services import Services, can_confine
from tests.faults import scripted
from tests.faults.invariant import told, trials_of
from tests.faults.processes import wait_until
from tests.postgres import OwnServer, private_server

OWNER, WORKER = "c4n4ry-owner", "c4n4ry-worker's"
READER, DASHBOARD = "c4n4ry 'reader'", "c4n4ry-dashboard"
STUDY = """
task = "scripted"
model = "none"
strategy = "grid"
data = { path = "none" }
[space]
point = { type = "choice", values = [1, 2, 3, 4] }
"""
NAME = "tiny-grid"


@pytest.fixture
def server() -> Iterator[OwnServer]:
    """What the image of PostgreSQL makes of the variables of `db`: a user with a database."""
    with private_server() as own:
        connection = psycopg2.connect(own.url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE hpo SUPERUSER LOGIN PASSWORD '{OWNER}'")
            cursor.execute("CREATE DATABASE hpo OWNER hpo")
        connection.close()
        own.ask_for_passwords()
        yield own


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """The folder through which the test talks with trainings, and the plug-in that they are of."""
    stage = tmp_path / "stage"
    scripted.install(stage / "site")
    return stage


def script(stage: Path, steps: int) -> None:
    """Say how long trainings are."""
    new = stage / "new"
    new.write_text(json.dumps({"steps": steps, "pause": 0.02, "faults": {}}), encoding="utf-8")
    new.replace(stage / "script.json")


@pytest.fixture
def services(tmp_path: Path, server: OwnServer, stage: Path) -> Services:
    """The services, with their passwords and a study."""
    folder = tmp_path / "compose"
    folder.mkdir()
    path = os.pathsep.join([str(stage / "site"), *filter(None, sys.path)])
    variables = {scripted.STAGE: str(stage), "WRITABLE": str(stage), "PYTHONPATH": path}
    made = Services(folder, server, {**variables, "HF_HUB_OFFLINE": "1"})
    passwords = {"owner": OWNER, "worker": WORKER, "reader": READER, "dashboard": DASHBOARD}
    for name, password in passwords.items():
        (made.secrets / name).write_text(f"{password}\n", encoding="utf-8")
    (folder / "studies" / "tiny.toml").write_text(STUDY, encoding="utf-8")
    return made


def look_at_the_dashboard(services: Services) -> None:
    """It is served, healthy, asks for its password, and ends when it is asked to."""
    dashboard = services.start("dashboard")
    wait_until(lambda: services.said("dashboard") or dashboard.poll(), "the dashboard")
    assert services.health("dashboard") == 0, services.log("dashboard-health")
    asked = f"http://localhost:{services.port}/api/studies"
    with pytest.raises(HTTPError, match="401"):
        urlopen(asked)
    request = Request(asked, headers={"Authorization": f"Bearer {DASHBOARD}"})
    with urlopen(request) as reply:  # noqa: S310 - http
        (study,) = json.load(reply)["study_summaries"]
    assert study["study_name"] == NAME
    dashboard.send_signal(signal.SIGTERM)
    assert dashboard.wait(60) == 75
    assert services.health("dashboard") != 0


def test_from_nothing_to_a_best_trial(services: Services, server: OwnServer, stage: Path) -> None:
    """Tables, roles, a study submitted, two workers, `docker stop`, and others that go on."""
    if os.environ.get("CI") == "true":
        assert can_confine(), "read_only cannot be tried here"
    script(stage, 10**6)
    assert services.health("db") == 0
    services.run("tables")
    services.run("roles")
    services.run("hpo", "submit", "studies/tiny.toml")
    workers = [services.start("worker", log=f"worker-{number}") for number in range(2)]
    wait_until(lambda: len(told(stage, "began")) == 2 or workers[0].poll(), "two trials")
    assert services.health("worker") == 0, services.log("worker-health")
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(60) for worker in workers] == [75, 75], services.log("worker-0")
    tickets = json.loads(services.run("hpo", "status", NAME, "--json"))["tickets"]
    assert [(ticket["state"], ticket["deaths"]) for ticket in tickets] == [("waiting", 0)] * 4

    script(stage, 3)
    again = services.start("worker", log="worker-2")
    wait_until(lambda: "nothing is left" in services.log("worker-2") or again.poll(), "the end")
    administered = make_url(server.url).set(database="hpo").render_as_string()
    states = [trial.state.name for trial in trials_of(administered, NAME)]
    assert sorted(states) == ["COMPLETE"] * 4 + ["FAIL"] * 2, "two were handed back"
    look_at_the_dashboard(services)
    best = json.loads(services.run("hpo", "best", NAME, "--json"))
    assert Path(best["best"]["checkpoint"]).is_relative_to(services.folder / "runs")
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 75

    server.pg_ctl("stop", "-m", "fast")
    assert services.health("db") != 0
    assert services.health("worker") == 4
    said = "".join(file.read_text("utf-8") for file in services.folder.glob("*.???"))
    assert "c4n4ry" not in said
    log = (server.folder / "log").read_text(encoding="utf-8")
    assert "c4n4ry" not in log
