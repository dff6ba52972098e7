"""`hpo export`: a folder that transformers loads, says where it comes from, and harms no other."""

import html
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from optuna import load_study as load_optuna
from optuna.trial import create_trial

from hpo import inference, manifest
from hpo.export import commit_of, without_folders
from hpo.model_card import plain as plain_text
from hpo.study import load_study
from tests.shipping.conftest import Done
from tests.shipping.test_retraining import url


def test_a_confirmed_winner(confirmed: Done, tmp_path: Path) -> None:
    """Weights, tokenizer, card and manifest; scores with intervals, and what they mean."""
    looked = confirmed.json("test")["results"][0]
    place = tmp_path / "new" / "model"
    found = confirmed.json("export", "--output", place)
    assert (found["study"], found["trial"]) == (f"{confirmed.name}-confirm", looked["trial"])
    assert found["test"] == looked["value"]
    assert (found["folder"], found["refit"], found["pushed"]) == (str(place), None, None)
    kept = confirmed.folder / "runs" / found["study"] / f"trial-{found['trial']:04d}" / "best"
    weights = "model.safetensors"
    assert (place / weights).read_bytes() == (kept / weights).read_bytes()
    assert (place / weights).stat().st_ino != (kept / weights).stat().st_ino
    assert {path.name for path in place.parent.iterdir()} == {"model"}

    card = ModelCard.load(place / "README.md")
    scores = {(each.dataset_split, each.metric_name): each for each in card.data.eval_results}
    assert scores["test", "f1"].metric_value == looked["value"]
    assert scores["validation", "f1"].metric_value == found["value"]
    assert card.data.pipeline_tag == "token-classification"
    assert card.data.base_model is None  # a sample is none of the hub's
    assert "that scored best on the validation split" in card.text
    assert "mean of 3 runs of this configuration with other seeds" in card.text
    assert "{:.4f} to {:.4f}".format(*looked["interval"]) in card.text
    assert "learning_rate = 0.005" in card.text

    told = manifest.load(place)
    assert told is not None
    assert told["specification"]["task"] == "ner"
    assert told["recipe"]["training"]["learning_rate"] == 5e-3
    record = told["trial"]["record"]
    epoch = f"its best evaluation, after epoch {record['epoch']:g} of {record['epochs']:g}."
    assert epoch in card.text
    assert told["seeds"]["seed"] == told["trial"]["params"]["seed"] != told["seeds"]["study"]
    assert (
        told["data"]["fingerprint"]
        == load_optuna(study_name=confirmed.name, storage=url(confirmed)).user_attrs[
            "hpo:fingerprint"
        ]
    )
    assert told["versions"]["transformers"]
    assert told["hardware"]["trained_on"].startswith("CPU")
    assert told["weights"] == looked["digest"]
    assert len(told["confirmation"]["candidates"]) == 2
    for path in place.iterdir():
        assert str(confirmed.folder).encode() not in path.read_bytes()
    assert os.uname().nodename not in json.dumps(told)


def test_no_path_of_this_machine(plain: Done, tmp_path: Path) -> None:
    """Where the data lay is nobody's business: names say which file it was."""
    study = load_optuna(study_name=plain.name, storage=url(plain))
    spec = study.user_attrs["hpo:spec"]
    data = {name: [f"{plain.folder}/{name}.jsonl"] for name in ("train", "validation")}
    study.set_user_attr("hpo:spec", {**spec, "data": {**spec["data"], **data}})
    study.set_user_attr(
        "hpo:notices", [f"{data['train'][0]}: 3 rows twice; {plain.folder}/a: none"]
    )
    place = tmp_path / "model"
    plain.json("export", "--output", place)
    for path in place.iterdir():
        assert str(plain.folder).encode() not in path.read_bytes(), path
    told = manifest.load(place)
    assert told is not None
    assert told["specification"]["data"]["train"] == spec["data"]["train"] == ["train.jsonl"]
    card = html.unescape((place / "README.md").read_text(encoding="utf-8"))
    assert "train.jsonl: 3 rows twice; a: none" in card
    assert without_folders(["~/a/b", "a/b", "/", "~5"]) == ["b", "a/b", "/", "~5"]


def test_the_configuration_can_be_copied(plain: Done, tmp_path: Path) -> None:
    """The card has it as a study file says it, lists and tables too."""
    study = load_optuna(study_name=plain.name, storage=url(plain))
    best = study.best_trial
    recipe = best.user_attrs["recipe"]
    odd = {"lr_scheduler_kwargs": {"num_cycles": 2}, "label_names": ["labels"], "bf16": None}
    recipe = {**recipe, "training": {**recipe["training"], **odd}}
    study.add_trial(
        create_trial(
            value=2.0, params=best.params, distributions=best.distributions,
            user_attrs={**best.user_attrs, "recipe": recipe},
        )
    )  # fmt: skip
    plain.json("export", "--output", tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    told = tomllib.loads(card.partition("```toml\n")[2].partition("```")[0])
    assert told["model"] == recipe["model"]
    assert told["fine_tuning"]["max_length"] == 16
    expected = {name: each for name, each in recipe["training"].items() if each is not None}
    assert told["training"] == expected


def test_without_the_data(plain: Done, tmp_path: Path) -> None:
    """Weights that are here are written wherever the data is, and the sample model is not made."""
    shutil.rmtree(plain.folder / "runs" / "cache")
    for path in plain.folder.glob("*.jsonl"):
        path.unlink()
    plain.json("export", "--output", tmp_path / "model")
    assert ModelCard.load(tmp_path / "model" / "README.md").data.base_model is None


@pytest.mark.parametrize("mode", ["train", "train+validation"])
def test_trained_anew(plain: Done, tmp_path: Path, mode: str) -> None:
    """On train it is the same again; on both it is another, of the last step, and not scored."""
    plain.json("test")
    found = plain.json("export", "--refit", mode, "--output", tmp_path / "model")
    kept = plain.folder / "runs" / plain.name / f"trial-{found['trial']:04d}" / "best"
    ours = (tmp_path / "model" / "model.safetensors").read_bytes()
    card = ModelCard.load(tmp_path / "model" / "README.md")
    same = mode == "train"
    assert (ours == (kept / "model.safetensors").read_bytes()) == same
    assert (card.data.eval_results is not None) == same
    assert ("trained on train and validation together" in card.text) != same
    assert found["test"] is None
    told = manifest.load(tmp_path / "model")
    assert told is not None
    assert (told["refit"], bool(told["validation"])) == (mode, same)
    assert not list((tmp_path / "model").glob("training*"))
    assert inference.load(tmp_path / "model").encoding == inference.load(kept).encoding


def test_trained_on_all_rows_to_the_best_epoch(plain: Done, tmp_path: Path) -> None:
    """All rows of both splits take part; it ends where the winner had the score it is taken for."""
    best = load_study(plain.name, url(plain)).best
    assert best is not None
    epochs = {each["epoch"]: each["metrics"]["accuracy"] for each in best.evaluations}
    until = max(epochs, key=lambda each: (epochs[each], -each))
    assert until < max(epochs) == 8
    ended = plain.hpo("export", "--refit", "train+validation", "--output", tmp_path / "model")
    assert f"anew on 64 inputs to epoch {until:g} of 8, its best" in ended.stderr
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert f"together, to epoch {until:g} of 8, after which the trial scored best" in card


def test_only_its_own_is_replaced(plain: Done, confirmed: Done, tmp_path: Path) -> None:
    """A second export of the study is; another study's, or a file of anybody's, is not."""
    place = tmp_path / "model"
    place.mkdir()
    assert plain.hpo("export", "--output", place).exit_code == 0
    assert plain.hpo("export", "--output", place).exit_code == 0
    (place / "note.txt").write_text("mine", encoding="utf-8")
    added = plain.hpo("export", "--output", place)
    assert added.exit_code == 2
    (line,) = added.stderr.splitlines()
    assert f"found note.txt in {place}, which the export there did not write" in line
    assert (place / "note.txt").read_text(encoding="utf-8") == "mine"
    before = sorted(path.name for path in place.iterdir())
    other = confirmed.hpo("export", "--output", place)
    assert other.exit_code == 2
    (line,) = other.stderr.splitlines()
    assert "found something else" in line
    assert sorted(path.name for path in place.iterdir()) == before
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to(place)
    for name in ("link", "file/below"):
        ended = plain.hpo("export", "--output", tmp_path / name)
        assert (ended.exit_code, "Traceback" in ended.output) == (2, False)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["--push", "me/x"], {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set; unset it"),
        (["--push", "not a/../name"], {}, "expected OWNER/NAME of the hub"),
        (["--public"], {}, "found no --push"),
    ],
)
def test_what_cannot_be_pushed(
    plain: Done, arguments: list[str], env: dict[str, str], message: str
) -> None:
    """It is told before anything is written."""
    ended = plain.hpo("export", *arguments)
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert message in line
    assert not (plain.folder / "runs" / plain.name / "export").exists()


def test_names_stay_text() -> None:
    """Whatever a label or a study is called, it is no markup."""
    hostile = "<img src=x onerror=alert(1)>|`[a](javascript:x)\n# b"
    shown = plain_text(hostile)
    assert not {*"|`*_[]~"} & {*shown}
    assert "\n" not in shown
    inside = shown.removeprefix("<code>").removesuffix("</code>")
    assert not {*"<>"} & {*inside}
    assert html.unescape(inside) == hostile.replace("\n", " ")
    assert plain_text("learning_rate") == "<code>learning&#95;rate</code>"


def test_commit(tmp_path: Path) -> None:
    """Of the folder that the study file lies in, if it is a repository's."""
    assert commit_of(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "a").touch()
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a"], check=True)
    found = commit_of(tmp_path)
    assert found is not None
    assert (len(found["commit"]), found["changed"]) == (40, False)
    (tmp_path / "b").touch()
    assert commit_of(tmp_path) == {**found, "changed": True}
