"""Whose a study's folder is, and what in it is hpo's: the rest is never taken over, nor deleted.

study.json                      whose it is
trial-0007/                     a trial's checkpoints and weights
workers/MACHINE/                logs and states of the workers of `hpo run --workers`
export/, retrain-0007/, …       models; each has a manifest that says who made it
"""

import json
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from hpo.errors import BadInput

OWNER = "study.json"
PROBE = ".hpo-probe-"  # how names of files begin that only try whether one can be written
_MANIFEST = "hpo.json"  # as `hpo.manifest` has it, which stands above
_MADE_BY = "made_by"  # as `hpo.publishing` has it
_WORKERS = "workers"
_TRIAL = re.compile(r"trial-\d{4,}")
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{8}(\.old)?\.new")  # of a process that was killed
_FILE = re.compile(rf"{re.escape(OWNER)}|{re.escape(PROBE)}.*|\.nfs.*")
_OF_WORKERS = re.compile(r"worker-\d+\.(log|json|new)|\.lock|\.nfs.*")


def owner(folder: Path) -> dict[str, Any] | None:
    """Return whose a folder says that it is; None where it does not say, or nobody can read it."""
    try:
        found = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def take(folder: Path, mine: dict[str, Any]) -> None:
    """Write whose a folder is; whoever reads it meanwhile finds all of that, or nothing."""
    new = folder / f".{OWNER}.{uuid4().hex[:8]}.new"
    new.write_text(json.dumps(mine), encoding="utf-8")
    new.replace(folder / OWNER)


def check_free(folder: Path) -> None:
    """Refuse a folder that is no study's, and has something in it that hpo did not make.

    Raises:
        BadInput: it is such a folder.
    """
    written = (folder / OWNER).exists()  # asked first: another worker may write it meanwhile
    if owner(folder) is not None:
        return
    strange = foreign(folder)
    if written:
        strange.insert(0, folder / OWNER)  # it says nothing that hpo would
    if strange:
        raise BadInput(
            f"--output: found {shown(strange)} in {folder}, where the study's files are to go; "
            "expected an empty folder: give another --name or --output"
        )


def foreign(folder: Path, studies: Collection[str] | None = None) -> list[Path]:
    """Return what lies in a study's folder and is not hpo's, in the order of names.

    Args:
        folder: of the study.
        studies: whose models are the study's own (`hpo:id`); None takes anybody's for hpo's.
    """
    found = [each for each in sorted(folder.iterdir()) if not _is_ours(each, studies)]
    return [path for each in found for path in (_strangers(each) if _is_workers(each) else [each])]


def delete(folder: Path, studies: Collection[str]) -> list[Path]:
    """Delete what is hpo's in a study's folder, and the folder once it is empty.

    Links are not hpo's, wherever they lead.

    Args:
        folder: of the study.
        studies: see `foreign`.

    Returns:
        What stays.

    Raises:
        OSError: something cannot be deleted.
    """
    for each in sorted(folder.iterdir(), key=lambda path: path.name == OWNER):  # that one last
        if _is_workers(each):
            _delete_workers(each)
        elif _is_ours(each, studies):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    left = foreign(folder, studies)
    if not left:
        folder.rmdir()
    return left


def shown(paths: Collection[Path], most: int = 3) -> str:
    """Return the names of files, the first few of them."""
    names = ", ".join(each.name for each in list(paths)[:most])
    return names if len(paths) <= most else f"{names} and {len(paths) - most} more"


def _is_ours(path: Path, studies: Collection[str] | None) -> bool:
    if path.is_symlink():
        return False
    if not path.is_dir():
        return _FILE.fullmatch(path.name) is not None or _is_unfinished(path)
    if path.name == _WORKERS:
        return not any(_strangers(path))
    return (
        _TRIAL.fullmatch(path.name) is not None or _is_unfinished(path) or _is_model(path, studies)
    )


def _is_unfinished(path: Path) -> bool:
    return _UNFINISHED.fullmatch(path.name) is not None


def _is_model(folder: Path, studies: Collection[str] | None) -> bool:
    """Say whether a folder has a manifest of ours that says who made it."""
    try:
        found = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    made_by = found.get(_MADE_BY) if isinstance(found, dict) else None
    if not isinstance(made_by, dict):
        return False
    return studies is None or made_by.get("study") in studies


def _is_workers(path: Path) -> bool:
    return path.name == _WORKERS and path.is_dir() and not path.is_symlink()


def _strangers(workers: Path) -> Iterator[Path]:
    """Yield what lies among the logs of workers and is none of theirs."""
    for machine in sorted(workers.iterdir()):
        if machine.is_symlink() or not machine.is_dir():
            yield machine
            continue
        for each in sorted(machine.iterdir()):
            if each.is_dir() or each.is_symlink() or not _OF_WORKERS.fullmatch(each.name):
                yield each


def _delete_workers(workers: Path) -> None:
    strange = set(_strangers(workers))
    for machine in workers.iterdir():
        if machine in strange:
            continue
        for each in machine.iterdir():
            if each not in strange:
                each.unlink()
        if not any(machine.iterdir()):
            machine.rmdir()
    if not any(workers.iterdir()):
        workers.rmdir()
