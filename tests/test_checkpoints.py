"""Checkpoints: what counts, what is kept, what goes."""

import shutil
from pathlib import Path

import pytest

from hpo import checkpoints


def save(folder: Path, step: int, weights: str = "weights") -> Path:
    """Write what a Trainer writes for a step."""
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    for name in ("optimizer.pt", "rng_state.pth", "trainer_state.json", "config.json"):
        (made / name).write_text(name)
    (made / "model.safetensors").write_text(weights)
    return made


def test_only_the_last_complete_checkpoint_counts(tmp_path: Path) -> None:
    """A checkpoint counts once it is marked; steps are compared as numbers."""
    assert checkpoints.find(tmp_path, []) is None
    save(tmp_path, 9)
    assert checkpoints.find(tmp_path, []) is None
    checkpoints.complete(tmp_path, 9)
    save(tmp_path, 10)
    assert checkpoints.find(tmp_path, []) == tmp_path / "checkpoint-9"
    checkpoints.complete(tmp_path, 10)
    assert checkpoints.find(tmp_path, []) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-9").exists()


@pytest.mark.parametrize("mark", ["", "{", "[]", "{}"])
def test_damaged_mark_does_not_count(tmp_path: Path, mark: str) -> None:
    """A mark that was cut off, or lists other files, is no mark."""
    save(tmp_path, 1)
    checkpoints.complete(tmp_path, 1)
    (tmp_path / "checkpoint-1" / "hpo-complete").write_text(mark)
    assert checkpoints.find(tmp_path, []) is None


def test_best_weights_outlive_their_checkpoint(tmp_path: Path) -> None:
    """The best weights are links to the checkpoint's, take no room, and stay when it goes."""
    checkpoint = save(tmp_path, 1, "one")
    checkpoints.keep_as_best(tmp_path, 1)
    best = tmp_path / "best" / "model.safetensors"
    assert best.samefile(checkpoint / "model.safetensors")
    checkpoints.drop_resume(tmp_path)
    assert best.read_text() == "one"
    assert {path.name for path in best.parent.iterdir()} == {"model.safetensors", "config.json"}


def test_better_weights_take_the_place_of_the_best(tmp_path: Path) -> None:
    """Whatever an interrupted change left behind, the newest best weights stand there alone."""
    for name in ("best.new", "best.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rest").touch()
    for step, weights in ((1, "one"), (2, "two")):
        save(tmp_path, step, weights)
        checkpoints.keep_as_best(tmp_path, step)
        checkpoints.complete(tmp_path, step)
    assert (tmp_path / "best" / "model.safetensors").read_text() == "two"
    assert {path.name for path in tmp_path.iterdir()} == {"best", "checkpoint-2"}


def test_best_is_for_everyone_and_nothing_else(tmp_path: Path) -> None:
    """What a killed process left half-written stays behind; others may read the weights."""
    save(tmp_path, 1)
    (tmp_path / "checkpoint-1" / ".tmpYc2Tc2").write_text("half")
    (tmp_path / "checkpoint-1" / "model.safetensors").chmod(0o600)
    checkpoints.keep_as_best(tmp_path, 1)
    best = tmp_path / "best"
    assert ".tmpYc2Tc2" not in {path.name for path in best.iterdir()}
    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode
    assert (best / "model.safetensors").stat().st_mode == usual


def test_resumes_from_an_earlier_attempt(tmp_path: Path) -> None:
    """The latest attempt that has a whole checkpoint; its best weights come along."""
    folders = [tmp_path / name for name in ("third", "second", "first")]
    for folder, step in ((folders[1], 4), (folders[2], 2)):
        save(folder, step)
        checkpoints.keep_as_best(folder, step)
        checkpoints.complete(folder, step)
    resumed = checkpoints.find(folders[0], folders[1:])
    assert resumed == folders[0] / "checkpoint-4"
    assert (folders[0] / "best" / "model.safetensors").exists()
    shutil.rmtree(folders[1])  # by a worker that woke up late
    assert checkpoints.find(folders[0], []) == resumed
    shutil.rmtree(folders[0])
    save(folders[1], 4)
    checkpoints.complete(folders[1], 4)
    (folders[1] / "checkpoint-4" / "model.safetensors").write_text("other bits")
    assert checkpoints.find(folders[0], folders[1:]) == folders[0] / "checkpoint-2"
    assert [path.name for path in folders[0].glob("checkpoint-*")] == ["checkpoint-2"]
    assert checkpoints.find(tmp_path / "fourth", []) is None


def test_other_trials_go(tmp_path: Path) -> None:
    """The best keep their weights, the living and the unknown all, others what explains them."""
    for name in ("trial-0000", "trial-0001", "trial-0002", "trial-0003", "trial-0004", "notes"):
        save(tmp_path / name, 1)
        checkpoints.keep_as_best(tmp_path / name, 1)
    (tmp_path / "trial-0003" / "error.txt").write_text("why", encoding="utf-8")
    ended = {f"trial-000{number}" for number in (0, 1, 3)}
    checkpoints.keep_only(tmp_path, best={"trial-0001"}, alive={"trial-0002"}, ended=ended)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")}
    assert left == {
        "trial-0001/best", "trial-0002/best", "trial-0002/checkpoint-1",
        "trial-0003/error.txt", "trial-0004/best", "trial-0004/checkpoint-1", "notes/best",
        "notes/checkpoint-1",
    }  # fmt: skip
    assert not (tmp_path / "trial-0000").exists()
