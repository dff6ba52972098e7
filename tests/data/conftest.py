"""What the tests of the data layer share: write files, then load them as a study would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import settings

from hpo.data import Layout, Split, StudyData, load_data, load_test
from hpo.spec import DataSpec

settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no deadline")


class Study:
    """A folder with a study's files, and the two calls of the data layer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files below the folder."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def load(self, layout: Layout, seed: int = 1, **spec: Any) -> StudyData:
        """Load train and validation."""
        return load_data(
            DataSpec.model_validate(spec), layout=layout, folder=self.folder, seed=seed
        )

    def load_test(self, layout: Layout, **spec: Any) -> Split | None:
        """Load the test split."""
        return load_test(DataSpec.model_validate(spec), layout=layout, folder=self.folder)


class Pairs(Protocol):
    """Read a split as pairs of input and target."""

    def __call__(self, split: Split) -> list[tuple[Any, Any]]:
        """Return the rows."""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Return an empty study folder."""
    return Study(tmp_path)


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    """Return a function from a split to its rows as pairs."""

    def read(split: Split) -> list[tuple[Any, Any]]:
        columns = split.rows[:]
        first, second = split.rows.column_names
        return list(zip(columns[first], columns[second], strict=True))

    return read
