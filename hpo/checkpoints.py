"""What a trial leaves on disk: `checkpoint-STEP`, to resume from, and `best`, to keep.

    runs/STUDY/trial-0007/checkpoint-120/   weights, optimizer, random state; gone when it ends
    runs/STUDY/trial-0007/best/             weights and tokenizer of the best evaluation

A checkpoint counts only once it is marked complete, and the one before it is deleted only then, so
that a kill in mid-write costs one interval and no more. The mark lists the files and their sizes:
a disk that lost the end of one (a crash of the machine, say) is noticed.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

BEST = "best"
_COMPLETE = "hpo-complete"
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
    (newest / _COMPLETE).write_text(json.dumps(_sizes(newest)), encoding="utf-8")
    for other in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if other != newest:
            shutil.rmtree(other)


def last_complete(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, if there is one."""
    marks = folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{_COMPLETE}")
    found = [mark.parent for mark in marks if _holds(mark)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _sizes(checkpoint: Path) -> dict[str, int]:
    return {
        path.name: path.stat().st_size
        for path in checkpoint.iterdir()
        if path.is_file() and path.name != _COMPLETE
    }


def _holds(mark: Path) -> bool:
    try:
        return bool(json.loads(mark.read_text(encoding="utf-8")) == _sizes(mark.parent))
    except (OSError, ValueError):
        return False


def keep_as_best(folder: Path, step: int) -> None:
    """Make the weights of a step the trial's best.

    They are hard links to the checkpoint's files where the file system has such: no byte is
    written twice.
    """
    new = folder / f"{BEST}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for path in checkpoint_folder(folder, step).iterdir():
        if path.is_file() and path.name not in _RESUME_ONLY:
            _link(path, new / path.name)
    old = folder / f"{BEST}.old"
    shutil.rmtree(old, ignore_errors=True)
    if (folder / BEST).exists():
        (folder / BEST).replace(old)
    new.replace(folder / BEST)
    shutil.rmtree(old, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def drop_resume(folder: Path) -> None:
    """Delete what only a resume needs; the trial has ended."""
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        shutil.rmtree(path, ignore_errors=True)


def keep_only(study: Path, *, best: set[str], alive: set[str]) -> None:
    """Delete the weights of every ended trial of a study but the best; what else it left stays.

    Args:
        study: the study's folder.
        best: the names of the trial folders whose best weights are kept.
        alive: the names of the trial folders that are in use, or will be resumed from.
    """
    for folder in study.glob("trial-*"):
        if folder.name in alive:
            continue
        drop_resume(folder)
        if folder.name not in best:
            shutil.rmtree(folder / BEST, ignore_errors=True)
            with suppress(OSError):  # not empty: the traceback of a failure is there
                folder.rmdir()
