"""What `hpo storage check` finds: is a storage fit to be worked on, and by how many."""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from optuna.storages._rdb import models
from sqlalchemy import Connection, Engine, insert, text

from hpo import rights, storage, workers
from hpo.errors import StorageError
from hpo.leases import STUDY_ID, Tickets, now

_QUESTIONS = 20  # whose median is the round trip
_RESERVED = 5  # connections that are left to people
_STUDIES = models.StudyModel.__table__
_ATTRS = models.StudyUserAttributeModel.__table__
# Whose connections those of others are is hidden from a worker's role, but not of which database;
# the server's own processes have none. Roles and databases may have limits too; -1 is none.
_SPARE = """
SELECT least(
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int
        - (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL),
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
        - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
        - (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
)
"""


@dataclass
class Findings:
    """What was found of a storage.

    Args:
        url: its URL, without a password.
        server: its kind and version.
        user: whom it is connected as.
        round_trip: seconds between a question and its answer, the median of some.
        clock: seconds by which its clock is ahead of this machine's; leases go by its own.
        lease: whether a ticket could be claimed, renewed and settled.
        workers: how many more can be connected at the same time; None where that has no limit.
        missing: rights that a worker would lack.
        doubt: what may go wrong although all is well here; see `storage.doubt`.
    """

    url: str
    server: str
    user: str
    round_trip: float
    clock: float
    lease: bool
    workers: int | None = None
    missing: list[str] = field(default_factory=list)
    doubt: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {**self.__dict__, "fit": self.is_fit()}

    def is_fit(self) -> bool:
        """Say whether a worker can work here."""
        return self.lease and not self.missing

    def lines(self) -> list[str]:
        """Return the findings for a person."""
        side = "ahead of" if self.clock > 0 else "behind"
        clock = f"{abs(self.clock):.1f} s {side} this machine's" if abs(self.clock) > 1 else "alike"
        lease = "taken and given back" if self.lease else "could not be taken"
        return [
            f"{self.url} is {'fit' if self.is_fit() else 'not fit'} to be worked on",
            f"  server      {self.server}{f', as {self.user}' if self.user else ''}",
            f"  round trip  {self.round_trip * 1000:.1f} ms",
            f"  clock       {clock}; leases go by the server's",
            f"  lease       {lease}",
            *([] if self.workers is None else [f"  workers     {self.workers} more at a time"]),
            *(f"  missing     {right}" for right in self.missing),
            *([f"  doubt       {self.doubt}"] if self.doubt else []),
        ]


def check(url: str) -> Findings:
    """Look whether a storage is fit to be worked on; a ticket is made for that, and deleted.

    Raises:
        StorageError: it cannot be read, has no tables yet, or those of another version.
    """
    try:
        opened = storage.open_storage(url, create=False, wait=5.0)
    except StorageError as error:
        if "nothing has been run" not in str(error):
            raise
        hint = "`hpo storage init` makes its tables, and so does whoever runs a study there"
        raise StorageError(f"{error}. {hint}") from None
    engine = opened.engine
    with storage.told(engine.url):
        findings = Findings(
            storage.shown(engine.url),
            *_server(engine),
            round_trip=_round_trip(engine),
            clock=now(engine) - time.time(),
            lease=False,
            doubt=storage.doubt(opened),
        )
        if engine.name == "postgresql":
            findings.workers, findings.missing = _spare(engine), rights.missing(engine)
        if not findings.missing:
            findings.lease = _try_lease(engine)
    engine.dispose()
    return findings


def _server(engine: Engine) -> tuple[str, str]:
    with engine.connect() as connection:
        if engine.name == "sqlite":
            version = connection.scalar(text("SELECT sqlite_version()"))
            return f"SQLite {version}", ""
        version = connection.scalar(text("SHOW server_version"))
        return f"PostgreSQL {version}", str(connection.scalar(text("SELECT current_user")))


def _round_trip(engine: Engine) -> float:
    took = []
    with engine.connect() as connection:
        for _ in range(_QUESTIONS):
            asked = time.perf_counter()
            connection.scalar(text("SELECT 1"))
            took.append(time.perf_counter() - asked)
    return statistics.median(took)


def _spare(engine: Engine) -> int:
    with engine.connect() as connection:
        return max(0, int(connection.scalar(text(_SPARE)) or 0) - _RESERVED)


def _try_lease(engine: Engine) -> bool:
    """Claim, renew and settle a ticket of a study that is never made: all of it is undone."""
    number = uuid4().hex
    with engine.connect() as connection, connection.begin() as all_of_it:
        made = connection.execute(
            insert(_STUDIES).values(study_name=f"hpo storage check {number}")
        ).inserted_primary_key
        connection.execute(
            insert(_ATTRS).values(
                study_id=made[0] if made else None, key=STUDY_ID, value_json=json.dumps(number)
            )
        )
        tickets = Tickets(_Within(connection), number, worker=workers.here())  # type: ignore[arg-type]
        tickets.issue([None])
        ticket = tickets.claim(1)
        done = ticket is not None and tickets.renew(ticket) is not None and tickets.settle(ticket)
        all_of_it.rollback()
    return done


class _Within:
    """In place of an engine: transactions within the one of a connection."""

    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._connection = connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin one that ends with the body, and counts only if the outer one does."""
        with self._connection.begin_nested():
            yield self._connection
