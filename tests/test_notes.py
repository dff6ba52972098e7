"""The notes that hpo leaves for Optuna's dashboard: it reads them, and nobody else's is lost."""

from pathlib import Path

import optuna_dashboard
import pytest
from optuna_dashboard import get_note, save_note

from hpo import notes
from hpo.binding import BindingStorage
from hpo.storage import METRIC_NAMES, load, open_storage
from tests.report.studies import HOSTILE, confirm, make_study, params_of, trial, url_of


def open_(folder: Path) -> BindingStorage:
    """Open the storage of a folder."""
    return open_storage(url_of(folder))


def test_dashboards_read_what_came_of_a_study(tmp_path: Path) -> None:
    """The winner, its configuration, what was spent; the winner's trial is marked, too."""
    failed = trial(2, state="FAIL", attrs={"reason": "diverged"})
    make_study(tmp_path, [trial(0, 0.5), trial(1, 0.6), failed], name="films")
    opened = open_(tmp_path)
    notes.conclude(opened, "films")
    study = load(opened, "films")
    text = get_note(study)
    assert text.startswith("## `accuracy` 0.6000\n\nThe best of 3 trials is trial 1, trained once.")
    assert "- `learning_rate` = `0.0003`" in text
    assert "1 failed (`diverged` 1)" in text
    assert study.metric_names == ["accuracy"]
    found = optuna_dashboard._note.get_note_from_system_attrs(opened.get_study_system_attrs(1), 2)
    assert found["body"] == "**The winner** of this study, trained once."


def test_a_study_that_goes_on_has_new_notes(tmp_path: Path) -> None:
    """Another winner, a confirmation: what hpo wrote before is replaced or taken away."""
    make_study(tmp_path, [trial(0, 0.5, params=params_of(3e-5)), trial(1, 0.6)], name="films")
    opened = open_(tmp_path)
    notes.conclude(opened, "films")
    versions = [opened.get_study_system_attrs(1)["dashboard:note_ver"]]
    notes.conclude(opened, "films")
    versions.append(opened.get_study_system_attrs(1)["dashboard:note_ver"])
    confirm(tmp_path, {(3e-5, 16, 3): [0.55, 0.56], (3e-4, 16, 3): [0.4, 0.41]}, name="films")
    notes.conclude(opened, "films-confirm")
    attrs = opened.get_study_system_attrs(1)
    assert versions == [1, 1], "nothing new, nothing written"
    assert notes.read(attrs).startswith(
        "## `accuracy` 0.5550\n\nThe mean of 2 new seeds of trial 0"
    )
    assert "of the search's best score was luck" in notes.read(attrs)
    assert notes.read(attrs, "1") == "**The winner** of this study, confirmed with new seeds."
    assert notes.read(attrs, "2") == ""


def test_a_note_of_the_users_stays(tmp_path: Path) -> None:
    """One that was there before, and ours once somebody has changed it."""
    make_study(tmp_path, [trial(0, 0.5)], name="before")
    make_study(tmp_path, [trial(0, 0.5)], name="changed")
    opened = open_(tmp_path)
    mine = "mine " * 1000  # more than an attribute holds
    save_note(load(opened, "before"), mine)
    notes.conclude(opened, "changed")
    save_note(load(opened, "changed"), get_note(load(opened, "changed")) + "\nmine")
    for name in ("before", "changed"):
        load(opened, name).add_trial(trial(1, 0.9))
        notes.conclude(opened, name)
    assert get_note(load(opened, "before")) == mine
    assert get_note(load(opened, "changed")).endswith("\nmine")
    assert "0.5000" in get_note(load(opened, "changed"))
    save_note(load(opened, "changed"), "")
    notes.conclude(opened, "changed")
    assert "0.9000" in get_note(load(opened, "changed")), "none is nobody's"


def test_a_long_note_gets_shorter(tmp_path: Path) -> None:
    """What is left of the longer one is taken away."""
    make_study(tmp_path, [trial(0, 0.5)])
    opened = open_(tmp_path)
    for text in ("long " * 1000, "short"):
        notes._write(opened, 1, {"study": text})
        assert get_note(load(opened, "films")) == text
        assert notes.read(opened.get_study_system_attrs(1)) == text


def test_nothing_is_said_of_a_study_without_a_result(tmp_path: Path) -> None:
    """One whose trials all failed; one whose search was deleted from under its confirmation."""
    make_study(tmp_path, [trial(0, state="FAIL")], name="failed")
    make_study(tmp_path, [trial(0, 0.5)], name="left", facts={"hpo:confirms": "gone"})
    opened = open_(tmp_path)
    for number, name in enumerate(("failed", "left"), 1):
        notes.conclude(opened, name)
        assert set(opened.get_study_system_attrs(number)) == {METRIC_NAMES}


@pytest.mark.parametrize("text", [*HOSTILE, "a`b", "```", "", "two\nlines", "`"])
def test_names_are_shown_and_not_read(text: str) -> None:
    """Code in Markdown, whatever stands in it: CommonMark's fence is longer than any within."""
    shown = notes.code(text)
    fence = shown[: len(shown) - len(shown.lstrip("`"))]
    assert shown.endswith(fence)
    inner = shown[len(fence) : -len(fence)]
    assert fence not in inner
    assert "\n" not in shown
    assert inner.strip() == " ".join(text.split())
