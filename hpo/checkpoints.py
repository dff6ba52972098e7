"""What a trial leaves on disk: `checkpoint-STEP`, to resume from, and `best`, to keep.

    runs/STUDY/trial-0007/checkpoint-100/   weights, optimizer, random state; gone when it ends
    runs/STUDY/trial-0007/checkpoint-120/   the next one; the one before is kept beside it
    runs/STUDY/trial-0007/best/             weights and tokenizer of the best evaluation

A checkpoint counts only once it is marked complete, and those before are deleted only then, so that
a kill in mid-write costs one interval and no more. The mark holds a checksum of each file: one that
a disk lost the end of, or returns with other bits, is noticed, and the one before is resumed from.
Files are on disk before the mark is, and the mark is before anything is deleted, so that a loss of
power costs no more than a kill. An attempt has a folder of its own, into which it takes what those
before it left, so that a worker that wakes up late harms nobody.

What it costs: of a model trained with Adam a checkpoint is three times its weights. Two are kept,
and while the next is written there are three; the best weights are links to a checkpoint's files,
or what a deleted one left. That is ten times the weights; once the trial has ended, once. An
attempt that was cut short keeps its two checkpoints until one after it has an outcome.
"""

import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX_CHECKPOINT_DIR = "checkpoint"  # transformers' own, which to import takes seconds
BEST = "best"
_COMPLETE = "hpo-complete"
_KEPT = 2  # complete checkpoints of a training
_FOR_ALL = 0o666
_BLOCK = 2**20  # bytes read at once
_CANNOT_SYNC = {errno.EBADF, errno.EINVAL, errno.ENOTSUP}  # what some network file systems say
_RESUME_ONLY = {
    "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "trainer_state.json",
    "training_args.bin", _COMPLETE,
}  # fmt: skip


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Return the folder in which the Trainer saves a step."""
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


@dataclass(frozen=True)
class Found:
    """What there is to resume from.

    Args:
        checkpoint: the one to resume from, in the folder of the attempt that asked.
        damaged: those that were passed over, the newest first; they were marked complete, but are
            no longer what was marked.
    """

    checkpoint: Path | None = None
    damaged: tuple[Path, ...] = ()

    @property
    def step(self) -> int:
        """The step that training goes on behind."""
        return 0 if self.checkpoint is None else step_of(self.checkpoint)


def complete(folder: Path, step: int) -> None:
    """Mark the checkpoint of a step as complete, and delete those before but the one before it.

    What `keep_as_best` made of it is as safe then.

    Raises:
        OSError: it could not be written, and is not marked; nothing was deleted.
    """
    newest = checkpoint_folder(folder, step)
    mark = json.dumps(_checksums(newest))
    for place in (newest, folder / BEST):
        if place.is_dir():
            _sync(*_files(place), place)
    _sync(folder, folder.parent)
    new = newest / f".{_COMPLETE}"
    new.write_text(mark, encoding="utf-8")
    _sync(new)
    new.replace(newest / _COMPLETE)
    _sync(newest)
    kept = {newest, *_marked_before(folder, step)[: _KEPT - 1]}
    for other in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if other not in kept:
            shutil.rmtree(other)


def _sync(*paths: Path) -> None:
    """Return once files are on disk, or the names in folders."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC:
                raise
        finally:
            os.close(descriptor)


def find(folder: Path, earlier: Sequence[Path]) -> Found:
    """Return the checkpoint that a training resumes from, if there is one.

    That is the newest whole one of its own folder, else of an earlier attempt's, which is brought
    into its own first: a late worker may delete it over there. What was the best when it was taken
    is the best again.
    """
    damaged: dict[Path, Path] = {}  # what was found to be, and what lies in its own folder of it
    whole: Path | None = None
    for checkpoint in (each for place in (folder, *earlier) for each in _newest_first(place)):
        with suppress(OSError):  # it was deleted just now
            ours = checkpoint if checkpoint.parent == folder else _bring(checkpoint, folder)
            if _is_whole(ours):
                best = _best_as_of(checkpoint)
                if best.is_dir() and best != folder / BEST:
                    _take_best(best, folder)
                whole = ours
                break
            damaged[checkpoint] = ours
    for ours in {*damaged.values()} - {whole}:
        shutil.rmtree(ours, ignore_errors=True)
    return Found(whole, tuple(damaged))


def _newest_first(folder: Path) -> list[Path]:
    marks = folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{_COMPLETE}")
    return sorted((mark.parent for mark in marks), key=step_of, reverse=True)


def _marked_before(folder: Path, step: int) -> list[Path]:
    return [each for each in _newest_first(folder) if step_of(each) < step]


def _bring(checkpoint: Path, folder: Path) -> Path:
    ours = folder / checkpoint.name
    shutil.rmtree(ours, ignore_errors=True)
    ours.mkdir(parents=True)
    # The mark comes last: a process that is killed here leaves no damaged checkpoint.
    for path in sorted(_files(checkpoint), key=lambda path: path.name == _COMPLETE):
        _link(path, ours / path.name)
    return ours


def _best_as_of(checkpoint: Path) -> Path:
    """Return the folder of the weights that were the best when a checkpoint was taken."""
    left = checkpoint.parent.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{BEST}")
    since = [best for best in left if step_of(best.parent) >= step_of(checkpoint)]
    return min(since, key=lambda best: step_of(best.parent), default=checkpoint.parent / BEST)


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was taken."""
    return int(checkpoint.name.rpartition("-")[2])


def _checksums(checkpoint: Path) -> dict[str, int]:
    return {path.name: _crc32(path) for path in _files(checkpoint) if path.name != _COMPLETE}


def _files(folder: Path) -> Iterator[Path]:
    # What begins with a dot was left by a process that was killed while it wrote.
    return (each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))


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
    written twice. What was the best stays with the complete checkpoint before, as long as that is
    kept: whoever resumes from there needs it.
    """
    before = _marked_before(folder, step)[:1]
    _take_best(checkpoint_folder(folder, step), folder, *(each / BEST for each in before))


def _take_best(source: Path, folder: Path, store: Path | None = None) -> None:
    new = folder / f"{BEST}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for path in _files(source):
        if path.name not in _RESUME_ONLY:
            _link(path, new / path.name)
            with suppress(PermissionError):  # another user's, in a folder that they share
                (new / path.name).chmod(_FOR_ALL & ~_umask())  # safetensors: its owner's alone
    old = folder / f"{BEST}.old"
    shutil.rmtree(old, ignore_errors=True)
    if (folder / BEST).exists():
        (folder / BEST).replace(old if store is None or store.exists() else store)
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
