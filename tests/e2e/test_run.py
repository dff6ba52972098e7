"""`hpo run` as a user types it: it searches, continues, refuses and cleans up."""

import json
from pathlib import Path
from typing import Any

import pytest

from hpo.study import load_study
from hpo.trials import TrialResult
from tests.e2e.processes import Hpo
from tests.studies_made import write_study

SUCCESS_FIRST = 3  # the seed with which the first of five points is the first one
ONE_EPOCH = {"training": {"num_train_epochs": 1}}


def rates(*values: float) -> dict[str, Any]:
    """Return a space of learning rates."""
    return {"learning_rate": {"type": "choice", "values": list(values)}}


def trials_of(hpo: Hpo, name: str, output: str = "runs") -> list[TrialResult]:
    """Read a study's trials."""
    return load_study(name, f"sqlite:///{hpo.folder / output / 'hpo.db'}").trials


def test_run_continue_extend_refuse(hpo: Hpo) -> None:
    """One study's life: run, run again, a larger budget, a changed file."""
    write_study(hpo.folder / "films.toml", ONE_EPOCH)
    first = hpo("run", "films.toml", "--json")
    assert first.code == 0, first.stderr
    found = first.json()
    assert set(found) >= {"study", "strategy", "trials", "best", "seconds"}
    assert (found["study"], found["strategy"]) == ("films-random", "random")
    assert found["trials"] == {"COMPLETE": 2}
    assert set(found["best"]) == {"number", "value", "params", "metrics", "checkpoint"}
    assert found["best"]["value"] == found["best"]["metrics"]["accuracy"]
    assert list(found["best"]["params"]) == ["learning_rate"]
    assert (hpo.folder / found["best"]["checkpoint"] / "model.safetensors").is_file()
    assert 0 < found["seconds"] < 100
    for line in ("trial 0 started: learning_rate=", "epoch 1: accuracy ", "trial 1 ended in "):
        assert line in first.stderr

    again = hpo("run", "films.toml", "--json")
    assert again.json() == found
    assert "started" not in again.stderr

    more = hpo("run", "films.toml", "--json", "--trials", "3")
    assert more.json()["trials"] == {"COMPLETE": 3}
    assert more.stderr.count("started") == 1
    assert "the study's budget was trials = 2; now trials = 3" in more.stderr
    assert "budget was" not in again.stderr

    write_study(hpo.folder / "films.toml", {"seed": 8, "training": {"weight_decay": 0.5}})
    refused = hpo("run", "films.toml", "--json")
    assert refused.code == 3
    for line in (
        "seed: stored 7, found 8",
        "training.num_train_epochs: stored 1, found 2",
        "training.weight_decay: stored nothing, found 0.5",
    ):
        assert line in refused.stderr
    assert "budget" not in refused.stderr
    assert refused.json()["exit_code"] == 3
    assert len(trials_of(hpo, "films-random")) == 3


def test_changed_data_is_another_study(hpo: Hpo) -> None:
    """The same file with other rows is refused: the scores could not be compared."""
    write_study(hpo.folder / "study.toml", {**ONE_EPOCH, "budget": {"trials": 1}})
    assert hpo("run").code == 0
    rows = hpo.folder / "train.jsonl"
    rows.write_text("\n".join(rows.read_text().splitlines()[:-2]))
    refused = hpo("run")
    assert refused.code == 3
    assert "fingerprint: stored " in refused.stderr


@pytest.mark.parametrize("strategy", ["random", "tpe", "bayes"])
def test_same_study_gives_the_same_numbers(hpo: Hpo, strategy: str) -> None:
    """Two runs in two places: the same draws, each of them once, and the same scores."""
    write_study(hpo.folder / "study.toml", {**ONE_EPOCH, "budget": {"trials": 3}})
    hpo.use_cache(hpo.folder / "other", hpo.folder / "runs" / "cache")
    for output in ("runs", "other"):
        ended = hpo("run", "--strategy", strategy, "--output", output)
        assert ended.code == 0, ended.stderr
    first, second = (
        [
            (trial.params, trial.evaluations[-1]["metrics"])
            for trial in trials_of(hpo, f"study-{strategy}", output)
        ]
        for output in ("runs", "other")
    )
    assert first == second
    assert len({str(params) for params, _ in first}) == 3


@pytest.mark.parametrize("kept", [1, 2])
def test_disk_stays_bounded(hpo: Hpo, kept: int) -> None:
    """After the last trial only the best trials' weights are there."""
    changes = {**ONE_EPOCH, "keep_checkpoints": kept, "budget": {"trials": 4}}
    write_study(hpo.folder / "study.toml", changes)
    assert hpo("run").code == 0
    study = hpo.folder / "runs" / "study-random"
    ranked = sorted(trials_of(hpo, "study-random"), key=lambda t: (-(t.value or 0), t.number))
    best = {f"trial-{trial.number:04d}" for trial in ranked[:kept]}
    assert {path.parent.parent.name for path in study.rglob("*.safetensors")} == best
    assert {path.name for path in study.glob("trial-*")} == best
    there = [trial.checkpoint for trial in trials_of(hpo, "study-random") if trial.checkpoint]
    assert {Path(path).parent.name for path in there} == best
    leftovers = {".pt", ".pth", ".bin"}
    assert not [path for path in hpo.folder.rglob("*") if path.suffix in leftovers]


def test_failed_trials_are_recorded_and_survived(hpo: Hpo) -> None:
    """A study with a success goes on, however many trials diverge; it says why they failed."""
    space = rates(1e-3, 1e8, 1e9, 1e10, 1e11)
    changes = {**ONE_EPOCH, "space": space, "strategy": "grid", "seed": SUCCESS_FIRST}
    write_study(hpo.folder / "study.toml", {**changes, "budget": {"trials": 1}})
    first = hpo("run", "--json")
    assert first.code == 0, first.stderr
    rest = hpo("run", "--json", "--trials", "5")
    assert (rest.code, rest.json()["trials"]) == (0, {"COMPLETE": 1, "FAIL": 4})
    assert rest.json()["best"] == first.json()["best"]
    failed = trials_of(hpo, "study-grid")[1:]
    assert {trial.reason for trial in failed} == {"diverged"}
    assert rest.stderr.count("fail: Diverged: ") == 4
    table = hpo("status")
    assert table.stdout.count("diverged") == 4


def test_three_failures_alike_end_a_study(hpo: Hpo) -> None:
    """A study none of whose first three trials succeeds says why and stops."""
    changes = {**ONE_EPOCH, "space": rates(1e9, 1e10), "budget": {"trials": 9}}
    write_study(hpo.folder / "study.toml", changes)
    ended = hpo("run", "--json")
    assert ended.code == 5
    assert "the first 3 trials failed for the same reason: 3 × diverged (Diverged: " in ended.stderr
    assert ended.json()["exit_code"] == 5
    best = hpo("best", "--json")
    assert (best.code, best.json()["best"], best.json()["exit_code"]) == (5, None, 5)
    assert "no trial has succeeded" in best.stderr
    assert len(trials_of(hpo, "study-random")) == 3
    assert not list((hpo.folder / "runs" / "study-random").glob("trial-*"))


def test_a_grid_is_run_once_each(hpo: Hpo) -> None:
    """Each point once, in the budget's limits, over several runs; then nothing is left."""
    space = {
        **rates(1e-3, 1e-4),
        "dropout": {"type": "float", "low": 0.0, "high": 0.2, "points": 2},
    }
    changes = {**ONE_EPOCH, "fine_tuning": None, "space": space, "strategy": "grid", "budget": None}
    write_study(hpo.folder / "study.toml", changes)
    assert hpo("run", "--trials", "3", "--json").json()["trials"] == {"COMPLETE": 3}
    for _ in range(2):
        ended = hpo("run", "--json")
        assert ended.json()["trials"] == {"COMPLETE": 4}, ended.stderr
    drawn = [tuple(trial.params.values()) for trial in trials_of(hpo, "study-grid")]
    assert sorted(drawn) == [(1e-4, 0.0), (1e-4, 0.2), (1e-3, 0.0), (1e-3, 0.2)]


def test_study_is_found_or_the_demo_taken(hpo: Hpo) -> None:
    """Without STUDY: study.toml of this folder, else the demo of the package, and it says so."""
    small = ["--trials", "1", "--set", "data.max_train_rows=40", "--strategy", "random", "--json"]
    small += ["--set", 'space={learning_rate={type="choice", values=[1e-3]}}']
    demo = hpo("run", *small)
    assert (demo.code, demo.json()["study"]) == (0, "demo-ner-random"), demo.stderr
    assert "taking the demo" in demo.stderr
    write_study(hpo.folder / "study.toml", ONE_EPOCH)
    here = hpo("run", *small[:2])
    assert "demo" not in here.stderr
    assert "study study-random" in here.stdout


def test_options_reach_the_study(hpo: Hpo) -> None:
    """The storage of the environment, a name, a key of the file."""
    write_study(hpo.folder / "study.toml", ONE_EPOCH)
    env = {"HPO_STORAGE": f"sqlite:///{hpo.folder / 'elsewhere' / 'trials.db'}"}
    options = ["--set", "training.weight_decay=0.25", "--name", "../x [/red] é", "--trials", "1"]
    ended = hpo("run", *options, env=env)
    assert ended.code == 0, ended.stderr
    assert (hpo.folder / "elsewhere" / "trials.db").is_file()
    assert not (hpo.folder / "runs" / "hpo.db").exists()
    found = hpo("best", "--json", env=env).json()
    assert found["study"] == "../x [/red] é"
    folder = (hpo.folder / found["best"]["checkpoint"]).resolve()
    assert folder.is_relative_to(hpo.folder / "runs")
    study = load_study("../x [/red] é", env["HPO_STORAGE"])
    assert study.trials[0].record["recipe"]["training"]["weight_decay"] == 0.25
    for command in ("status", "best"):
        assert "../x [/red] é" in hpo(command, env=env).stdout
    assert "[/red]" in hpo("list", env=env).stdout  # the name is folded


def test_mistakes_are_told_at_once(hpo: Hpo) -> None:
    """Wrong names and values of all kinds: all of a file's in one message, exit code 2."""
    write_study(
        hpo.folder / "study.toml",
        {"training": {"num_train_epoch": 2, "warmup_steps": "x"}, "colour": "red"},
    )
    first = hpo("run", "--json")
    assert (first.code, first.json()["exit_code"]) == (2, 2)
    assert "colour: found an unknown key" in first.stderr
    write_study(
        hpo.folder / "study.toml", {"training": {"num_train_epoch": 2, "weight_decay": "x"}}
    )
    second = hpo("run")
    assert "did you mean 'num_train_epochs'?" in second.stderr
    assert 'training.weight_decay: found "x"; expected a number' in second.stderr


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--set", "objective.metric=acuracy"], 2, "did you mean 'accuracy'?"),
        (["--set", "objective.metric=neutral.f1"], 2, "negative, positive"),
        (["--set", "task=nerr"], 2, "task: found 'nerr'; known are ner, sentiment"),
        (["--name", " "], 2, "--name: found an empty name"),
        (["--strategy", "tpee"], 2, "strategy: found 'tpee'; known are"),
        (["--set", "model=no/such-model"], 2, "model no/such-model: found no folder of that name"),
        (["--set", "model=sample:bret"], 2, "sample:bert"),
        (["--set", "data.train=none.jsonl"], 2, "none.jsonl"),
        (["--set", "budget.trials"], 2, "expected KEY=VALUE"),
        (["--set", "fine_tuning.max_length=9999"], 2, "max_length: found 9999"),
        (["--trials", "0"], 2, "--trials"),
        (["--output", "train.jsonl/below"], 2, "--output: "),
        (["--storage", "mysql://root@localhost/x"], 4, "found mysql; expected sqlite"),
        (["--storage", "sqlite:///train.jsonl"], 4, "no SQLite database"),
        (["--storage", "postgresql://u:canary@127.0.0.1:9/x"], 4, "127.0.0.1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_is_told(hpo: Hpo, options: list[str], code: int, message: str) -> None:
    """One message on standard error that says what would be right; nothing was run."""
    write_study(hpo.folder / "study.toml", ONE_EPOCH)
    ended = hpo("run", *options)
    assert (ended.code, ended.stdout) == (code, ""), ended.stderr
    assert message in ended.stderr
    assert "canary" not in ended.stderr
    assert "started" not in ended.stderr


def test_no_study_file(hpo: Hpo) -> None:
    """A file that is not there, and one that is no TOML."""
    assert "found no such study file" in hpo("run", "missing.toml").stderr
    (hpo.folder / "study.toml").write_text("task = ")
    ended = hpo("run", "--json")
    assert (ended.code, json.loads(ended.stdout)["exit_code"]) == (2, 2)
    assert "not valid TOML" in ended.stderr
