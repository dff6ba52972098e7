"""Optuna's rows, read as Optuna reads them."""

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection

from hpo.binding import Binding, BindingStorage
from hpo.leases import Tickets

STATES = list(TrialState)


@pytest.fixture
def study(opened: BindingStorage) -> optuna.Study:
    """A study with trials of all kinds, beside another one."""
    optuna.create_study(storage=opened).add_trial(made(0))
    study = optuna.create_study(storage=opened)
    study.add_trials([made(number) for number in range(25)])
    return study


def made(number: int) -> FrozenTrial:
    """Return a trial unlike the others."""
    state = STATES[number % len(STATES)]
    values = [math.inf, -math.inf, 1e-300, 0.1, -3.0]
    params: dict[str, Any] = {"z": "ü", "a": 1e-5, "m": None}
    distributions: dict[str, Any] = {
        "z": CategoricalDistribution(("a", "ü")), "a": FloatDistribution(1e-6, 1.0, log=True),
        "m": CategoricalDistribution((None, True, 3)),
    }  # fmt: skip
    if number % 3:
        params["n"], distributions["n"] = 6, IntDistribution(2, 10, step=2)
    return create_trial(
        state=state,
        value=values[number % 5 - 1] if state == TrialState.COMPLETE else None,
        params=params,
        distributions=distributions,
        user_attrs={"text": "x" * number, "nested": {"list": [1, None, 2.5]}},
        system_attrs={"fixed_params": {"a": number}},
        intermediate_values={10 * step: values[step % 5] for step in range(number % 7)}
        | {1000: math.nan},
    )


def same(ours: list[FrozenTrial], theirs: list[FrozenTrial]) -> bool:
    """Compare trials: NaN is no other than NaN, parameters come in order, and the rest in any."""
    return list(map(written, ours)) == list(map(written, theirs))


def written(trial: FrozenTrial) -> str:
    """Write a trial, with its attributes and reports in order."""
    inside = dict(vars(trial))
    for name in ("_user_attrs", "_system_attrs", "intermediate_values"):
        inside[name] = sorted(inside[name].items())
    return repr(inside)


@pytest.mark.parametrize("states", [None, (TrialState.RUNNING,), tuple(STATES[:3]), ()])
@pytest.mark.parametrize("many", [1000, 3])
def test_trials_are_read_as_optuna_reads_them(
    opened: BindingStorage, study: optuna.Study, states: Any, many: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """All of them, or those that a cache lacks; by their ids, or more than can be named."""
    monkeypatch.setattr("hpo.rows._MANY", many)
    ids = [trial._trial_id for trial in study.trials]
    for included, above in ((set(), -1), (set(ids[:8:2]), ids[19]), (set(ids), -1), ({1}, 10**6)):
        ours = opened._get_trials(study._study_id, states, included, above)
        theirs = RDBStorage._get_trials(opened, study._study_id, states, included, above)
        assert same(ours, theirs)
    assert same([opened.get_trial(ids[7])], [RDBStorage.get_trial(opened, ids[7])])


def test_what_is_not_there(opened: BindingStorage) -> None:
    """A study without trials has none; one that is not there is a KeyError, as is a trial."""
    study = optuna.create_study(storage=opened)
    assert opened._get_trials(study._study_id, None, set(), -1) == []
    with pytest.raises(KeyError):
        opened._get_trials(study._study_id + 1, None, set(), -1)
    with pytest.raises(KeyError):
        opened.get_trial(10**6)


def test_a_trial_that_ends_while_it_is_read(
    opened: BindingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with all that is its own, although it has another state by then."""
    study = optuna.create_study(storage=opened)
    trial = study.ask({"x": FloatDistribution(0.0, 1.0)})
    original = Connection.execute
    ended: list[int] = []

    def interrupted(connection: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        if "UNION ALL" in str(statement) and not ended:
            ended.append(1)
            if opened.engine.name == "postgresql":  # SQLite reads all from one moment
                study.tell(trial, 1.0)
        return original(connection, statement, *args, **kwargs)

    monkeypatch.setattr(Connection, "execute", interrupted)
    (found,) = opened._get_trials(study._study_id, (TrialState.RUNNING,), set(), -1)
    assert ended
    assert list(found.params) == ["x"]


def test_no_study_is_made_for_a_ticket(opened: BindingStorage) -> None:
    """`hyperparameter_search` creates its study each time; one that was deleted stays deleted."""
    tickets = Tickets(opened.engine, "0" * 32, worker="w")
    with opened.bound(Binding(tickets, None, {}, {})):  # type: ignore[arg-type]
        with pytest.raises(DuplicatedStudyError):
            opened.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "deleted")
        with pytest.raises(KeyError):
            optuna.create_study(storage=opened, study_name="deleted", load_if_exists=True)
    assert not optuna.get_all_study_names(opened)
