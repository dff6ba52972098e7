"""Optuna's trials in and out of their tables, with few statements and no object for each row.

Optuna reads a trial by six statements and a set of them by seven, through its object mapper; here
it is two, whatever their number. Its tables and what stands in them are as it defines them: its
own test suite for storages runs over this.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    Float,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    literal_column,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

_MANY = 1000  # ids are named one by one up to here; SQLite takes no more than 32,766 of them


def _columns(model: Any) -> Any:
    return model.__table__.c


_STUDIES = _columns(models.StudyModel)
_TRIALS = _columns(models.TrialModel)
_VALUES = _columns(models.TrialValueModel)
_REPORTS = _columns(models.TrialIntermediateValueModel)
_PARAMS = _columns(models.TrialParamModel)
_USER = _columns(models.TrialUserAttributeModel)
_SYSTEM = _columns(models.TrialSystemAttributeModel)


def read_trial(connection: Connection, trial_id: int) -> FrozenTrial:
    """Return a trial.

    Raises:
        KeyError: there is none.
    """
    row = connection.execute(_ONE_TRIAL, {"trial_id": trial_id}).one_or_none()
    if row is None:
        raise KeyError(models.NOT_FOUND_MSG)
    return _frozen(row, connection.execute(_parts_named(), {"ids": [trial_id]}))


def read_trials(
    connection: Connection,
    study_id: int,
    states: Container[TrialState] | None,
    included: Iterable[int],
    above: int,
) -> list[FrozenTrial]:
    """Return trials of a study, by their ids.

    Args:
        connection: in a transaction.
        study_id: Optuna's.
        states: only those are wanted; None is any.
        included: ids of trials that are wanted even if they are not …
        above: … higher than this.

    Raises:
        KeyError: there is no such study.
    """
    named = {trial_id for trial_id in included if trial_id <= above}
    low = min((above + 1, *named)) if len(named) > _MANY else above + 1
    wanted = {
        "study_id": study_id,
        "low": low,
        "named": sorted(trial_id for trial_id in named if trial_id < low),
        "states": [state for state in TrialState if states is None or state in states],
    }
    rows = connection.execute(_some_trials(), wanted).all()
    if not rows:
        raise KeyError(models.NOT_FOUND_MSG)
    rows = [
        row
        for row in rows
        if row.trial_id is not None  # see _some_trials
        and (row.trial_id > above or row.trial_id in named)
    ]
    if not rows:
        return []
    found = defaultdict(list)
    if len(rows) <= _MANY:  # by their ids: one that has ended since has another state
        parts = connection.execute(_parts_named(), {"ids": [row.trial_id for row in rows]})
    else:
        parts = connection.execute(_parts_from(), {"study_id": study_id, "low": rows[0].trial_id})
    for part in parts:
        found[part.trial_id].append(part)
    return [_frozen(row, found[row.trial_id]) for row in rows]


# To build a statement takes longer than to run it.


_ONE_TRIAL = select(*_TRIALS).where(_TRIALS.trial_id == bindparam("trial_id"))


@lru_cache
def _some_trials() -> Executable:
    named: BindParameter[int] = bindparam("named", expanding=True)
    states: BindParameter[TrialState] = bindparam("states", expanding=True)
    wanted = (
        (_TRIALS.study_id == bindparam("study_id"))
        & or_(_TRIALS.trial_id >= bindparam("low"), _TRIALS.trial_id.in_(named))
        & _TRIALS.state.in_(states)
    )
    # The study is looked up by the same statement: one row without a trial where it has none.
    return (
        select(*_TRIALS)
        .select_from(models.StudyModel.__table__)
        .outerjoin(models.TrialModel.__table__, wanted)
        .where(_STUDIES.study_id == bindparam("study_id"))
        .order_by(_TRIALS.trial_id)
    )


@lru_cache
def _parts_named() -> Executable:
    ids: BindParameter[int] = bindparam("ids", expanding=True)
    return _parts(ids)


@lru_cache
def _parts_from() -> Executable:
    return _parts(
        select(_TRIALS.trial_id).where(
            _TRIALS.study_id == bindparam("study_id"), _TRIALS.trial_id >= bindparam("low")
        )
    )


def _parts(trials: BindParameter[int] | Select[Any]) -> Executable:
    """Return what selects all that belongs to some trials, given their ids, oldest first."""
    no_name, no_number = cast(null(), String), cast(null(), Float(53))
    no_index = cast(null(), Integer)

    def part(kind: int, own: ColumnElement[int], trial: ColumnElement[int], *rest: Any) -> Any:
        kinds = literal_column(str(kind), Integer).label("kind")
        columns = zip(("name", "number", "text", "at"), rest, strict=True)
        labelled = [column.label(name) for name, column in columns]
        found: Select[Any] = select(kinds, own.label("own"), trial.label("trial_id"), *labelled)
        return found.where(trial.in_(trials))

    return union_all(
        part(_PARAM, _PARAMS.param_id, _PARAMS.trial_id,
             _PARAMS.param_name, _PARAMS.param_value, _PARAMS.distribution_json, no_index),
        part(_VALUE, _VALUES.trial_value_id, _VALUES.trial_id,
             no_name, _VALUES.value, cast(_VALUES.value_type, Text), _VALUES.objective),
        part(_USER_ATTR, _USER.trial_user_attribute_id, _USER.trial_id,
             _USER.key, no_number, _USER.value_json, no_index),
        part(_SYSTEM_ATTR, _SYSTEM.trial_system_attribute_id, _SYSTEM.trial_id,
             _SYSTEM.key, no_number, _SYSTEM.value_json, no_index),
        part(_REPORT, _REPORTS.trial_intermediate_value_id, _REPORTS.trial_id,
             no_name, _REPORTS.intermediate_value,
             cast(_REPORTS.intermediate_value_type, Text), _REPORTS.step),
    ).order_by("kind", "own")  # fmt: skip


_PARAM, _VALUE, _USER_ATTR, _SYSTEM_ATTR, _REPORT = range(5)


def _frozen(row: Row[Any], parts: Iterable[Row[Any]]) -> FrozenTrial:
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    values: dict[int, float] = {}
    user_attrs: dict[str, Any] = {}
    system_attrs: dict[str, Any] = {}
    reports: dict[int, float] = {}
    for part in parts:
        kind, _, _, name, number, text, at = tuple(part)
        if kind == _PARAM:
            distributions[name] = _distribution(text)
            params[name] = distributions[name].to_external_repr(number)
        elif kind == _USER_ATTR:
            user_attrs[name] = json.loads(text)
        elif kind == _SYSTEM_ATTR:
            system_attrs[name] = json.loads(text)
        elif kind == _VALUE:
            values[at] = _SPECIAL.get(text, number)
        else:
            reports[at] = _SPECIAL.get(text, number)
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[values[objective] for objective in sorted(values)] or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params=params,
        distributions=distributions,
        user_attrs=user_attrs,
        system_attrs=system_attrs,
        intermediate_values=reports,
        trial_id=row.trial_id,
    )


# What no column of numbers holds on every database, by the name of its kind.
_SPECIAL = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    found: BaseDistribution = json_to_distribution(text)
    return found


def _local(stored: datetime | None) -> datetime | None:
    """Return a stored time as Optuna shows it: local, without a zone; it is stored in UTC."""
    if stored is None:
        return None
    return stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def lock_trial(session: Session, trial_id: int) -> TrialState:
    """Keep others from changing a trial until the transaction ends, and return its state.

    Raises:
        KeyError: there is no such trial.
    """
    state: TrialState | None = session.connection().scalar(_LOCK, {"trial_id": trial_id})
    if state is None:
        raise KeyError(models.NOT_FOUND_MSG)
    return state


def write_attr(session: Session, table: Table, trial_id: int, key: str, value: Any) -> None:
    """Set an attribute of a trial, in one of Optuna's two tables of such."""
    written = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
    connection = session.connection()
    connection.execute(_upsert(connection.dialect.name, table, "key", "value_json"), written)


def write_param(
    session: Session, trial_id: int, name: str, value: float, distribution: BaseDistribution
) -> None:
    """Set a parameter of a trial.

    Args:
        session: in a transaction.
        trial_id: Optuna's.
        name: of the parameter.
        value: in Optuna's internal representation.
        distribution: what it was drawn from.
    """
    session.connection().execute(
        models.TrialParamModel.__table__.insert(),
        {
            "trial_id": trial_id, "param_name": name, "param_value": value,
            "distribution_json": distribution_to_json(distribution),
        },
    )  # fmt: skip


def read_user_attr(session: Session, trial_id: int, key: str) -> Any:
    """Return a user attribute of a trial, or None if it has no such."""
    text = session.connection().scalar(_ONE_ATTR, {"trial_id": trial_id, "key": key})
    return None if text is None else json.loads(text)


def end_trial(session: Session, trial_id: int, state: TrialState, values: Iterable[float]) -> None:
    """Give a trial its last state, with its values."""
    connection = session.connection()
    table = models.TrialValueModel.__table__
    upsert = _upsert(connection.dialect.name, table, "objective", "value", "value_type")
    for objective, value in enumerate(values):
        number, kind = models.TrialValueModel.value_to_stored_repr(value)
        written = {"trial_id": trial_id, "objective": objective, "value": number}
        connection.execute(upsert, {**written, "value_type": kind})
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.execute(_END, {"id": trial_id, "state": state, "datetime_complete": now})


_LOCK = select(_TRIALS.state).where(_TRIALS.trial_id == bindparam("trial_id")).with_for_update()
_ONE_ATTR = select(_USER.value_json).where(
    _USER.trial_id == bindparam("trial_id"), _USER.key == bindparam("key")
)
_END = (
    update(models.TrialModel.__table__)
    .where(_TRIALS.trial_id == bindparam("id"))
    .values(state=bindparam("state"), datetime_complete=bindparam("datetime_complete"))
)


@lru_cache
def _upsert(dialect: str, table: Table, key: str, *changed: str) -> Any:
    insert: Callable[[Table], Any] = {"sqlite": sqlite, "postgresql": postgresql}[dialect].insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=["trial_id", key],
        set_={name: statement.excluded[name] for name in changed},
    )
