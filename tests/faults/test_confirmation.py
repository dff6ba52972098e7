"""The best configurations are trained again, by whoever is there; the search stays what it was."""

import signal
from typing import Any

import optuna
import pytest
from optuna.trial import create_trial

from hpo import orders, storage
from hpo.confirmation import CONFIRMS, CONFIRMS_ID, COVERS
from hpo.spec import parse
from hpo.study import StudyView, load_study
from tests.faults.field import NAME, Field
from tests.faults.invariant import check_invariant
from tests.faults.processes import wait_until

CONFIRM = f"{NAME}-confirm"
LUCK = {"0": 0.5}  # point 0 scored as much better in the search


def confirmed(field: Field, *points: int, seeds: int = 2) -> StudyView:
    """Check both studies, and return the search; its confirmation is of some points, all done."""
    check_invariant(field.url, NAME, 6, field.stage, alone=False)
    budget = len(points) * seeds
    found = check_invariant(field.url, CONFIRM, budget, field.stage, alone=False)
    runs = [found["outcomes"][number].params for number in range(budget)]
    assert sorted(run["point"] for run in runs) == sorted(points * seeds)
    assert len({(run["point"], run["seed"]) for run in runs}) == budget
    assert len({run["seed"] for run in runs}) == seeds
    return load_study(NAME, field.url)


def test_the_luck_of_a_search_is_seen(field: Field) -> None:
    """Its best trial does not win where other seeds do not bear it out."""
    field.script(luck=LUCK)
    file = field.write(**{"confirm.top": 3, "confirm.seeds": 2})
    ended = field.run(file, "--json").end()
    assert ended.code == 0, ended.stderr
    study = confirmed(field, 0, 4, 5)
    found = study.confirmation
    opened = storage.open_storage(field.url)
    whose = storage.load(opened, CONFIRM).user_attrs[CONFIRMS_ID]
    assert whose == storage.load(opened, NAME).user_attrs[storage.ID]
    opened.engine.dispose()
    assert study.best is not None
    assert found is not None
    assert found.winner is not None
    assert study.best.params["point"] == 0
    assert [each.params["point"] for each in found.candidates] == [5, 4, 0]
    assert found.winner.params == {"point": 5}
    assert found.luck == pytest.approx(0.5, abs=0.01)
    assert found.complete
    kept = sorted(path.parent.name for path in field.output.glob(f"{CONFIRM}/trial-*/best"))
    assert len(kept) == 3
    weights = found.winner.checkpoint(found.sign)
    assert weights is not None
    assert weights.endswith("/best")


def test_a_confirmation_survives_its_workers(field: Field) -> None:
    """Some are killed in its midst, others join late: each run has one outcome."""
    field.script(gate=14)
    field.create(confirm={"top": 4, "seeds": 3})
    workers = [field.worker() for _ in range(3)]
    field.wait_for("told", 6 + 2)
    workers[0].send(signal.SIGKILL)
    late = field.worker()
    field.wait_for("told", 6 + 5)
    workers[1].send(signal.SIGTERM)
    assert workers[1].end().code == 75
    field.go("gate")
    for worker in (workers[2], late):
        assert worker.end().code == 0, worker.said()
    field.finish()
    confirmed(field, 2, 3, 4, 5, seeds=3)


def test_workers_without_a_name_confirm_too(field: Field) -> None:
    """Whoever ends the search last makes the confirmation, and all take its tickets."""
    field.create(confirm={"top": 2, "seeds": 3})
    workers = [field.start("worker", "--lease", "5") for _ in range(2)]
    field.wait_for("told", 6 + 6)
    for worker in workers:
        worker.wait_for("nothing to do; waiting for studies")
        worker.send(signal.SIGTERM)
    for worker in workers:
        assert worker.end().code == 75
    confirmed(field, 4, 5, seeds=3)


def test_workers_without_a_name_confirm_what_a_larger_search_found(field: Field) -> None:
    """Until then it is said that the new best is not confirmed."""
    field.create(0, strategy="random", confirm={"top": 1, "seeds": 2}, budget={"trials": 2},
                 space={"point": {"type": "int", "low": 0, "high": 7}})  # fmt: skip
    worker = field.start("worker", "--lease", "5")
    field.wait_for("told", 2 + 2)
    worker.wait_for("nothing to do; waiting for studies")
    worker.send(signal.SIGTERM)
    assert worker.end().code == 75
    opened = storage.open_storage(field.url)
    orders.change(opened, NAME, trials=12)
    field.finish()
    study = load_study(NAME, field.url)
    assert study.best is not None
    assert study.confirmation is not None
    assert study.best.number in {each.trial for each in study.confirmation.candidates}
    orders.change(opened, NAME, trials=13)
    worker = field.start("worker", "--lease", "5")
    again = storage.load(opened, CONFIRM)
    wait_until(lambda: again.user_attrs[COVERS] == 13, "a confirmation of all 13 trials")
    worker.wait_for("nothing to do; waiting for studies")
    worker.send(signal.SIGTERM)
    assert worker.end().code == 75
    last = load_study(NAME, field.url)
    assert last.best is not None
    assert last.confirmation is not None
    assert last.confirmation.complete
    assert last.best.number in {each.trial for each in last.confirmation.candidates}
    opened.engine.dispose()


def test_a_larger_search_adds_to_its_confirmation(field: Field) -> None:
    """What was run is not run again; what the search has found since is."""
    changes: dict[str, Any] = {"confirm.top": 2, "confirm.seeds": 2}
    assert field.run(field.write(3, **changes)).end().code == 0
    assert field.run(field.write(6, **changes)).end().code == 0
    confirmed(field, 1, 2, 4, 5)
    began = len(field.log("began"))
    assert field.run(field.write(6, **changes)).end().code == 0
    assert len(field.log("began")) == began == 6 + 8


def test_what_is_said_of_a_search_holds_for_its_confirmation(field: Field) -> None:
    """Its priority from the start; to be paused, whenever that is said."""
    field.create(confirm={"top": 2, "seeds": 2})
    opened = storage.open_storage(field.url)
    orders.change(opened, NAME, priority=7)
    field.script(steps=60)
    worker = field.worker()
    field.wait_for("told", 6)
    field.wait_for("began", 7)
    orders.give(opened, NAME, "recalled")
    assert worker.end().code == 0, worker.said()  # the search has its result
    found = storage.load(opened, CONFIRM).user_attrs
    assert (orders.priority_of(found), orders.state_of(found)) == (7, "recalled")
    field.script()
    orders.give(opened, NAME, "open")
    field.finish()
    confirmed(field, 4, 5)
    opened.engine.dispose()


def test_a_stopped_search_is_not_confirmed(field: Field) -> None:
    """Nor is one without a result."""
    field.create(confirm={"top": 2, "seeds": 2})
    opened = storage.open_storage(field.url)
    orders.give(opened, NAME, "stopped")
    field.finish(code=5)
    orders.give(opened, NAME, "open")
    field.script(faults={str(point): "diverged" for point in range(6)})
    field.finish(code=5)
    assert storage.study_names(opened) == [NAME]
    opened.engine.dispose()


@pytest.mark.parametrize("command", ["run", "submit"])
@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, "exists, and is not the confirmation of 'field'"),
        ({CONFIRMS: NAME}, "is the confirmation of an earlier study 'field', which is gone"),
    ],
    ids=["somebody's", "left over"],
)
def test_a_name_that_is_taken_is_told_before_anything_is_spent(
    field: Field, command: str, facts: dict[str, Any], why: str
) -> None:
    """A study of the user's, or what an earlier study has left: nothing is trained, or made."""
    opened = storage.open_storage(field.url)
    storage.create_or_attach(
        opened, CONFIRM, parse(field.document(), "study.toml"), direction="maximize",
        facts={storage.METRIC: "score"}, first=facts,
    )  # fmt: skip
    file = field.write(**{"confirm.top": 2, "confirm.seeds": 2})
    ended = field.start(command, str(file), "--name", NAME).end()
    assert ended.code == 3, ended.stderr
    said = " ".join(ended.stderr.split())
    assert f"study '{CONFIRM}': {why}" in said
    assert f"`hpo delete {CONFIRM}`" in said
    assert storage.study_names(opened) == [CONFIRM]
    assert field.log("began") == []
    opened.engine.dispose()


@pytest.mark.parametrize("command", ["run", "worker"])
def test_a_confirmation_that_was_not_made_to_its_end_is_made_by_the_next(
    field: Field, command: str
) -> None:
    """It is there before it says whose it is: its maker is at that, or was killed over it."""
    opened = storage.open_storage(field.url)
    optuna.create_study(storage=opened, study_name=CONFIRM, direction="maximize")
    opened.remove_session()
    opened.engine.dispose()
    file = field.write(**{"confirm.top": 2, "confirm.seeds": 2})
    if command == "run":
        ended = field.run(file).end()
        assert ended.code == 0, ended.stderr
    else:
        assert field.start("submit", str(file), "--name", NAME).end().code == 0
        pool = field.start("worker")
        field.wait_for("told", 6 + 4)
        pool.send(signal.SIGTERM)
        assert pool.end().code == 75
    confirmed(field, 4, 5)


def test_a_study_without_hpo_is_no_confirmation(field: Field) -> None:
    """It has trials, and says nothing of us."""
    opened = storage.open_storage(field.url)
    optuna.create_study(storage=opened, study_name=CONFIRM).add_trial(create_trial(value=1.0))
    opened.remove_session()
    opened.engine.dispose()
    file = field.write(**{"confirm.top": 2, "confirm.seeds": 2})
    ended = field.run(file).end()
    assert ended.code == 3
    assert "is not the confirmation of 'field'" in " ".join(ended.stderr.split())
    assert field.log("began") == []


def test_a_name_that_is_taken_meanwhile_costs_the_search_nothing(field: Field) -> None:
    """It has its result, and says what keeps it from being confirmed."""
    file = field.write(**{"confirm.top": 2, "confirm.seeds": 2})
    field.arm("telling")
    running = field.run(file)
    field.reached("telling")
    opened = storage.open_storage(field.url)
    storage.create_or_attach(
        opened, CONFIRM, parse(field.document(), "study.toml"), direction="maximize",
        facts={storage.METRIC: "score"},
    )  # fmt: skip
    opened.engine.dispose()
    field.go("telling")
    ended = running.end()
    assert ended.code == 0, ended.stderr
    assert "is not the confirmation of 'field'" in " ".join(ended.stderr.split())
    assert check_invariant(field.url, NAME, 6, field.stage, alone=False)
