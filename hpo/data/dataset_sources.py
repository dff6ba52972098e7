"""Splits of a data set: one that `save_to_disk` wrote, one of the hub, or a generated sample."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from hpo.data import hub
from hpo.data.arrow import dataset_table
from hpo.data.json_rows import columns_of
from hpo.data.tables import SPLIT_ALIASES, Layout, SplitName, Table, listed, split_names
from hpo.errors import DataError
from hpo.plugins import nearest
from hpo.spec import DataSpec


@dataclass(frozen=True)
class Saved:
    """A folder that `save_to_disk` wrote: a data set, or one folder a split."""

    spec: DataSpec
    folder: Path

    def tables(self, split: SplitName) -> list[Table]:
        """Open the folders of a split, and no others."""
        folders = self._folders()
        return [
            dataset_table(_load(folders[name]), f"{self.spec.path}, {name}")
            for name in _choose(self.spec, split, list(folders))
        ]

    def _folders(self) -> dict[str, Path]:
        if (self.folder / "state.json").is_file():
            return {"train": self.folder}
        try:
            names = json.loads((self.folder / "dataset_dict.json").read_bytes())["splits"]
            return {name: self.folder / name for name in names}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self.folder / 'dataset_dict.json'}: found no list of splits: {error}"
            ) from None


def _load(folder: Path) -> datasets.Dataset:
    try:
        dataset = datasets.load_from_disk(str(folder))
    except Exception as error:  # noqa: BLE001  whatever a damaged folder makes Arrow raise
        raise DataError(f"{folder}: found no data set of save_to_disk: {error}") from None
    if not isinstance(dataset, datasets.Dataset):
        raise DataError(f"{folder}: found a data set of several splits; expected one split")
    return dataset


class Hub:
    """A data set of the hub."""

    def __init__(self, spec: DataSpec) -> None:
        self._spec = spec
        self._path = str(spec.path)
        self._builder = hub.prepare(self._path, spec)

    def tables(self, split: SplitName) -> list[Table]:
        """Open a prepared split."""
        names = _choose(self._spec, split, list(self._builder.info.splits or ()))
        return [
            dataset_table(hub.read_split(self._builder, name, self._spec), f"{self._path}, {name}")
            for name in names
        ]


def _choose(spec: DataSpec, split: SplitName, known: list[str]) -> list[str]:
    names = split_names(spec, split)
    if names is None:
        found = [name for name in SPLIT_ALIASES[split] if name in known][:1]
        if not found and split == "train":
            raise DataError(
                f"data.path: {spec.path} has the splits {listed(known)}; expected 'train', or "
                "the name of a split in data.train"
            )
        return found
    # A slice such as train[:10%] begins with the name of its split.
    unknown = [name for name in names if name.partition("[")[0] not in known]
    if unknown:
        raise DataError(
            f"data.{split}: found {listed(unknown)}; {spec.path} has the splits {listed(known)}"
            f"{nearest(unknown[0], known)}"
        )
    return list(names)


@dataclass(frozen=True)
class Sample:
    """Rows that `hpo.samples` makes."""

    spec: DataSpec
    layout: Layout

    def tables(self, split: SplitName) -> list[Table]:
        """Make the rows of a split."""
        from hpo import samples  # builds its vocabulary on import

        name = str(self.spec.path)
        generators: dict[str, tuple[Layout, Callable[[SplitName], Sequence[dict[str, Any]]]]]
        generators = {
            "sample:ner": ("tokens", samples.ner),
            "sample:sentiment": ("text", samples.sentiment),
        }
        if name not in generators:
            raise DataError(
                f"data.path: found {name!r}; known are {listed(list(generators))}"
                f"{nearest(name, generators)}"
            )
        layout, generate = generators[name]
        if layout != self.layout:
            right = next(key for key, (other, _) in generators.items() if other == self.layout)
            raise DataError(f"data.path: found {name!r}; expected {right!r} for this task")
        chosen = _choose(self.spec, split, list(SPLIT_ALIASES))
        return [
            _sample_table(generate(part), f"{name}, {part}")
            for part in SPLIT_ALIASES
            if part in chosen
        ]


def _sample_table(rows: Sequence[dict[str, Any]], name: str) -> Table:
    return Table(name, "row", range(1, len(rows) + 1), columns_of(rows))
