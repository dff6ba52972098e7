"""What the tests of faults share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.field import Field
from tests.postgres import OwnServer, private_server

SOAK = os.environ.get("HPO_SOAK") == "1"


def often(usual: int, soak: int) -> int:
    """Return how often something is repeated: a few times, or in full with HPO_SOAK=1."""
    return soak if SOAK else usual


@pytest.fixture
def server() -> Iterator[OwnServer]:
    """A server of the test's own."""
    with private_server() as own:
        yield own


@pytest.fixture
def field(tmp_path: Path, database_url: str) -> Iterator[Field]:
    """A study's database, of each kind in turn, and no process left behind."""
    made = Field(tmp_path, database_url)
    yield made
    made.close()
