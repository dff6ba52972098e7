"""The pool as a list: each worker that is known, what it does, and what it cannot serve.

Two records tell of a worker: the lease of its ticket while it has one (`hpo.leases`), and what it
notes of itself while it has none (`hpo.presence`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy import Connection, and_, func, literal, select

from hpo import presence, refusals, storage, workers
from hpo.leases import CLOCK, HELD, TICKETS
from hpo.outages import persisting
from hpo.refusals import Refusal
from hpo.transactions import reading
from hpo.trials import RUN

_LOOK = 5.0  # seconds that whoever reads waits for a server
_STUDIES = models.StudyModel.__table__
_STUDY_ATTRS = models.StudyUserAttributeModel.__table__
_TRIALS = models.TrialModel.__table__
_TRIAL_ATTRS = models.TrialUserAttributeModel.__table__

Doing = Literal["at work", "waiting", "lost"]


@dataclass(frozen=True)
class WorkerView:
    """A worker as others see it.

    Args:
        worker: its name among all workers; see `hpo.workers`.
        doing: at work, waiting, or lost: gone or cut off.
        device: where its trials run, as far as that is known.
        serves: the only study that it serves; None if it serves all, or that is not known.
        study: whose trial it runs.
        trial: Optuna's number of that; None before it is drawn.
        since: seconds since it claimed the trial's ticket, or began to wait.
        idle: seconds since its trial made progress or, where it has none, since it was heard of.
        lease: seconds left of the lease on its trial.
        refused: study -> why its machine cannot serve that.
    """

    worker: str
    doing: Doing
    device: str | None = None
    serves: str | None = None
    study: str | None = None
    trial: int | None = None
    since: float | None = None
    idle: float | None = None
    lease: float | None = None
    refused: Mapping[str, Refusal] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The machine that it runs on, as that calls itself."""
        return workers.shown(self.worker).rpartition(":")[0]

    @property
    def pid(self) -> int | None:
        """The number of its process there."""
        number = workers.shown(self.worker).rpartition(":")[2]
        return int(number) if number.isdecimal() else None

    @property
    def machine(self) -> str:
        """That machine among all of its name."""
        return workers.machine(self.worker)

    def may_serve(self, study: str) -> bool:
        """Say whether it is there and takes trials of a study, as far as that is known."""
        is_there = self.doing != "lost" and study not in self.refused
        return is_there and self.serves in {None, study}

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        known = asdict(self)
        return {"worker": known.pop("worker"), "host": self.host, "pid": self.pid, **known}


def list_workers(storage_url: str) -> list[WorkerView]:
    """Read who works for a storage: at work, then waiting, then lost within the last hour.

    Raises:
        StorageError: the storage cannot be read.
    """
    opened = storage.open_storage(storage_url, create=False, wait=_LOOK)
    found = read_workers(opened)
    opened.engine.dispose()
    return found


def read_workers(opened: RDBStorage) -> list[WorkerView]:
    """Read who works for a storage that is open, as `list_workers` does.

    Raises:
        StorageError: the storage cannot be read.
    """

    def read() -> tuple[list[WorkerView], list[Mapping[str, Any]], dict[str, dict[str, Refusal]]]:
        with reading(), opened.engine.begin() as connection:
            return _holders(connection), presence.rows(connection), _refusals(connection)

    with storage.told(opened.engine.url):
        holders, rows, refused = persisting(read)
    present = _present(rows)
    serves = {row["worker"]: row["study"] for row in rows}  # of those who are long at work, too
    found = [
        *(replace(each, serves=serves.get(each.worker)) for each in holders),
        *(each for each in present if each.worker not in {holder.worker for holder in holders}),
    ]
    ranks: tuple[Doing, ...] = ("at work", "waiting", "lost")
    return [
        each if each.serves else replace(each, refused=refused.get(each.machine, {}))
        for each in sorted(found, key=lambda each: (ranks.index(each.doing), each.worker))
    ]


def _holders(connection: Connection) -> list[WorkerView]:
    """Return those who hold a ticket; of several, the one whose lease ends last."""
    held = TICKETS.c
    quoted = literal('"') + held.study + literal('"')  # as JSON has it
    is_id = and_(_STUDY_ATTRS.c.key == storage.ID, _STUDY_ATTRS.c.value_json == quoted)
    is_run = and_(_TRIAL_ATTRS.c.trial_id == held.trial_id, _TRIAL_ATTRS.c.key == RUN)
    now = CLOCK[connection.dialect.name]
    rows = connection.execute(
        select(
            held.worker, held.device, held.epoch, _STUDIES.c.study_name, _TRIALS.c.number,
            _TRIAL_ATTRS.c.value_json, now.label("now"),
            (now - held.progress_at).label("idle"), (held.lease_until - now).label("lease"),
        )
        .select_from(TICKETS)
        .join(_STUDY_ATTRS, is_id)
        .join(_STUDIES, _STUDIES.c.study_id == _STUDY_ATTRS.c.study_id)
        .outerjoin(_TRIALS, _TRIALS.c.trial_id == held.trial_id)
        .outerjoin(_TRIAL_ATTRS, is_run)
        .where(held.state == HELD)
        .order_by(held.lease_until)
    )  # fmt: skip
    return list({row.worker: _holder(row) for row in rows}.values())


def _holder(row: Any) -> WorkerView:
    run = json.loads(row.value_json or "{}")
    drawn = run.get("epoch") == row.epoch  # else it is the trial of whoever held it before
    is_lost = row.lease < 0 or workers.is_gone(row.worker)
    return WorkerView(
        row.worker,
        "lost" if is_lost else "at work",
        device=row.device or None,
        study=row.study_name,
        trial=row.number if drawn else None,
        since=max(0.0, row.now - run["at"]) if drawn else None,
        idle=max(0.0, row.idle),
        lease=max(0.0, row.lease),
    )


def _present(rows: list[Mapping[str, Any]]) -> list[WorkerView]:
    found = []
    for row in rows:
        is_idle = row["idle_since"] is not None
        is_lost = workers.is_gone(row["worker"]) or (is_idle and row["seen"] > presence.LOST)
        if not (is_idle or is_lost) and row["seen"] > presence.LOST:
            continue  # it went to work then, and holds no ticket any more
        found.append(
            WorkerView(
                row["worker"],
                "lost" if is_lost else "waiting",
                device=row["device"],
                serves=row["study"],
                since=row["idle"],
                idle=max(0.0, row["seen"]),
            )
        )
    return found


def _refusals(connection: Connection) -> dict[str, dict[str, Refusal]]:
    """Return machine -> study -> why it cannot be served there."""
    rows = connection.execute(
        select(_STUDIES.c.study_name, _STUDY_ATTRS.c.key, _STUDY_ATTRS.c.value_json)
        .join(_STUDIES, _STUDIES.c.study_id == _STUDY_ATTRS.c.study_id)
        .where(func.substr(_STUDY_ATTRS.c.key, 1, len(refusals.KEY)) == refusals.KEY)
        .order_by(_STUDIES.c.study_id)
    )
    now = connection.scalar(select(CLOCK[connection.dialect.name])) or 0.0
    found: dict[str, dict[str, Refusal]] = {}
    for row in rows:
        refusal = refusals.parse(json.loads(row.value_json), now)
        if refusal is not None:
            machine = row.key.removeprefix(refusals.KEY)
            found.setdefault(machine, {})[row.study_name] = refusal
    return found
