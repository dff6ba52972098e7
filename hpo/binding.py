"""Optuna's SQL storage, which creates a trial together with its ticket's note of it, or not at all.

A sampler's `before_trial` would come too late: a worker that is killed between the creation of a
trial and its binding would leave a trial that nobody knows and nobody ends.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from typing_extensions import override

from hpo.errors import LeaseLost
from hpo.leases import Ticket, Tickets
from hpo.transactions import reads


@dataclass(frozen=True)
class Binding:
    """What the next trial is created with.

    Args:
        tickets, ticket: whose it is.
        params: values that are not left to the sampler.
        attrs: the trial's first user attributes.
    """

    tickets: Tickets
    ticket: Ticket
    params: Mapping[str, Any]
    attrs: Mapping[str, Any]


class BindingStorage(RDBStorage):
    """Optuna's storage; within `bound`, the trial that is created is a ticket's."""

    _binding: Binding | None = None

    # Those that hold up no writer, where the database is SQLite.
    get_all_studies = reads(RDBStorage.get_all_studies)
    get_study_directions = reads(RDBStorage.get_study_directions)
    get_study_id_from_name = reads(RDBStorage.get_study_id_from_name)
    get_study_name_from_id = reads(RDBStorage.get_study_name_from_id)
    get_study_system_attrs = reads(RDBStorage.get_study_system_attrs)
    get_study_user_attrs = reads(RDBStorage.get_study_user_attrs)
    get_trial = reads(RDBStorage.get_trial)
    get_trial_system_attrs = reads(RDBStorage.get_trial_system_attrs)
    get_trial_user_attrs = reads(RDBStorage.get_trial_user_attrs)
    _get_trials = reads(RDBStorage._get_trials)  # noqa: SLF001 - a base class of ours

    @contextmanager
    def bound(self, binding: Binding) -> Iterator[None]:
        """Bind the trial that is created in the body."""
        self._binding = binding
        try:
            yield
        finally:
            self._binding = None

    @override
    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        binding = self._binding
        if binding is not None and template_trial is None:
            for key, value in binding.attrs.items():
                session.add(_attribute(models.TrialUserAttributeModel, trial, key, value))
            if binding.params:
                fixed = dict(binding.params)
                kind = models.TrialSystemAttributeModel
                session.add(_attribute(kind, trial, "fixed_params", fixed))
            self._bind(session, trial.trial_id)  # type: ignore[arg-type]
        return trial

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if self._binding is not None and state.is_finished():
            self._check_whose(trial_id, self._binding)
        if self._binding is None or state != TrialState.RUNNING:
            return super().set_trial_state_values(trial_id, state, values)
        if self._binding.params:
            return False  # it has its own; the trial that somebody queued waits for a free ticket
        return self._take_queued(trial_id, self._binding)

    def _check_whose(self, trial_id: int, binding: Binding) -> None:
        # SQLite gives the number of a deleted study's trial to one of the next study.
        attrs = self.get_trial_user_attrs(trial_id)
        if any(attrs.get(key) != value for key, value in binding.attrs.items()):
            raise LeaseLost(f"trial {trial_id} is another study's now")

    def _take_queued(self, trial_id: int, binding: Binding) -> bool:
        """Make a trial that was queued through Optuna the ticket's, if nobody else took it."""
        try:
            with self.scoped_session() as session, session.begin():
                trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
                if trial.state != TrialState.WAITING:
                    return False
                for key, value in binding.attrs.items():
                    self._set_trial_attr_without_commit(
                        session, models.TrialUserAttributeModel, trial_id, key, value
                    )
                trial.state = TrialState.RUNNING
                trial.datetime_start = datetime.now()  # noqa: DTZ005 - as Optuna writes all of them
                self._bind(session, trial_id)
        except IntegrityError:
            return False
        return True

    def fail(self, trial_id: int, attrs: Mapping[str, Any]) -> None:
        """Fail a trial with its last attributes, both or neither: its worker may not be gone.

        Raises:
            UpdateFinishedTrialError: it has ended.
        """
        with self.scoped_session() as session, session.begin():
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
            self.check_trial_is_updatable(trial_id, trial.state)  # type: ignore[arg-type]
            for key, value in attrs.items():
                self._set_trial_attr_without_commit(
                    session, models.TrialUserAttributeModel, trial_id, key, value
                )
            trial.state = TrialState.FAIL
            trial.datetime_complete = datetime.now()  # noqa: DTZ005

    @override
    def _set_trial_attr_without_commit(
        self, session: Session, model_cls: Any, trial_id: int, key: str, value: Any
    ) -> None:
        # Optuna looks whether the trial has ended without a lock: between its look and its write
        # another worker could end it, and a late reason would make an outcome of its end.
        models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
        super()._set_trial_attr_without_commit(session, model_cls, trial_id, key, value)

    def _bind(self, session: Session, trial_id: int) -> None:
        binding = self._binding
        if binding is not None and not binding.tickets.bind(session, binding.ticket, trial_id):
            raise LeaseLost(f"ticket {binding.ticket.number} was taken before its trial began")


def _attribute(kind: Any, trial: models.TrialModel, key: str, value: Any) -> Any:
    return kind(trial_id=trial.trial_id, key=key, value_json=json.dumps(value))
