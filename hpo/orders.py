"""What people say about a study while it runs: pause, stop, another budget, another priority.

It stands in the study's user attributes; workers look at it between two trials, and while one runs
as often as they renew its lease.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from hpo import confirmation, storage
from hpo.errors import BadInput, UnknownVersion
from hpo.spec import BudgetSpec, StudySpec

STATE = "hpo:state"
PRIORITY = "hpo:priority"
GIVEN = "hpo:budget"  # what its file said of it when it was last run or submitted

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


def agreed_budget(opened: RDBStorage, name: str, given: BudgetSpec) -> BudgetSpec:
    """Return the budget that a study has once its file is run or submitted again.

    What `hpo set` changed stays, as long as the file says what it said before: whoever repeats a
    command does not mean to undo what was said since.

    Args:
        opened: the storage that the study is in.
        name: of the study, which exists.
        given: the budget that the file says, options included.
    """
    study = storage.load(opened, name)
    with storage.told(opened.engine.url):
        attrs = study.user_attrs
    before, now = attrs.get(GIVEN, {}), given.model_dump(mode="json")
    try:
        stored = storage.spec_of(name, attrs).budget.model_dump(mode="json")
    except UnknownVersion:
        return given  # whoever attaches is told in which versions they differ
    kept = {key: stored[key] for key in now if key in before and before[key] == now[key]}
    return BudgetSpec.model_validate({**now, **kept})


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
        BadInput: there is no such study, or it is a confirmation, whose runs have another reason.
        StorageError: the storage failed.
    """
    study, *more = _with_confirmation(opened, name)
    with storage.told(opened.engine.url):
        searched = study.user_attrs.get(confirmation.CONFIRMS)
        if trials is not None and searched is not None:
            raise BadInput(
                f"study {name!r}: is the confirmation of {searched!r} and has no budget; expected "
                "another top or seeds in [confirm] of the study file, and `hpo run` once more"
            )
        if priority is not None:
            for each in (study, *more):
                each.set_user_attr(PRIORITY, priority)
        if trials is not None:
            spec = storage.spec_of(name, study.user_attrs)
            budget = spec.budget.model_copy(update={"trials": trials})
            changed = spec.model_copy(update={"budget": budget})
            study.set_user_attr(storage.SPEC, changed.to_json())
        return OrderBook(opened, study).read()
