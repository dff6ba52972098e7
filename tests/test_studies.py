"""Every study file that is shipped, and every starter, is valid."""

import re
from pathlib import Path

import pytest

import hpo
from hpo.spec import load
from hpo.training_arguments import check

STUDIES = Path(__file__).parents[1] / "studies"
STARTERS = Path(hpo.__file__).parent / "starters"
FILES = sorted([*STUDIES.glob("*.toml"), *STARTERS.glob("*.toml")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_study_file_is_valid(path: Path) -> None:
    """The file loads, and every training argument has a real name and a value of its type."""
    study = load(path)
    check(study.spec, str(path))
    assert study.spec.budget.trials


def test_seed_cases_and_families_are_there() -> None:
    """The demos, the two seed cases and one study for each further family of models are shipped."""
    models = {load(path).spec.model[0].rpartition("/")[2] for path in STUDIES.glob("*.toml")}
    assert models >= {"bert-base-cased", "bert-base-uncased", "roberta-base", "gpt2", "openai-gpt"}
    assert {path.stem for path in FILES} >= {"demo-ner", "demo-sentiment", "ner", "sentiment"}


@pytest.mark.parametrize("path", sorted(STARTERS.glob("*.toml")), ids=lambda path: path.stem)
def test_starters_run_as_written(path: Path) -> None:
    """A starter needs no hub and no file of the user: it stands on the samples."""
    spec = load(path).spec
    assert spec.task == path.stem
    assert spec.data.path == f"sample:{path.stem}"
    assert all(model.startswith("sample:") for model in spec.models())


@pytest.mark.parametrize("path", sorted(STARTERS.glob("*.toml")), ids=lambda path: path.stem)
def test_lines_commented_out_in_a_starter_are_valid_too(path: Path, tmp_path: Path) -> None:
    """Taking the comment from the example lines leaves a valid study file."""
    text = re.sub(r"(?m)^# (?=\w+ = )", "", path.read_text(encoding="utf-8"))
    assert text.count("\n# ") < path.read_text(encoding="utf-8").count("\n# ")
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    check(load(tmp_path / "study.toml").spec, "study.toml")


def test_readme_lists_each_study() -> None:
    """The table of studies has one row a file, and no row without a file."""
    table = (STUDIES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\S+\.toml)\]\((\S+)\)", table, flags=re.MULTILINE)
    assert sorted(rows) == sorted((path.name, path.name) for path in STUDIES.glob("*.toml"))
