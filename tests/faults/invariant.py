"""What holds after every fault, read with Optuna's own API and plain SQL."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, make_url, text

from hpo.spec import StudySpec

UNCHARGED = {"handed back", "abandoned", "storage away", None}


def told(stage: Path, event: str = "told") -> list[dict[str, Any]]:
    """Return the events of one kind that workers logged."""
    log = stage / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [each for each in map(json.loads, lines) if each["event"] == event]


def trials_of(database_url: str, name: str) -> list[FrozenTrial]:
    """Read the trials of a study through Optuna, as anybody would."""
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    shown = url.render_as_string(hide_password=False)
    opened = optuna.storages.RDBStorage(shown, skip_table_creation=True)
    try:
        return optuna.load_study(study_name=name, storage=opened).get_trials()
    finally:
        opened.remove_session()
        opened.engine.dispose()


def _rows(database_url: str, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the study's attributes and its tickets, as they are stored."""
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    engine = create_engine(url)
    with engine.connect() as connection:
        attrs = connection.execute(
            text(
                "SELECT key, value_json FROM study_user_attributes JOIN studies USING (study_id) "
                "WHERE study_name = :name"
            ),
            {"name": name},
        ).all()
        stored = {key: json.loads(value) for key, value in attrs}
        tickets = connection.execute(
            text("SELECT * FROM hpo_tickets WHERE study = :id ORDER BY number"),
            {"id": stored["hpo:id"]},
        ).mappings()
        rows = [dict(row) for row in tickets]
    engine.dispose()
    return stored, rows


def is_outcome(trial: FrozenTrial) -> bool:
    """Say whether a trial is what became of a ticket."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get("reason") not in UNCHARGED
    return trial.state in {TrialState.COMPLETE, TrialState.PRUNED}


def check_invariant(
    database_url: str, name: str, budget: int, stage: Path, *, alone: bool = True
) -> dict[str, Any]:
    """Check that every ticket has one outcome, and that nothing was lost.

    Args:
        database_url: of the database.
        name: of the study.
        budget: how many outcomes there must be.
        stage: the folder in which workers logged what they told.
        alone: there is no other study whose trials they told.

    Returns:
        `trials`: all of them; `outcomes`: those that count, by ticket; `tickets`: the rows.
    """
    attrs, tickets = _rows(database_url, name)
    trials = trials_of(database_url, name)
    assert {row["number"]: row["state"] for row in tickets[:budget]} == dict.fromkeys(
        range(budget), "done"
    ), tickets
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert not [trial.number for trial in trials if trial.state == TrialState.RUNNING]
    outcomes = [trial for trial in trials if is_outcome(trial)]
    by_ticket = Counter(trial.user_attrs["hpo:run"]["ticket"] for trial in outcomes)
    assert by_ticket == Counter(range(budget)), by_ticket
    by_id = {trial._trial_id: trial for trial in trials}
    for ticket in tickets[:budget]:
        assert is_outcome(by_id[ticket["trial_id"]])  # the latest attempt is the outcome
    for each in told(stage):
        if not alone and each["trial_id"] not in by_id:
            continue
        trial = by_id[each["trial_id"]]
        assert trial.state.name == each["state"]
        if each["values"] is not None:
            assert trial.values == each["values"]
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if completed:
        best = max(trial.value or 0.0 for trial in completed)
        assert _best(database_url, name) == best
    assert (
        StudySpec.model_validate_json(json.dumps(attrs["hpo:spec"])).digest()
        == (attrs["hpo:digest"])
    )
    return {
        "trials": trials,
        "tickets": tickets,
        "outcomes": {trial.user_attrs["hpo:run"]["ticket"]: trial for trial in outcomes},
    }


def _best(database_url: str, name: str) -> float | None:
    from hpo.study import load_study

    best = load_study(name, database_url).best
    return None if best is None else best.value
