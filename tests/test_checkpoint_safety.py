"""Checkpoints and what may happen at any moment: a kill, a loss of power, a disk that fails."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpo import checkpoints
from hpo.checkpoints import Found
from tests.test_checkpoints import best_of, save, save_and_mark, steps_in


class _Killed(BaseException):
    """What a kill is to the code that it befalls: nothing runs behind it."""


def test_killed_before_the_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a process dies while it makes files safe, two whole checkpoints are left."""
    for step in (9, 10):
        save_and_mark(tmp_path, step)
    save(tmp_path, 11)
    left = 0

    def dying(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Killed

    monkeypatch.setattr(os, "fsync", dying)
    steps = []
    for calls in range(100):
        left = calls
        try:
            checkpoints.complete(tmp_path, 11)
            break
        except _Killed:
            found = checkpoints.find(tmp_path, [])
            assert (found.damaged, steps_in(tmp_path)) == ((), [9, 10, 11])
            steps.append(found.step)
            (tmp_path / "checkpoint-11" / "hpo-complete").unlink(missing_ok=True)
    assert steps == [10] * (len(steps) - 1) + [11], "the mark's name is what is made safe last"
    assert len(steps) > 5
    assert (checkpoints.find(tmp_path, []).step, steps_in(tmp_path)) == (11, [10, 11])


def test_safe_before_it_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On disk are all files and folders, then the mark, then its name; then the oldest goes."""
    folder = tmp_path / "trial"
    for step in (9, 10):
        save_and_mark(folder, step)
    newest = save(folder, 11)
    checkpoints.keep_as_best(folder, 11)
    mark = newest / "hpo-complete"
    needed = {
        path.stat().st_ino
        for path in (*newest.iterdir(), newest, folder / "best", folder, tmp_path)
    }
    safe: list[tuple[int, bool, bool]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        oldest = (folder / "checkpoint-9").exists()
        safe.append((os.fstat(descriptor).st_ino, mark.exists(), oldest))

    monkeypatch.setattr(os, "fsync", noting)
    checkpoints.complete(folder, 11)
    before = [number for number, marked, _ in safe if not marked]
    assert needed <= set(before[:-1])
    assert before[-1] == mark.stat().st_ino, "it is whole before it has its name"
    assert safe[-1] == (newest.stat().st_ino, True, True), "and its name is safe"
    assert not (folder / "checkpoint-9").exists()


@pytest.mark.parametrize("reason", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_what_cannot_be_made_safe_is_not_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """A disk that fails, or is full, at the last moment costs the checkpoint and no other."""
    for step in (9, 10):
        save_and_mark(tmp_path, step)
    save(tmp_path, 11)

    def failing(descriptor: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match=os.strerror(reason)):
        checkpoints.complete(tmp_path, 11)
    assert checkpoints.find(tmp_path, []).step == 10
    assert steps_in(tmp_path) == [9, 10, 11]


def test_file_system_that_cannot_make_names_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no such call for folders, a checkpoint is marked all the same."""
    fsync = os.fsync

    def files_only(descriptor: int) -> None:
        if os.path.isdir(f"/dev/fd/{descriptor}"):  # noqa: PTH112 - a name of the system's
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    save_and_mark(tmp_path, 1)
    assert checkpoints.find(tmp_path, []).step == 1


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount a file that is a disk; where that is not allowed, the test is skipped."""
    place.mkdir(exist_ok=True)
    line = ["mount", "-o", "loop", str(image), str(place)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a disk in a file cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A file that is an empty disk."""
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(2**23)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("there is no mkfs.ext4 here")
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    return image


def test_loss_of_power(tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it comes, what the disk then holds has a whole checkpoint, and no damaged one."""
    moments: list[Path] = []
    fsync, rmtree = os.fsync, shutil.rmtree

    def lose_power() -> None:  # what a file system still holds in memory is not in the image
        moments.append(Path(shutil.copy(disk, tmp_path / f"disk-{len(moments)}")))

    def noting_fsync(descriptor: int) -> None:
        lose_power()
        fsync(descriptor)

    def noting_rmtree(path: Path, **how: Any) -> None:
        lose_power()
        rmtree(path, **how)

    with mounted(disk, tmp_path / "alive") as place:
        for step in (9, 10):
            save_and_mark(place / "trial", step)
        with monkeypatch.context() as patches:
            patches.setattr(os, "fsync", noting_fsync)
            patches.setattr(shutil, "rmtree", noting_rmtree)
            save_and_mark(place / "trial", 11, best=True)
            lose_power()
    assert len(moments) > 9
    steps = []
    for moment in moments:
        with mounted(moment, tmp_path / "after") as place:
            found = checkpoints.find(place / "trial", [])
            assert found.damaged == ()
            steps.append(found.step)
            if found.step == 11:
                assert best_of(place / "trial") == "11"
    assert set(steps) == {10, 11}
    assert steps[-1] == 11


@pytest.mark.parametrize("links", range(6))
def test_killed_while_an_earlier_one_is_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: int
) -> None:
    """What was brought by half counts as never saved, not as damaged."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    save_and_mark(first, 2)
    link = os.link
    made: list[Path] = []

    def dying(source: Path, target: Path) -> None:
        if len(made) == links:
            raise _Killed
        link(source, target)
        made.append(target)

    monkeypatch.setattr(os, "link", dying)
    with pytest.raises(_Killed):
        checkpoints.find(second, [first])
    monkeypatch.undo()
    assert checkpoints.find(third, [second, first]) == Found(third / "checkpoint-2")
