"""What the winner gets wrong: from what its trial stores, with texts where the data is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo import storage
from hpo.data import load_data
from hpo.report.blocks import Matrix, Passage, Table, Text
from hpo.report.formats import Format
from hpo.report.make import make
from hpo.report.mistakes import SECTION
from hpo.report.subject import load_subjects
from hpo.report.texts import Texts
from hpo.trials import MISTAKES
from tests.report.studies import BASE, HOSTILE, confirm, make_study, trial, url_of
from tests.studies_made import NER, make_spec, write_data

CLASSES = {
    "labels": ["negative", "positive"], "rows": 24, "wrong": 3,
    "counts": [[0, 0, 11], [0, 1, 1], [1, 0, 2], [1, 1, 10]],
    "worst": [{"row": 5, "loss": 4.5, "said": 0, "sure": 0.989},
              {"row": 2, "loss": 1.5, "said": 1, "sure": 0.77}],
}  # fmt: skip
ENTITIES = {
    "labels": ["LOC", "PER"], "rows": 24, "wrong": 1, "counts": [[0, 1, 2], [1, 1, 30], [1, -1, 1]],
    "bounds": [[1, 3]], "worst": [{"row": 0, "loss": 9.25, "said": [[0, 0, 1]]}],
}  # fmt: skip
WIDE = {
    "labels": [f"class {each}" for each in range(30)], "rows": 90, "wrong": 7,
    "counts": [[0, 0, 83], [1, 2, 4], [3, 2, 3]], "worst": [],
}  # fmt: skip


def study(
    folder: Path, stored: object, changes: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Store a study of one trial with mistakes, and its data; return the validation rows."""
    write_data(folder)
    spec = make_spec({**BASE, **(changes or {})})
    layout = "tokens" if changes else "text"
    data = load_data(spec.data, layout=layout, folder=folder, seed=spec.seed)  # type: ignore[arg-type]
    facts = {storage.DATA: str(folder), storage.FINGERPRINT: data.fingerprint}
    done = trial(0, 0.9, spec=spec, attrs={MISTAKES: stored})
    make_study(folder, [done], changes=changes, facts=facts)
    return list(data.validation.rows)


def blocks(folder: Path, texts: Texts | None = None) -> dict[type, list[Any]]:
    """Return what the section shows, by its kind."""
    subjects = load_subjects(["films"], url_of(folder), lambda _: None, texts or Texts())
    found: dict[type, list[Any]] = {Text: [], Table: [], Passage: [], Matrix: []}
    for block in SECTION.make(subjects):
        found[type(block)].append(block)
    return found


def test_classes(tmp_path: Path) -> None:
    """A matrix of all pairs, and the worst texts with what they were taken for."""
    rows = study(tmp_path, CLASSES)
    found = blocks(tmp_path)
    (matrix,) = found[Matrix]
    assert (matrix.rows, matrix.counts[1, 0]) == (["negative", "positive"], 2)
    assert "24 rows of the validation split, 3 are wrong (trial 0 of films)" in found[Text][0].text
    assert [each.title for each in found[Passage]] == [
        f"{rows[5]['label']}, taken for negative with 0.989 · loss 4.50 · row 5",
        f"{rows[2]['label']}, taken for positive with 0.770 · loss 1.50 · row 2",
    ]
    assert [each.lines[0][1][0].text for each in found[Passage]] == [
        rows[5]["text"],
        rows[2]["text"],
    ]


def test_entities_are_marked_twice(tmp_path: Path) -> None:
    """The true ones and those that were found; what only one of them has is wrong."""
    (row, *_) = study(tmp_path, ENTITIES, NER)
    found = blocks(tmp_path)
    (passage,) = found[Passage]
    true, said = passage.lines
    assert [name for name, _ in passage.lines] == ["true", "found"]
    for _, parts in passage.lines:
        assert " ".join(part.text for part in parts) == " ".join(row["tokens"])
    assert {part.name for part in true[1] if part.wrong} == {
        tag[2:] for tag in row["tags"] if tag.startswith("B-")
    }
    assert [(part.text, part.name, part.wrong) for part in said[1] if part.name] == [
        (row["tokens"][0], "LOC", True)
    ]
    (matrix,) = found[Matrix]
    assert matrix.columns == ["LOC", "PER", "no entity"]
    assert matrix.counts == {(0, 1): 2, (1, 1): 30, (1, 2): 1}
    assert "3 entities of the right type" in found[Text][1].text


def test_many_classes_are_listed(tmp_path: Path) -> None:
    """Of more than twenty the pairs that are confused most often."""
    study(tmp_path, WIDE)
    (table,) = blocks(tmp_path)[Table]
    assert table.rows == [["class 1", "class 2", 4], ["class 3", "class 2", 3]]


def _moved(folder: Path) -> Texts:
    (folder / "validation.jsonl").unlink()
    return Texts()


def _changed(folder: Path) -> Texts:
    line = json.dumps({"text": "another", "label": "positive"})
    (folder / "validation.jsonl").write_text("\n".join([line] * 24), encoding="utf-8")
    return Texts()


def _other_place(folder: Path) -> Texts:
    other = folder / "other"
    other.mkdir()
    return Texts(data=other)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda _: Texts(shown=False), "The texts are left out."),
        (_moved, "since the data cannot be read here"),
        (_changed, "the data that is found here is not the study's"),
        (_other_place, "or say where it is: `--data DIR`"),
    ],
)
def test_without_texts(tmp_path: Path, harm: Callable[[Path], Texts], told: str) -> None:
    """What is known of the worst rows is listed all the same, and why there is no more."""
    study(tmp_path, CLASSES)
    found = blocks(tmp_path, harm(tmp_path))
    assert told in found[Text][-1].text
    assert found[Passage] == []
    (table,) = found[Table]
    assert table.rows == [[5, 4.5, "negative", 0.989], [2, 1.5, "positive", 0.77]]


def test_another_place(tmp_path: Path) -> None:
    """`--data` says where the data is now."""
    study(tmp_path, CLASSES)
    other = tmp_path / "moved"
    other.mkdir()
    for path in tmp_path.glob("*.jsonl"):
        shutil.move(path, other)
    assert blocks(tmp_path)[Passage] == []
    assert len(blocks(tmp_path, Texts(data=other))[Passage]) == 2


@pytest.mark.parametrize("form", ["html", "md", "json", "csv"])
@pytest.mark.parametrize("shown", [True, False])
def test_texts_go_where_they_may(tmp_path: Path, form: Format, shown: bool) -> None:
    """A page and Markdown quote them, unless they are left out; JSON and CSV never do."""
    rows = study(tmp_path, CLASSES)
    quoted = rows[5]["text"]
    text = make(["films"], url_of(tmp_path), form, lambda _: None, Texts(shown=shown))
    assert (quoted in text) == (shown and form in {"html", "md"})


def test_a_confirmed_winner(tmp_path: Path) -> None:
    """The run that is exported is looked at, and not the trial of the search."""
    make_study(tmp_path, [trial(0, 0.9, attrs={MISTAKES: CLASSES})])
    confirm(tmp_path, {(3e-4, 16, 3): [0.6, 0.8, 0.7]})
    (told,) = load_subjects(["films"], url_of(tmp_path), lambda _: None)
    assert told.run is not None
    assert (told.run[0], told.run[1].value) == ("films-confirm", 0.8)


@pytest.mark.parametrize("stored", [None, {"labels": 3}])
def test_of_an_earlier_version(tmp_path: Path, stored: object) -> None:
    """A trial that stores none, or what nobody can read, leaves a sentence."""
    study(tmp_path, stored)
    text = make(["films"], url_of(tmp_path), "html", lambda _: None)
    assert "Trial 0 of films stores no mistakes" in text


@pytest.mark.parametrize("form", ["html", "md"])
def test_hostile_texts_stay_text(tmp_path: Path, form: Format) -> None:
    """Whatever a row says, it is no markup in a page or in Markdown."""
    write_data(tmp_path)
    path = tmp_path / "validation.jsonl"
    labels = [json.loads(line)["label"] for line in path.read_text().splitlines()]
    rows = [{"text": f"{HOSTILE[number % 5]} {number}", "label": label}
            for number, label in enumerate(labels)]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    worst = [{"row": row, "loss": 1.0, "said": 0, "sure": 0.9} for row in range(10)]
    done = trial(0, 0.9, attrs={MISTAKES: {**CLASSES, "worst": worst}})
    make_study(tmp_path, [done], facts={storage.DATA: str(tmp_path), storage.FINGERPRINT: None})
    text = make(["films"], url_of(tmp_path), form, lambda _: None, Texts())
    assert "window.hacked=1" in text  # it is quoted
    for tag in ("<script>window", "<img src=x", "<a href='java"):
        assert tag not in text
