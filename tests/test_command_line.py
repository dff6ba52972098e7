"""What others on the machine may read of a running command."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from hpo.__main__ import without_storage
from tests.faults.processes import wait_until
from tests.postgres import Server

CANARY = "c4n4ry"
SECRET = f"postgresql://me:{CANARY}@host/hpo"


@pytest.mark.parametrize(
    ("arguments", "left", "url"),
    [
        (["worker", "--storage", SECRET, "a"], ["worker", "a"], SECRET),
        (["worker", f"--storage={SECRET}", "a"], ["worker", "a"], SECRET),
        (["storage", "check", SECRET], ["storage", "check"], SECRET),
        (["list", "--storage", f"postgresql://host/hpo?user=me&password={CANARY}"], ["list"],
         f"postgresql://host/hpo?user=me&password={CANARY}"),
        (["list", "--storage", "postgresql://me@host/hpo"],
         ["list", "--storage", "postgresql://me@host/hpo"], None),
        (["list", "--storage", "sqlite:////tmp/a:b@c.db"],
         ["list", "--storage", "sqlite:////tmp/a:b@c.db"], None),
        ([], [], None),
    ],
)  # fmt: skip
def test_storage_with_a_password_is_taken_out(
    arguments: list[str], left: list[str], url: str | None
) -> None:
    """Wherever it stands; one without a password stays."""
    assert without_storage(arguments) == (left, url)


def test_no_password_in_the_list_of_processes(postgres: Server, tmp_path: Path) -> None:
    """A worker that was started with one works, and does not show it, nor print it."""
    url = postgres.new_database()
    secret = make_url(url).set(password=CANARY).render_as_string(hide_password=False)
    log = tmp_path / "log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "hpo", "worker", "--storage", secret], cwd=tmp_path,
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        wait_until(lambda: "nothing to do" in log.read_text(encoding="utf-8"), "the worker")
        shown = Path(f"/proc/{worker.pid}/cmdline").read_text(encoding="utf-8")
    finally:
        worker.terminate()
        worker.wait(60)
    postgres.drop(url)
    assert "hpo\0worker" in shown
    assert CANARY not in shown + log.read_text(encoding="utf-8")
