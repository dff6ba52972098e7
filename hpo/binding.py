"""Optuna's SQL storage, which creates a trial together with its ticket's note of it, or not at all.

A sampler's `before_trial` would come too late: a worker that is killed between the creation of a
trial and its binding would leave a trial that nobody knows and nobody ends.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from typing_extensions import override

from hpo.errors import LeaseLost
from hpo.leases import Ticket, Tickets
from hpo.outages import is_repetition, persistent
from hpo.rows import (
    end_trial,
    lock_trial,
    read_trial,
    read_trials,
    read_user_attr,
    write_attr,
    write_param,
)
from hpo.transactions import reads, serialise_writers
from hpo.trials import RUN

_USER_ATTRS = models.TrialUserAttributeModel.__table__
_SYSTEM_ATTRS = models.TrialSystemAttributeModel.__table__


@dataclass(frozen=True)
class Held:
    """A ticket, among those of its study."""

    tickets: Tickets
    ticket: Ticket


@dataclass(frozen=True)
class Binding(Held):
    """What the next trial is created with.

    Args:
        tickets, ticket: whose it is.
        params: values that are not left to the sampler.
        attrs: the trial's first user attributes.
    """

    params: Mapping[str, Any]
    attrs: Mapping[str, Any]


class _AlreadyBound(LeaseLost):
    """The ticket has a trial that its holder does not know of: the answer to its creation was lost.

    Args:
        trial_id: Optuna's.
    """

    def __init__(self, trial_id: int) -> None:
        super().__init__(f"the ticket has trial {trial_id} already")
        self.trial_id = trial_id


class BindingStorage(RDBStorage):
    """Optuna's storage; within `bound`, the trial that is created is a ticket's."""

    _binding: Binding | None = None

    # Those that hold up no writer, where the database is SQLite.
    get_all_studies = persistent(reads(RDBStorage.get_all_studies))
    get_study_directions = persistent(reads(RDBStorage.get_study_directions))
    get_study_id_from_name = persistent(reads(RDBStorage.get_study_id_from_name))
    get_study_name_from_id = persistent(reads(RDBStorage.get_study_name_from_id))
    get_study_system_attrs = persistent(reads(RDBStorage.get_study_system_attrs))
    get_study_user_attrs = persistent(reads(RDBStorage.get_study_user_attrs))
    get_trial_system_attrs = persistent(reads(RDBStorage.get_trial_system_attrs))
    get_trial_user_attrs = persistent(reads(RDBStorage.get_trial_user_attrs))
    # Those that come to the same when they are repeated.
    set_study_system_attr = persistent(RDBStorage.set_study_system_attr)
    set_study_user_attr = persistent(RDBStorage.set_study_user_attr)
    set_trial_intermediate_value = persistent(RDBStorage.set_trial_intermediate_value)
    set_trial_system_attr = persistent(RDBStorage.set_trial_system_attr)
    set_trial_user_attr = persistent(RDBStorage.set_trial_user_attr)
    _set_trial_param = persistent(RDBStorage._set_trial_param)  # noqa: SLF001 - the cache calls it

    @override
    @persistent
    @reads
    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self.engine.begin() as connection:
            return read_trial(connection, trial_id)

    @override
    @persistent
    @reads
    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        with self.engine.begin() as connection:
            return read_trials(
                connection, study_id, states, included_trial_ids, trial_id_greater_than
            )

    @contextmanager
    def bound(self, binding: Binding) -> Iterator[None]:
        """Bind the trial that is created in the body."""
        self._binding = binding
        try:
            yield
        finally:
            self._binding = None

    @override
    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        # `hyperparameter_search` creates the study each time: one that was deleted would come back.
        if self._binding is not None:
            raise DuplicatedStudyError
        if study_name is not None:
            return self._create_named(directions, study_name)
        drawn = f"no-name-{uuid4()}"  # once, or a repetition would make another study
        with suppress(DuplicatedStudyError):
            return self._create_named(directions, drawn)
        return self.get_study_id_from_name(drawn)

    @persistent
    def _create_named(self, directions: Sequence[StudyDirection], study_name: str) -> int:
        return super().create_new_study(directions, study_name)

    @override
    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        if self._binding is None:  # nothing would tell a repetition that it is one
            return super()._create_new_trial(study_id, template_trial)
        return self._create_bound(study_id, template_trial)

    @persistent
    def _create_bound(self, study_id: int, template_trial: FrozenTrial | None) -> FrozenTrial:
        try:
            return super()._create_new_trial(study_id, template_trial)
        except _AlreadyBound as made:
            there: FrozenTrial = self.get_trial(made.trial_id)
            return there

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_binding": None})
        if self.engine.name == "sqlite":
            serialise_writers(self.engine)

    @override
    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        binding = self._binding
        if binding is not None and template_trial is None:
            trial_id: Any = trial.trial_id
            for key, value in binding.attrs.items():
                write_attr(session, _USER_ATTRS, trial_id, key, value)
            if binding.params:
                write_attr(session, _SYSTEM_ATTRS, trial_id, "fixed_params", dict(binding.params))
            self._bind(session, trial_id)
        return trial

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state.is_finished():
            self._end(trial_id, state, values or ())
            return True
        if self._binding is None or state != TrialState.RUNNING:
            return super().set_trial_state_values(trial_id, state, values)  # the same
        if self._binding.params:
            return False  # it has its own; the trial that somebody queued waits for a free ticket
        return self._take_queued(trial_id, self._binding)

    @persistent
    def _take_queued(self, trial_id: int, binding: Binding) -> bool:
        """Make a trial that was queued through Optuna the ticket's, if nobody else took it."""
        try:
            with self.scoped_session() as session, session.begin():
                trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
                if trial.state != TrialState.WAITING:
                    mine = is_repetition() and binding.tickets.trial_of(session, binding.ticket)
                    return mine == trial_id
                for key, value in binding.attrs.items():
                    write_attr(session, _USER_ATTRS, trial_id, key, value)
                trial.state = TrialState.RUNNING
                trial.datetime_start = datetime.now()  # noqa: DTZ005 - as Optuna writes all of them
                self._bind(session, trial_id)
        except IntegrityError:
            return False
        return True

    @persistent
    def conclude(
        self, held: Held, trial_id: int, values: Sequence[float] | None, attrs: Mapping[str, Any]
    ) -> None:
        """End the trial of whoever held a ticket before, all of it or nothing.

        Args:
            held: the ticket, claimed since.
            trial_id: of the trial.
            values: with which it is complete; None if it failed.
            attrs: its last attributes.

        Raises:
            LeaseLost: the ticket is somebody else's again, or the trial is not that ticket's.
            UpdateFinishedTrialError: the trial has ended: its worker was not gone.
        """
        with self.scoped_session() as session, session.begin():
            # The trial first: whoever must wait for it can renew the ticket's lease meanwhile.
            state = lock_trial(session, trial_id)
            if not held.tickets.confirm(session, held.ticket):
                raise LeaseLost(f"ticket {held.ticket.number} was taken again")
            self.check_trial_is_updatable(trial_id, state)
            run = read_user_attr(session, trial_id, RUN) or {}
            if run.get("ticket") != held.ticket.number:
                raise LeaseLost(f"trial {trial_id} is another study's now")
            for key, value in attrs.items():
                write_attr(session, _USER_ATTRS, trial_id, key, value)
            state = TrialState.FAIL if values is None else TrialState.COMPLETE
            end_trial(session, trial_id, state, values or ())

    @persistent
    def _end(self, trial_id: int, state: TrialState, values: Sequence[float]) -> None:
        with self.scoped_session() as session, session.begin():
            stored = lock_trial(session, trial_id)
            if is_repetition() and stored == state and self._is_ours(session):
                return
            self.check_trial_is_updatable(trial_id, stored)
            if self._binding is not None:
                _check_whose(session, trial_id, self._binding)
            end_trial(session, trial_id, state, values)

    def _is_ours(self, session: Session) -> bool:
        """Say whether the ticket is still held: then nobody else has ended its trial."""
        binding = self._binding
        return binding is not None and binding.tickets.confirm(session, binding.ticket)

    @override
    def _set_trial_attr_without_commit(
        self, session: Session, model_cls: Any, trial_id: int, key: str, value: Any
    ) -> None:
        # Optuna looks whether the trial has ended without a lock: between its look and its write
        # another worker could end it, and a late reason would make an outcome of its end.
        self.check_trial_is_updatable(trial_id, lock_trial(session, trial_id))
        write_attr(session, model_cls.__table__, trial_id, key, value)

    @override
    def _set_trial_param_without_commit(
        self,
        session: Session,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        if self._binding is not None and param_name in self._binding.params:
            # A grid that was extended has other choices than its first trials had; Optuna would
            # refuse that, to keep samplers from being misled.
            self.check_trial_is_updatable(trial_id, lock_trial(session, trial_id))
            write_param(session, trial_id, param_name, param_value_internal, distribution)
            return
        super()._set_trial_param_without_commit(
            session, trial_id, param_name, param_value_internal, distribution,
            previous_distribution,
        )  # fmt: skip

    def _bind(self, session: Session, trial_id: int) -> None:
        binding = self._binding
        if binding is None or binding.tickets.bind(session, binding.ticket, trial_id):
            return
        there = binding.tickets.trial_of(session, binding.ticket)
        if there not in {None, binding.ticket.trial_id}:
            raise _AlreadyBound(there)
        raise LeaseLost(f"ticket {binding.ticket.number} was taken before its trial began")


def _check_whose(session: Session, trial_id: int, binding: Binding) -> None:
    # SQLite gives the number of a deleted study's trial to one of the next study.
    for key, value in binding.attrs.items():
        if read_user_attr(session, trial_id, key) != value:
            raise LeaseLost(f"trial {trial_id} is another study's now")
