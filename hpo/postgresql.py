"""How `hpo` is connected to PostgreSQL: few connections, on one clock, none waited for in vain."""

import os
import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL

from hpo.answers import Connection, limit_waiting
from hpo.errors import StorageError

PASSWORD_FILE = "HPO_STORAGE_PASSWORD_FILE"  # noqa: S105 - the name of a variable
# A worker that is stopped within a transaction would keep all others from creating trials.
_NOT_FOR_EVER = "-c idle_in_transaction_session_timeout=30s"
SILENCE = (
    30.0  # seconds without a word after which a server counts as gone; else a quarter of an hour
)
# One is kept. A second and a third are made where the lease is renewed, or a ticket confirmed,
# within another transaction, and closed again.
_POOL = {"pool_size": 1, "max_overflow": 3, "pool_pre_ping": True}
IDLE = 3.0  # seconds after which the last one is closed, too: a training may take hours
_used: WeakKeyDictionary[Engine, float] = WeakKeyDictionary()  # when one was last given back


def with_password(url: URL) -> URL:
    """Return a URL with the password of the file that `HPO_STORAGE_PASSWORD_FILE` names.

    A URL that says how to get in keeps its own; where neither does, libpq asks `PGPASSWORD`,
    `PGPASSFILE` and `~/.pgpass`. Others may read the file: the secrets of Docker and Kubernetes
    are open to all within a container.

    Raises:
        StorageError: the file is missing, cannot be read, is empty or holds more than a password.
    """
    named = os.environ.get(PASSWORD_FILE)
    if not named or url.password is not None or {"password", "passfile"} & set(url.query):
        return url
    expected = "expected the path of a file that holds the password, and nothing else"
    try:
        text = Path(named).read_text(encoding="utf-8")
    except (PermissionError, IsADirectoryError) as error:
        raise StorageError(
            f"{PASSWORD_FILE}: {named} cannot be read: {error.strerror}; {expected}"
        ) from None
    except (OSError, ValueError):  # not shown: it may be the password itself
        raise StorageError(
            f"{PASSWORD_FILE}: found no text file of that name; {expected}"
        ) from None
    password = text.removesuffix("\n")
    if not password or set(password) & set("\n\0"):
        found = "several lines" if password else "nothing"
        raise StorageError(f"{PASSWORD_FILE}: found {found} in {named}; {expected}")
    return url.set(password=password)


def connect_args(url: URL, silence: float = SILENCE) -> dict[str, Any]:
    """Return what psycopg2 is given beside a URL; what stands in its query wins.

    Args:
        url: of the database.
        silence: seconds after which a server that says nothing, over a link that lets everything
            vanish, counts as gone.
    """
    query = url.normalized_query
    answers = {
        "connect_timeout": max(2, round(silence / 3)),  # 1 is taken for 2
        "keepalives_idle": max(1, round(silence / 2)),
        "keepalives_interval": max(1, round(silence / 6)),
        "keepalives_count": 3,
        "tcp_user_timeout": round(silence * 1000),
    }
    ours = {name: value for name, value in answers.items() if name not in query}
    options = (*query.get("options", ()), "-c timezone=UTC", _NOT_FOR_EVER)
    limit_waiting()
    return {**ours, "options": " ".join(options), "connection_factory": Connection}


def engine_options(url: URL, silence: float = SILENCE) -> dict[str, Any]:
    """Return the options of a worker's engine; the arguments are those of `connect_args`."""
    return {"connect_args": connect_args(url, silence), **_POOL}


def settle_in(engine: Engine) -> None:
    """Let an engine's connections speak UTC, and be closed where they idle (`close_idle`).

    Optuna stores times without a zone, and the database compares them with its own. The variable
    PGTZ wins over the option that says so.
    """

    @event.listens_for(engine, "checkin")
    def _note_use(_connection: Any, _record: object) -> None:
        _used[engine] = time.monotonic()

    if "PGTZ" in os.environ:

        @event.listens_for(engine, "connect")
        def _set_zone(connection: Any, _record: object) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET TIME ZONE 'UTC'")
            connection.commit()

        engine.dispose()  # the connections that came before


def close_idle(engine: Engine, after: float) -> None:
    """Close the connections that nobody has used for some seconds: others may lack them."""
    used = _used.get(engine)
    if used is not None and time.monotonic() - used >= after:
        engine.dispose()
        del _used[engine]
