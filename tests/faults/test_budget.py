"""What ends a study: its budget, its failures, its hours; and what users put into its queue."""

import time
from typing import Any

import optuna
import pytest

from hpo import storage
from tests.faults.field import NAME, Field
from tests.faults.invariant import trials_of
from tests.faults.processes import wait_until

RANDOM: dict[str, Any] = {
    "strategy": "random",
    "space": {"point": {"type": "int", "low": 0, "high": 9}},
}


def test_max_failures(field: Field) -> None:
    """So many failures of all workers end the study for each of them, with the reason."""
    field.create(12, budget={"max_failures": 2})
    faults = ["diverged", "out of memory"]  # three alike would end the study for that
    field.script(faults={str(point): faults[point % 2] for point in range(12)})
    workers = [field.worker() for _ in range(3)]
    for worker in workers:
        ended = worker.end()
        assert ended.code == 5, ended.stderr
        assert "2 trials failed (budget.max_failures)" in ended.stderr
        assert "× diverged" in ended.stderr or "× out of memory" in ended.stderr
    trials = trials_of(field.url, NAME)
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    assert 2 <= len(failed) <= 2 + len(workers) - 1  # what ran already was run to its end
    assert not [trial for trial in trials if trial.state.name == "RUNNING"]
    assert not field.held()


def test_hours(field: Field) -> None:
    """Wall clock of all workers together; the time in which no trial runs does not count."""
    seconds = 6.0
    field.create(0, **RANDOM, budget={"hours": seconds / 3600})
    field.script(steps=5, pause=0.1)
    killed = field.worker(elsewhere=True)
    wait_until(lambda: list(field.output.glob("*/trial-0000/checkpoint-2")), "a checkpoint")
    killed.kill()
    time.sleep(2 * seconds)  # a pause, which is what is tested
    workers = [field.worker() for _ in range(2)]
    for worker in workers:
        assert worker.end().code == 0, worker.said()
    trials = trials_of(field.url, NAME)
    assert not [trial for trial in trials if trial.state.name == "RUNNING"]
    assert not field.held()
    spans = [
        (trial.datetime_start, trial.datetime_complete)
        for trial in trials
        if trial.state.name == "COMPLETE"
    ]
    assert len(spans) >= 4
    first = min(start for start, _ in spans if start)
    last = max(end for _, end in spans if end)
    assert seconds / 2 < (last - first).total_seconds()


@pytest.mark.parametrize("zones", [("UTC", "UTC"), ("Pacific/Kiritimati", "Pacific/Honolulu")])
def test_queued_through_optuna(field: Field, zones: tuple[str, str]) -> None:
    """A trial of the user's takes the next free ticket; it runs once, and counts."""
    field.create(0, **RANDOM, budget={"trials": 5})
    opened = storage.open_storage(field.url)
    study = optuna.load_study(study_name=NAME, storage=opened)
    for point in (7, 8):
        study.enqueue_trial({"point": point})
    opened.engine.dispose()
    workers = [field.worker(env={"TZ": zone}) for zone in zones]
    for worker in workers:
        assert worker.end().code == 0, worker.said()
    found = field.check(5)
    assert len(found["trials"]) == 5
    queued = {trial.params["point"]: trial for trial in found["trials"][:2]}
    assert sorted(queued) == [7, 8]
    for trial in queued.values():
        assert trial.duration is not None
        assert 0 <= trial.duration.total_seconds() < 60
        assert trial.user_attrs["hpo:run"]["ticket"] in {0, 1}


def test_a_grid_that_is_extended(field: Field) -> None:
    """Only the new points are run, whatever the order; one that lacks an old point is refused."""

    def run(*values: int) -> Any:
        changes = {"space": {"point": {"type": "choice", "values": list(values)}}}
        return field.run(field.write(0, **changes)).end()

    assert run(0, 1, 2).code == 0
    assert run(5, 2, 1, 4, 0).code == 0
    found = field.check(5)
    points = [found["outcomes"][number].params["point"] for number in range(5)]
    assert (sorted(points[:3]), sorted(points[3:])) == ([0, 1, 2], [4, 5])
    assert run(5, 2, 1, 4, 0).code == 0
    refused = run(0, 1, 9)
    assert refused.code == 3
    assert "space.point.values: stored [5, 2, 1, 4, 0], found [0, 1, 9]" in refused.stderr
    field.check(5)


def test_configurations_that_are_tried_first(field: Field) -> None:
    """They take the first tickets, each once however many workers there are; and they count."""
    field.create(0, **RANDOM, start=[{"point": 7}, {"point": 2}], budget={"trials": 5})
    for worker in [field.worker() for _ in range(3)]:
        assert worker.end().code == 0, worker.said()
    found = field.check(5)
    runs = {
        trial.user_attrs["hpo:run"]["ticket"]: trial.params["point"] for trial in found["trials"]
    }
    assert (len(runs), runs[0], runs[1]) == (5, 7, 2)


def test_failures_end_a_study_at_once(field: Field) -> None:
    """Nobody waits for the lease of a ticket whose outcome is what ended the study."""
    field.create(12, budget={"max_failures": 2})
    field.script(faults={str(point): "diverged" for point in range(12)})
    workers = [field.start("worker", NAME, "--lease", "600") for _ in range(2)]
    for worker in workers:
        assert worker.end().code == 5, worker.said()  # within PATIENCE, which is shorter
    assert not field.held()
