"""A checkpoint that a disk or a kill has spoilt: the attempt before it, else from scratch."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.field import Field
from tests.faults.processes import wait_until


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _flip(file: Path) -> None:
    first, *rest = file.read_bytes()
    file.write_bytes(bytes([first ^ 1, *rest]))


def _delete(file: Path) -> None:
    file.unlink()


def _spoil_mark(file: Path) -> None:
    (file.parent / "hpo-complete").write_text("{")


SPOILT = [_truncate, _empty, _flip, _delete, _spoil_mark]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind of database: checkpoints know nothing of them."""
    return f"sqlite:///{tmp_path / 'hpo.db'}"


def kill_behind(field: Field, trial: int, step: int) -> Path:
    """Kill a worker behind a step of a trial; returns its newest checkpoint."""
    worker = field.worker()
    folder = field.output / "field" / f"trial-{trial:04d}"
    newest = f"checkpoint-{step}/hpo-complete"
    wait_until((folder / newest).exists, f"step {step} of trial {trial}")
    worker.kill()
    (mark,) = sorted(folder.glob("checkpoint-*/hpo-complete"))[-1:]
    return mark.parent


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda each: each.__name__.strip("_"))
def test_spoilt(field: Field, spoil: Callable[[Path], None]) -> None:
    """It is not resumed from; the trial starts again, and says so."""
    field.create(1)
    field.script(steps=30, pause=0.01)
    spoil(kill_behind(field, 0, 3) / "weights")
    field.script(steps=5)
    ended = field.finish()
    assert "starts again: no whole checkpoint of trial 0" in ended.stderr
    assert field.check(1)["outcomes"][0].user_attrs["first_step"] == 0


def test_the_attempt_before_it(field: Field) -> None:
    """Where the latest attempt's checkpoint is spoilt, the one before that attempt's is taken."""
    field.create(1, budget={"max_attempts": 5})
    field.script(steps=60, pause=0.01)
    first = kill_behind(field, 0, 3)
    second = kill_behind(field, 1, 10)
    _flip(second / "weights")
    field.script(steps=60, pause=0.001)
    ended = field.finish()
    step = int(first.name.partition("-")[2])
    assert f"continues from step {step}, " in ended.stderr
    assert field.check(1)["outcomes"][0].user_attrs["first_step"] == step
