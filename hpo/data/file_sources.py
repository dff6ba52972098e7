"""Splits that are files: named by the study, or found in a folder by their names."""

import glob
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hpo.data.files import DATA_SUFFIXES, read_file
from hpo.data.tables import (
    SPLIT_ALIASES,
    Layout,
    Problems,
    SplitName,
    Table,
    listed,
    quoted,
    split_names,
)
from hpo.errors import DataError
from hpo.spec import DataSpec


def local_path(folder: Path, name: str, key: str) -> Path:
    """Return the path that a study file means.

    Raises:
        DataError: the name is none that a file can have; said of the key of `[data]`.
    """
    try:
        path = folder / Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:  # too long; the home of nobody
        raise DataError(f"data.{key}: found {quoted(name)}, which is no path: {error}") from None
    if not name.strip():
        raise DataError(f"data.{key}: found an empty name; expected a path")
    return path


@dataclass(frozen=True)
class Files:
    """Files by split.

    Args:
        base: the folder they are relative to.
        shown: the same, as messages write it.
    """

    spec: DataSpec
    layout: Layout
    base: Path
    shown: Path

    def tables(self, split: SplitName) -> list[Table]:
        """Read the files of a split."""
        files = self.find(split)
        self._check_distinct(split, files)
        problems = Problems()
        tables = []
        for name, path in files.items():
            with problems.collect():
                tables.append(read_file(path, name, self.spec, self.layout))
        problems.raise_any()
        return tables

    def find(self, split: SplitName) -> dict[str, Path]:
        """Find the files of a split, without opening any: the name in messages -> the path."""
        problems = Problems()
        files: dict[str, Path] = {}
        for name in split_names(self.spec, split) or ():
            with problems.collect():
                files |= self._matching(split, name)
        problems.raise_any()
        return files

    def _matching(self, split: SplitName, name: str) -> dict[str, Path]:
        path = local_path(self.base, name, split)
        if path.is_dir():
            raise DataError(
                f"data.{split}: found the folder {path}; expected a file (a folder goes into "
                "data.path)"
            )
        if path.is_file():
            return {str(self.shown / name): path}
        if path.exists():
            raise DataError(f"data.{split}: found {path}, which is no regular file")
        if not glob.has_magic(name):
            raise DataError(f"data.{split}: found no file {path}")
        # By name, so that the order is the same everywhere.
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  the pattern may be absolute
        files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise DataError(f"data.{split}: found no file that matches {path}")
        return {str(self.shown / _relative(file, self.base)): file for file in files}

    def _check_distinct(self, split: SplitName, files: dict[str, Path]) -> None:
        # By path alone: no other split is opened here, and one that is missing is not needed.
        for other in SPLIT_ALIASES:
            if other == split:
                continue
            problems: list[str] = []
            with suppress(DataError):
                theirs = {path.resolve() for path in self.find(other).values()}
                problems = [
                    f"data.{split}: found {name} in data.{other} too; expected it in one split"
                    for name, path in files.items()
                    if path.resolve() in theirs
                ]
            if problems:
                raise DataError(problems)


@dataclass(frozen=True)
class Folder(Files):
    """A folder of files, each named after its split or by the study."""

    def find(self, split: SplitName) -> dict[str, Path]:
        """Find the files of a split by the study's names for them, or by the usual ones."""
        if names := split_names(self.spec, split):
            files: dict[str, Path] = {}
            for name in names:
                files |= self._named(self.base, [name]) or self._matching(split, name)
            return files
        files = self._named(self.base, SPLIT_ALIASES[split])
        if not files:  # the layout of a hub repository
            files = self._named(self.base / "data", SPLIT_ALIASES[split])
        if not files and split == "train":
            raise DataError(
                f"data.path: found no train.* in {self.base} (there: "
                f"{listed(sorted(path.name for path in self.base.iterdir()))}); expected files "
                "such as train.jsonl, or their names in data.train"
            )
        return files

    def _named(self, folder: Path, stems: Sequence[str]) -> dict[str, Path]:
        alternatives = "|".join(map(re.escape, stems))
        suffixes = "|".join(map(re.escape, DATA_SUFFIXES))
        # train.jsonl, train.txt.gz, or the shards of a hub repository
        pattern = re.compile(
            rf"({alternatives})(?:-\d+-of-\d+)?({suffixes})(?:\.gz)?", re.IGNORECASE
        )
        kinds: dict[tuple[str, str], list[str]] = {}
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if match := pattern.fullmatch(path.name):
                    kinds.setdefault((match[1], match[2]), []).append(path.name)
        if len(kinds) > 1:
            raise DataError(
                f"data.path: found {listed(sorted(chain(*kinds.values())))} in {folder}; expected "
                "files of one name for a split, or their names in data.train, data.validation "
                "and data.test"
            )
        return {
            str(self.shown / _relative(folder / name, self.base)): folder / name
            for names in kinds.values()
            for name in names
        }


def _relative(path: Path, folder: Path) -> Path:
    return path.relative_to(folder) if path.is_relative_to(folder) else path
