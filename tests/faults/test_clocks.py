"""Machines whose clocks are hours off; time zones: `test_joining`."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import scripted
from tests.faults.field import NAME, Field
from tests.faults.processes import PATIENCE
from tests.postgres import Server

HOURS = 5
COMMAND = """
import sys
from pathlib import Path
from tests.faults.processes import _run
_run(sys.argv[2:], Path(sys.argv[1]), {})
"""
_LIBRARY = "vendor/libfaketime/src/libfaketime.so.1"


def shifted(hours: int) -> dict[str, str]:
    """Return the variables of a process whose clock is some hours ahead."""
    package = importlib.util.find_spec("libfaketime")
    places = (package and package.submodule_search_locations) or []
    library = next((str(Path(place) / _LIBRARY) for place in places), "")
    return {
        "LD_PRELOAD": library, "FAKETIME": f"{hours:+d}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


@pytest.fixture
def field(tmp_path: Path, postgres: Server) -> Iterator[Field]:
    """A study on a server; with SQLite all workers are of one machine, and have one clock."""
    url = postgres.new_database()
    made = Field(tmp_path, url)
    yield made
    made.close()
    postgres.drop(url)


def start(field: Field, hours: int, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start `hpo …` on a machine with such a clock; its output goes to a folder of that name."""
    folder = field.folder / f"{arguments[0]}{hours:+d}"
    folder.mkdir()
    env = {
        **os.environ, **shifted(hours), scripted.STAGE: str(field.stage),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }  # fmt: skip
    return subprocess.Popen([sys.executable, "-c", COMMAND, folder, *arguments], env=env)


def test_clocks_that_are_hours_off(field: Field) -> None:
    """No live lease is taken, no dead one kept for hours; times and `hours` are the database's."""
    field.create(6, budget={"hours": 1.0})
    field.script(steps=10**6)
    # Its clock is right, and nobody sees it die; a busy machine does not cost it its lease.
    held = field.worker("--lease", "10", elsewhere=True)
    field.wait_for("began")
    checks = [start(field, hours, "storage", "check", field.url, "--json") for hours in (-5, 5)]
    assert [each.wait(PATIENCE) for each in checks] == [0, 0]
    answers = [(field.folder / f"storage{hours}" / "stdout").read_text() for hours in ("-5", "+5")]
    found = [json.loads(answer)["clock"] for answer in answers]
    if found != pytest.approx([HOURS * 3600, -HOURS * 3600], abs=60):
        reason = f"clocks cannot be shifted here: found {found}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    field.script(steps=10, pause=0.05)
    options = ["--storage", field.url, "--output", str(field.output), "--lease", "10"]
    workers = [start(field, hours, "worker", NAME, *options) for hours in (-HOURS, HOURS)]
    field.wait_for("told", 5)
    alive = {ticket.number: ticket.epoch for ticket in field.held()}
    assert alive[0] == 1, "the lease of a live worker"
    held.kill()
    assert [worker.wait(PATIENCE) for worker in workers] == [0, 0]
    checked = field.check(6)
    assert [ticket["epoch"] for ticket in checked["tickets"]] == [2, 1, 1, 1, 1, 1]
    lasted = [trial.duration.total_seconds() for trial in checked["outcomes"].values()]
    assert all(0 < seconds < PATIENCE for seconds in lasted)
