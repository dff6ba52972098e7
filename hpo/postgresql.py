"""How `hpo` is connected to PostgreSQL: few connections, on one clock, none waited for in vain."""

import os
import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL

from hpo.answers import LEAST, Connection, limit_waiting
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


def password_of(url: URL) -> str | None:
    """Return the password of the file that `HPO_STORAGE_PASSWORD_FILE` names, if it is to be used.

    A URL that says how to get in has its own; where neither does, libpq asks `PGPASSWORD`,
    `PGPASSFILE` and `~/.pgpass`. Others may read the file: the secrets of Docker and Kubernetes
    are open to all within a container.

    Raises:
        StorageError: the file is missing, cannot be read, is empty or holds more than a password.
    """
    named = os.environ.get(PASSWORD_FILE)
    if not named or url.password is not None or {"password", "passfile"} & set(url.query):
        return None
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
    return password


def password_source(url: URL) -> str:
    """Say in which place the password stands with which a URL is connected; empty if unknown.

    The order is that of `password_of` and of libpq, whose file may also have no line for it:
    https://www.postgresql.org/docs/current/libpq-envars.html
    """
    places = {
        "in the URL": url.password is not None or "password" in url.query,
        f"in the file of {PASSWORD_FILE}": "passfile" not in url.query
        and bool(os.environ.get(PASSWORD_FILE)),
        "": "service" in url.query or "PGSERVICE" in os.environ,  # it may be in the file of those
        "in PGPASSWORD": bool(os.environ.get("PGPASSWORD")),
        "in the passfile of the URL": "passfile" in url.query,
        "in the file of PGPASSFILE": bool(os.environ.get("PGPASSFILE")),
        "in ~/.pgpass": Path("~/.pgpass").expanduser().exists(),
    }
    return next((place for place, is_there in places.items() if is_there), "")


def explained(text: str, url: URL) -> str:
    """Return an error of the server's; where it is about a password, with the place of that."""
    source = password_source(url)
    if "password authentication failed" in text and source:
        return f"{text}; the password was found {source}"
    if "no password supplied" in text:
        found = f"found none {source}; " if source else ""
        return f"{text}; {found}expected one in {PASSWORD_FILE}, PGPASSWORD, PGPASSFILE or the URL"
    return text


def connect_timeout(url: URL) -> int | None:
    """Return the seconds that a URL gives to a connection; None if it gives none, 0 is no limit.

    Raises:
        StorageError: it is no whole number.
    """
    given = url.normalized_query.get("connect_timeout")
    if given is None:
        return None
    try:
        return max(0, int(given[-1]))
    except ValueError:
        raise StorageError(
            f"storage: found connect_timeout={given[-1]!r}; expected whole seconds"
        ) from None


def connect_args(url: URL, silence: float = SILENCE) -> dict[str, Any]:
    """Return what psycopg2 is given beside a URL; what stands in its query wins.

    Args:
        url: of the database.
        silence: seconds after which a server that says nothing, over a link that lets everything
            vanish, counts as gone.

    Raises:
        StorageError: there is no password in the file that should hold it, or the URL gives a
            limit that is no number.
    """
    connect_timeout(url)
    query = url.normalized_query
    answers: dict[str, Any] = {
        "connect_timeout": max(round(LEAST), round(silence / 3)),
        "keepalives_idle": max(1, round(silence / 2)),
        "keepalives_interval": max(1, round(silence / 6)),
        "keepalives_count": 3,
        "tcp_user_timeout": round(silence * 1000),
    }
    ours = {name: value for name, value in answers.items() if name not in query}
    options = (*query.get("options", ()), "-c timezone=UTC", _NOT_FOR_EVER)
    limit_waiting()
    password = password_of(url)
    if password is not None:  # not in the URL: that one is shown, and says whence it came
        ours["password"] = password
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
