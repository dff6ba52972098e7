"""Storage: URLs and their secrets, a safe SQLite queue, and studies that cannot be split."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import optuna
import pytest
from sqlalchemy.engine import make_url

from hpo import storage
from hpo.errors import BadInput, StorageError, StudyMismatch
from tests.forks import FORKS
from tests.studies_made import make_spec

CANARY = "c4n4ry"
PROCESSES = 6
TRIALS = 60


def create(url: str, changes: dict[str, Any] | None = None, fingerprint: str = "f1") -> str:
    """Create the study or attach to it; return its id."""
    study = storage.create_or_attach(
        storage.open_storage(url), "study", make_spec(changes), direction="maximize",
        facts={storage.FINGERPRINT: fingerprint},
    )  # fmt: skip
    return str(study.user_attrs[storage.ID])


def claim(url: str) -> list[int]:
    """Take enqueued trials until none is left; return their marks."""
    study = storage.load(storage.open_storage(url), "study")
    taken: list[int] = []
    while True:
        trial = study.ask()
        if "mark" not in trial.user_attrs:
            return taken
        taken.append(int(trial.user_attrs["mark"]))


def in_processes(work: Callable[[str], Any], url: str) -> list[Any]:
    """Let several processes do the same at the same moment."""
    with FORKS.Manager() as manager, ProcessPoolExecutor(PROCESSES, mp_context=FORKS) as pool:
        start = manager.Barrier(PROCESSES)
        begun = [pool.submit(_at_once, start, work, url) for _ in range(PROCESSES)]
        return [each.result() for each in begun]


def _at_once(start: Barrier, work: Callable[[str], Any], url: str) -> Any:
    start.wait()
    return work(url)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that is not there yet."""
    return f"sqlite:///{tmp_path / 'new' / 'hpo.db'}"


def test_one_database_and_one_study_whoever_comes_first(url: str) -> None:
    """Several processes on a new file: all get the same study."""
    ids = in_processes(create, url)
    assert len(set(ids)) == 1
    assert create(url) == ids[0]


def test_each_trial_is_taken_once(url: str) -> None:
    """Several processes empty one queue: every trial once, none twice."""
    create(url)
    study = storage.load(storage.open_storage(url), "study")
    for mark in range(TRIALS):
        study.enqueue_trial({}, user_attrs={"mark": mark})
    taken = Counter(mark for marks in in_processes(claim, url) for mark in marks)
    assert taken == dict.fromkeys(range(TRIALS), 1)


def test_attaching_names_each_difference(url: str) -> None:
    """Another specification or other data is refused; another budget is not, and is stored."""
    first = create(url)
    with pytest.raises(StudyMismatch) as caught:
        create(url, {"seed": 8, "training": {"num_train_epochs": 3}}, fingerprint="f2")
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines[1:-1] == [
        "seed: stored 7, found 8",
        "training.num_train_epochs: stored 2, found 3",
        "fingerprint: stored f1, found f2",
    ]
    assert create(url, {"budget": {"trials": 9}, "keep_checkpoints": 3}) == first
    stored = storage.spec_of(storage.load(storage.open_storage(url), "study"))
    assert (stored.budget.trials, stored.keep_checkpoints, stored.seed) == (9, 3, 7)


def test_studies_of_others_are_left_alone(url: str) -> None:
    """A study that hpo did not make is neither run, nor shown, nor listed."""
    opened = storage.open_storage(url)
    other = optuna.create_study(storage=opened, study_name="study")
    other.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StorageError, match="was not made by hpo"):
        create(url)
    with pytest.raises(BadInput, match="was not made by hpo"):
        storage.load(opened, "study")
    assert storage.study_names(opened) == []
    with pytest.raises(BadInput, match="found no 'studi'; known are none"):
        storage.load(opened, "studi")


def test_specification_of_another_version(url: str) -> None:
    """A key that this version does not know is told, as is what to do with it."""
    create(url)
    study = storage.load(storage.open_storage(url), "study")
    study.set_user_attr(storage.SPEC, {**make_spec().to_json(), "colour": "red"})
    with pytest.raises(StorageError, match="another version of hpo; this one cannot read colour"):
        storage.spec_of(study)


def test_a_plain_path_is_sqlite(tmp_path: Path) -> None:
    """The folder is made with the file; without `create` nothing is."""
    path = tmp_path / "a" / "b" / "trials.db"
    with pytest.raises(StorageError, match="nothing has been run there yet"):
        storage.open_storage(str(path), create=False)
    assert not path.parent.exists()
    storage.open_storage(str(path))
    assert storage.study_names(storage.open_storage(str(path), create=False)) == []
    with sqlite3.connect(tmp_path / "empty.db") as empty:
        empty.execute("create table t (x)")
    with pytest.raises(StorageError, match="found no studies"):
        storage.open_storage(str(tmp_path / "empty.db"), create=False)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"mysql://u:{CANARY}@host/db", "found mysql; expected sqlite"),
        (f"redis://:{CANARY}@host/0", "found redis; expected sqlite"),
        (f"postgres://u:{CANARY}@host/db", "found postgres; expected sqlite"),
        (f"postgresql://u:p/{CANARY}@127.0.0.1:9/db", "127.0.0.1:9/db: "),
        (f"postgresql://u:{CANARY}@host:port/db", "found no database URL"),
        (f"postgresql://u:{CANARY}@127.0.0.1:9/db", "127.0.0.1:9/db: "),
        (f"postgresql://127.0.0.1:9/db?user=u&password={CANARY}", "127.0.0.1:9/db: "),
        (f"postgresql+psycopg://u:{CANARY}@127.0.0.1:9/db", "127.0.0.1:9/db: "),
        (f"postgresql://u:{CANARY}%40x@127.0.0.1:9/db?nonsense={CANARY}", "127.0.0.1:9/db: "),
        ("sqlite://", "SQLite in memory"),
        ("sqlite:///:memory:", "SQLite in memory"),
        ("sqlite:////dev/null/hpo.db", "/dev/null/hpo.db: "),
        ("", ""),
    ],
)
def test_unusable_storage_is_told_without_secrets(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever is wrong is one StorageError; no password, not even a part of it, is in it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError) as caught:
        storage.open_storage(url)
    assert message in str(caught.value)
    told = "".join(map(str, [caught.value, caught.value.__cause__, caught.value.args]))
    assert CANARY not in told
    if url.startswith("postgresql") and ":9/" in url:
        assert "storage postgresql+psycopg2://" in told, "SQLAlchemy 2.1 takes psycopg 3"


def test_secrets_in_a_message_of_the_database_are_taken_out() -> None:
    """Whatever quotes the password, wherever the URL has it."""
    for url in (f"postgresql://u:{CANARY}@host/db", f"postgresql://host/db?password={CANARY}"):
        with (
            pytest.raises(StorageError) as caught,
            storage.told(make_url(url), ValueError),
        ):
            raise ValueError(f"no such user: u, {CANARY}")
        assert CANARY not in str(caught.value)
        assert "no such user: u, ***" in str(caught.value)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A text file in place of the database is told, and left as it is."""
    path = tmp_path / "hpo.db"
    path.write_text("these are notes\n" * 100)
    with pytest.raises(StorageError, match=r"hpo\.db, which is no SQLite database"):
        storage.open_storage(str(path))
    with pytest.raises(StorageError, match=r"found the folder .*; expected a file"):
        storage.open_storage(str(tmp_path))
    assert path.read_text() == "these are notes\n" * 100
    assert [each.name for each in tmp_path.iterdir()] == ["hpo.db"]
    assert not tmp_path.with_name(f"{tmp_path.name}.lock").exists()


def test_default_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, else a file in the output folder, odd characters included."""
    output = tmp_path / "50% of #1"
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    storage.open_storage(storage.default_url(output))
    assert (output / "hpo.db").is_file()
    monkeypatch.setenv("HPO_STORAGE", "sqlite:///elsewhere.db")
    assert storage.default_url(output) == "sqlite:///elsewhere.db"


@pytest.mark.parametrize("url", ["postgresql://u:CANARY@PW@127.0.0.1:1/db", "u:CANARY@host"])
def test_a_url_that_would_show_its_password_is_refused(url: str) -> None:
    """An @ in a password, or a forgotten scheme: told without a word of the URL."""
    with pytest.raises(StorageError, match="found no database URL") as refused:
        storage.open_storage(url)
    assert "CANARY" not in str(refused.value)
    assert "PW@" not in str(refused.value)
