"""From a URL to Optuna's storage, and a study's specification in and out of it.

Optuna's own tables hold everything; what is ours stands in the user attributes of study and
trials, under names that start with `hpo:`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.storages import RDBStorage
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from hpo.errors import HpoError, StorageError, StudyMismatch
from hpo.plugins import nearest
from hpo.spec import StudySpec

SPEC = "hpo:spec"
_SQLITE_TIMEOUT = 60.0  # seconds that a writer waits for another one

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_storage(url: str, *, create: bool = True) -> RDBStorage:
    """Connect to a storage; its tables are created where it is new.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/database`; a plain path is SQLite.
        create: whether a SQLite file that does not exist is to be created.

    Raises:
        StorageError: it is unreachable, unusable or of another kind.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        with _told(parsed):
            return _open_sqlite(parsed, create=create)
    with _told(parsed):
        return RDBStorage(parsed.render_as_string(hide_password=False))


def _parse(url: str) -> URL:
    if "://" not in url:
        url = f"sqlite:///{url}"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError(
            "storage: found no database URL; expected sqlite:///path or "
            "postgresql://user@host/database"
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


def redact(url: str) -> str:
    """Return a storage URL without its password, for messages."""
    try:
        return _parse(url).render_as_string(hide_password=True)
    except StorageError:
        return re.sub(r"//[^@/]*@", "//***@", url)


def _open_sqlite(url: URL, *, create: bool) -> RDBStorage:
    path = Path(str(url.database))
    if not create and not path.exists():
        raise StorageError(f"storage: found no file {path}; nothing has been run there yet")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Optuna creates its tables without a lock: of many workers that start at once most crash.
    with FileLock(f"{path}.lock"):
        storage = RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={"connect_args": {"timeout": _SQLITE_TIMEOUT}},
        )
    _serialise_writers(storage.engine)
    return storage


def _serialise_writers(engine: Engine) -> None:
    # SQLite knows no `SELECT … FOR UPDATE`: two processes would take the same waiting trial. A
    # transaction that takes the write lock when it begins is as good.
    # https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl
    @event.listens_for(engine, "connect")
    def _manual_begin(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin_immediate(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # the connection that created the tables came before the hooks


def create_or_attach(
    storage: RDBStorage,
    name: str,
    spec: StudySpec,
    *,
    direction: Literal["maximize", "minimize"],
    facts: dict[str, Any],
) -> optuna.Study:
    """Create a study with its specification, or attach to the one that has the same.

    Args:
        storage: where it lives.
        name: what it is called.
        spec: what it is; stored, so that a study file edited later cannot split it.
        direction: whether a larger or a smaller objective is better.
        facts: whatever else its trials must agree on, such as the fingerprint of the data.

    Raises:
        StudyMismatch: it exists with another specification or other facts; each difference is
            named.
        StorageError: the storage failed, or holds a study of that name that is not ours.
    """
    with _told(storage.engine.url):
        study = optuna.create_study(
            storage=storage, study_name=name, direction=direction, load_if_exists=True,
            pruner=optuna.pruners.NopPruner(),
        )  # fmt: skip
        stored = study.user_attrs
        if SPEC not in stored:
            if study.get_trials(deepcopy=False):
                raise StorageError(f"study {name!r}: exists, but was not made by hpo")
            for key, value in facts.items():
                study.set_user_attr(f"hpo:{key}", value)
            study.set_user_attr(SPEC, spec.to_json())
            return study
        differences = spec.differences(spec_of(study))
        differences += [
            f"{key}: stored {stored.get(f'hpo:{key}')}, found {value}"
            for key, value in facts.items()
            if stored.get(f"hpo:{key}") != value
        ]
        if differences:
            raise StudyMismatch(
                f"study {name!r} exists with another specification:\n  "
                + "\n  ".join(differences)
                + "\nGive this one another name (--name), or put back what was changed."
            )
        study.set_user_attr(SPEC, spec.to_json())  # the budget may have changed
        return study


def load(storage: RDBStorage, name: str) -> optuna.Study:
    """Load a study by name.

    Raises:
        StorageError: there is none of that name, or it is not ours.
    """
    with _told(storage.engine.url):
        names = optuna.get_all_study_names(storage)
        if name not in names:
            known = ", ".join(names) or "none"
            raise StorageError(f"study: found no {name!r}; known are {known}{nearest(name, names)}")
        study = optuna.load_study(
            study_name=name, storage=storage, pruner=optuna.pruners.NopPruner()
        )
        if SPEC not in study.user_attrs:
            raise StorageError(f"study {name!r}: was not made by hpo")
        return study


def study_names(storage: RDBStorage) -> list[str]:
    """Return the names of all studies that are ours, oldest first."""
    with _told(storage.engine.url):
        summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
        return [summary.study_name for summary in summaries if SPEC in summary.user_attrs]


def spec_of(study: optuna.Study) -> StudySpec:
    """Return the specification that a study stores."""
    return StudySpec.model_validate_json(_json(study.user_attrs[SPEC]))


def _json(value: object) -> str:
    import json

    return json.dumps(value)


@contextmanager
def _told(url: URL) -> Iterator[None]:
    """Turn whatever a storage raises into one message without a password in it."""
    where = url.render_as_string(hide_password=True)
    try:
        yield
    except HpoError:
        raise
    except (
        SQLAlchemyError,
        optuna.exceptions.OptunaError,
        ImportError,
        OSError,
        ValueError,
    ) as error:
        cause = getattr(error, "orig", None) or error
        text = str(cause).strip() or type(cause).__name__
        if url.password:
            text = text.replace(str(url.password), "***")
        raise StorageError(f"storage {where}: {text.splitlines()[0]}") from None
    except RuntimeError as error:  # Optuna's word for a schema of another version
        raise StorageError(f"storage {where}: {str(error).splitlines()[0]}") from None
