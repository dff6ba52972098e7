"""What is kept of a model's mistakes: counts that add up, the worst rows, no text."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.entities import Entity
from hpo.mistakes import NONE, WORST, Answers, Mistakes, of_classes, of_entities

CLASSES = ["bad", "good", "so-so"]
TYPES = ["LOC", "PER"]
said = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0, 20)), min_size=1, max_size=40
)


@given(said)
def test_classes_add_up(answers: list[tuple[int, int, float]]) -> None:
    """Every row is counted once; the worst are the wrong ones of the highest losses."""
    gold, predicted, losses = (np.asarray(each) for each in zip(*answers, strict=True))
    rows = list(range(len(answers)))[::-1]
    found = of_classes(rows, gold, Answers(predicted, np.full(len(rows), 0.5), losses), CLASSES)
    wrong = [row for row, (right, other, _) in zip(rows, answers, strict=True) if right != other]
    assert sum(found.counts.values()) == found.rows == len(answers)
    assert found.wrong == len(wrong)
    assert {each.row for each in found.worst} <= set(wrong)
    assert len(found.worst) == min(WORST, len(wrong))
    kept = [each.loss for each in found.worst]
    of_row = dict(zip(rows, losses.tolist(), strict=True))
    assert kept == sorted((of_row[row] for row in wrong), reverse=True)[:WORST]


@given(said)
def test_what_is_stored_is_what_is_read(answers: list[tuple[int, int, float]]) -> None:
    """Through JSON, as a storage keeps it; to four digits."""
    gold, predicted, losses = (np.asarray(each) for each in zip(*answers, strict=True))
    sure = np.full(len(gold), 0.25)
    found = of_classes(range(len(gold)), gold, Answers(predicted, sure, losses), CLASSES)
    again = Mistakes.from_record(json.loads(json.dumps(found.to_record())))
    assert again is not None
    assert again.to_record() == found.to_record()
    assert (again.rows, again.wrong, dict(again.counts)) == (
        found.rows, found.wrong, dict(found.counts),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gold", "found", "counts", "bounds"),
    [
        ([("PER", 0, 2)], [("PER", 0, 2)], {(1, 1): 1}, {}),
        ([("PER", 0, 2)], [("LOC", 0, 2)], {(1, 0): 1}, {}),
        ([("PER", 0, 2)], [("PER", 0, 1)], {(1, 1): 1}, {1: 1}),
        ([("PER", 0, 2)], [], {(1, NONE): 1}, {}),
        ([], [("LOC", 3, 4)], {(NONE, 0): 1}, {}),
        # its own type is preferred to whoever comes first, and each is taken once
        ([("PER", 0, 3)], [("LOC", 0, 1), ("PER", 1, 3)], {(1, 1): 1, (NONE, 0): 1}, {1: 1}),
        ([("PER", 0, 1), ("PER", 1, 2)], [("PER", 0, 2)], {(1, 1): 1, (1, NONE): 1}, {1: 1}),
    ],
)
def test_entities_are_paired(
    gold: Sequence[Entity],
    found: Sequence[Entity],
    counts: dict[tuple[int, int], int],
    bounds: dict[int, int],
) -> None:
    """By words, then by type among those that overlap, then by overlap; the rest is none."""
    made = of_entities([gold], [found], np.array([3.0]), TYPES)
    assert (dict(made.counts), dict(made.bounds)) == (counts, bounds)
    right = set(gold) == set(found)
    assert [each.row for each in made.worst] == ([] if right else [0])


def test_hundreds_of_classes_are_bounded() -> None:
    """The most frequent cells are kept, so that a trial stays small."""
    gold = np.arange(3000) % 150
    predicted = (gold * 7 + np.arange(3000) // 150) % 150
    answers = Answers(predicted, np.ones(3000), np.ones(3000))
    names = [f"class {each}" for each in range(150)]
    record = of_classes(range(3000), gold, answers, names).to_record()
    assert len(record["counts"]) == 400
    assert len(json.dumps(record)) < 10_000


@pytest.mark.parametrize("record", [{}, {"labels": 1}, {"labels": [], "rows": "x"}])
def test_other_versions_are_not_read(record: dict[str, object]) -> None:
    """What cannot be read is none, and no error."""
    assert Mistakes.from_record(record) is None
