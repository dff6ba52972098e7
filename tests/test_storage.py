"""Storage: URLs and their secrets, a queue that is safe, and studies that cannot be split."""

import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy import text
from sqlalchemy.engine import make_url

from hpo import storage
from hpo.errors import BadInput, StorageError, StudyMismatch
from tests.forks import FORKS
from tests.postgres import Server
from tests.studies_made import make_spec

CANARY = "c4n4ry"
PROCESSES = 6
OPENERS = 16
TRIALS = 60


@contextmanager
def opened(url: str, *, create: bool = True) -> Iterator[RDBStorage]:
    """Open a storage, and leave no connection behind."""
    found = storage.open_storage(url, create=create)
    try:
        yield found
    finally:
        found.engine.dispose()


def create(url: str, changes: dict[str, Any] | None = None, fingerprint: str = "f1") -> str:
    """Create the study or attach to it; return its id."""
    with opened(url) as found:
        study = storage.create_or_attach(
            found, "study", make_spec(changes), direction="maximize",
            facts={storage.FINGERPRINT: fingerprint},
        )  # fmt: skip
        return str(study.user_attrs[storage.ID])


def claim(url: str) -> list[int]:
    """Take enqueued trials until none is left; return their marks."""
    taken: list[int] = []
    with opened(url) as found:
        study = storage.load(found, "study")
        while True:
            trial = study.ask()
            if "mark" not in trial.user_attrs:
                return taken
            taken.append(int(trial.user_attrs["mark"]))


def names(url: str) -> list[str]:
    """Open a database, new or not, and list its studies."""
    with opened(url) as found:
        return storage.study_names(found)


def _at_once(start: Barrier, work: Callable[[str], Any], url: str) -> Any:
    start.wait()
    return work(url)


@pytest.fixture(scope="module")
def in_processes() -> Iterator[Callable[..., list[Any]]]:
    """Let several processes do the same at the same moment."""
    with FORKS.Manager() as manager, ProcessPoolExecutor(OPENERS, mp_context=FORKS) as pool:

        def run(work: Callable[[str], Any], url: str, number: int = PROCESSES) -> list[Any]:
            start = manager.Barrier(number)
            begun = [pool.submit(_at_once, start, work, url) for _ in range(number)]
            return [each.result() for each in begun]

        yield run


@pytest.fixture
def url(database_url: str) -> str:
    """A database that is new, of each kind in turn."""
    return database_url


@pytest.mark.parametrize("attempt", range(3))
def test_many_workers_start_on_a_new_database(
    url: str, attempt: int, in_processes: Callable[..., list[Any]]
) -> None:
    """Whoever creates the tables, all can use them."""
    assert in_processes(names, url, OPENERS) == [[]] * OPENERS


def test_one_database_and_one_study_whoever_comes_first(
    url: str, in_processes: Callable[..., list[Any]]
) -> None:
    """Several processes on a new database: all get the same study."""
    ids = in_processes(create, url)
    assert len(set(ids)) == 1
    assert create(url) == ids[0]


def test_each_trial_is_taken_once(url: str, in_processes: Callable[..., list[Any]]) -> None:
    """Several processes empty one queue: every trial once, none twice."""
    create(url)
    with opened(url) as found:
        study = storage.load(found, "study")
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
    with opened(url) as found:
        stored = storage.spec_of("study", storage.load(found, "study").user_attrs)
    assert (stored.budget.trials, stored.keep_checkpoints, stored.seed) == (9, 3, 7)


def test_studies_of_others_are_left_alone(url: str) -> None:
    """A study that hpo did not make is neither run, nor shown, nor listed."""
    with opened(url) as found:
        other = optuna.create_study(storage=found, study_name="study")
        other.add_trial(optuna.trial.create_trial(value=1.0))
        with pytest.raises(StorageError, match="was not made by hpo"):
            create(url)
        with pytest.raises(BadInput, match="was not made by hpo"):
            storage.load(found, "study")
        assert storage.study_names(found) == []
        with pytest.raises(BadInput, match="found no 'studi'; known are none"):
            storage.load(found, "studi")


def test_specification_of_another_version(url: str) -> None:
    """A key that this version does not know is told, as is what to do with it."""
    create(url)
    with opened(url) as found:
        study = storage.load(found, "study")
        study.set_user_attr(storage.SPEC, {**make_spec().to_json(), "colour": "red"})
        with pytest.raises(StorageError, match="this one cannot read colour"):
            storage.spec_of("study", study.user_attrs)


def test_without_create_nothing_is_written(postgres: Server) -> None:
    """An empty PostgreSQL database is told, and stays empty; one with tables is read."""
    url = postgres.new_database()
    for _ in range(2):
        with pytest.raises(StorageError, match=r"found no studies; nothing has been run"):
            storage.open_storage(url, create=False)
    create(url)
    with opened(url, create=False) as found:
        assert storage.study_names(found) == ["study"]
    postgres.drop(url)


def test_an_existing_schema_costs_no_lock(postgres: Server) -> None:
    """While somebody holds the lock of the schema, others still open what is there."""
    url = postgres.new_database()
    assert names(url) == []
    with storage._one_at_a_time(storage._parse(url)):
        assert names(f"{url}?options=-clock_timeout%3D1s") == []
    postgres.drop(url)


def test_who_attaches_waits_for_nobody(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who is stopped while it creates a study keeps nobody from joining the others."""
    monkeypatch.setattr(storage, "_CREATION", 0.1)
    study = create(url)
    with storage._one_at_a_time(storage._parse(url)):
        assert create(url) == study
        if url.startswith("sqlite"):
            with (
                opened(url) as found,
                pytest.raises(StorageError, match="another process has held"),
            ):
                storage.create_or_attach(
                    found, "new", make_spec(None), direction="maximize", facts={}
                )  # fmt: skip


def test_a_lost_connection_is_replaced(postgres: Server) -> None:
    """The server ends a connection between two uses: the next use notices nothing."""
    url = postgres.new_database()
    with opened(url) as found, opened(url) as other:
        assert storage.study_names(found) == []
        with other.engine.connect() as connection:
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            end += "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            assert True in connection.execute(text(end)).scalars().all()
        assert storage.study_names(found) == []
    postgres.drop(url)


def test_times_are_those_of_utc(postgres: Server) -> None:
    """Whatever the zone of the database, its sessions are in UTC."""
    url = postgres.new_database()
    names(url)
    with opened(url) as found:
        with found.engine.begin() as connection:
            name = make_url(url).database
            connection.execute(text(f"ALTER DATABASE {name} SET timezone TO 'Etc/GMT-5'"))
        found.engine.dispose()
        with found.engine.connect() as connection:
            assert connection.execute(text("SHOW timezone")).scalar() == "UTC"
    postgres.drop(url)


def test_a_plain_path_is_sqlite(tmp_path: Path) -> None:
    """The folder is made with the file; without `create` nothing is."""
    path = tmp_path / "a" / "b" / "trials.db"
    with pytest.raises(StorageError, match="nothing has been run there yet"):
        storage.open_storage(str(path), create=False)
    assert not path.parent.exists()
    assert names(str(path)) == []
    with opened(str(path), create=False) as found:
        assert storage.study_names(found) == []
    with closing(sqlite3.connect(tmp_path / "empty.db")) as empty:
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
        storage.open_storage(url, wait=0.1)
    assert message in str(caught.value)
    told = "".join(map(str, [caught.value, caught.value.__cause__, caught.value.args]))
    assert CANARY not in told
    if url.startswith("postgresql") and ":9/" in url:
        assert "storage postgresql://" in told, "the driver is our business"


def test_a_plain_url_is_of_the_driver_that_there_is() -> None:
    """SQLAlchemy 2.1 takes psycopg 3 for it."""
    assert storage._parse("postgresql://host/db").get_driver_name() == "psycopg2"


@pytest.mark.parametrize(
    ("version", "advice"),
    [("v3.0.0.a", "an older Optuna, v3.0.0.a; .*optuna storage upgrade"),
     ("v99.0.0.a", "a newer Optuna, v99.0.0.a; .*Install the Optuna of those who made them")],
)  # fmt: skip
@pytest.mark.parametrize("create", [True, False])
def test_tables_of_another_optuna(url: str, version: str, advice: str, create: bool) -> None:
    """They are left as they are, and it is said what helps."""
    opened = storage.open_storage(url)
    with opened.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": version})
    with pytest.raises(StorageError, match=f"(?s)storage .*: found tables of {advice}"):
        storage.open_storage(url, create=create)
    with opened.engine.begin() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == version
    opened.engine.dispose()


@pytest.mark.parametrize(("least", "seconds"), [(5.0, 1), (0.1, 2)])
def test_how_long_the_url_says_to_wait(
    least: float, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a connection, and for no less and no more than that."""
    monkeypatch.setattr("hpo.answers.LEAST", least)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout={seconds}"
        with pytest.raises(StorageError, match=f"does not answer, .* given up after {seconds} s$"):
            storage.open_storage(url, wait=0.1)


def test_a_question_may_take_longer_than_a_connection(postgres: Server) -> None:
    """The limit is not one of answers."""
    url = postgres.new_database()
    with opened(f"{url}?connect_timeout=3") as found, found.engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(3.2)"))
    postgres.drop(url)


@pytest.mark.parametrize("given", ["x", "1.5"])
def test_a_limit_that_is_no_number(given: str) -> None:
    """It is told, and the server is not asked."""
    with pytest.raises(StorageError, match=r"found connect_timeout='.*'; expected whole seconds"):
        storage.open_storage(f"postgresql://127.0.0.1:9/db?connect_timeout={given}")


def test_a_server_that_never_answers() -> None:
    """It is not waited for in vain; the message says where it is, without the password."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://u:{CANARY}@127.0.0.1:{port}/db?connect_timeout=2"
        with pytest.raises(StorageError, match=rf"127\.0\.0\.1:{port}/db: .*not answer") as caught:
            storage.open_storage(url, wait=0.1)
    assert CANARY not in str(caught.value)


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


@pytest.mark.parametrize("times", [1, 1000])
def test_file_that_is_no_database(tmp_path: Path, times: int) -> None:
    """A text file in place of the database is told, and left as it is."""
    path = tmp_path / "hpo.db"
    path.write_text("notes\n" * times)
    with pytest.raises(StorageError, match=r"hpo\.db, which is no SQLite database"):
        storage.open_storage(str(path))
    with pytest.raises(StorageError, match=r"found the folder .*; expected a file"):
        storage.open_storage(str(tmp_path))
    assert path.read_text() == "notes\n" * times
    assert [each.name for each in tmp_path.iterdir()] == ["hpo.db"]
    assert not tmp_path.with_name(f"{tmp_path.name}.lock").exists()


def _begins(path: Path) -> bool:
    """Say whether a process of its own gets the right to write."""
    begin = "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0).execute('BEGIN IMMEDIATE')"
    ended = subprocess.run([sys.executable, "-c", begin, str(path)], check=False, stderr=-3)
    return ended.returncode == 0


def test_to_open_a_storage_takes_away_no_lock(tmp_path: Path) -> None:
    """A process that opens a file of SQLite's by itself loses its locks when it closes it."""
    path = tmp_path / "hpo.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (i)")
        connection.execute("BEGIN IMMEDIATE")
        assert not _begins(path)
        with pytest.raises(StorageError, match="found no studies"):
            storage.open_storage(str(path), create=False)
        assert not _begins(path)
        connection.execute("COMMIT")
        assert _begins(path)


def test_default_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, else a file in the output folder, odd characters included."""
    output = tmp_path / "50% of #1"
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    assert names(storage.default_url(output)) == []
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
