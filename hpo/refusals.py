"""Studies that a worker of the pool cannot serve: who leaves them to others, why, and what to do.

It stands in the study's user attributes, one for each machine, by the database's clock. A worker
that still cannot says so again every few minutes; what is an hour old counts no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.storages import RDBStorage

from hpo import storage, workers
from hpo.errors import DataError, HpoError, ModelError, UnknownVersion
from hpo.leases import now

KEY = "hpo:refused:"  # and the machine
_SHOWN = 3600.0  # seconds for which it is shown
_ADVICE: dict[type[Exception], str] = {
    DataError: "put its data there, or say where it is with `hpo worker --data DIR`",
    ModelError: "put its model there",
    UnknownVersion: "install the version there that made it",
}


@dataclass(frozen=True)
class Refusal:
    """Why a machine leaves a study to others.

    Args:
        why: what is wrong there, in one line.
        worker: who found it last; see `hpo.workers`.
        since: seconds since it was found first.
        again: seconds until that worker tries again; less than 0 if it is late, or gone.
        advice: what would help, as far as that is known.
    """

    why: str
    worker: str
    since: float
    again: float
    advice: str = ""

    def __str__(self) -> str:
        return self.why


def refuse(opened: RDBStorage, name: str, error: Exception, retry: float) -> None:
    """Store why this machine cannot serve a study.

    Args:
        opened: the storage that the study is in.
        name: of the study.
        error: what it met with.
        retry: seconds until it tries again.
    """
    study, at = storage.load(opened, name), now(opened.engine)
    before = read(study.user_attrs, at).get(workers.machine())
    noted = {
        "why": told(error),
        "worker": workers.here(),
        "since": at - (before.since if before is not None else 0.0),
        "at": at,
        "again": at + retry,
        "advice": next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), ""),
    }
    study.set_user_attr(KEY + workers.machine(), noted)


def withdraw(opened: RDBStorage, name: str) -> None:
    """Note that this machine can serve a study, if it said before that it cannot."""
    study = storage.load(opened, name)
    if study.user_attrs.get(KEY + workers.machine()) is not None:
        study.set_user_attr(KEY + workers.machine(), None)


def read(attrs: Mapping[str, Any], at: float) -> dict[str, Refusal]:
    """Return machine -> why it cannot serve a study, of those that said so of late.

    Args:
        attrs: of the study.
        at: the time, by the database's clock.
    """
    found = {
        key.removeprefix(KEY): parse(stored, at)
        for key, stored in attrs.items()
        if key.startswith(KEY)
    }
    return {machine: refusal for machine, refusal in found.items() if refusal is not None}


def parse(stored: Any, at: float) -> Refusal | None:
    """Return why a machine refuses a study, by what it stored; None if it does not, or no more."""
    if not isinstance(stored, dict) or "worker" not in stored or at - stored["at"] > _SHOWN:
        return None
    since, again = max(0.0, at - stored["since"]), stored["again"] - at
    return Refusal(stored["why"], stored["worker"], since, again, stored["advice"])


def told(error: Exception) -> str:
    """Return what is wrong, in one line."""
    if not isinstance(error, HpoError):
        return f"{type(error).__name__}: {error}"
    return " ".join(line.strip() for line in str(error).splitlines())
