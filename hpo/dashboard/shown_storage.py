"""The storage as Optuna's dashboard gets it: read, made legible, and changed in two ways at most.

Where somebody may write at all, notes are edited and studies are deleted. Whatever else the
dashboard can do (rename, create, tell, change attributes) would break what workers rely on.
"""

import re
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from http import HTTPStatus
from typing import Any, NoReturn

from bottle import HTTPError
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from hpo import storage
from hpo.binding import BindingStorage
from hpo.dashboard.attributes import of_study, of_trial, with_metric_name
from hpo.dashboard.inert import inert, inert_attributes, inert_trial, original
from hpo.dashboard.removal import remove
from hpo.errors import BadInput, StorageError
from hpo.trials import RUN

_NOTE = re.compile(r"dashboard:(\d+:)?note_(ver|str:\d+)")
REFUSED = "hpo's dashboard does not do this: the workers of a study rely on what is stored"


class ShownStorage(BaseStorage):
    """A storage of ours; its methods raise what `bottle` answers with.

    Args:
        opened: the storage.
        write: whether notes are edited and studies deleted.
    """

    def __init__(self, opened: BindingStorage, *, write: bool) -> None:
        self._opened = opened
        self._write = write

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with storage.told(self._opened.engine.url):
                yield
        except StorageError as error:
            raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
        except BadInput as error:
            raise HTTPError(HTTPStatus.CONFLICT, str(error)) from None

    def _refuse(self) -> NoReturn:
        raise HTTPError(HTTPStatus.FORBIDDEN, REFUSED)

    # ── what is read ─────────────────────────────────────────────────────────────────────────────

    @override
    def get_study_id_from_name(self, study_name: str) -> int:
        with self._told():
            found: int = self._opened.get_study_id_from_name(original(study_name))
            return found

    @override
    def get_study_name_from_id(self, study_id: int) -> str:
        with self._told():
            return inert(self._opened.get_study_name_from_id(study_id))

    @override
    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        with self._told():
            found: list[StudyDirection] = self._opened.get_study_directions(study_id)
            return found

    @override
    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        with self._told():
            attrs = self._opened.get_study_user_attrs(study_id)
            name = self._opened.get_study_name_from_id(study_id)
        return inert_attributes(of_study(name, attrs))

    @override
    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        with self._told():
            attrs = self._opened.get_study_user_attrs(study_id)
            return with_metric_name(attrs, self._opened.get_study_system_attrs(study_id))

    @override
    def get_all_studies(self) -> list[FrozenStudy]:
        with self._told():
            found = self._opened.get_all_studies()
        for each in found:  # made for us
            each.system_attrs = with_metric_name(each.user_attrs, each.system_attrs)
            each.user_attrs = inert_attributes(of_study(each.study_name, each.user_attrs))
            each.study_name = inert(each.study_name)
        return sorted(found, key=lambda each: each._study_id)  # noqa: SLF001 - no public name

    @override
    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self._told():
            return _legible(self._opened.get_trial(trial_id))

    @override
    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        with self._told():
            found = self._opened.get_all_trials(study_id, deepcopy=False, states=states)
        return [_legible(each) for each in found]

    @override
    def get_best_trial(self, study_id: int) -> FrozenTrial:
        with self._told():
            return _legible(self._opened.get_best_trial(study_id))

    # ── what is changed ──────────────────────────────────────────────────────────────────────────

    @override
    def delete_study(self, study_id: int) -> None:
        if not self._write:
            self._refuse()
        with self._told():
            remove(self._opened, study_id)

    @override
    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        if not self._write or not _NOTE.fullmatch(key):
            self._refuse()
        with self._told():
            self._opened.set_study_system_attr(study_id, key, value)

    @override
    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        self._refuse()

    @override
    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._refuse()

    @override
    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        self._refuse()

    @override
    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        self._refuse()

    @override
    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        self._refuse()

    @override
    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._refuse()

    @override
    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._refuse()

    @override
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._refuse()


def _legible(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial with attributes for people, and names that stay text."""
    found = copy(inert_trial(trial))
    attrs = of_trial(trial) if RUN in trial.user_attrs else trial.user_attrs
    found.user_attrs = inert_attributes(attrs)
    return found
