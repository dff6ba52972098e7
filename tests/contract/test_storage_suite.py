"""Optuna's published test suite for storages, against ours, on both databases."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase

from hpo.storage import open_storage
from tests.postgres import Server


def _make_tables(url: str) -> str:
    open_storage(url).engine.dispose()
    return url


@pytest.fixture(scope="module")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that has the tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "hpo.db"
    _make_tables(str(path))
    return path


@pytest.fixture(scope="module")
def postgresql_template(postgres: Server) -> str:
    """The same of PostgreSQL."""
    return _make_tables(postgres.new_database())


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RDBStorage]:
    """Our storage on an empty database of each kind in turn, which the suite asks for."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        url = f"sqlite:///{shutil.copy(template, tmp_path)}"
    else:
        server: Server = request.getfixturevalue("postgres")
        url = server.new_database(request.getfixturevalue("postgresql_template"))
    opened = open_storage(url)
    yield opened
    opened.engine.dispose()
    if request.param == "postgresql":
        server.drop(url)


class TestStorage(StorageTestCase):
    """Every test of the suite."""
