"""What people say about a study while it runs: pause, stop, another budget, another priority.

It stands in the study's user attributes; workers look at it between two trials, and while one runs
as often as they renew its lease.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from hpo import confirmation, storage, workers
from hpo.spec import BudgetSpec, StudySpec

STATE = "hpo:state"
PRIORITY = "hpo:priority"
REFUSED = "hpo:refused:"  # and the machine
_REFUSED_FOR = 3600.0  # seconds for which it is shown, by the clocks of the machines

State = Literal["open", "paused", "stopped", "recalled"]
"""Open: workers take its tickets. Paused: they take no further ones, and wait. Stopped: they leave
when their trials have ended. Recalled: they save their trials, hand them back and leave."""

WORDS: dict[State, str] = {
    "open": "is open",
    "paused": "is paused: running trials go on to their end",
    "stopped": "is stopped: workers leave when their trials have ended",
    "recalled": "is stopped: running trials are saved and handed back, and workers leave",
}


@dataclass(frozen=True)
class Orders:
    """What is said about a study.

    Args:
        state: see `State`.
        priority: studies with a higher one are served first.
        budget: which may have been changed since the study was made.
    """

    state: State
    priority: int
    budget: BudgetSpec


class OrderBook:
    """The orders for one study, as its storage has them.

    Args:
        opened: the storage that the study is in.
        study: Optuna's.
    """

    def __init__(self, opened: RDBStorage, study: optuna.Study) -> None:
        self._storage = opened
        self._study = study
        self._stored: object = None
        self._spec: StudySpec | None = None

    def read(self) -> Orders:
        """Return what is said now; one statement.

        Raises:
            KeyError: the study was deleted.
        """
        attrs = self._storage.get_study_user_attrs(self._study._study_id)  # noqa: SLF001
        if self._spec is None or attrs[storage.SPEC] != self._stored:
            self._spec = storage.spec_of(self._study.study_name, attrs)
            self._stored = attrs[storage.SPEC]
        return Orders(state_of(attrs), priority_of(attrs), self._spec.budget)

    def is_recalled(self) -> bool:
        """Say whether running trials are to be handed back; not if nobody can tell now."""
        with suppress(KeyError, SQLAlchemyError, OptunaError):
            return self.read().state == "recalled"
        return False


def refused(opened: RDBStorage, name: str, why: str | None) -> None:
    """Store why this machine cannot serve a study; None where it can."""
    study = storage.load(opened, name)
    key = REFUSED + workers.machine()
    if why is not None:
        study.set_user_attr(key, {"why": why, "at": round(time.time())})
    elif study.user_attrs.get(key) is not None:
        study.set_user_attr(key, None)


def refusals_of(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return machine -> why it cannot serve the study, of those that said so of late."""
    said = {
        key.removeprefix(REFUSED): refusal(stored)
        for key, stored in attrs.items()
        if key.startswith(REFUSED)
    }
    return {machine: why for machine, why in said.items() if why is not None}


def refusal(stored: Any) -> str | None:
    """Return why a machine refuses a study, by what it stored; None if it does not, or no more.

    It says so again every few minutes, as long as it serves the storage.
    """
    if not isinstance(stored, dict) or time.time() - stored["at"] > _REFUSED_FOR:
        return None
    return str(stored["why"])


def state_of(attrs: Mapping[str, Any]) -> State:
    """Return what a study's attributes say about its state."""
    found: State = attrs.get(STATE, "open")
    return found


def priority_of(attrs: Mapping[str, Any]) -> int:
    """Return what a study's attributes say about its priority."""
    return int(attrs.get(PRIORITY, 0))


def state(opened: RDBStorage, name: str) -> State:
    """Return what is said about a study."""
    return state_of(storage.load(opened, name).user_attrs)


def give(opened: RDBStorage, name: str, now: State) -> State:
    """Say what is to become of a study and its confirmation; returns what was said before.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage failed.
    """
    study, *more = _with_confirmation(opened, name)
    with storage.told(opened.engine.url):
        before = state_of(study.user_attrs)
        for each in (study, *more):
            each.set_user_attr(STATE, now)
    return before


def _with_confirmation(opened: RDBStorage, name: str) -> list[optuna.Study]:
    study = storage.load(opened, name)
    found = confirmation.find(opened, name)
    return [study] if found is None else [study, found]


def change(
    opened: RDBStorage, name: str, *, trials: int | None = None, priority: int | None = None
) -> Orders:
    """Change the budget of a study, or its priority, which its confirmation shares.

    Returns:
        What is said about it then.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage failed.
    """
    study, *more = _with_confirmation(opened, name)
    with storage.told(opened.engine.url):
        if priority is not None:
            for each in (study, *more):
                each.set_user_attr(PRIORITY, priority)
        if trials is not None:
            spec = storage.spec_of(name, study.user_attrs)
            budget = spec.budget.model_copy(update={"trials": trials})
            changed = spec.model_copy(update={"budget": budget})
            study.set_user_attr(storage.SPEC, changed.to_json())
        return OrderBook(opened, study).read()
