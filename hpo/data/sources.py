"""Where the data is: a sample, files by split, a folder of files, a saved data set, or the hub."""

from pathlib import Path
from typing import Protocol

from hpo.data.dataset_sources import Hub, Sample, Saved
from hpo.data.file_sources import Files, Folder, local_path
from hpo.data.hub import HUB_ID
from hpo.data.tables import Layout, SplitName, Table
from hpo.errors import DataError
from hpo.spec import DataSpec


class Source(Protocol):
    """A data set of up to three splits; nothing of a split is opened before it is asked for."""

    def tables(self, split: SplitName) -> list[Table]:
        """Read a split; an empty list where the study names none and there is none.

        Raises:
            DataError: the split cannot be read, or the study names it and it is missing.
        """


def open_source(spec: DataSpec, layout: Layout, folder: Path) -> Source:
    """Find the data set of a study.

    Args:
        spec: where the data is.
        layout: what a row holds.
        folder: what relative paths start from.

    Raises:
        DataError: there is none; with what was looked for and where.
    """
    source = _open(spec, layout, folder)
    for key in ("name", "revision"):
        if getattr(spec, key) is not None and not isinstance(source, Hub):
            raise DataError(
                f"data.{key}: found beside data on this machine; expected it for a hub id only"
            )
    return source


def _open(spec: DataSpec, layout: Layout, folder: Path) -> Source:
    if spec.path is None:
        return Files(spec, layout, folder, Path())
    if spec.path.startswith("sample:"):
        return Sample(spec, layout)
    place = local_path(folder, spec.path, "path")
    if place.is_dir():
        if (place / "dataset_dict.json").is_file() or (place / "state.json").is_file():
            return Saved(spec, place)
        return Folder(spec, layout, place, Path(spec.path))
    if place.exists():
        raise DataError(
            f"data.path: found the file {spec.path}; expected a folder or a hub id (a file goes "
            f"without path: train = {spec.path!r})"
        )
    if not HUB_ID.fullmatch(spec.path):
        raise DataError(f"data.path: found no folder {place}, and {spec.path!r} is no hub id")
    return Hub(spec)
