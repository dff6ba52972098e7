"""Checkpoints: what counts, what is kept, what goes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo import checkpoints
from hpo.checkpoints import Found
from tests.damage import DAMAGE, cut_mark, flip

WEIGHTS = "model.safetensors"


def save(folder: Path, step: int, weights: str = "weights") -> Path:
    """Write what a Trainer writes for a step."""
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    for name in ("optimizer.pt", "rng_state.pth", "trainer_state.json", "config.json"):
        (made / name).write_text(name)
    (made / WEIGHTS).write_text(weights)
    return made


def save_and_mark(folder: Path, step: int, *, best: bool = False) -> Path:
    """Save a step as a training does; its weights are its number."""
    made = save(folder, step, str(step))
    if best:
        checkpoints.keep_as_best(folder, step)
    checkpoints.complete(folder, step)
    return made


def best_of(folder: Path) -> str:
    """Return the weights that are kept as the best."""
    return (folder / "best" / WEIGHTS).read_text()


def steps_in(folder: Path) -> list[int]:
    """Return the steps of all checkpoints in a folder, marked or not."""
    return sorted(checkpoints.step_of(path) for path in folder.glob("checkpoint-*"))


def test_only_the_last_complete_checkpoint_counts(tmp_path: Path) -> None:
    """A checkpoint counts once it is marked; steps are compared as numbers."""
    assert checkpoints.find(tmp_path, []) == Found(None)
    save(tmp_path, 9)
    assert checkpoints.find(tmp_path, []) == Found(None)
    checkpoints.complete(tmp_path, 9)
    save(tmp_path, 10)
    found = checkpoints.find(tmp_path, [])
    assert (found, found.step) == (Found(tmp_path / "checkpoint-9"), 9)
    checkpoints.complete(tmp_path, 10)
    assert checkpoints.find(tmp_path, []) == Found(tmp_path / "checkpoint-10")


def test_two_are_kept(tmp_path: Path) -> None:
    """The newest and the one before; older ones and what was never marked go once it is marked."""
    save(tmp_path, 8)
    for step in (9, 10):
        save_and_mark(tmp_path, step)
    assert steps_in(tmp_path) == [9, 10]
    save(tmp_path, 11)
    assert steps_in(tmp_path) == [9, 10, 11]
    checkpoints.complete(tmp_path, 11)
    assert steps_in(tmp_path) == [10, 11]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_the_one_before_a_damaged_one(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """It is resumed from the one before; the damaged one is named, and out of the way."""
    for step in (9, 10):
        save_and_mark(tmp_path, step)
    damage(tmp_path / "checkpoint-10" / "optimizer.pt")
    found = checkpoints.find(tmp_path, [])
    assert found == Found(tmp_path / "checkpoint-9", (tmp_path / "checkpoint-10",))
    assert steps_in(tmp_path) == [9]


@pytest.mark.parametrize("mark", ["", "{", "[]", "{}"])
def test_damaged_mark_does_not_count(tmp_path: Path, mark: str) -> None:
    """A mark that was cut off, or lists other files, is no mark."""
    save_and_mark(tmp_path, 1)
    (tmp_path / "checkpoint-1" / "hpo-complete").write_text(mark)
    assert checkpoints.find(tmp_path, []) == Found(None, (tmp_path / "checkpoint-1",))


def test_an_earlier_attempt_where_both_are_damaged(tmp_path: Path) -> None:
    """Whatever is damaged on the way is named, the newest first, and stays where it is not ours."""
    ours, second, first = (tmp_path / name for name in ("third", "second", "first"))
    for folder, step in ((first, 2), (first, 4), (second, 4), (second, 6), (ours, 6), (ours, 8)):
        save_and_mark(folder, step)
    spoilt = [ours / "checkpoint-8", ours / "checkpoint-6", second / "checkpoint-6",
              second / "checkpoint-4", first / "checkpoint-4"]  # fmt: skip
    for checkpoint in spoilt[:-1]:
        flip(checkpoint / WEIGHTS)
    found = checkpoints.find(ours, [second, first])
    assert found == Found(ours / "checkpoint-4", tuple(spoilt[:-1]))
    assert [steps_in(folder) for folder in (ours, second, first)] == [[4], [4, 6], [2, 4]]
    shutil.rmtree(ours)
    flip(first / "checkpoint-4" / "optimizer.pt")
    assert checkpoints.find(ours, [second, first]) == Found(
        ours / "checkpoint-2", tuple(spoilt[2:])
    )
    shutil.rmtree(ours)
    cut_mark(first / "checkpoint-2" / WEIGHTS)
    found = checkpoints.find(ours, [second, first])
    assert found == Found(None, (*spoilt[2:], first / "checkpoint-2"))
    assert steps_in(ours) == []


def test_best_weights_outlive_their_checkpoint(tmp_path: Path) -> None:
    """The best weights are links to the checkpoint's, take no room, and stay when it goes."""
    checkpoint = save(tmp_path, 1, "one")
    checkpoints.keep_as_best(tmp_path, 1)
    best = tmp_path / "best" / WEIGHTS
    assert best.samefile(checkpoint / WEIGHTS)
    checkpoints.drop_resume(tmp_path)
    assert best.read_text() == "one"
    assert {path.name for path in best.parent.iterdir()} == {WEIGHTS, "config.json"}


def test_better_weights_take_the_place_of_the_best(tmp_path: Path) -> None:
    """Whatever an interrupted change left behind, the newest best weights stand there alone."""
    for name in ("best.new", "best.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rest").touch()
    for step in (1, 2, 3):
        save_and_mark(tmp_path, step, best=True)
    assert best_of(tmp_path) == "3"
    assert {path.name for path in tmp_path.iterdir()} == {"best", "checkpoint-2", "checkpoint-3"}


@pytest.mark.parametrize("place", ["own", "earlier"])
@pytest.mark.parametrize(
    ("bests", "damaged", "best"),
    [
        ({1, 3}, [3], "1"),
        ({2, 3}, [3], "2"),
        ({1}, [3], "1"),
        ({3}, [3], None),
        ({3, 4}, [3], None),
        ({1, 4}, [], "1"),
        ({1, 4}, [3], "1"),
        ({1, 2, 3, 4}, [3], "2"),
    ],
)
def test_best_is_that_of_the_checkpoint(
    tmp_path: Path, place: str, bests: set[int], damaged: list[int], best: str | None
) -> None:
    """Weights of steps behind the one resumed from are not kept: their scores are forgotten."""
    theirs = tmp_path / "theirs"
    for step in (1, 2, 3):
        save_and_mark(theirs, step, best=step in bests)
    save(theirs, 4, "4")  # its process is killed before the mark
    if 4 in bests:
        checkpoints.keep_as_best(theirs, 4)
    for step in damaged:
        flip(theirs / f"checkpoint-{step}" / WEIGHTS)
    folder = theirs if place == "own" else tmp_path / "ours"
    found = checkpoints.find(folder, [theirs])
    assert (found.step, len(found.damaged)) == (2 if damaged else 3, len(damaged))
    if best is not None:
        assert best_of(folder) == best
        step = found.step + 1  # the same again, with another best
        shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)
        save_and_mark(folder, step, best=True)
        flip(folder / f"checkpoint-{step}" / WEIGHTS)
        assert checkpoints.find(folder, []).step == found.step
        assert best_of(folder) == best


def test_best_is_for_everyone_and_nothing_else(tmp_path: Path) -> None:
    """What a killed process left half-written stays behind; others may read the weights."""
    save(tmp_path, 1)
    (tmp_path / "checkpoint-1" / ".tmpYc2Tc2").write_text("half")
    (tmp_path / "checkpoint-1" / WEIGHTS).chmod(0o600)
    checkpoints.keep_as_best(tmp_path, 1)
    best = tmp_path / "best"
    assert ".tmpYc2Tc2" not in {path.name for path in best.iterdir()}
    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode
    assert (best / WEIGHTS).stat().st_mode == usual


def test_resumes_from_an_earlier_attempt(tmp_path: Path) -> None:
    """The latest attempt that has a whole checkpoint; its best weights come along."""
    folders = [tmp_path / name for name in ("third", "second", "first")]
    for folder, step in ((folders[1], 4), (folders[2], 2)):
        save_and_mark(folder, step, best=True)
    resumed = checkpoints.find(folders[0], folders[1:])
    assert resumed == Found(folders[0] / "checkpoint-4")
    assert best_of(folders[0]) == "4"
    shutil.rmtree(folders[1])  # by a worker that woke up late
    assert checkpoints.find(folders[0], []) == resumed
    assert checkpoints.find(tmp_path / "fourth", []) == Found(None)


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
