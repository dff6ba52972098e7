"""A checkpoint that a disk has spoilt: the one before it, else from scratch; and it is said so."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.checkpoints import step_of
from hpo.study import load_study
from tests.damage import empty, flip, truncate
from tests.e2e.processes import Hpo
from tests.faults.field import Field
from tests.faults.processes import wait_until
from tests.studies_made import STEPS, write_study


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind of database: checkpoints know nothing of them."""
    return f"sqlite:///{tmp_path / 'hpo.db'}"


def kill_behind(field: Field, trial: int, step: int) -> list[Path]:
    """Kill a worker behind a step of a trial; returns its checkpoints, the newest first."""
    worker = field.worker()
    folder = field.output / "field" / f"trial-{trial:04d}"
    newest = f"checkpoint-{step}/hpo-complete"
    wait_until((folder / newest).exists, f"step {step} of trial {trial}")
    worker.kill()
    return checkpoints_in(folder)


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the marked checkpoints of a trial, the newest first; there are two, or more."""
    marks = folder.glob("checkpoint-*/hpo-complete")
    newest, before, *older = sorted((mark.parent for mark in marks), key=step_of, reverse=True)
    return [newest, before, *older]


def passed_over(checkpoint: Path, trial: int) -> str:
    """Return what is said of a damaged checkpoint."""
    return f"{checkpoint.name} of trial {trial} is damaged and was passed over\n"


@pytest.mark.parametrize("damage", [truncate, empty, flip], ids=lambda each: each.__name__)
def test_spoilt(field: Field, damage: Callable[[Path], None]) -> None:
    """The one before it is resumed from, and it is said which one was not."""
    field.create(1)
    field.script(steps=4000, pause=0.01)
    newest, before, *_ = kill_behind(field, 0, 3)
    damage(newest / "weights")
    field.script(steps=31, pause=0.001)
    said = field.finish().stderr
    assert passed_over(newest, 0) in said
    assert f"trial 1 continues from step {step_of(before)}, " in said
    assert said.count("passed over") == 1
    first_step = field.check(1)["outcomes"][0].user_attrs["first_step"]
    assert first_step == step_of(before) < step_of(newest)


def test_all_spoilt(field: Field) -> None:
    """The trial starts again, and says why."""
    field.create(1)
    field.script(steps=4000, pause=0.01)
    killed = kill_behind(field, 0, 3)
    for checkpoint in killed:
        empty(checkpoint / "weights")
    field.script(steps=5)
    said = field.finish().stderr
    assert all(passed_over(checkpoint, 0) in said for checkpoint in killed)
    assert "starts again: no whole checkpoint of trial 0" in said
    assert field.check(1)["outcomes"][0].user_attrs["first_step"] == 0


def test_the_attempt_before_it(field: Field) -> None:
    """Where the latest attempt's are spoilt, the newest of the attempt before that is taken."""
    field.create(1, budget={"max_attempts": 5})
    field.script(steps=4000, pause=0.01)
    first, *_ = kill_behind(field, 0, 3)
    second = kill_behind(field, 1, step_of(first) + 7)
    for checkpoint in second:
        empty(checkpoint / "weights")
    field.script(steps=90, pause=0.001)
    said = field.finish().stderr
    assert all(passed_over(checkpoint, 1) in said for checkpoint in second)
    assert f"continues from step {step_of(first)}, " in said
    assert field.check(1)["outcomes"][0].user_attrs["first_step"] == step_of(first)


def test_real_training(tmp_path: Path) -> None:
    """A model whose newest checkpoint is spoilt is trained on from the one before."""
    hpo = Hpo(tmp_path, tmp_path.parent / "e2e-cache")
    changes = {"training": {"num_train_epochs": 8}, "budget": {"trials": 1}}
    write_study(tmp_path / "study.toml", changes)
    running = hpo.start("run", hold="epoch 3:")  # it is saved behind that
    folder = tmp_path / "runs" / "study-random" / "trial-0000"
    wait_until((folder / f"checkpoint-{2 * STEPS}" / "hpo-complete").exists, "two checkpoints")
    running.send(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    newest, before, *_ = checkpoints_in(folder)
    flip(newest / "model.safetensors")
    ended = hpo("run")
    assert ended.code == 0, ended.stderr
    assert passed_over(newest, 0) in ended.stderr
    assert f"trial 1 continues from step {step_of(before)}, " in ended.stderr
    trial = load_study("study-random", f"sqlite:///{tmp_path / 'runs' / 'hpo.db'}").trials[1]
    assert (trial.state, trial.record["first_step"]) == ("COMPLETE", step_of(before))
    assert [each["step"] for each in trial.evaluations] == [STEPS * (n + 1) for n in range(8)]
