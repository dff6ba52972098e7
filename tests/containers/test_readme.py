"""What the README says about machines that are reached by ssh, run as it stands there."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from tests.containers.files import ROOT
from tests.faults import scripted
from tests.faults.invariant import told
from tests.faults.processes import PATIENCE, wait_until
from tests.postgres import OwnServer, private_server

PASSWORD = "c4n4ry"
# In place of machines: folders. What `ssh` is given runs there, in a session of its own.
SSH = """#!/bin/sh
cd "$MACHINES/$1" && shift && HOME=$PWD exec setsid sh -c "$*"
"""
STUDY = """
task = "scripted"
model = "none"
strategy = "grid"
data = { path = "none" }
[space]
point = { type = "choice", values = [1, 2, 3] }
"""


@pytest.fixture
def server() -> Iterator[OwnServer]:
    """A server with a database `hpo` of a role `owner`, who must give a password."""
    with private_server() as own:
        connection = psycopg2.connect(own.url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE owner CREATEROLE LOGIN PASSWORD '{PASSWORD}'")
            cursor.execute("CREATE DATABASE hpo OWNER owner")
        connection.close()
        own.ask_for_passwords()
        yield own


def blocks(heading: str) -> list[str]:
    """Return the commands below a heading of the README, block by block."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition(f"\n### {heading}\n")[2].partition("\n## ")[0]
    return section.split("```")[1::2]


def test_machines_that_are_reached_by_ssh(
    server: OwnServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Tables and roles, a worker on each of two, a study, one machine less; nothing is lost."""
    stage, machines, shared = (tmp_path / name for name in ("stage", "machines", "shared"))
    for folder in (
        stage,
        machines / "gpu1",
        machines / "gpu2",
        shared / "studies",
        tmp_path / "bin",
    ):
        folder.mkdir(parents=True)
    scripted.install(stage / "site")
    (stage / "script.json").write_text(json.dumps({"steps": 10**6, "pause": 0.02, "faults": {}}))
    (shared / "studies" / "study.toml").write_text(STUDY)
    (tmp_path / "bin" / "ssh").write_text(SSH)
    (tmp_path / "bin" / "ssh").chmod(0o755)
    (tmp_path / "worker-password").write_text(f"{PASSWORD}-worker\n")
    (tmp_path / ".pgpass").write_text(f"db:*:hpo:owner:{PASSWORD}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    port = server.url.rpartition(":")[2].partition("/")[0]
    scripts = sysconfig.get_path("scripts")
    path = [str(tmp_path / "bin"), scripts, str(server.bin), os.environ["PATH"]]
    env = {
        "HOME": str(tmp_path), "MACHINES": str(machines), "PGHOSTADDR": "127.0.0.1", "PGPORT": port,
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": os.pathsep.join([str(stage / "site"), *filter(None, sys.path)]),
        scripted.STAGE: str(stage),
    }  # fmt: skip
    once, start, use = (
        each.replace("/opt/hpo/bin", scripts).replace("/shared", str(shared))
        for each in blocks("Machines that you reach by ssh")
    )

    def run(script: str, answers: str = "") -> str:
        done = subprocess.run(
            ["sh", "-euc", script], cwd=tmp_path, env=env, input=answers, text=True,
            capture_output=True, start_new_session=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end_workers() -> None:
        for file in machines.glob("*/hpo.pid"):
            subprocess.run(["kill", file.read_text().strip()], check=False)

    request.addfinalizer(end_workers)
    run(once, f"{PASSWORD}-worker\n" * 2)
    run(start)
    variables = start.strip().splitlines()[0]
    logs = [machines / name / "hpo.log" for name in ("gpu1", "gpu2")]
    submit, *rest = use.strip().splitlines()
    run(f"{variables}\n{submit}")
    wait_until(lambda: len(told(stage, "began")) == 2, "a trial on each machine")
    assert "study" in run("\n".join([variables, *rest]))
    wait_until(lambda: "stopped by SIGTERM" in logs[1].read_text(), "the machine that is taken out")
    (stage / "new").write_text(json.dumps({"steps": 3, "pause": 0.0, "faults": {}}))
    (stage / "new").replace(stage / "script.json")
    tickets = json.loads(run(f"{variables}\nhpo status study-grid --json"))["tickets"]
    assert [ticket["state"] for ticket in tickets].count("held") == 1
    assert not [ticket for ticket in tickets if ticket["deaths"]]
    assert not any(PASSWORD in log.read_text() for log in logs)
