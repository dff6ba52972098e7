"""`hpo report` as one types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpo.cli import main
from tests.report.studies import confirm, make_study, params_of, trial, url_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A storage with one study and its confirmation."""
    make_study(tmp_path, [trial(0, 0.5), trial(1, 0.7)])
    confirm(tmp_path, {(3e-4, 16, 3): [0.6, 0.62]})
    return tmp_path


def hpo(folder: Path, *words: str) -> Result:
    """Run a command on the storage of a folder."""
    return CliRunner().invoke(main, [*words, "--storage", url_of(folder)])


def test_a_page_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To report.html by default, with a word for each step on stderr and one on stdout."""
    monkeypatch.chdir(folder)
    result = hpo(folder, "report", "films")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Wrote report.html (")
    assert "reading films" in result.stderr
    assert "what matters" in result.stderr
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["--format", "md"], "# films\n"),
        (["--format", "csv"], "study,trial,state,value"),
        (["--format", "html"], "<!doctype html>"),
    ],
)
def test_stdout(folder: Path, words: list[str], begins: str) -> None:
    """`-o -` prints the report and nothing else."""
    result = hpo(folder, "report", "films", *words, "-o", "-")
    assert result.stdout.startswith(begins)


@pytest.mark.parametrize("given", ["https://host/hpo", "https://host/hpo/"])
def test_the_page_links_to_a_dashboard(folder: Path, given: str) -> None:
    """Where one is named, by an address that a browser opens; its page is that of the study."""
    words = ("report", "films", "-o", "-")
    linked = hpo(folder, *words, "--dashboard", given).stdout
    assert 'href="https://host/hpo/dashboard/studies/1"' in linked
    assert "/dashboard/studies/" not in hpo(folder, *words).stdout
    refused = hpo(folder, *words, "--dashboard", "javascript:alert(1)")
    assert refused.exit_code == 2
    assert "--dashboard: found 'javascript:alert(1)'; expected http" in refused.stderr


def test_the_ending_says_the_format(folder: Path) -> None:
    """`-o x.json` is JSON without --format."""
    target = folder / "x.json"
    assert hpo(folder, "report", "films", "-o", str(target)).exit_code == 0
    assert json.loads(target.read_text())["studies"][0]["study"] == "films"


def test_an_ending_that_is_none_of_its_formats(folder: Path) -> None:
    """A page that is called a PDF would open nowhere."""
    refused = hpo(folder, "report", "films", "-o", str(folder / "x.pdf"))
    assert refused.exit_code == 2
    assert "found the ending .pdf; expected one of html, md, json, csv" in refused.stderr
    assert not (folder / "x.pdf").exists()
    assert (
        hpo(folder, "report", "films", "--format", "md", "-o", str(folder / "x.pdf")).exit_code == 0
    )


def test_the_only_study_needs_no_name(folder: Path) -> None:
    """A confirmation beside it is no other study; with two, their names are told."""
    assert hpo(folder, "report", "--format", "md", "-o", "-").stdout.startswith("# films\n")
    make_study(folder, name="books")
    result = hpo(folder, "report")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "hpo: NAME: found none given; expected one of the storage's studies: books, films\n"
    )


@pytest.mark.parametrize(
    "words", [["report", "--format", "md", "-o", "-"], ["best"], ["watch", "--once"]]
)
def test_the_only_study_is_the_same_everywhere(tmp_path: Path, words: list[str]) -> None:
    """A confirmation is none of its own, whatever its strategy; a list of points is."""
    points = {"strategy": "points", "strategy_options": {"points": [params_of()]}, "budget": {}}
    make_study(tmp_path, [trial(0, 0.5)], name="listed", changes=points)
    confirm(tmp_path, {(3e-4, 16, 3): [0.6, 0.62]}, name="listed")
    result = hpo(tmp_path, *words)
    assert result.exit_code == 0, result.output
    assert "listed" in result.stdout
    make_study(tmp_path, name="books")
    refused = hpo(tmp_path, *words)
    assert refused.exit_code == 2
    assert "expected one of the storage's studies: books, listed\n" in refused.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["film"], "did you mean 'films'?"),
        (["films", "-o", "."], "found a folder"),
        (["films", "-o", "none/report.html"], "cannot be written: No such file"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    """An unknown study, a folder, a place where nothing can be written."""
    monkeypatch.chdir(folder)
    result = hpo(folder, "report", *words)
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("hpo:")]
    assert told in line


def test_best_names_the_report(folder: Path) -> None:
    """`hpo best` ends with the command that writes it."""
    last = hpo(folder, "best", "films").stdout.splitlines()[-1]
    assert last.startswith("report   hpo report films --storage sqlite:///")
