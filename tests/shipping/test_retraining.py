"""`hpo retrain`: any trial comes out the same, outside of its study."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna import load_study as load_optuna
from optuna.trial import TrialState, create_trial

from hpo import manifest, storage
from hpo.inference import load
from hpo.publishing import OWNER
from hpo.study import load_study
from tests.shipping.conftest import Done


def url(done: Done) -> str:
    """Return the storage of a study."""
    return f"sqlite:///{done.folder}/runs/hpo.db"


@pytest.mark.parametrize("which", ["", "-confirm"])
def test_the_score_is_as_stored(confirmed: Done, tmp_path: Path, which: str) -> None:
    """To the last digit, of the search and of the confirmation; nothing else is stored or kept."""
    done = Done(confirmed.folder, confirmed.name + which)
    before = load_study(done.name, url(done))
    number = max(range(len(before.trials)), key=lambda each: before.trials[each].value or 0)
    found = done.json("retrain", "--trial", number, "--output", tmp_path / "again")
    assert (found["agrees"], found["notes"]) == (True, [])
    assert found["value"] == found["stored"] == before.trials[number].value
    assert load_study(done.name, url(done)).trials == before.trials
    assert {path.name for path in tmp_path.iterdir()} == {"again"}
    kept = done.folder / "runs" / done.name / f"trial-{number:04d}" / "best"
    ours = tmp_path / "again"
    assert {path.name for path in ours.iterdir()} == {path.name for path in kept.iterdir()}
    assert (ours / "model.safetensors").read_bytes() == (kept / "model.safetensors").read_bytes()
    assert load(ours).encoding == load(kept).encoding


def change_last(done: Done, state: TrialState, **attrs: Any) -> int:
    """Add a trial like the first one, but with another end; return its number."""
    study = load_optuna(study_name=done.name, storage=url(done))
    first = study.trials[0]
    params = {**first.params, "learning_rate": attrs.pop("rate", first.params["learning_rate"])}
    study.add_trial(
        create_trial(
            state=state, value=first.value if state == TrialState.COMPLETE else None,
            params=params, distributions=first.distributions,
            user_attrs={**first.user_attrs, **attrs},
        )
    )  # fmt: skip
    return len(study.trials) - 1


def test_failed_and_pruned_trials(plain: Done) -> None:
    """A pruned one goes on to its end, one that diverged diverges; another score is told."""
    first = load_study(plain.name, url(plain)).trials[0]
    pruned = change_last(plain, TrialState.PRUNED, evaluations=first.evaluations[:2])
    found = plain.json("retrain", "--trial", pruned)
    assert (found["agrees"], found["stored"], found["value"]) == (True, None, first.value)
    assert Path(found["folder"]).name == f"retrain-{pruned:04d}"
    recipe = {**first.record["recipe"], "training": {
        **first.record["recipe"]["training"], "learning_rate": 1e9}}  # fmt: skip
    diverged = change_last(
        plain, TrialState.FAIL, recipe=recipe, evaluations=[], metrics={}, reason="diverged"
    )
    found = plain.json("retrain", "--trial", diverged)
    assert (found["reason"], found["agrees"], found["folder"]) == ("diverged", True, None)
    assert not (plain.folder / "runs" / plain.name / f"retrain-{diverged:04d}").exists()
    ended = plain.hpo("retrain", "--trial", diverged).stdout
    assert ended.startswith(f"trial {diverged} of {plain.name}: failed again, diverged")
    other = [{**each, "metrics": {**each["metrics"], "loss": 9.0}} for each in first.evaluations]
    wrong = change_last(plain, TrialState.COMPLETE, evaluations=other)
    assert "not the same" in plain.hpo("retrain", "--trial", wrong).stdout


def test_what_differs_is_told(plain: Done) -> None:
    """Another machine, another version and other data."""
    study = load_optuna(study_name=plain.name, storage=url(plain))
    run = study.trials[0].user_attrs["hpo:run"]
    number = change_last(
        plain, TrialState.COMPLETE,
        **{"hpo:run": {**run, "device": "TPU", "versions": {"torch": "1.0"}}},
    )  # fmt: skip
    study.set_user_attr(storage.FINGERPRINT, "0" * 16)
    notes = plain.json("retrain", "--trial", number)["notes"]
    assert any(note.endswith("the trial had TPU") for note in notes)
    assert any(note.startswith("torch is ") and "had 1.0" in note for note in notes)
    assert any("stored 0000000000000000" in note for note in notes)


def test_never_over_something_else(plain: Done, tmp_path: Path) -> None:
    """Only a retraining of the same trial is replaced."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "precious.txt").write_text("mine", encoding="utf-8")
    ended = plain.hpo("retrain", "--trial", 0, "--output", place)
    assert (ended.exit_code, [path.name for path in place.iterdir()]) == (2, ["precious.txt"])
    assert "found something else" in ended.stderr.splitlines()[-1]
    (place / "precious.txt").unlink()
    assert plain.hpo("retrain", "--trial", 0, "--output", place).exit_code == 0
    made = json.loads((place / manifest.FILE).read_text(encoding="utf-8"))[OWNER]
    assert (made["what"], made["trial"]) == ("retraining", 0)
    assert plain.hpo("retrain", "--trial", 1, "--output", place).exit_code == 2
    assert plain.hpo("retrain", "--trial", 0, "--output", place).exit_code == 0


@pytest.mark.parametrize("command", [["export"], ["retrain", "--trial", "0"]], ids=" ".join)
def test_a_full_disk(plain: Done, small_disk: Callable[[str], Path], command: list[str]) -> None:
    """It is one message about the place, and says nothing of the trial."""
    place = small_disk("100k")
    ended = plain.hpo(*command, "--output", place / "model")
    assert ended.exit_code == 2
    assert "Traceback" not in ended.output
    line = ended.stderr.splitlines()[-1]
    assert f"--output: {place}/model cannot be written: " in line
    assert "no space left" in line.lower()
    assert not list(place.iterdir())


@pytest.mark.parametrize(("number", "message"), [(7, "found 7; study"), (2, "has no parameters")])
def test_no_such_trial(plain: Done, number: int, message: str) -> None:
    """It is one message."""
    load_optuna(study_name=plain.name, storage=url(plain)).ask()
    ended = plain.hpo("retrain", "--trial", number)
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert message in line
