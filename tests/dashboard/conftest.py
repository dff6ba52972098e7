"""A storage with studies of every kind, and a dashboard of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard.server import VARIABLES, Served, served
from tests.report.studies import landscape, make_study, trial, url_of
from tests.report.test_formats import make_hostile


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a storage with the studies 1 rich, 2 failed, 3 empty, and a hostile one."""
    folder = tmp_path_factory.mktemp("studies")
    best = trial(12, 0.99, attrs={"first_step": 4, "peak_memory_bytes": 2e9})
    make_study(folder, [*landscape(12), best], name="rich")
    failed = [trial(0, state="FAIL", attrs={"reason": "diverged", "error": "Diverged: nan"})]
    make_study(folder, failed, name="failed")
    make_study(folder, name="empty")
    make_hostile(folder)
    return folder


@pytest.fixture(scope="session")
def open_one(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard without a password."""
    with served(tmp_path_factory.mktemp("open"), url_of(studies)) as found:
        yield found


@pytest.fixture(scope="session")
def guarded_one(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One with a password and a token, for whoever reaches this machine by the name gpu1."""
    options = ["--host", "0.0.0.0", "--allow-host", "gpu1"]  # noqa: S104
    with served(tmp_path_factory.mktemp("guarded"), url_of(studies), *options, **VARIABLES) as one:
        yield one


@pytest.fixture
def guarded(guarded_one: Served) -> Served:
    """The same, where nobody has signed in yet."""
    guarded_one.cookie = ""
    return guarded_one
