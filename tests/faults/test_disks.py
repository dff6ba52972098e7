"""The disk under SQLite is full: nothing is lost by it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.faults.field import Field


def test_disk_full_under_the_database(tmp_path: Path, small_disk: Callable[[str], Path]) -> None:
    """The worker says so and leaves; the database is whole, and the study goes on afterwards."""
    disk = small_disk("1m")
    field = Field(tmp_path, f"sqlite:///{disk / 'hpo.db'}")
    field.create(6)
    field.script(steps=20)
    worker = field.worker()
    field.wait_for("began")
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            pass
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
