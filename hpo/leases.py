"""Tickets: a study's budget, one row each, in one table of ours beside Optuna's.

A ticket is the right to one outcome. A worker claims it for the length of a lease on the database's
clock, renews the lease while its trial makes progress, and settles it with the trial's outcome.

    waiting ──claim──▶ held ──settle──▶ done
       ▲                │ ▲
       └───hand back────┘ └──claim, once the lease is over

Each claim raises the ticket's epoch, and every later statement of the holder names the epoch it was
given: whoever wakes up after the lease was taken from them changes no row, and learns it. The
outcome itself is the state of an Optuna trial, which Optuna lets nobody change twice; a ticket only
says whose turn it is. (What a trial stores on its way names no epoch: it is refused once the trial
has ended, and whoever claims a ticket ends the trial before theirs.)
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    case,
    column,
    delete,
    exists,
    func,
    inspect,
    literal,
    literal_column,
    or_,
    select,
    table,
    true,
    update,
)
from sqlalchemy.orm import Session

from hpo import postgresql
from hpo.outages import is_repetition, persistent, persisting
from hpo.transactions import reading

WAITING, HELD, DONE = "waiting", "held", "done"
LEASE = 60.0  # seconds; a worker that is gone is noticed after this at the latest

STUDY_ID = "hpo:id"  # the study's attribute that says whose tickets are its own
TABLE = "hpo_tickets"
TICKETS = Table(
    TABLE,
    MetaData(),
    Column("study", String(32), primary_key=True),  # its id; Optuna's numbers may come again
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(8), nullable=False),
    Column("params", Text),  # of a point of a grid, as JSON
    Column("epoch", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),  # of those who held it
    Column("worker", String(255)),
    Column("device", String(255)),
    Column("lease_until", Float(53)),  # seconds since 1970, by the database's clock, like …
    Column("progress_at", Float(53)),
    Column("progressed_at", Float(53)),  # of the holder before
    Column("trial_id", Integer),  # Optuna's, of the latest attempt
)
_T = TICKETS.c
Index("hpo_tickets_open", _T.study, _T.number, postgresql_where=_T.state != DONE,
      sqlite_where=_T.state != DONE)  # fmt: skip
_ATTRS = table("study_user_attributes", column("key"), column("value_json"))  # Optuna's
_MINE = and_(
    _T.study == bindparam("of_study"), _T.number == bindparam("of_number"),
    _T.epoch == bindparam("of_epoch"), _T.state == HELD,
)  # fmt: skip
# SQLite gives the numbers of a deleted study and of its trials to the next one: who still works for
# the former must not write into that.
_STUDY = and_(_ATTRS.c.key == STUDY_ID, _ATTRS.c.value_json == bindparam("study_id"))
_STUDY_EXISTS = exists().where(_STUDY)
_LOCK_STUDY = select(_ATTRS.c.key).where(_STUDY).with_for_update()
_TRIAL = select(_T.trial_id).where(_MINE)
_CONFIRM = select(_T.number).where(_MINE, _STUDY_EXISTS).with_for_update()
_BIND = (
    update(TICKETS)
    # Not where another trial is noted already: Optuna creates a second one if it got no answer to
    # the first commit, which the server may have done.
    .where(
        _MINE, _STUDY_EXISTS, _T.trial_id.is_not_distinct_from(bindparam("before", type_=Integer))
    )
    .values(trial_id=bindparam("now"))
)
# Of the claim that took it over, and no later one: each says so for itself.
_UNCHARGE = (
    update(TICKETS)
    .where(
        _T.study == bindparam("of_study"), _T.number == bindparam("of_number"),
        _T.epoch == bindparam("of_epoch", type_=Integer) + 1, _T.deaths == bindparam("charged"),
    )
    .values(deaths=_T.deaths - 1)
)  # fmt: skip
CLOCK: dict[str, ColumnElement[float]] = {
    "postgresql": literal_column("extract(epoch from clock_timestamp())", Float),
    "sqlite": literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float),
}


@dataclass(frozen=True)
class Ticket:
    """A ticket as its holder got it.

    Args:
        study: the study's id (`hpo:id`).
        number: from 0; those below the budget are worked off.
        epoch: how often it was claimed; the holder's proof.
        deaths: how many of its holders were gone before they settled it, as far as is known.
        claimed_at: seconds since 1970, by the database's clock; so is …
        progressed_at: … when the trial of the holder before last made progress; None if there was
            no holder before.
        params: fixed by the strategy, or None.
        trial_id: Optuna's id of the attempt before this one, if there was one.
    """

    study: str
    number: int
    epoch: int
    deaths: int
    claimed_at: float
    progressed_at: float | None
    params: Mapping[str, Any] | None
    trial_id: int | None


@dataclass(frozen=True)
class TicketView:
    """A ticket as others see it.

    Args:
        number: from 0.
        state: waiting, held or done.
        epoch: how often it was claimed.
        deaths: how many of its holders were gone before they settled it.
        worker, device: who holds it, or held it last.
        trial_id: Optuna's, of the latest attempt.
        idle: seconds since its trial last made progress, as its holder last said; None unless held.
        lease: seconds left of the lease; None unless held.
    """

    number: int
    state: str
    epoch: int
    deaths: int
    worker: str | None
    device: str | None
    trial_id: int | None
    idle: float | None
    lease: float | None


def create_table(engine: Engine) -> None:
    """Create the table where there is none; call it behind the lock that guards the schema."""
    TICKETS.create(engine, checkfirst=True)


def drop_orphans(connection: Connection) -> None:
    """Delete the tickets of studies that were deleted; Optuna knows nothing of them.

    Call it behind the lock that guards the creation of studies. A role that may delete nothing
    leaves them to one that may; they are in nobody's way.
    """
    if connection.dialect.name == "postgresql" and not connection.scalar(
        select(func.has_table_privilege(TABLE, "DELETE"))
    ):
        return
    ids = select(_ATTRS.c.value_json).where(_ATTRS.c.key == STUDY_ID)
    quoted = literal('"') + _T.study + literal('"')  # as JSON has it
    connection.execute(delete(TICKETS).where(quoted.not_in(ids)))


class Tickets:
    """The tickets of one study.

    Every method is one transaction, persists through outages, and may raise `SQLAlchemyError`.

    Args:
        engine: of the storage that the study is in.
        study: the study's id (`hpo:id`).
        worker: who claims.
        device: where its trials run.
        lease: seconds that a claim and each renewal last.
    """

    def __init__(
        self, engine: Engine, study: str, *, worker: str, device: str = "", lease: float = LEASE
    ) -> None:
        self.engine = engine
        self.study = study
        self.worker = worker
        self.device = device
        self.lease = lease
        self._now = CLOCK[engine.dialect.name]
        # To build a statement takes longer than to run it.
        self._claims: dict[int | None, Any] = {}
        self._settle = update(TICKETS).where(_MINE).values(state=DONE, lease_until=None)
        self._hand_back = update(TICKETS).where(_MINE).values(state=WAITING, lease_until=None)
        self._renew = (
            update(TICKETS)
            .where(_MINE, _STUDY_EXISTS)
            .values(
                lease_until=self._now + lease,
                progress_at=self._now - bindparam("idle", type_=Float),
            )
            .returning(_T.deaths)
        )

    @persistent
    def issue(self, params: Sequence[Mapping[str, Any] | None]) -> None:
        """Make the first tickets of a study, or those of them that are still missing.

        Args:
            params: what each one fixes, by its number; None leaves all of it to the strategy.
        """
        with self.engine.begin() as connection:
            there = set(connection.scalars(select(_T.number).where(_T.study == self.study)))
            missing = [number for number in range(len(params)) if number not in there]
            self._insert(connection, {number: params[number] for number in missing})

    @persistent
    def issue_points(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Make a ticket for each point that has none, behind those there are."""
        with self.engine.begin() as connection:
            # One at a time: whoever extends a grid meanwhile would give the same numbers to others.
            connection.execute(_LOCK_STUDY, self._study_proof())
            query = select(_T.number, _T.params).where(_T.study == self.study)
            rows = connection.execute(query).all()
            there = {_key(json.loads(row.params or "null")) for row in rows}
            first = max((row.number for row in rows), default=-1) + 1
            new = [point for point in points if _key(point) not in there]
            self._insert(connection, dict(enumerate(new, first)))

    def _insert(self, connection: Connection, new: Mapping[int, Mapping[str, Any] | None]) -> None:
        rows = [
            {
                "study": self.study, "number": number, "state": WAITING, "epoch": 0, "deaths": 0,
                "params": _written(params),
            }
            for number, params in new.items()
        ]  # fmt: skip
        for start in range(0, len(rows), 1000):
            connection.execute(self._insert_new(), rows[start : start + 1000])

    def _insert_new(self) -> Any:
        # Two workers may issue at once.
        if self.engine.dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import insert as insert_or_leave
        else:
            from sqlalchemy.dialects.sqlite import insert as insert_or_leave  # type: ignore[assignment]
        return insert_or_leave(TICKETS).on_conflict_do_nothing()

    @persistent
    def take(self, number: int) -> Ticket | None:
        """Take a ticket if nobody holds it."""
        with self.engine.begin() as connection:
            self._release_what_was_claimed(connection)
            claim = self._claim(_T.number == number)
            row = connection.execute(claim, self._study_proof()).one_or_none()
        return None if row is None else _ticket(row)

    @persistent
    def claim(self, below: int | None, done: Ticket | None = None) -> Ticket | None:
        """Take the first ticket that nobody holds, and settle the one before it with that.

        Args:
            below: only tickets with lower numbers are taken; None takes any.
            done: a ticket of this worker's whose trial has an outcome.

        Returns:
            None if there is none to be had now.
        """
        with self.engine.begin() as connection:
            if done is not None:
                connection.execute(self._settle, self._proof(done))
            self._release_what_was_claimed(connection)
            if below not in self._claims:
                self._claims[below] = self._claim(true() if below is None else _T.number < below)
            row = connection.execute(self._claims[below], self._study_proof()).one_or_none()
        return None if row is None else _ticket(row)

    def _release_what_was_claimed(self, connection: Connection) -> None:
        """Hand back what this worker holds without knowing it: the answer was lost."""
        if is_repetition():
            mine = (_T.study == self.study, _T.state == HELD, _T.worker == self.worker)
            connection.execute(update(TICKETS).where(*mine).values(state=WAITING, lease_until=None))

    def _claim(self, which: ColumnElement[bool]) -> Any:
        free = or_(_T.state == WAITING, and_(_T.state == HELD, _T.lease_until < self._now))
        first = (
            select(_T.number)
            .where(_T.study == self.study, free, _T.state != DONE, which, _STUDY_EXISTS)
            .order_by(_T.number)
            .limit(1)
            # Others pass by a row that is being claimed. SQLite needs no such thing: its
            # transactions begin with the right to write.
            .with_for_update(skip_locked=True)
        )
        return (
            update(TICKETS)
            .where(_T.study == self.study, _T.number == first.scalar_subquery())
            .values(
                state=HELD,
                epoch=_T.epoch + 1,
                # Until its worker says that it lived: `hand_back_late`.
                deaths=_T.deaths + case((_T.state == HELD, 1), else_=0),
                worker=self.worker,
                device=self.device,
                lease_until=self._now + self.lease,
                progressed_at=_T.progress_at,
                progress_at=self._now,
            )
            .returning(*_T)
        )

    @persistent
    def renew(self, ticket: Ticket, idle: float = 0.0) -> Ticket | None:
        """Hold a ticket for another lease, from now.

        Args:
            ticket: as it was claimed.
            idle: seconds since its trial last made progress.

        Returns:
            The ticket as it is now; None if it was not held any more: not even one whose lease is
            over comes back once somebody else has claimed it, nor one whose study was deleted.
        """
        with self.engine.begin() as connection:
            known = {**self._proof(ticket), "idle": idle}
            row = connection.execute(self._renew, known).one_or_none()
        return None if row is None else replace(ticket, deaths=row.deaths)

    def bind(self, session: Session, ticket: Ticket, trial_id: int) -> bool:
        """Note the trial of a ticket, in the transaction that creates the trial.

        Returns:
            Whether the ticket was still held; if not, the transaction must be rolled back.
        """
        noted = {"before": ticket.trial_id, "now": trial_id}
        done = session.connection().execute(_BIND, {**self._proof(ticket), **noted})
        return bool(done.rowcount)

    def trial_of(self, session: Session, ticket: Ticket) -> int | None:
        """Return Optuna's id of the trial that a ticket has by now; None if it is not held."""
        found = session.connection().execute(_TRIAL, self._proof(ticket)).first()
        return None if found is None else found.trial_id

    def confirm(self, session: Session, ticket: Ticket) -> bool:
        """Say whether a ticket is still held, and keep it so until the transaction ends."""
        found = session.connection().execute(_CONFIRM, self._proof(ticket))
        return found.first() is not None

    def settle(self, ticket: Ticket) -> bool:
        """Close a ticket whose trial has an outcome; returns whether it was still held."""
        return self._leave(self._settle, ticket, DONE)

    def hand_back(self, ticket: Ticket) -> bool:
        """Let others claim a ticket at once, uncharged; returns whether it was still held."""
        return self._leave(self._hand_back, ticket, WAITING)

    @persistent
    def hand_back_late(self, ticket: Ticket) -> bool:
        """Hand back a ticket whose lease may be over, while its holder lives.

        Whoever took it over counted a death, which is taken back, as long as they are the latest.

        Args:
            ticket: as it was last renewed.

        Returns:
            Whether it was still held.
        """
        with self.engine.begin() as connection:
            left = self._left(connection, self._hand_back, ticket, WAITING)
            if not left:
                known = {**self._proof(ticket), "charged": ticket.deaths + 1}
                connection.execute(_UNCHARGE, known)
        return left

    @persistent
    def deaths(self, ticket: Ticket) -> int:
        """Return how many holders of a ticket are taken for dead now."""
        where = (_T.study == ticket.study, _T.number == ticket.number)
        with reading(), self.engine.begin() as connection:
            found: int = connection.scalar(select(_T.deaths).where(*where)) or 0
        return found

    def end_leases(self, workers: Iterable[str]) -> int:
        """End the leases of workers that are known to be dead; returns how many there were left."""
        return self._take_from(workers, lease_until=0.0)

    def hand_back_of(self, workers: Iterable[str]) -> int:
        """Let others claim at once, uncharged, what workers held that left for no fault of it."""
        return self._take_from(workers, state=WAITING, lease_until=None)

    @persistent
    def _take_from(self, workers: Iterable[str], **values: Any) -> int:
        gone = list(workers)
        if not gone:
            return 0
        with self.engine.begin() as connection:
            done = connection.execute(
                update(TICKETS)
                .where(_T.study == self.study, _T.state == HELD, _T.worker.in_(gone))
                .where(_T.lease_until > 0)
                .values(**values)
            )
        return done.rowcount

    def close_idle(self, after: float = postgresql.IDLE) -> None:
        """Close the connections that nobody has used for some seconds: others may lack them."""
        if self.engine.dialect.name == "postgresql":
            postgresql.close_idle(self.engine, after)

    def now(self) -> float:
        """Return the time by the database's clock, in seconds since 1970."""
        return now(self.engine)

    @persistent
    def view(self, *only: ColumnElement[bool]) -> list[TicketView]:
        """Return all tickets, or those for which some conditions hold, by number."""
        with reading(), self.engine.begin() as connection:
            rows = connection.execute(
                select(*_T, self._now.label("now"))
                .where(_T.study == self.study, *only)
                .order_by(_T.number)
            ).all()
        return [_view(row) for row in rows]

    def open(self, below: int | None) -> list[TicketView]:
        """Return the tickets that are not done, by number."""
        limit = [] if below is None else [_T.number < below]
        return self.view(_T.state != DONE, *limit)

    def _study_proof(self) -> dict[str, str]:
        return {"study_id": json.dumps(self.study)}

    def _proof(self, ticket: Ticket) -> dict[str, Any]:
        """Return what the statements of a holder name."""
        return {
            "of_study": ticket.study, "of_number": ticket.number, "of_epoch": ticket.epoch,
            **self._study_proof(),
        }  # fmt: skip

    @persistent
    def _leave(self, statement: Update, ticket: Ticket, state: str) -> bool:
        with self.engine.begin() as connection:
            return self._left(connection, statement, ticket, state)

    def _left(self, connection: Connection, statement: Update, ticket: Ticket, state: str) -> bool:
        """Say whether a ticket was held when its holder left it in a state, now or just before."""
        proof = self._proof(ticket)
        if connection.execute(statement, proof).rowcount:
            return True
        was = (_T.study == ticket.study, _T.number == ticket.number, _T.epoch == ticket.epoch)
        found = connection.scalar(select(_T.state).where(*was)) if is_repetition() else None
        return found == state


def _written(params: Mapping[str, Any] | None) -> str | None:
    return None if params is None else json.dumps(params)


def _key(point: Mapping[str, Any] | None) -> str:
    return json.dumps(point, sort_keys=True)  # by text: 1, 1.0 and true are three values


def _ticket(row: Row[Any]) -> Ticket:
    params = None if row.params is None else json.loads(row.params)
    return Ticket(
        row.study,
        row.number,
        row.epoch,
        row.deaths,
        row.progress_at,
        row.progressed_at,
        params,
        row.trial_id,
    )


def _view(row: Any) -> TicketView:
    held = row.state == HELD
    return TicketView(
        row.number,
        row.state,
        row.epoch,
        row.deaths,
        row.worker,
        row.device,
        row.trial_id,
        max(0.0, row.now - row.progress_at) if held else None,
        row.lease_until - row.now if held else None,
    )


@persistent
def now(engine: Engine) -> float:
    """Return the time by the clock of a database, in seconds since 1970."""
    with reading(), engine.begin() as connection:
        found: float = connection.scalar(select(CLOCK[engine.dialect.name])) or 0.0
    return found


def view_tickets(engine: Engine, study: str) -> list[TicketView]:
    """Return the tickets of a study, by number; none where the storage has no such table."""
    if not persisting(lambda: inspect(engine).has_table(TABLE)):
        return []
    return Tickets(engine, study, worker="").view()


@dataclass(frozen=True)
class Supply:
    """The tickets of one study, as far as whoever looks for work must know them.

    Args:
        issued: how many there are.
        waiting: the lowest number of one that nobody holds; None where there is none.
        held: those that somebody holds, by number.
    """

    issued: int
    waiting: int | None
    held: list[TicketView]


@persistent
def supplies(engine: Engine) -> dict[str, Supply]:
    """Return the id of each study that has tickets -> what there is to do; two statements."""
    now = CLOCK[engine.dialect.name]
    waiting = func.min(case((_T.state == WAITING, _T.number)))
    with reading(), engine.begin() as connection:
        counts = connection.execute(
            select(_T.study, func.count().label("issued"), waiting.label("waiting")).group_by(
                _T.study
            )
        ).all()
        rows = connection.execute(
            select(*_T, now.label("now")).where(_T.state == HELD).order_by(_T.study, _T.number)
        ).all()
    held: dict[str, list[TicketView]] = {}
    for row in rows:
        held.setdefault(row.study, []).append(_view(row))
    return {row.study: Supply(row.issued, row.waiting, held.get(row.study, [])) for row in counts}
