"""From a URL to Optuna's storage, and a study's specification in and out of it.

Optuna's own tables hold everything; what is ours stands in the user attributes of studies (below)
and trials (`hpo.trials`). Names that start with `hpo:` are for the machinery, others for people.
"""

import json
import os
import platform
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import optuna
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from pydantic import ValidationError
from sqlalchemy import Engine, Row, create_engine, func, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from hpo import leases, postgresql, presence, rights
from hpo.binding import BindingStorage
from hpo.errors import BadInput, HpoError, StorageError, StudyMismatch, UnknownVersion
from hpo.filesystems import remote_kind
from hpo.leases import LEASE, STUDY_ID, drop_orphans
from hpo.outages import persisting
from hpo.patience import patience
from hpo.plugins import nearest
from hpo.spec import StudySpec
from hpo.transactions import SLICE, log_changes, logs_changes, reading, serialise_writers

_LOOK_AGAIN = (0.05, 0.3)  # seconds between two attempts at the lock
_PREFIX = "hpo:"  # of our attributes
SPEC = f"{_PREFIX}spec"
METRIC = "hpo:metric"
METRIC_NAMES = "study:metric_names"  # Optuna's own
NOTICES = "hpo:notices"
DATA = "hpo:data"  # where the relative paths of the study file start, on the machine it came from
POINTS = "hpo:points"  # how many a grid has
VERSIONS = "hpo:versions"
ID = STUDY_ID
DIGEST = "hpo:digest"
FINGERPRINT = "hpo:fingerprint"  # of the data
COMMITS = "hpo:commits"  # model -> the commit of the hub that new trials begin with
_DECISIVE = ("hpo", "optuna", "transformers")  # a study is of one minor version of each
_OPENING = (ImportError, OSError, ValueError, RuntimeError)  # the last: a schema of another version
_WITHOUT_LOG = 60.0  # seconds that whoever uses SQLite waits for another one
_CREATION = 60.0  # seconds that creating tables or a study may take somebody else
START = 30.0  # seconds for which a server may be away when a worker starts
_STUDIES = models.StudyModel.__table__
_STUDY_ATTRS = models.StudyUserAttributeModel.__table__
_LAST_TABLE = "alembic_version"  # where it is, Optuna's others are, with their version
_OURS = (leases.TABLE, presence.TABLE)  # beside Optuna's
_NO_RIGHT = "42501"  # of PostgreSQL's codes
_SCHEMA_LOCK = int.from_bytes(b"hpo:make")  # any number that no one else uses in the database


def default_url(output: Path) -> str:
    """Return the storage that is used where none is named: `HPO_STORAGE`, or a file in `output`."""
    named = os.environ.get("HPO_STORAGE")
    if named:
        return named
    return URL.create("sqlite", database=str(output / "hpo.db")).render_as_string()


def open_storage(
    url: str, *, create: bool = True, wait: float = START, lease: float = LEASE
) -> BindingStorage:
    """Connect to a storage; its tables are created where it is new.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/database`; a plain path is SQLite.
        create: make file and tables where there are none; without it nothing is written.
        wait: seconds for which a server may be away.
        lease: seconds that a worker's leases last; it is to notice within half of that if the
            server is cut off.

    Raises:
        StorageError: it is unreachable, unusable or of another kind.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        with told(parsed, *_OPENING):
            return _open_sqlite(parsed, create=create)
    given = postgresql.connect_timeout(parsed) or 0
    with told(parsed, *_OPENING), patience(max(wait, given)):
        silence = min(lease / 2, postgresql.SILENCE)
        return persisting(lambda: _open_postgresql(parsed, silence, create=create))


def open_for_work(url: str, lease: float = LEASE, *, create: bool = True) -> BindingStorage:
    """Connect to a storage to work on its studies, or to make some; see `open_storage`.

    Raises:
        StorageError: as there, and where the role may only read.
    """
    opened = open_storage(url, create=create, lease=lease)
    with told(opened.engine.url):
        persisting(lambda: rights.require_worker(opened.engine, shown(opened.engine.url)))
    return opened


def _parse(url: str) -> URL:
    is_path = "://" not in url and "@" not in url  # with one it is a URL that lacks its scheme
    if is_path and not url.startswith(("postgres", "sqlite:")):
        url = f"sqlite:///{url}"
    try:
        parsed = make_url(url)
        if "@" in (parsed.host or ""):  # of a password that is not escaped: shown nowhere
            raise ValueError
    except (ArgumentError, ValueError):  # the second where a port is no number
        raise StorageError(
            "storage: found no database URL; expected sqlite:///path or "
            "postgresql://user@host/database (@ : / in a password are written %40 %3A %2F)"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        # SQLAlchemy 2.1 takes a plain `postgresql://` for psycopg 3; psycopg2 is what we ship.
        return parsed.set(drivername="postgresql+psycopg2")
    if backend != "sqlite":
        raise StorageError(
            f"storage: found {backend}; expected sqlite:///path or postgresql://user@host/database"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise StorageError("storage: found SQLite in memory; expected a file: sqlite:///path")
    return parsed


def shown(url: URL) -> str:
    """Return a storage URL for messages: without its password, its query and its driver."""
    plain = url.set(drivername=url.get_backend_name(), query={})
    return plain.render_as_string(hide_password=True)


def without_password(url: str) -> str:
    """Return a storage URL as it may be shown."""
    return shown(make_url(url)) if "://" in url else url


def _open_sqlite(url: URL, *, create: bool) -> BindingStorage:
    path = Path(str(url.database))
    if not create and not path.exists():
        raise StorageError(f"storage: found no file {path}; nothing has been run there yet")
    _check_sqlite(path)
    if not create:
        engine = create_engine(url)
        tables = inspect(engine).get_table_names()
        engine.dispose()
        if "studies" not in tables:
            raise StorageError(f"storage: found no studies in {path}; nothing has been run there")
        storage = _sqlite_storage(url, skip_table_creation=True)
        serialise_writers(storage.engine)  # orders are written through it
        _check_schema(storage)
        return storage
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and _has_all_tables(create_engine(url, poolclass=NullPool)):
        storage = _sqlite_storage(url, skip_table_creation=True)
    else:
        # Optuna creates its tables without a lock: of many workers that start at once most crash.
        with _one_at_a_time(url):
            log_changes(path)
            storage = _sqlite_storage(url)
            _create_our_tables(storage.engine)
    _check_schema(storage)
    serialise_writers(storage.engine)
    return storage


def _sqlite_storage(url: URL, *, skip_table_creation: bool = False) -> BindingStorage:
    # Without a log of changes, readers and the end of a transaction wait too, and in one piece.
    timeout = SLICE if logs_changes(Path(str(url.database))) else _WITHOUT_LOG
    return BindingStorage(
        url.render_as_string(hide_password=False),
        engine_kwargs={"connect_args": {"timeout": timeout}},
        skip_table_creation=skip_table_creation,
        skip_compatibility_check=True,
    )


def _has_all_tables(engine: Engine) -> bool:
    return {_LAST_TABLE, *_OURS} <= set(inspect(engine).get_table_names())


def _create_our_tables(engine: Engine) -> None:
    leases.create_table(engine)
    presence.create_table(engine)


def _open_postgresql(url: URL, silence: float, *, create: bool) -> BindingStorage:
    opened = partial(
        BindingStorage, url.render_as_string(hide_password=False),
        engine_kwargs=postgresql.engine_options(url, silence),
        skip_compatibility_check=True,  # Optuna's holds a connection and waits for another one
    )  # fmt: skip
    engine = create_engine(url, connect_args=postgresql.connect_args(url), poolclass=NullPool)
    tables = inspect(engine).get_table_names()
    if not create and _LAST_TABLE not in tables:
        raise StorageError(f"storage {shown(url)}: found no studies; nothing has been run")
    missing = {_LAST_TABLE, *_OURS} - set(tables)
    if not create or not missing:
        storage = opened(skip_table_creation=True)
    else:
        with _one_at_a_time(url):
            # A storage may be older than the list of workers, and who opens it not be allowed to
            # make tables: it is worked on without, until somebody comes who is.
            is_older = missing == {presence.TABLE}
            storage = opened(skip_table_creation=is_older)
            with suppress(*([ProgrammingError] if is_older else [])):
                _create_our_tables(storage.engine)
    _check_schema(storage)
    postgresql.settle_in(storage.engine)
    return storage


def _check_schema(storage: RDBStorage) -> None:
    """Refuse tables of another version of Optuna's, and say what helps.

    Raises:
        StorageError: they are older or newer than this version's.
    """
    found = storage.get_current_version()
    if found == storage.get_head_version():
        return
    url = shown(storage.engine.url)
    if found in storage.get_all_versions():
        raise StorageError(
            f"storage {url}: found tables of an older Optuna, {found}; expected those of "
            f"{version('optuna')}. Once no worker runs, `optuna storage upgrade --storage URL` "
            "brings them up to date (make a backup before)"
        )
    raise StorageError(
        f"storage {url}: found tables of a newer Optuna, {found}; expected those of "
        f"{version('optuna')}. Install the Optuna of those who made them"
    )


@contextmanager
def _one_at_a_time(url: URL) -> Iterator[None]:
    """Let one process at a time, wherever it runs, make tables or studies.

    Raises:
        StorageError: another one has been at it for too long.
    """
    if url.get_backend_name() == "sqlite":
        lock = FileLock(f"{url.database}.lock", timeout=_CREATION)
        try:
            held = lock.acquire()
        except Timeout:
            raise StorageError(
                f"storage {shown(url)}: another process has held {lock.lock_file} for "
                f"{_CREATION:g} s; expected it to go on, or to be ended if it is stopped"
            ) from None
        with held:
            yield
        return
    engine = create_engine(url, connect_args=postgresql.connect_args(url), poolclass=NullPool)
    end = time.monotonic() + _CREATION
    while True:
        with engine.begin() as connection:
            # The lock ends with the transaction: that of a process that is stopped is ended by the
            # server (`_NOT_FOR_EVER`), and that of a machine that is gone with it.
            if connection.scalar(select(func.pg_try_advisory_xact_lock(_SCHEMA_LOCK))):
                yield
                return
        # Whoever waits holds no connection meanwhile: whoever has the lock needs a second one.
        if time.monotonic() > end:
            raise StorageError(
                f"storage {shown(url)}: another process has been making tables or a study for "
                f"{_CREATION:g} s; expected it to go on, or to be ended if it is stopped"
            )
        time.sleep(random.uniform(*_LOOK_AGAIN))


def _check_sqlite(path: Path) -> None:
    if path.is_dir():
        raise StorageError(f"storage: found the folder {path}; expected a file: sqlite:///path")
    if path.exists():
        # SQLite looks by itself: whoever else closes the file takes away the locks that this
        # process has on it. https://sqlite.org/howtocorrupt.html, section 2.2
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA schema_version")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise StorageError(
                    f"storage: found {path}, which is no SQLite database; expected one"
                ) from None


def create_or_attach(  # noqa: PLR0913 - what a study is, in the words of its caller
    storage: RDBStorage,
    name: str,
    spec: StudySpec,
    *,
    direction: Literal["maximize", "minimize"],
    facts: dict[str, Any],
    first: dict[str, Any] | None = None,
    update: Callable[[StudySpec], None] | None = lambda _stored: None,
    extends: Callable[[StudySpec, StudySpec], bool] = lambda _stored, _new: False,
) -> optuna.Study:
    """Create a study with its specification, or attach to the one that has the same.

    Args:
        storage: where it lives.
        name: what it is called.
        spec: what it is; stored, so that a study file edited later cannot split it.
        direction: whether a larger or a smaller objective is better.
        facts: whatever else its trials must agree on, such as the fingerprint of the data.
        first: what else is stored by whoever creates the study.
        update: is told the stored specification, before what may change of it, such as the budget,
            is stored anew; None leaves it as it is.
        extends: says whether a specification that differs from the stored one merely adds to it,
            and may take its place.

    Raises:
        StudyMismatch: it exists with another specification, other facts or of other versions;
            each difference is named.
        StorageError: the storage failed, or holds a study of that name that is not ours.
    """

    def attempt() -> optuna.Study:
        with _unless_there(storage, name):
            study = optuna.create_study(
                storage=storage, study_name=name, direction=direction, load_if_exists=True,
                pruner=optuna.pruners.NopPruner(),
            )  # fmt: skip
            stored = study.user_attrs
            if SPEC not in stored:
                _write_new(storage, study, spec, {**facts, **(first or {})})
                return study
            _refuse_versions(name, stored)  # whose specification may be one that nobody here reads
            stored_spec = spec_of(name, stored)
            grown = bool(spec.differences(stored_spec)) and extends(stored_spec, spec)
            _refuse_differences(name, [] if grown else spec.differences(stored_spec), stored, facts)
            if grown:
                study.set_user_attr(DIGEST, spec.digest())
            if update is not None:
                update(stored_spec)
                study.set_user_attr(SPEC, spec.to_json())
            return study

    with told(storage.engine.url):
        return persisting(attempt)


def agree_on_commits(
    storage: RDBStorage, study: optuna.Study, found: Mapping[str, str]
) -> dict[str, str]:
    """Return the commits of the hub that a study's models are, for each worker alike.

    Args:
        storage: where it lives.
        study: which one.
        found: model -> commit, as this process found them; stored of those the study lacks.

    Raises:
        StorageError: the storage failed.
    """

    def stored() -> dict[str, str]:
        return commits_of(storage.get_study_user_attrs(study._study_id))  # noqa: SLF001

    def attempt() -> dict[str, str]:
        if found.keys() <= stored().keys():
            return stored()
        with _one_at_a_time(storage.engine.url):
            agreed = {**found, **stored()}
            study.set_user_attr(COMMITS, agreed)
        return agreed

    with told(storage.engine.url):
        return persisting(attempt)


def commits_of(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return model -> commit of the hub, of a study's attributes."""
    return dict(attrs.get(COMMITS, {}))


def _write_new(
    storage: RDBStorage, study: optuna.Study, spec: StudySpec, facts: Mapping[str, Any]
) -> None:
    """Write what a study is; its specification comes last, and makes it one of ours."""
    if study.get_trials(deepcopy=False):
        raise StorageError(f"study {study.study_name!r}: exists, but was not made by hpo")
    if METRIC in facts:
        # As `set_metric_names` would, which warns that it is experimental: whoever shows the study
        # by Optuna's means calls its objective by its name.
        storage.set_study_system_attr(study._study_id, METRIC_NAMES, [facts[METRIC]])  # noqa: SLF001
    ours = {**facts, ID: uuid4().hex, DIGEST: spec.digest(), VERSIONS: _versions()}
    for key, value in {**ours, SPEC: spec.to_json()}.items():
        study.set_user_attr(key, value)
    with storage.engine.begin() as connection:
        drop_orphans(connection)


def _refuse_versions(name: str, stored: Mapping[str, Any]) -> None:
    """Refuse to join a study of other versions; raises a `StudyMismatch` that names them."""
    if versions := _other_versions(stored.get(VERSIONS, {})):
        raise StudyMismatch(
            f"study {name!r} was created with other versions:\n  "
            + "\n  ".join(versions)
            + "\nInstall those, or give this study another name (--name)."
        )


def _refuse_differences(
    name: str, differences: Sequence[str], stored: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Refuse to join a study of another specification or other data.

    Raises:
        StudyMismatch: each difference is named.
    """
    others = [
        f"{key.removeprefix(_PREFIX)}: stored {stored.get(key)}, found {value}"
        for key, value in facts.items()
        if stored.get(key) != value
    ]
    if others and not differences:
        raise StudyMismatch(
            f"study {name!r} was created with other data:\n  "
            + "\n  ".join(others)
            + "\nGive the data that it was created with (hpo worker: --data)."
        )
    if differences:
        raise StudyMismatch(
            f"study {name!r} exists with another specification:\n  "
            + "\n  ".join([*differences, *others])
            + "\nGive this one another name (--name), or put back what was changed."
        )


@contextmanager
def _unless_there(storage: RDBStorage, name: str) -> Iterator[None]:
    """Be alone, unless the study is there already: then there is nothing to create."""
    there = False
    with suppress(KeyError):
        there = SPEC in storage.get_study_user_attrs(storage.get_study_id_from_name(name))
    with nullcontext() if there else _one_at_a_time(storage.engine.url):
        yield


def _versions() -> dict[str, str]:
    names = ("hpo", "torch", "transformers", "datasets", "tokenizers", "optuna")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _other_versions(stored: Mapping[str, str]) -> list[str]:
    """Name the versions in which this process may not join a study; trials record the others.

    Between two of their minor versions, these change what a specification means.
    """
    mine = _versions()
    return [
        f"{name}: stored {stored[name]}, found {mine[name]}"
        for name in _DECISIVE
        if name in stored and _minor(stored[name]) != _minor(mine[name])
    ]


def own_versions(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return those versions of this process that differ from a study's, given its attributes."""
    stored, mine = attrs.get(VERSIONS, {}), _versions()
    return {name: mine[name] for name in mine if stored.get(name, mine[name]) != mine[name]}


def _minor(number: str) -> list[str]:
    return number.split(".")[:2]


def load(storage: RDBStorage, name: str) -> optuna.Study:
    """Load a study by name.

    Raises:
        BadInput: there is none of that name, or it is not ours.
        StorageError: the storage cannot be read.
    """
    with told(storage.engine.url):
        try:
            study = optuna.load_study(
                study_name=name, storage=storage, pruner=optuna.pruners.NopPruner()
            )
        except KeyError:
            known = study_names(storage)
            listed = ", ".join(known) or "none"
            raise BadInput(
                f"study: found no {name!r}; known are {listed}{nearest(name, known)}"
            ) from None
        if SPEC not in study.user_attrs:
            raise BadInput(f"study {name!r}: was not made by hpo")
        return study


def engine_of(study: optuna.Study) -> Engine:
    """Return the engine of the storage that a study of ours is in."""
    backend: Any = study._storage  # noqa: SLF001 - Optuna has no name for it
    engine: Engine = getattr(backend, "_backend", backend).engine
    return engine


def study_names(storage: RDBStorage) -> list[str]:
    """Return the names of all studies that are ours, oldest first."""
    return list(study_attributes(storage))


def study_attributes(storage: RDBStorage) -> dict[str, dict[str, Any]]:
    """Return the name of each study of ours, oldest first -> its attributes of ours.

    One statement; Optuna's summaries read every trial there is
    (https://github.com/optuna/optuna/blob/v5.0.0/optuna/study/study.py, get_all_study_summaries).
    """
    query = (
        select(_STUDIES.c.study_name, _STUDY_ATTRS.c.key, _STUDY_ATTRS.c.value_json)
        .join(_STUDY_ATTRS, _STUDY_ATTRS.c.study_id == _STUDIES.c.study_id)
        .where(func.substr(_STUDY_ATTRS.c.key, 1, len(_PREFIX)) == _PREFIX)
        .order_by(_STUDIES.c.study_id)
    )

    def read() -> Sequence[Row[Any]]:
        with reading(), storage.engine.begin() as connection:
            return connection.execute(query).all()

    found: dict[str, dict[str, Any]] = {}
    with told(storage.engine.url):
        for row in persisting(read):
            found.setdefault(row.study_name, {})[row.key] = json.loads(row.value_json)
    return {name: attrs for name, attrs in found.items() if SPEC in attrs}


def spec_of(name: str, attrs: Mapping[str, Any]) -> StudySpec:
    """Return the specification that a study stores in its user attributes.

    Raises:
        UnknownVersion: another version of hpo wrote it, and this one cannot read it.
    """
    try:
        return StudySpec.model_validate_json(json.dumps(attrs[SPEC]))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise UnknownVersion(
            f"study {name!r}: was stored by another version of hpo; this one cannot read {keys}"
        ) from None


def doubt(storage: RDBStorage) -> str:
    """Return what to tell of a storage that works here, and may not where several machines do.

    It is no reason to refuse: one machine may well have its files on a server.
    """
    url = storage.engine.url
    path = Path(str(url.database))
    if url.get_backend_name() != "sqlite" or not (kind := remote_kind(path)):
        return ""
    return (
        f"storage {shown(url)}: found SQLite on a file system that machines share ({kind}), whose "
        "locks may fail; expected workers of one machine alone, or PostgreSQL"
        + (
            "; what is written goes to a log that no other machine sees"
            if logs_changes(path)
            else ""
        )
    )


@contextmanager
def told(url: URL, *also: type[Exception]) -> Iterator[None]:
    """Turn what a storage raises into one message without a password in it.

    Args:
        url: of the storage.
        also: further errors that can only come from the storage here.
    """
    raised: tuple[type[Exception], ...] = (SQLAlchemyError, optuna.exceptions.OptunaError, *also)
    try:
        yield
    except HpoError:
        raise
    except raised as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        cause = getattr(cause, "orig", None) or cause  # of what Optuna wraps
        text = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        secrets = [url.password, url.query.get("password")]
        with suppress(StorageError):
            secrets.append(postgresql.password_of(url))
        for secret in filter(None, secrets):
            text = text.replace(str(secret), "***")
        if getattr(cause, "pgcode", None) == _NO_RIGHT:
            text = f"{text}; {rights.ADVICE}"
        raise StorageError(f"storage {shown(url)}: {postgresql.explained(text, url)}") from None
