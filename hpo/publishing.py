"""A folder that appears at its name whole, and never in place of somebody else's.

    .NAME.hpo-new    what is being written; if its process was killed, the next one deletes it
    .NAME.hpo-old    what was at the name, for as long as the two change places; where nothing is at
                     the name it is the version to have, and is put back
    .NAME.hpo-lock   held by the one process that writes there

All of them lie beside NAME, and belong to no other name.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpo import manifest
from hpo.errors import BadInput, ModelError

OWNER = "made_by"  # in the manifest: what a folder is, of which study
FILES = "files"  # and what was written there, but for the manifest
_TOLD = {  # which are no fault of ours
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM,
}  # fmt: skip
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}  # of some network file systems
_SHOWN = 3  # names in a message


def check(target: Path, owner: Mapping[str, Any]) -> None:
    """Refuse a place that something else has, or has a part of.

    Args:
        target: where a folder is to be.
        owner: what it will say of itself; a folder that says the same may be replaced.

    Raises:
        BadInput: something else is there, or it cannot be written.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BadInput(f"--output: found {target}, which is no folder; expected a new name")
    if target.is_dir() and any(target.iterdir()):
        found = _manifest(target)
        if found.get(OWNER) != dict(owner):
            raise BadInput(
                f"--output: found something else in {target} than an earlier {owner['what']} of "
                "this study; expected that, or a new name"
            )
        if added := sorted(_files(target) - _listed(found)):
            names = ", ".join(added[:_SHOWN]) + ", …" * (len(added) > _SHOWN)
            raise BadInput(
                f"--output: found {names} in {target}, which the {owner['what']} there did not "
                "write; move that elsewhere, or give a new name"
            )
    above = next(each for each in target.absolute().parents if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise BadInput(f"--output: {above} cannot be written; expected a folder that can")


@contextmanager
def unfinished(target: Path, owner: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder; what is in it at the end of the body is put at its name.

    Args:
        target: where the folder is to be.
        owner: see `check`.

    Raises:
        BadInput: see `check`; or another process writes there, or the disk is full.
    """
    target = target.absolute()
    check(target, owner)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            yield from _replaced(target, owner)
    except OSError as error:
        if error.errno not in _TOLD:
            raise
        where = "" if error.filename is None else f", {error.filename}"
        raise BadInput(
            f"--output: {target} cannot be written: {error.strerror}{where}; "
            "make room there, or give another --output"
        ) from error


def _replaced(target: Path, owner: Mapping[str, Any]) -> Iterator[Path]:
    new, old = _beside(target, "new"), _beside(target, "old")
    if not target.exists() and _is_whole(old):
        old.rename(target)
    check(target, owner)
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir()
    try:
        yield new
        if found := _manifest(new):
            manifest.extend(new, {FILES: sorted(_files(new) - {manifest.FILE})}, found)
        for path in (*new.rglob("*"), new):
            _sync(path)
        check(target, owner)
        _swap(new, target, old)
    finally:
        if target.exists() or not old.exists():  # else the one or the other is needed
            shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, target: Path, old: Path) -> None:
    try:
        if target.exists():
            target.rename(old)
        new.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.hpo-{what}")


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return manifest.load(folder) or {}
    except ModelError:
        return {}


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def _listed(found: Mapping[str, Any]) -> set[str]:
    listed = found.get(FILES)
    return {manifest.FILE, *map(str, listed if isinstance(listed, list) else [])}


def _is_whole(folder: Path) -> bool:
    """Say whether nothing of a folder is missing, as if its deletion had begun."""
    found = _manifest(folder)
    return FILES in found and _listed(found) <= _files(folder)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep other processes away from a name for the length of the body.

    Raises:
        BadInput: another one is at it.
    """
    path = _beside(target, "lock")
    descriptor = _locked(path, target)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: see `_locked`
        os.close(descriptor)


def _locked(path: Path, target: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # as below /proc, whoever one is
            raise BadInput(
                f"--output: {target} cannot be written: no file can be made in {path.parent}"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BadInput(
                f"--output: another process is writing {target}; wait for it, or give a new name"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
        try:  # whoever held it may have deleted it in between: then it locks nothing
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot
        pass
    finally:
        os.close(descriptor)
