"""What a trial leaves on disk: `checkpoint-STEP`, to resume from, and `best`, to keep.

    runs/STUDY/trial-0007/checkpoint-120/   weights, optimizer, random state; gone when it ends
    runs/STUDY/trial-0007/best/             weights and tokenizer of the best evaluation

A checkpoint counts only once it is marked complete, and the one before it is deleted only then, so
that a kill in mid-write costs one interval and no more. The mark holds a checksum of each file: one
that a disk lost the end of, or returns with other bits, is noticed. An attempt has a folder of its
own, into which it takes what those before it left, so that a worker that wakes up late harms
nobody.
"""

import json
import os
import shutil
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PREFIX_CHECKPOINT_DIR = "checkpoint"  # transformers' own, which to import takes seconds
BEST = "best"
_COMPLETE = "hpo-complete"
_FOR_ALL = 0o666
_BLOCK = 2**20  # bytes read at once
_RESUME_ONLY = {
    "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "trainer_state.json",
    "training_args.bin", _COMPLETE,
}  # fmt: skip


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Return the folder in which the Trainer saves a step."""
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def complete(folder: Path, step: int) -> None:
    """Mark the checkpoint of a step as complete, and delete those before it."""
    newest = checkpoint_folder(folder, step)
    (newest / _COMPLETE).write_text(json.dumps(_checksums(newest)), encoding="utf-8")
    for other in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if other != newest:
            shutil.rmtree(other)


def find(folder: Path, earlier: Sequence[Path]) -> Path | None:
    """Return the checkpoint that a training resumes from, if there is one.

    That is the newest whole one of its own folder, else of an earlier attempt's, which is brought
    into its own first, with the best weights so far: a late worker may delete it over there.
    """
    for checkpoint in _newest_first(folder):
        if _is_whole(checkpoint):
            return checkpoint
    for place in earlier:
        for checkpoint in _newest_first(place):
            with suppress(OSError):  # it was deleted just now
                ours = _bring(checkpoint, folder)
                if _is_whole(ours):
                    if (place / BEST).is_dir():
                        _take_best(place / BEST, folder)
                    return ours
                shutil.rmtree(ours)
    return None


def _newest_first(folder: Path) -> list[Path]:
    marks = folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{_COMPLETE}")
    return sorted((mark.parent for mark in marks), key=step_of, reverse=True)


def _bring(checkpoint: Path, folder: Path) -> Path:
    ours = folder / checkpoint.name
    ours.mkdir(parents=True)
    for path in checkpoint.iterdir():
        if path.is_file():
            _link(path, ours / path.name)
    return ours


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was taken."""
    return int(checkpoint.name.rpartition("-")[2])


def _checksums(checkpoint: Path) -> dict[str, int]:
    return {
        path.name: _crc32(path)
        for path in checkpoint.iterdir()
        if path.is_file() and path.name != _COMPLETE
    }


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _is_whole(checkpoint: Path) -> bool:
    try:
        mark = (checkpoint / _COMPLETE).read_text(encoding="utf-8")
        return bool(json.loads(mark) == _checksums(checkpoint))
    except (OSError, ValueError):
        return False


def keep_as_best(folder: Path, step: int) -> None:
    """Make the weights of a step the trial's best.

    They are hard links to the checkpoint's files where the file system has such: no byte is
    written twice.
    """
    _take_best(checkpoint_folder(folder, step), folder)


def _take_best(source: Path, folder: Path) -> None:
    new = folder / f"{BEST}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for path in source.iterdir():
        # What begins with a dot was left by a process that was killed while it wrote.
        if path.is_file() and path.name not in _RESUME_ONLY and not path.name.startswith("."):
            _link(path, new / path.name)
            with suppress(PermissionError):  # another user's, in a folder that they share
                (new / path.name).chmod(_FOR_ALL & ~_umask())  # safetensors: its owner's alone
    old = folder / f"{BEST}.old"
    shutil.rmtree(old, ignore_errors=True)
    if (folder / BEST).exists():
        (folder / BEST).replace(old)
    new.replace(folder / BEST)
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o077)  # there is no other way to ask
    os.umask(mask)
    return mask


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def drop_resume(folder: Path) -> None:
    """Delete what only a resume needs; the trial has ended."""
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        shutil.rmtree(path, ignore_errors=True)


def keep_only(study: Path, *, best: set[str], alive: set[str], ended: set[str]) -> None:
    """Delete the weights of every ended trial of a study but the best; what else it left stays.

    Args:
        study: the study's folder.
        best: the names of the trial folders whose best weights are kept.
        alive: the names of the trial folders that are in use, or will be resumed from.
        ended: the names of all others. A folder of no such name is one of a trial that began
            after the names were read, and is left alone.
    """
    for folder in study.glob("trial-*"):
        if folder.name in alive or folder.name not in ended:
            continue
        with suppress(OSError):  # gone, since others clean up too; or not empty: an error.txt
            drop_resume(folder)
            if folder.name not in best:
                shutil.rmtree(folder / BEST, ignore_errors=True)
                folder.rmdir()
