"""What the tests share: tiny data of both tasks and a tiny model of each family, made once.

Slow libraries are imported inside the fixtures, so that the tests of pure modules start at once.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.browser import launched
from tests.postgres import Server, shared_server
from tests.postgres_programs import NoServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from hpo.binding import BindingStorage
    from hpo.data import StudyData
    from hpo.pretrained import Source

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is first imported

settings.register_profile("hpo", deadline=None)  # a busy machine is no failure
settings.load_profile("hpo")

POSTGRES = pytest.StashKey[Server]()
FAMILIES = ("bert", "roberta", "gpt2", "openai-gpt")
TRAIN_ROWS = 48
OTHER_ROWS = 16


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let all workers of pytest-xdist share one PostgreSQL server, which ends with the run."""
    stash = node.config.stash
    with suppress(NoServer):  # the first test that wants it tells
        if POSTGRES not in stash:
            stash[POSTGRES] = shared_server()
            node.config.add_cleanup(stash[POSTGRES].stop)
        node.workerinput["postgres"] = stash[POSTGRES].url


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The PostgreSQL server of this test run; `tests.postgres.private_server` starts another."""
    url = getattr(request.config, "workerinput", {}).get("postgres")
    server = Server(url) if url else shared_server()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables, of each kind in turn; the file of SQLite is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hpo.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop(url)


@pytest.fixture
def opened(database_url: str) -> "Iterator[BindingStorage]":
    """A storage of ours on a new database, of each kind in turn."""
    from hpo import storage

    found = storage.open_storage(database_url)
    yield found
    found.engine.dispose()


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A headless Chromium."""
    with launched() as found:
        yield found


@pytest.fixture
def noise() -> list[str]:
    """What a page said or asked for, and should not have."""
    return []


@pytest.fixture
def mounted() -> Iterator[Callable[..., None]]:
    """Mount something on a folder, or change how: the arguments of `mount`, its folder last."""
    points: list[str] = []

    def mount(*arguments: str) -> None:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = f"nothing can be mounted here: {done.stderr.strip()}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        if arguments[-1] not in points:
            points.append(arguments[-1])

    yield mount
    for point in points:
        subprocess.run(["umount", "--lazy", point], check=True)


@pytest.fixture
def small_disk(tmp_path: Path, mounted: Callable[..., None]) -> Callable[[str], Path]:
    """Mount file systems of a given size."""

    def mount(size: str) -> Path:
        folder = tmp_path / "small" / size
        folder.mkdir(parents=True)
        mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
        return folder

    return mount


@pytest.fixture
def read_only(mounted: Callable[..., None]) -> Callable[[Path], None]:
    """Let nobody write below a folder, not even root."""

    def protect(folder: Path) -> None:
        mounted("--bind", str(folder), str(folder))
        mounted("-o", "remount,bind,ro", str(folder))

    return protect


def write_rows(folder: Path, splits: Mapping[str, list[dict[str, Any]]]) -> Path:
    """Write a JSONL file for each split, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def _write_sample(task: str, folder: Path) -> Path:
    from hpo import samples

    rows: Any = {"ner": samples.ner, "sentiment": samples.sentiment}[task]
    sizes = {"train": TRAIN_ROWS, "validation": OTHER_ROWS, "test": OTHER_ROWS}
    return write_rows(folder, {name: rows(name)[:size] for name, size in sizes.items()})


@pytest.fixture(scope="session")
def ner_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl, validation.jsonl and test.jsonl of the NER sample's first rows."""
    return _write_sample("ner", tmp_path_factory.mktemp("ner"))


@pytest.fixture(scope="session")
def sentiment_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the sentiment sample."""
    return _write_sample("sentiment", tmp_path_factory.mktemp("sentiment"))


def load(folder: Path, task: str) -> "StudyData":
    """Load a folder of JSONL files as a study would."""
    from hpo.data import load_data
    from hpo.spec import DataSpec
    from hpo.tasks import load_task

    spec = DataSpec(path=str(folder))
    return load_data(spec, layout=load_task(task).layout, folder=folder, seed=1)


@pytest.fixture(scope="session")
def study_data(ner_folder: Path, sentiment_folder: Path) -> "dict[str, StudyData]":
    """The data of each task."""
    return {"ner": load(ner_folder, "ner"), "sentiment": load(sentiment_folder, "sentiment")}


@pytest.fixture(scope="session")
def model_folders(
    study_data: "dict[str, StudyData]", tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A tiny pretrained model of each family, its tokenizer trained on the text of both tasks."""
    from hpo.samples import models

    texts = [" ".join(row["tokens"]) for row in study_data["ner"].train.rows]
    texts += study_data["sentiment"].train.rows["text"]
    folder = tmp_path_factory.mktemp("models")
    return {family: models.build(family, texts, folder / family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    name: str = request.param
    return name


@pytest.fixture
def source(family: str, model_folders: dict[str, Path]) -> "Source":
    """The tiny pretrained model of the family."""
    from hpo.pretrained import Source

    return Source(f"sample:{family}", str(model_folders[family]))
