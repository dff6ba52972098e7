"""`hpo test`: the test split is scored once, for the winner and the default, and remembered."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from datasets import Dataset

from hpo import storage, tallies
from hpo.cli import main
from hpo.concluded import open_study
from hpo.held_out import digest_of, look_at
from hpo.study import LOOKS, load_study
from tests.report.studies import confirm, make_study, trial, url_of
from tests.shipping.conftest import Done
from tests.studies_made import make_spec


def weights_of(done: Done, study: str, number: int) -> Path:
    """Return the folder of a trial's weights."""
    return done.folder / "runs" / study / f"trial-{number:04d}" / "best"


def test_winner_and_default(confirmed: Done) -> None:
    """The confirmed configuration's best run, and the default's, with intervals of both."""
    found = confirmed.json("test")
    view = load_study(confirmed.name, f"sqlite:///{confirmed.folder}/runs/hpo.db")
    assert view.confirmation is not None
    assert view.confirmation.winner is not None
    winner, default = found["results"]
    best = max(view.confirmation.winner.runs, key=lambda each: each.value or 0)
    assert (winner["role"], winner["study"]) == ("winner", f"{confirmed.name}-confirm")
    assert (winner["trial"], winner["validation"]) == (best.number, best.value)
    runs = {run.number: each for each in view.confirmation.candidates for run in each.runs}
    assert default["role"] == "default"
    assert runs[default["trial"]].baseline
    for each in (winner, default):
        assert each["value"] == each["metrics"]["f1"]
        low, high = each["interval"]
        assert 0 <= low <= each["value"] <= high <= 1
        assert each["digest"] == digest_of(weights_of(confirmed, each["study"], each["trial"]))
    assert found["gain"]["value"] == pytest.approx(winner["value"] - default["value"])
    assert (found["rows"], found["metric"], found["stored"]) == (12, "f1", False)
    assert found["bootstrap"]["resamples"] == tallies.RESAMPLES


def test_a_second_look_says_so(confirmed: Done) -> None:
    """It shows the first one's result, how often the split was seen and when; --again scores."""
    first = confirmed.json("test")
    assert first["seen_before"] == []
    (confirmed.folder / "ner-test.jsonl").rename(confirmed.folder / "gone.jsonl")  # it is not read
    second = confirmed.json("test")
    assert (second["stored"], second["seen_before"]) == (True, [first["at"]])
    assert second["results"] == first["results"]
    text = confirmed.hpo("test").stdout
    assert f"the test split was seen once, last at {first['at']}" in text
    assert "--again scores it again" in text
    (confirmed.folder / "gone.jsonl").rename(confirmed.folder / "ner-test.jsonl")
    third = confirmed.json("test", "--again")
    assert (third["stored"], third["results"]) == (False, first["results"])
    assert confirmed.json("test")["seen_before"] == [first["at"], third["at"]]
    assert "was seen 2 times" in confirmed.hpo("test").stdout


def test_two_looks_at_a_time(plain: Done) -> None:
    """Neither is lost, though both began before the other was stored."""
    url = f"sqlite:///{plain.folder}/runs/hpo.db"
    one, other = (open_study(plain.name, url, output=plain.folder / "runs") for _ in range(2))
    first = look_at(one, lambda _: None)
    second = look_at(other, lambda _: None)
    assert (first.earlier, second.earlier) == ([], [first.record["at"]])
    assert load_study(plain.name, url).looks == [first.record, second.record]
    assert plain.json("test")["seen_before"] == [first.record["at"], second.record["at"]]


def test_the_best_trial(plain: Done) -> None:
    """Without a confirmation the best trial is scored, and what is no default is not."""
    found = plain.json("test")
    view = load_study(plain.name, f"sqlite:///{plain.folder}/runs/hpo.db")
    assert view.best is not None
    (winner,) = found["results"]
    assert (winner["study"], winner["trial"]) == (plain.name, view.best.number)
    opened = open_study(
        plain.name, f"sqlite:///{plain.folder}/runs/hpo.db", output=plain.folder / "runs"
    )
    lines = (plain.folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
    gold = Dataset.from_list([json.loads(line) for line in lines])
    scored = opened.model(opened.winner()).score(gold)
    assert winner["metrics"] == scored.metrics
    low, high = winner["interval"]
    assert low <= winner["value"] <= high
    assert winner["interval"] == list(
        tallies.interval(tallies.resampled([scored.tally], "accuracy")[0])
    )
    assert found["gain"] is None


def test_the_default_keeps_its_weights(unconfirmed: Done) -> None:
    """Without a confirmation, too, though it is not among the best: it is what to compare with."""
    found = unconfirmed.json("test")
    view = load_study(unconfirmed.name, f"sqlite:///{unconfirmed.folder}/runs/hpo.db")
    assert view.baseline is not None
    assert [each["role"] for each in found["results"]] == ["winner", "default"]
    default = view.trials[found["results"][1]["trial"]]
    assert default.params == view.baseline
    assert found["gain"]["value"] == found["results"][0]["value"] - found["results"][1]["value"]
    assert len([trial for trial in view.trials if trial.checkpoint]) == 2


def test_a_study_that_goes_on_is_refused(tmp_path: Path) -> None:
    """While the winner may change nothing is scored; a confirmation is its search's."""
    make_study(tmp_path, [trial(0, 0.9)], changes={"confirm": {"top": 1, "seeds": 2}})

    def refusal(name: str) -> str:
        line = ["test", name, "--storage", url_of(tmp_path), "--output", str(tmp_path)]
        ended = CliRunner().invoke(main, line)
        assert ended.exit_code == 2
        (said,) = ended.stderr.splitlines()
        return said

    assert "a confirmation that has not begun, so that the winner may still change" in refusal(
        "films"
    )
    confirm(tmp_path, {(3e-4, 16, 3): [0.9, 0.8]})
    assert "expected the study itself, `hpo test films`" in refusal("films-confirm")


def test_looks_of_other_studies_count(confirmed: Done) -> None:
    """Whoever takes the better of two studies by the split fits it, too."""
    first = confirmed.json("test")
    url = f"sqlite:///{confirmed.folder}/runs/hpo.db"
    opened = storage.open_storage(url)
    other = storage.create_or_attach(opened, "other", make_spec(), direction="maximize", facts={})
    other.set_user_attr(f"{LOOKS}:1", {**first, "at": "2026-01-02T03:04:05+00:00"})
    opened.engine.dispose()
    (note,) = confirmed.json("test", "--again")["notes"]
    assert "study other has looked at this test split before" in note
    card = (Path(confirmed.json("export")["folder"]) / "README.md").read_text("utf-8")
    assert "study other has looked at this test split before" in card
    assert "The test split was scored 2 times." in card


def rewrite(path: Path, change: dict[str, Any]) -> None:
    """Change the first row of a JSONL file."""
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    row = {**json.loads(first), **change}
    path.write_text("\n".join([json.dumps(row), *rest]), encoding="utf-8")


def test_oddities_are_told(confirmed: Done) -> None:
    """A class that training lacks, a text that training has, another split than before."""
    first = confirmed.json("test")
    assert first["notes"] == []
    lines = (confirmed.folder / "ner-train.jsonl").read_text(encoding="utf-8").splitlines()
    known = json.loads(lines[0])["tokens"]
    tags = ["B-GOD"] + ["O"] * (len(known) - 1)
    rewrite(confirmed.folder / "ner-test.jsonl", {"tokens": known, "ner_tags": tags})
    again = confirmed.json("test", "--again")
    told = "\n".join(again["notes"])
    assert "the test split has B-GOD, which training had not" in told
    assert "1 of the 12 rows of the test split have a text that train has too" in told
    assert "the test split is another one than the last time" in told
    assert again["results"][0]["metrics"]["GOD.recall"] == 0
    rewrite(confirmed.folder / "ner-train.jsonl", {"tokens": ["other"], "ner_tags": ["O"]})
    assert "the data is not the study's: stored" in confirmed.hpo("test", "--again").stdout


def test_weights_that_are_gone(confirmed: Done) -> None:
    """Without the default's the winner is scored alone; without the winner's nothing is read."""
    winner, default = confirmed.json("test")["results"]
    shutil.rmtree(weights_of(confirmed, default["study"], default["trial"]))
    found = confirmed.json("test", "--again")
    assert [each["role"] for each in found["results"]] == ["winner"]
    again = f"`hpo retrain {default['study']} --trial {default['trial']}`"
    assert again in "\n".join(found["notes"])
    shutil.rmtree(weights_of(confirmed, winner["study"], winner["trial"]))
    ended = confirmed.hpo("test", "--again")
    assert ended.exit_code == 2
    (line,) = ended.stderr.splitlines()
    assert "--refit train" in line


def test_no_test_split(plain: Done) -> None:
    """It is told, and nothing is stored."""
    (plain.folder / "test.jsonl").unlink()
    ended = plain.hpo("test")
    assert ended.exit_code == 2
    assert "test.jsonl" in ended.stderr.splitlines()[-1]
    (plain.folder / "test.jsonl").write_text('{"text": "a", "label": "positive"}')
    assert plain.json("test")["seen_before"] == []
