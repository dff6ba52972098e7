"""`hpo check`: everything is tried, all mistakes are told, nothing is spent."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Hpo
from tests.studies_made import NER, TRAIN_ROWS, VALIDATION_ROWS, write_study


def test_report(hpo: Hpo) -> None:
    """Labels, splits with their counts, model and budget; as text and as JSON; no trial."""
    write_study(hpo.folder / "study.toml")
    ended = hpo("check", "--json")
    assert ended.code == 0, ended.stderr
    found = ended.json()
    assert found["labels"] == ["negative", "positive"]
    assert found["splits"] == {
        "train": {"rows": TRAIN_ROWS, "labels": _halves(TRAIN_ROWS)},
        "validation": {"rows": VALIDATION_ROWS, "labels": _halves(VALIDATION_ROWS)},
    }
    assert (found["metric"], found["direction"]) == ("accuracy", "maximize")
    (model,) = found["models"]
    assert (model["name"], model["max_length"]) == ("sample:bert", 256)
    assert model["parameters"] > 10_000
    assert 0.3 < model["loss"] < 2
    text = hpo("check").stdout
    assert "study.toml is fit to run" in text
    assert f"train       {TRAIN_ROWS} rows: negative 20, positive 20" in text
    assert not (hpo.folder / "runs" / "hpo.db").exists()
    assert [path.name for path in (hpo.folder / "runs").iterdir()] == ["cache"]


def _halves(rows: int) -> dict[str, int]:
    return {"negative": rows // 2, "positive": rows // 2}


def test_what_is_tried_first(hpo: Hpo) -> None:
    """The configurations of the file, and what is published for the task."""
    rate = {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}
    path = hpo.folder / "study.toml"
    write_study(path, {"strategy": "bayes", "space": {"learning_rate": rate}})
    path.write_text(path.read_text() + "\n[[start]]\nlearning_rate = 2e-3\n")
    ended = hpo("check", "--json")
    assert ended.code == 0, ended.stderr
    assert ended.json()["starts"] == [{"learning_rate": 2e-3}]
    text = hpo("check").stdout
    assert "start       learning_rate=0.002" in text
    assert "learning_rate near 2e-05" in text


def test_report_of_entities(hpo: Hpo) -> None:
    """NER: the tags are the labels, entities of each type are counted; so is the test split."""
    write_study(hpo.folder / "study.toml", NER)
    row = {"tokens": ["Olm", "Co"], "ner_tags": ["B-LOC", "B-ORG"]}
    (hpo.folder / "test.jsonl").write_text(json.dumps(row))
    ended = hpo("check", "--json", "--set", 'data.test="test.jsonl"')
    found = ended.json()
    assert found["labels"][:5] == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert found["splits"]["test"] == {"rows": 1, "labels": {"LOC": 1, "ORG": 1}}
    assert set(found["splits"]["train"]["labels"]) == {"LOC", "PER"}
    assert any("ORG" in notice for notice in found["notices"])


def test_points_of_a_grid(hpo: Hpo) -> None:
    """A grid's size is told; a range without points is a mistake."""
    values: dict[str, Any] = {"type": "choice", "values": [8, 16]}
    space = {"per_device_train_batch_size": values, "seed": {"type": "int", "low": 1, "high": 3}}
    changes = {"strategy": "grid", "space": space, "training": None, "budget": None}
    write_study(hpo.folder / "study.toml", changes)
    assert hpo("check", "--json").json()["points"] == 6
    (remark,) = hpo("check", "--json", "--set", "budget.trials=9").json()["notices"]
    assert remark.startswith("budget.trials: 9")
    write_study(hpo.folder / "study.toml", {"strategy": "grid"})
    ended = hpo("check")
    assert (ended.code, "needs one of them" in ended.stderr) == (2, True)


def test_what_earlier_studies_teach(hpo: Hpo) -> None:
    """Its trials, what both search and what only one does; a wrong name beside other mistakes."""
    write_study(hpo.folder / "study.toml", {"training": {"num_train_epochs": 1}})
    assert hpo("run", "--trials", "1", "--name", "films").code == 0
    space = {
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "weight_decay": {"type": "float", "low": 0.0, "high": 0.1},
    }
    write_study(hpo.folder / "study.toml", {"strategy": "bayes", "space": space})
    ended = hpo("check", "--warm-start", "films", "--json")
    assert ended.code == 0, ended.stderr
    assert ended.json()["warm_start"] == [{
        "study": "films", "trials": 1, "common": ["learning_rate"], "ignored": [],
        "constant": {"weight_decay": 0.0}, "unknown": [], "measured": "accuracy of sentiment",
    }]  # fmt: skip
    told = "films: 1 trial (accuracy of sentiment) over learning_rate; there always weight_decay=0"
    assert told in hpo("check", "--warm-start", "films").stdout
    wrong = hpo("check", "--warm-start", "flims", "--set", "data.train=none.jsonl")
    assert (wrong.code, "did you mean 'films'?" in wrong.stderr) == (2, True)
    assert "none.jsonl" in wrong.stderr


def test_several_mistakes_at_once(hpo: Hpo) -> None:
    """Mistakes in names of all kinds are told together, each with the file."""
    changes = {
        "strategy": "tpee",
        "training": {"num_train_epoch": 2},
        "space": {"learning_rat": {"type": "float", "low": 0.1, "high": 0.2}},
        "objective": {"metric": "acuracy"},
    }
    write_study(hpo.folder / "study.toml", changes)
    ended = hpo("check")
    assert ended.code == 2
    lines = [line for line in ended.stderr.splitlines() if line.startswith("hpo: study.toml: ")]
    assert len(lines) == 4
    for name in ("accuracy", "num_train_epochs", "learning_rate", "tpe"):
        assert sum(f"did you mean '{name}'?" in line for line in lines) == 1


def test_data_and_output_mistakes_at_once(hpo: Hpo) -> None:
    """An output folder and a data file that are wrong are told together."""
    write_study(hpo.folder / "study.toml")
    (hpo.folder / "train.jsonl").write_text('{"text": "good", "label": "positive"}\n{"text": 3\n')
    ended = hpo("check", "--output", "validation.jsonl/below")
    assert ended.code == 2
    for message in ("--output: ", "train.jsonl, line 2"):
        assert message in ended.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "fine_tuning.max_length=9999",
            "fine_tuning.max_length: found 9999; the model sample:bert",
        ),
        ('space.freeze={type="choice", values=["layers:9"]}', "space.freeze: found 'layers:9'"),
        ("data.max_train_rows=1", "data.max_train_rows leaves too few rows"),
        ("data.tags_column=x", "data.tags_column: found for a task of texts; leave it out"),
        ("objective.direction=minimize", "'minimize' for accuracy, a search for the worst"),
        ("model=no/such-model", "model no/such-model"),
        ("objective.metric=neutral.f1", "negative, positive"),
    ],
)
def test_model_mistake_is_told(hpo: Hpo, option: str, message: str) -> None:
    """What only shows when the model is loaded shows here, not in the first trial."""
    write_study(hpo.folder / "study.toml")
    ended = hpo("check", "--set", option)
    assert (ended.code, ended.stdout) == (2, ""), ended.stderr
    assert message in ended.stderr


def test_validation_has_labels_of_its_own(hpo: Hpo) -> None:
    """Where no label of validation occurs in train, nothing could be learned for it."""
    write_study(hpo.folder / "study.toml")
    (hpo.folder / "validation.jsonl").write_text(
        '{"text": "good", "label": "1"}\n{"text": "bad", "label": "0"}\n'
    )
    ended = hpo("check")
    assert (ended.code, "data.validation: found '0', '1', none of which" in ended.stderr) == (
        2,
        True,
    )


def test_optimizer_is_built_around_the_model(hpo: Hpo) -> None:
    """What an optimizer lacks only shows with a real model where it names some of its modules."""
    galore = {"optim": "galore_adamw", "optim_target_modules": ["attn"], "num_train_epochs": 1}
    write_study(hpo.folder / "study.toml", {"training": galore})
    ended = hpo("check")
    assert ended.code == 2
    assert "model sample:bert: refused by transformers' Trainer: ImportError: " in ended.stderr


def test_unreadable_file(hpo: Hpo, tmp_path: Path) -> None:
    """A folder, binary or missing file in place of the study."""
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name, message in (("folder", "a folder"), ("binary", "UTF-8"), ("none", "no such")):
        ended = hpo("check", f"{name}.toml")
        assert (ended.code, message in ended.stderr) == (2, True), ended.stderr
