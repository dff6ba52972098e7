"""Carving, subsets, overlap and fingerprints."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.data import overlap
from hpo.data.rows import Rows
from hpo.data.splits import carve, sort_names, subset
from hpo.data.tables import Table

if TYPE_CHECKING:
    from hpo.data import Layout
    from tests.data.conftest import Study

TABLE = Table("made", "row", [], {})


def text_rows(labels: list[str], texts: list[str] | None = None) -> Rows:
    """Return rows with these labels."""
    texts = texts or [f"text {index}" for index in range(len(labels))]
    return Rows(texts, labels, [(TABLE, index) for index in range(len(labels))])


def token_rows(types: list[list[str]]) -> Rows:
    """Return rows of one word an entity of these types, and a number."""
    inputs = [[str(index), *kinds] for index, kinds in enumerate(types)]
    targets = [["O", *(f"B-{kind}" for kind in kinds)] for kinds in types]
    return Rows(inputs, targets, [(TABLE, index) for index in range(len(types))])


labels = st.lists(st.sampled_from("aaaaabbbc"), min_size=3, max_size=60)
fractions = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@given(labels, fractions, seeds)
def test_carving_is_stratified(names: list[str], fraction: float, seed: int) -> None:
    """Every row goes to one side, each class stays in train, and gives its share."""
    train, validation = carve(text_rows(names), "text", fraction, seed)
    assert sorted(train + validation) == list(range(len(names)))
    assert (train, validation) == (sorted(train), sorted(validation))
    assert {names[index] for index in train} == set(names)
    taken = Counter(names[index] for index in validation)
    for name, size in Counter(names).items():
        assert taken[name] <= size - 1
        if fraction * len(names) >= 1 and 2 <= fraction * size <= size - 3:
            assert abs(taken[name] - fraction * size) <= 2


@given(st.lists(st.lists(st.sampled_from("PLOM"), max_size=3), min_size=2, max_size=40), seeds)
def test_carving_ner_keeps_every_type_in_train(types: list[list[str]], seed: int) -> None:
    """Entity types that few rows have stay in train."""
    train, validation = carve(token_rows(types), "tokens", 0.3, seed)
    assert {kind for index in train for kind in types[index]} == {
        kind for kinds in types for kind in kinds
    }
    assert sorted(train + validation) == list(range(len(types)))


@given(st.lists(st.sampled_from("xyzuvw"), min_size=4, max_size=40), seeds)
def test_carving_keeps_the_same_text_together(texts: list[str], seed: int) -> None:
    """No text is in both splits, so that the score is not of rows learnt by heart."""
    rows = text_rows(["a"] * len(texts), texts)
    train, validation = carve(rows, "text", 0.3, seed)
    assert not {texts[index] for index in train} & {texts[index] for index in validation}


@given(st.lists(st.sampled_from("aaaaabbbc"), min_size=3, max_size=80), st.data(), seeds)
def test_a_subset_is_stratified(names: list[str], data: st.DataObject, seed: int) -> None:
    """It has exactly as many rows as asked for, of each class its share to within one."""
    count = data.draw(st.integers(1, len(names)))
    chosen = subset(text_rows(names), "text", count, seed)
    assert len(set(chosen)) == len(chosen) == count
    taken = Counter(names[index] for index in chosen)
    for name, size in Counter(names).items():
        assert abs(taken[name] - count * size / len(names)) <= 1


def test_draws_are_the_same_on_every_machine() -> None:
    """The rows chosen are pinned: another Python or platform must choose the same."""
    rows = text_rows(["a", "b", "b", "a"] * 5)
    assert carve(rows, "text", 0.2, 7)[1] == [2, 5, 11, 12]
    assert subset(rows, "text", 4, 7) == [2, 5, 11, 12]
    assert carve(rows, "text", 0.2, 8)[1] != carve(rows, "text", 0.2, 7)[1]


@pytest.mark.parametrize(
    ("layout", "rows"),
    [
        ("text", [{"text": f"row {n}", "label": "ab"[n % 2]} for n in range(40)]),
        (
            "tokens",
            [
                {"tokens": ["w", str(n)], "tags": ["O", "B-X" if n % 2 else "B-Y"]}
                for n in range(40)
            ],
        ),
    ],
)
def test_carving_and_subset_are_said(
    study: Study, layout: Layout, rows: list[dict[str, Any]]
) -> None:
    """What was done to train is in the notices; the labels do not depend on it."""
    study.write({"a.jsonl": "\n".join(map(json.dumps, rows))})
    data = study.load(layout, train="a.jsonl", max_train_rows=10, validation_fraction=0.25)
    assert (len(data.train.rows), len(data.validation.rows)) == (10, 10)
    assert set(data.train.counts.values()) == {5}
    assert set(data.validation.counts.values()) == {5}
    assert data.notices == [
        "There is no validation split: 10 of the 40 rows of train were set aside for it, "
        "stratified, by seed 1.",
        "Of the 30 rows of train, 10 are used: a stratified subset, by seed 1 "
        "(data.max_train_rows).",
    ]
    again = study.load(layout, train="a.jsonl", max_train_rows=10, validation_fraction=0.25)
    assert again.fingerprint == data.fingerprint
    other = study.load(layout, seed=2, train="a.jsonl", validation_fraction=0.25)
    assert other.fingerprint != data.fingerprint
    assert other.labels == data.labels


def test_overlap_and_unseen_names_are_said(study: Study) -> None:
    """Rows of validation that train has too are counted; so are classes train has not."""
    study.write(
        {
            "a.csv": "text,label\none,a\ntwo,b\nthree,a\n",
            "b.csv": "text,label\ntwo,b\nfour,c\ntwo,a\n",
            "a.conll": "a B-X\nb O\n\nc O\n",
            "b.conll": "a O\nb B-Y\n\nc O\nc O\n",
        }
    )
    data = study.load("text", train="a.csv", validation="b.csv")
    assert overlap(data.train, data.validation) == 2
    assert overlap(data.validation, data.train) == 1
    assert "2 of the 3 rows of validation have a text that train has too" in data.notices[0]
    assert "validation has 'c', which train has not" in data.notices[1]
    assert data.labels == ["a", "b", "c"]
    ner = study.load("tokens", train="a.conll", validation="b.conll")
    assert overlap(ner.train, ner.validation) == 1
    assert "validation has 'Y'" in ner.notices[1]


@pytest.mark.parametrize(
    "change",
    [
        {"a.csv": "text,label\none,a\ntwo,b\nthree,b\n"},
        {"a.csv": "text,label\none,a\ntwoo,b\nthree,a\n"},
        {"a.csv": "text,label\ntwo,b\none,a\nthree,a\n"},
        {"a.csv": "text,label\none,a\ntwo,b\n", "b.csv": "text,label\nthree,a\nfour,a\n"},
        {"b.csv": "text,label\nfour,c\n"},
    ],
)
def test_the_fingerprint_is_of_the_content(study: Study, change: dict[str, str]) -> None:
    """Another label, text, order or division of the rows is another fingerprint."""
    study.write({"a.csv": "text,label\none,a\ntwo,b\nthree,a\n", "b.csv": "text,label\nfour,a\n"})
    before = study.load("text", train="a.csv", validation="b.csv").fingerprint
    assert len(before) == 16
    assert int(before, 16) >= 0
    study.write({"a.csv": 'label;text\na;"one"\r\nb;two\na;three'})
    assert study.load("text", train="a.csv", validation="b.csv").fingerprint == before
    study.write(change)
    assert study.load("text", train="a.csv", validation="b.csv").fingerprint != before


def test_names_are_sorted_by_value_where_they_are_integers() -> None:
    """10 comes after 9, unless some name is no integer."""
    assert sort_names(["10", "9", "-1"]) == ["-1", "9", "10"]
    assert sort_names(["10", "9", "a"]) == ["10", "9", "a"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [("text,label\none,a\ntwo,b\n", "too few"), ("text,label\none,a\none,b\none,a\n", "too few")],
)
def test_too_few_rows_to_carve(study: Study, content: str, expected: str) -> None:
    """Where nothing can be set aside, the user is asked for a validation split."""
    study.write({"a.csv": content})
    with pytest.raises(Exception, match=expected):
        study.load("text", train="a.csv")
