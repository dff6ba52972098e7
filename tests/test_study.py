"""A study as those who read it see it: counts, the best, the folder's name."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from hpo import storage
from hpo.study import StudyView, list_studies, load_study, slug, view
from hpo.trials import ABANDONED, HANDED_BACK
from tests.report.studies import confirm, trial, url_of
from tests.report.studies import make_study as make_reported
from tests.studies_made import make_spec

NAMES = st.text(min_size=1, max_size=200)


def make_study(folder: Path, *, direction: Any = "maximize", name: str = "study") -> optuna.Study:
    """Return an empty study."""
    opened = storage.open_storage(str(folder / "hpo.db"))
    facts = {storage.METRIC: "accuracy"}
    return storage.create_or_attach(opened, name, make_spec(), direction=direction, facts=facts)


def add(study: optuna.Study, state: str, value: float | None = None, **attrs: Any) -> None:
    """Add a trial."""
    study.add_trial(create_trial(state=TrialState[state], value=value, user_attrs=attrs))


def test_counts_are_outcomes(tmp_path: Path) -> None:
    """A trial that was handed back or left by a dead process counts once, as what became of it."""
    study = make_study(tmp_path)
    add(study, "FAIL", reason=HANDED_BACK)
    add(study, "FAIL", reason=ABANDONED)
    add(study, "FAIL", reason="diverged")
    add(study, "COMPLETE", 0.5)
    add(study, "PRUNED", 0.1)
    study.enqueue_trial({})
    seen = view(study)
    assert seen.counts == {"COMPLETE": 1, "FAIL": 1, "PRUNED": 1, "WAITING": 1}
    assert (seen.done, seen.budget) == (3, 2)
    assert len(seen.trials) == len(seen.details()) == 6


@pytest.mark.parametrize(("direction", "best"), [("maximize", 1), ("minimize", 0)])
def test_best_is_the_first_of_equals(tmp_path: Path, direction: str, best: int) -> None:
    """The best completed trial in the study's direction; a pruned one never is."""
    study = make_study(tmp_path, direction=direction)
    for value in (0.2, 0.9, 0.9, 0.2):
        add(study, "COMPLETE", value)
    add(study, "PRUNED", 5.0)
    add(study, "PRUNED", -5.0)
    found = view(study).best
    assert found is not None
    assert found.number == best


def test_nothing_is_best_yet(tmp_path: Path) -> None:
    """A study without a completed trial has no best, and says so in JSON."""
    study = make_study(tmp_path)
    add(study, "FAIL", reason="diverged")
    assert view(study).to_json() == {
        "study": "study", "strategy": "random", "state": "waiting", "priority": 0,
        "budget": {"trials": 2, "max_attempts": 3}, "trials": {"FAIL": 1}, "best": None,
        "seconds": 0.0,
    }  # fmt: skip


def test_studies_are_read_from_the_storage(tmp_path: Path) -> None:
    """By name, and all of them, oldest first."""
    for name in ("b", "a"):
        make_study(tmp_path, name=name)
    url = str(tmp_path / "hpo.db")
    studies, unreadable = list_studies(url)
    assert ([study.name for study in studies], unreadable) == (["b", "a"], [])
    assert isinstance(load_study("a", url), StudyView)


def test_the_list_has_what_was_confirmed(tmp_path: Path) -> None:
    """The same as the study read by itself; nothing where a name merely looks like it."""
    make_reported(tmp_path, [trial(0, 0.95), trial(1, 0.5)], name="films")
    make_reported(tmp_path, [trial(0, 0.9)], name="other")
    make_reported(tmp_path, [trial(0, 0.9)], name="other-confirm")
    confirm(tmp_path, {(3e-4, 16, 3): [0.8, 0.9]})
    found = {each.name: each for each in list_studies(url_of(tmp_path))[0]}
    listed = found["films"].to_json()
    assert listed["best"]["value"] == 0.95
    assert listed["confirmation"]["candidates"][0]["mean"] == pytest.approx(0.85)
    assert listed == load_study("films", url_of(tmp_path)).to_json()
    assert [name for name, each in found.items() if each.confirmation] == ["films"]


@given(NAMES)
def test_folder_stays_where_it_belongs(name: str) -> None:
    """Whatever a study is called, its folder is one plain name below the output folder."""
    made = slug(name)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", made) or made.startswith("_")
    output = Path("/runs")
    assert (output / made).resolve().parent == output


@given(NAMES, NAMES)
def test_distinct_names_have_distinct_folders(one: str, other: str) -> None:
    """Two studies never share a folder."""
    assert (slug(one) == slug(other)) == (one == other)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "..",
        ".",
        "-",
        "a\0b",
        "x" * 4096,
        "é",
        "a b",
        "a/b",
        "$(id)",
        "cache",
    ],
)
def test_hostile_names(name: str) -> None:
    """Names that lead elsewhere, or that hpo itself uses, become folders of their own."""
    made = slug(name)
    assert made != name
    assert not {"/", "\0", "$"} & set(made)
    assert len(made) < 100
    assert made == slug(name)


@pytest.mark.parametrize("name", ["check", "Cache", "hpo.db", "hpo.db-wal", "HPO.DB.lock"])
def test_names_that_are_taken(name: str) -> None:
    """A study cannot be put where the database or the cache lies."""
    assert slug(name) != name


def test_seconds_are_those_of_trials(tmp_path: Path) -> None:
    """Time between trials does not count."""
    study = make_study(tmp_path)
    start = datetime(2026, 1, 1)  # noqa: DTZ001 - Optuna's times are naive
    for hours in (0, 5):
        trial = create_trial(value=0.5)
        trial.datetime_start = start + timedelta(hours=hours)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=90)
        study.add_trial(trial)
    assert view(study).seconds == pytest.approx(180)
