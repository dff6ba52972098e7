"""Which workers are there: a table of ours in which each notes itself, by the database's clock.

Who holds a ticket is known by its lease. Who waits is known by this only: a row that is written as
often as an idle pool looks for studies, and deleted when its worker leaves. A row that is not
written any more tells that its worker was lost; later on it is deleted by whoever comes next.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError

from hpo.leases import CLOCK
from hpo.outages import is_outage, persistent

TABLE = "hpo_workers"
LOST = 60.0  # seconds without a note after which an idle worker counts as lost
_EVERY = 15.0  # seconds between two notes
_KEPT = 3600.0  # seconds for which the row of one that was lost is shown
_TABLE = Table(
    TABLE,
    MetaData(),
    Column("worker", String(255), primary_key=True),  # see `hpo.workers`
    Column("study", Text),  # the only one that it serves, by its name
    Column("device", String(255)),
    Column("idle_since", Float(53)),  # seconds since 1970; None at work, or between two trials
    Column("seen_at", Float(53), nullable=False),
)
_T = _TABLE.c


def create_table(engine: Engine) -> None:
    """Create the table where there is none; call it behind the lock that guards the schema."""
    _TABLE.create(engine, checkfirst=True)


def rows(connection: Connection) -> list[Mapping[str, Any]]:
    """Return what workers noted, and `seen` and `idle`: the seconds since; none without a table."""
    if not inspect(connection).has_table(TABLE):
        return []
    now = CLOCK[connection.dialect.name]
    found = connection.execute(
        select(*_T, (now - _T.seen_at).label("seen"), (now - _T.idle_since).label("idle"))
        .where(_T.seen_at > now - _KEPT)
        .order_by(_T.worker)
    )
    return [dict(row) for row in found.mappings()]


def forget(connection: Connection, studies: Sequence[str]) -> None:
    """Delete what workers noted that serve certain studies only; who is there notes it again."""
    if inspect(connection).has_table(TABLE):
        connection.execute(delete(_TABLE).where(_T.study.in_(studies)))


class Presence:
    """What one worker notes of itself.

    A storage may be older than the table, and its worker's role may not make it: then the worker
    goes on without.

    Args:
        engine: of the storage.
        worker: its name among all workers.
        study: the only one that it serves; None if it serves all.
    """

    def __init__(self, engine: Engine, worker: str, study: str | None = None) -> None:
        self._engine = engine
        self._worker = worker
        self._study = study
        self._noted: tuple[bool, float] | None = None  # whether it was idle, by the monotonic clock
        self._barred = False
        now = CLOCK[engine.dialect.name]
        self._clean = delete(_TABLE).where(_T.seen_at < now - _KEPT)
        self._delete = delete(_TABLE).where(_T.worker == bindparam("who"))
        self._writes = {idle: self._write(idle=idle) for idle in (False, True)}

    def note(self, *, idle: bool, device: str | None = None) -> None:
        """Note that the worker is there; it is written if that is news, or not too often.

        Args:
            idle: whether it waits, for a study or for others.
            device: where its trials run, as far as that is known.

        Raises:
            SQLAlchemyError: the database is away.
        """
        now = time.monotonic()
        if self._barred or (
            self._noted is not None and self._noted[0] == idle and now - self._noted[1] < _EVERY
        ):
            return
        try:
            self._store(first=self._noted is None, idle=idle, device=device)
        except DBAPIError as error:
            if is_outage(error) or self._engine.dialect.name == "sqlite":
                raise
            self._barred = True  # there is no such table, or it is not for this role
        self._noted = (idle, now)

    @persistent
    def leave(self) -> None:
        """Delete the row: the worker is not lost, it has left."""
        if self._noted is not None and not self._barred:
            with self._engine.begin() as connection:
                connection.execute(self._delete, {"who": self._worker})
            self._noted = None

    @persistent
    def _store(self, *, first: bool, idle: bool, device: str | None) -> None:
        noted = {"worker": self._worker, "study": self._study, "device": device}
        with self._engine.begin() as connection:
            if first:
                connection.execute(self._clean)
            connection.execute(self._writes[idle], noted)

    def _write(self, *, idle: bool) -> Any:
        if self._engine.dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import insert as insert_or_update
        else:
            from sqlalchemy.dialects.sqlite import insert as insert_or_update  # type: ignore[assignment]
        now = CLOCK[self._engine.dialect.name]
        new = insert_or_update(_TABLE).values(
            worker=bindparam("worker"), study=bindparam("study"), device=bindparam("device"),
            idle_since=now if idle else None, seen_at=now,
        )  # fmt: skip
        since = func.coalesce(_T.idle_since, new.excluded.idle_since) if idle else None
        changed = {
            "device": func.coalesce(new.excluded.device, _T.device),
            "idle_since": since,
            "seen_at": new.excluded.seen_at,
        }
        return new.on_conflict_do_update(index_elements=["worker"], set_=changed)
