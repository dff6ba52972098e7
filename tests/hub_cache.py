"""A cache of the hub, as `huggingface_hub` fills it: what is in it needs no network.

models--OWNER--NAME/refs/REVISION           the commit that a branch or tag was last seen at
models--OWNER--NAME/snapshots/COMMIT/…      the files
"""

import shutil
from pathlib import Path


def put(cache: Path, repository: str, commit: str, folder: Path) -> None:
    """Store a model folder as a commit of a repository."""
    place = _place(cache, repository) / "snapshots" / commit
    shutil.copytree(folder, place)


def point(cache: Path, repository: str, revision: str, commit: str) -> None:
    """Let a branch or a tag be a commit."""
    path = _place(cache, repository) / "refs" / revision
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commit, encoding="ascii")


def _place(cache: Path, repository: str) -> Path:
    return cache / f"models--{repository.replace('/', '--')}"
