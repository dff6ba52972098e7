"""Checkpoints: what counts, what is kept, what goes."""

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
    assert checkpoints.last_complete(tmp_path) is None
    save(tmp_path, 9)
    assert checkpoints.last_complete(tmp_path) is None
    checkpoints.complete(tmp_path, 9)
    save(tmp_path, 10)
    assert checkpoints.last_complete(tmp_path) == tmp_path / "checkpoint-9"
    checkpoints.complete(tmp_path, 10)
    assert checkpoints.last_complete(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-9").exists()


@pytest.mark.parametrize("mark", ["", "{", "[]", "{}"])
def test_damaged_mark_does_not_count(tmp_path: Path, mark: str) -> None:
    """A mark that was cut off, or lists other files, is no mark."""
    save(tmp_path, 1)
    checkpoints.complete(tmp_path, 1)
    (tmp_path / "checkpoint-1" / "hpo-complete").write_text(mark)
    assert checkpoints.last_complete(tmp_path) is None


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


def test_other_trials_go(tmp_path: Path) -> None:
    """The best keep their weights, the living everything, the others only what explains them."""
    for name in ("trial-0000", "trial-0001", "trial-0002", "trial-0003", "notes"):
        save(tmp_path / name, 1)
        checkpoints.keep_as_best(tmp_path / name, 1)
    (tmp_path / "trial-0003" / "error.txt").write_text("why", encoding="utf-8")
    checkpoints.keep_only(tmp_path, best={"trial-0001"}, alive={"trial-0002"})
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")}
    assert left == {
        "trial-0001/best", "trial-0002/best", "trial-0002/checkpoint-1",
        "trial-0003/error.txt", "notes/best", "notes/checkpoint-1",
    }  # fmt: skip
    assert not (tmp_path / "trial-0000").exists()
