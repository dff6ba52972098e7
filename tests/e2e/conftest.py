"""What the tests of the command line share."""

from pathlib import Path

import pytest

from tests.e2e.processes import Hpo


@pytest.fixture
def hpo(tmp_path: Path) -> Hpo:
    """The command line, in an empty folder."""
    return Hpo(tmp_path, tmp_path.parent / "e2e-cache")
