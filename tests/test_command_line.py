"""A command as a process: what others may read of it, and how it ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def idle_worker(url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Yield a worker that waits for studies, and the file that it writes to."""
    log = folder / "log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "hpo", "worker", "--storage", url], cwd=folder,
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        wait_until(lambda: "nothing to do" in log.read_text(encoding="utf-8"), "the worker")
        yield worker, log
    finally:
        worker.kill()
        worker.wait()


def test_no_password_in_the_list_of_processes(postgres: Server, tmp_path: Path) -> None:
    """A worker that was started with one works, and does not show it, nor print it."""
    url = postgres.new_database()
    secret = make_url(url).set(password=CANARY).render_as_string(hide_password=False)
    with idle_worker(secret, tmp_path) as (worker, log):
        shown = Path(f"/proc/{worker.pid}/cmdline").read_text(encoding="utf-8")
    postgres.drop(url)
    assert "hpo\0worker" in shown
    assert CANARY not in shown + log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "said", "code"),
    [(signal.SIGINT, "nothing to do", 130), (signal.SIGTERM, "stopped by SIGTERM", 75)],
    ids=["SIGINT", "SIGTERM"],
)
def test_signals_to_the_last_moment(
    number: signal.Signals, said: str, code: int, tmp_path: Path
) -> None:
    """Until it is gone: no traceback of Python's own end, and no other code."""
    sent = 0

    def gone() -> bool:
        nonlocal sent
        worker.send_signal(number)
        sent += worker.poll() is None
        return worker.poll() is not None

    with idle_worker(f"sqlite:///{tmp_path}/hpo.db", tmp_path) as (worker, log):
        worker.send_signal(number)
        wait_until(lambda: said in log.read_text(encoding="utf-8"), "its last word")
        wait_until(gone, "its end")
    assert worker.returncode == code
    assert sent > 1
    assert "Traceback" not in log.read_text(encoding="utf-8")
