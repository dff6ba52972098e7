"""Disks that are full, read-only or shared: what is refused or told; nothing is lost by them."""

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hpo import planning, run, spec, storage_check
from hpo.leases import WAITING
from hpo.progress import Progress
from tests.faults import scripted
from tests.faults.field import NAME, Field


def test_disk_full_under_the_database(tmp_path: Path, small_disk: Callable[[str], Path]) -> None:
    """The worker says so and leaves; the database is whole, and the study goes on afterwards."""
    disk = small_disk("1m")
    field = Field(tmp_path, f"sqlite:///{disk / 'hpo.db'}")
    field.create(6)
    field.arm("telling")
    worker = field.worker()
    field.reached("telling")
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            pass
    field.go("telling")
    ended = worker.end()
    assert ended.code == 4, ended.stderr
    assert "disk is full" in ended.stderr
    assert "Traceback" not in ended.stderr
    filler.unlink()
    with closing(sqlite3.connect(disk / "hpo.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    field.finish()
    field.check(6)
    field.close()


def test_disk_full_under_the_trials(field: Field) -> None:
    """One trial fails by it; its worker takes no further one, others elsewhere do."""
    field.create(3)
    field.script(faults={"0": "disk full", "1": "disk full", "2": "disk full"})
    ended = field.worker().end()
    assert ended.code == 2
    assert "found no space left in" in ended.stderr
    assert "this worker takes no further trials" in ended.stderr
    assert len(field.log("told")) == 1
    field.script()
    field.finish()
    found = field.check(3)
    assert [trial.state.name for trial in found["trials"]].count("FAIL") == 1


@pytest.mark.parametrize("there", [True, False], ids=["study folder", "no study folder"])
def test_an_output_folder_that_is_read_only(
    field: Field, read_only: Callable[[Path], None], there: bool
) -> None:
    """It is told before a ticket is claimed; a worker of all studies leaves this one to others."""
    field.create(3)
    (field.output / NAME if there else field.output).mkdir(parents=True)
    read_only(field.output)
    refused = field.worker().end()
    assert refused.code == 2
    assert f"--output: {field.output / NAME} cannot be written: Read-only" in refused.stderr
    pool = field.start("worker")
    pool.wait_for("is left to others for 300 s: --output: ")
    pool.send(signal.SIGTERM)
    assert pool.end().code == 75
    told = json.loads(field.start("status", NAME, "--json").end().stdout)
    assert not [ticket for ticket in told["tickets"] if ticket["state"] != WAITING]
    assert not field.log("began")
    field.output = field.folder / "elsewhere"
    field.finish()
    field.check(3)


def test_an_output_folder_without_space(field: Field, small_disk: Callable[[str], Path]) -> None:
    """It is told before a ticket is claimed: a worker that is started again fails no trial more."""
    field.create(3)
    field.output = small_disk("512k")
    refused = field.worker().end()
    assert refused.code == 2
    assert f"--output: {field.output / NAME} cannot be written: No space left" in refused.stderr
    assert not field.log("began")
    field.output = field.folder / "elsewhere"
    field.finish()
    field.check(3)


class Heard(Progress):
    """Remembers what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Remember it."""
        self.notes.append(text)


@pytest.mark.parametrize(
    ("kind", "doubtful"),
    [("nfs4", True), ("cifs", True), ("lustre", True), ("beegfs", True), ("fuse.sshfs", True),
     ("virtiofs", True), ("ext4", False), ("tmpfs", False), ("fuseblk", False)],
)  # fmt: skip
def test_sqlite_that_machines_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, doubtful: bool
) -> None:
    """Who submits, runs or checks is told why its locks may fail; nobody is where they do not."""
    scripted.install(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    mounts = tmp_path / "mounts"
    share = tmp_path / "share"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {share} rw - {kind} host:/x rw\n")
    monkeypatch.setattr("hpo.filesystems._MOUNTS", mounts)
    url = f"sqlite:///{share / 'hpo.db'}"
    field = Field(tmp_path, url)
    progress = Heard()
    plan = planning.plan(
        spec.load(field.write(3), []), name=NAME, storage_url=url, output=field.output
    )
    run.submit(plan, progress)
    found = storage_check.check(url)
    reason = f"found SQLite on a file system that machines share ({kind}), whose locks may fail"
    assert [reason in note for note in progress.notes] == [True] * doubtful
    assert (reason in found.doubt) == doubtful
    assert any(line.startswith("  doubt ") for line in found.lines()) == doubtful
    assert found.is_fit()


def test_sqlite_that_was_moved_to_where_machines_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still keeps the log that only one machine can read, which is told, too."""
    field = Field(tmp_path, f"sqlite:///{tmp_path / 'hpo.db'}")
    field.create(1)
    mounts = tmp_path / "mounts"
    mounts.write_text("1 0 0:1 / / rw - nfs host:/x rw\n")
    monkeypatch.setattr("hpo.filesystems._MOUNTS", mounts)
    assert "goes to a log that no other machine sees" in storage_check.check(field.url).doubt
