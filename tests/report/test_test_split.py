"""What the test split showed stands at the top of a report; what it cannot say is told."""

from pathlib import Path
from typing import Any

import pytest

from hpo.report.blocks import Table, Text
from hpo.report.cautions import cautions
from hpo.report.sections import make_sections
from hpo.report.subject import Subject
from hpo.report.summary import facts
from hpo.study import LOOKS
from tests.report.studies import look, make_study, params_of, subject_of, trial


def study_of(folder: Path, *looks: dict[str, Any]) -> Subject:
    """Return a study whose best trial is 1, with looks at the test split."""
    trials = [trial(0, 0.7), trial(1, 0.9, params=params_of(2e-4))]
    make_study(folder, trials, facts={LOOKS: list(looks)} if looks else {})
    return subject_of(folder)


def test_top_and_section(tmp_path: Path) -> None:
    """The winner's score with its interval at the top; both runs and the gain in the section."""
    subject = study_of(tmp_path, look(1))
    (fact,) = [each for each in facts(subject) if each.name == "on the test split"]
    assert fact.value == "0.8125"
    assert fact.detail == "95% interval 0.7625 to 0.8525; trial 1 of films, seen once"
    made = {each.name: each for each in make_sections([subject], lambda _: None)}
    (table,) = [each for each in made["test"].blocks if isinstance(each, Table)]
    assert [list(row) for row in table.rows] == [
        ["winner", "trial 1 of films", 0.8125, "0.7625 to 0.8525", 0.9],
        ["default", "trial 0 of films", 0.75, "0.7000 to 0.7900", 0.9],
    ]
    said = " ".join(each.text for each in made["test"].blocks if isinstance(each, Text))
    assert "The 128 rows of the test split were scored once at 2026-01-02" in said
    assert (
        "default configuration is +0.0625, 95% interval -0.0100 to +0.1300; that is within" in said
    )
    assert "A note." in said
    assert {each.kind for each in cautions(subject)}.isdisjoint({"test of another", "test seen"})


def test_without_a_look(tmp_path: Path) -> None:
    """Nothing is said of a split that nobody scored."""
    subject = study_of(tmp_path)
    assert "on the test split" not in [each.name for each in facts(subject)]
    assert "test" not in [each.name for each in make_sections([subject], lambda _: None)]


@pytest.mark.parametrize(
    ("looks", "kind", "said"),
    [
        ([look(0)], "test of another", "is of trial 0 of films, and the winner is trial 1"),
        ([look(1), look(1)], "test seen", "was scored 2 times"),
    ],
)
def test_what_it_cannot_say(
    tmp_path: Path, looks: list[dict[str, Any]], kind: str, said: str
) -> None:
    """A result of another run than the winner's, and a split that was looked at again."""
    (caution,) = [each for each in cautions(study_of(tmp_path, *looks)) if "test" in each.kind]
    assert caution.kind == kind
    assert said in caution.text


def test_no_interval(tmp_path: Path) -> None:
    """A metric that follows from no counts has none, and no gain."""
    shown = look(1, gain=None, bootstrap=None)
    for each in shown["results"]:
        each["interval"] = None
    subject = study_of(tmp_path, shown)
    (fact,) = [each for each in facts(subject) if each.name == "on the test split"]
    assert fact.detail == "trial 1 of films, seen once"
    made = {each.name: each for each in make_sections([subject], lambda _: None)}
    (table,) = [each for each in made["test"].blocks if isinstance(each, Table)]
    assert [row[3] for row in table.rows] == ["", ""]
