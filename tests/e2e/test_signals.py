"""Ctrl-C, a scheduler's signals and a kill: nothing is lost, and nothing counted twice."""

import signal
from pathlib import Path
from typing import Any

import pytest

from hpo.checkpoints import step_of
from hpo.study import load_study
from hpo.trials import FIRST_STEP, RUN, TrialResult
from tests.e2e.processes import Hpo
from tests.faults.processes import wait_until
from tests.studies_made import STEPS, write_study

EPOCHS = 6
POINTS = [1e-3, 2e-3, 3e-3]
STUDY: dict[str, Any] = {
    "strategy": "grid",
    "budget": None,
    "training": {"num_train_epochs": EPOCHS},
    "space": {"learning_rate": {"type": "choice", "values": POINTS}},
}
TRIALS = len(POINTS)


@pytest.fixture
def study(hpo: Hpo) -> Path:
    """A grid of three points; the folder of the study."""
    write_study(hpo.folder / "study.toml", STUDY)
    return hpo.folder / "runs" / "study-grid"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[float, list[dict[str, float]]]:
    """What the study gives where nothing interrupts it: point -> metrics of each evaluation."""
    folder = tmp_path_factory.mktemp("undisturbed")
    hpo = Hpo(folder, folder.parent / "e2e-cache")
    write_study(folder / "study.toml", STUDY)
    assert hpo("run").code == 0
    return results(hpo)


def all_trials(hpo: Hpo) -> list[TrialResult]:
    """Read every attempt of the study."""
    return load_study("study-grid", f"sqlite:///{hpo.folder / 'runs' / 'hpo.db'}").trials


def results(hpo: Hpo) -> dict[float, list[dict[str, float]]]:
    """Return the metrics of each completed point's evaluations; each point completed once."""
    completed = [trial for trial in all_trials(hpo) if trial.state == "COMPLETE"]
    rates = [trial.params["learning_rate"] for trial in completed]
    assert sorted(rates) == POINTS
    return {
        rate: [each["metrics"] for each in trial.evaluations]
        for rate, trial in zip(rates, completed, strict=True)
    }


def saved_step(study: Path) -> int:
    """Return the step of the checkpoint that the interrupted trial is continued from."""
    return max(step_of(mark.parent) for mark in study.glob("trial-*/checkpoint-*/hpo-complete"))


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_signal_hands_the_trial_back(
    hpo: Hpo,
    study: Path,
    undisturbed: dict[float, list[dict[str, float]]],
    number: signal.Signals,
    code: int,
) -> None:
    """Saved, handed back, not charged; continued from its step to the undisturbed result."""
    running = hpo.start("run", "--json", hold="trial 1 started")
    running.wait_for("trial 1 started")
    running.send(number)
    running.release()
    ended = running.end()
    assert ended.code == code, ended.stderr
    assert ended.json()["exit_code"] == code
    assert 0 < saved_step(study) < EPOCHS * STEPS
    trial = all_trials(hpo)[1]
    assert (trial.state, trial.reason) == ("FAIL", "handed back")
    assert hpo("status", "--json").json()["trials"] == {"COMPLETE": 1}

    ended = hpo("run", "--json")
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": TRIALS}), ended.stderr
    assert results(hpo) == undisturbed
    (retry,) = (trial for trial in all_trials(hpo) if "earlier" in trial.record[RUN])
    assert (retry.record[RUN]["earlier"], retry.params) == ([1], trial.params)
    assert retry.record[FIRST_STEP] > 0


def test_second_interrupt_leaves_at_once(
    hpo: Hpo, study: Path, undisturbed: dict[float, list[dict[str, float]]]
) -> None:
    """Ctrl-C twice may cost the trial its latest steps, and nothing else."""
    running = hpo.start("run", hold="trial 0 started")
    running.wait_for("trial 0 started")

    def gone() -> bool:
        running.send(signal.SIGINT)
        return running.over()

    wait_until(gone, "its end")
    assert running.end().code == 130
    assert hpo("run", "--json").json()["trials"] == {"COMPLETE": TRIALS}
    assert results(hpo) == undisturbed


def test_killed_trial_is_picked_up(
    hpo: Hpo, study: Path, undisturbed: dict[float, list[dict[str, float]]]
) -> None:
    """After kill -9 the next run continues the trial behind its last evaluation, at once."""
    running = hpo.start("run", hold="epoch 2:")
    running.wait_for("epoch 2:")
    running.send(signal.SIGKILL)
    assert running.end().code == -signal.SIGKILL
    assert all_trials(hpo)[0].state == "RUNNING"
    ended = hpo("run", "--json")
    assert (ended.code, ended.json()["trials"]) == (0, {"COMPLETE": TRIALS}), ended.stderr
    retried = ended.stderr.split("started")[1]  # its ticket is the first that is free
    assert "epoch 1:" not in retried
    assert f"epoch {EPOCHS}:" in retried
    assert results(hpo) == undisturbed
    assert all_trials(hpo)[0].reason == "abandoned"


def test_trial_that_kills_its_process_is_given_up(hpo: Hpo, study: Path) -> None:
    """Three deaths are a trial's own fault; being handed back is not."""
    write_study(hpo.folder / "study.toml", {**STUDY, "budget": {"trials": 1}})
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        running = hpo.start("run", hold="started")
        running.wait_for("started")
        running.send(number)
        running.release()
        running.end()
    ended = hpo("run", "--json")
    assert (ended.code, ended.json()["trials"]) == (5, {"FAIL": 1}), ended.stderr
    assert "killed every time" in ended.stderr
    assert len(all_trials(hpo)) == 5


def test_signal_outside_of_a_trial_ends_at_once(hpo: Hpo, study: Path) -> None:
    """While the data is read there is nothing to save."""
    running = hpo.start("run", hold="reading the data")
    running.wait_for("reading the data")
    running.send(signal.SIGTERM)
    assert running.end().code == 75


def test_two_runs_share_a_study(
    hpo: Hpo, study: Path, undisturbed: dict[float, list[dict[str, float]]]
) -> None:
    """A second run joins, wherever it writes; each point is run once, both see all of them."""
    running = hpo.start("run", "--json", hold="trial 0 started")
    running.wait_for("trial 0 started")
    elsewhere = ["--storage", f"sqlite:///{hpo.folder / 'runs' / 'hpo.db'}"]
    joined = hpo.start("run", "--json", "--output", "elsewhere", *elsewhere)
    joined.wait_for("waiting for 1 trial of other workers")
    running.release()
    for each in (running.end(), joined.end()):
        assert (each.code, each.json()["trials"]) == (0, {"COMPLETE": TRIALS}), each.stderr
    assert results(hpo) == undisturbed
    assert len(all_trials(hpo)) == TRIALS
