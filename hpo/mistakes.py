"""What a model got wrong on the validation split, in a few numbers and without any text.

    {"labels": ["LOC", "PER"], "rows": 420, "wrong": 37,
     "counts": [[0, 0, 200], [0, 1, 12], [1, -1, 9]],  gold, taken for what, how often; -1 is none
     "bounds": [[0, 3]],                               of those on the diagonal, with other ends
     "worst": [{"row": 17, "loss": 8.31, "said": 1, "sure": 0.98}]}

It is stored with a trial as its metrics are. Texts stay where the data is: whoever shows a mistake
looks it up there by the number of its row. `said` is a class, or the entities of a sentence, each
with its type, first word and the word behind its last.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hpo.entities import Entity

NONE = -1  # no entity: one that was missed, or one that is not there
WORST = 10  # rows that are kept
_CELLS = 400  # of a confusion matrix; of hundreds of classes the most frequent
_ENTITIES = 40  # of a sentence


@dataclass(frozen=True)
class Answers:
    """What a model says about inputs, in their order: (inputs,) or (inputs, padded length) each.

    Args:
        predicted: the classes.
        sure: their probabilities.
        losses: minus the log-probability of the gold classes, in nats; anything where there is
            none.
    """

    predicted: np.ndarray
    sure: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Mistake:
    """A row that a model got wrong.

    Args:
        row: its number in the split.
        loss: minus the log-probability of its gold, in nats.
        said: a class, or (type, first word, word behind the last) of each entity.
        sure: the probability of the class that it was taken for.
    """

    row: int
    loss: float
    said: int | list[tuple[int, int, int]]
    sure: float | None = None


@dataclass(frozen=True)
class Mistakes:
    """What a model got wrong in a split.

    Args:
        labels: the classes, or the entity types.
        rows: how many were read.
        wrong: how many of them were not all right.
        counts: (gold, taken for) -> how often.
        bounds: type -> how many of its entities were found with other ends.
        worst: the rows whose gold is the least likely, the worst first.
    """

    labels: Sequence[str]
    rows: int
    wrong: int
    counts: Mapping[tuple[int, int], int]
    bounds: Mapping[int, int] = field(default_factory=dict)
    worst: Sequence[Mistake] = ()

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        rows: int,
        counts: Mapping[tuple[int, int], int],
        wrong: Sequence[Mistake],
        bounds: Mapping[int, int] | None = None,
    ) -> "Mistakes":
        """Keep the worst of all rows that are wrong."""
        ranked = sorted(wrong, key=lambda each: (-each.loss, each.row))
        return cls(list(labels), rows, len(wrong), counts, bounds or {}, ranked[:WORST])

    def to_record(self) -> dict[str, Any]:
        """Return what a trial stores."""
        often = sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_CELLS]
        return {
            "labels": list(self.labels),
            "rows": self.rows,
            "wrong": self.wrong,
            "counts": [[gold, said, count] for (gold, said), count in sorted(often)],
            **({"bounds": sorted(map(list, self.bounds.items()))} if self.bounds else {}),
            "worst": [_written(each) for each in self.worst],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Mistakes | None":
        """Read what a trial stored; None where another version of hpo wrote something else."""
        try:
            return cls(
                [str(each) for each in record["labels"]],
                int(record["rows"]),
                int(record["wrong"]),
                {(int(gold), int(said)): int(count) for gold, said, count in record["counts"]},
                {int(place): int(count) for place, count in record.get("bounds", [])},
                [_read(each) for each in record["worst"]],
            )
        except (KeyError, TypeError, ValueError):
            return None


def _written(mistake: Mistake) -> dict[str, Any]:
    said = mistake.said if isinstance(mistake.said, int) else mistake.said[:_ENTITIES]
    found = {**asdict(mistake), "said": said, "loss": round(mistake.loss, 4)}
    if mistake.sure is None:
        del found["sure"]
    else:
        found["sure"] = round(mistake.sure, 4)
    return found


def _read(stored: Mapping[str, Any]) -> Mistake:
    said, sure = stored["said"], stored.get("sure")
    entities = said if isinstance(said, int) else [(int(a), int(b), int(c)) for a, b, c in said]
    return Mistake(
        int(stored["row"]), float(stored["loss"]), entities, None if sure is None else float(sure)
    )


def of_classes(
    rows: Sequence[int], gold: np.ndarray, answers: Answers, labels: Sequence[str]
) -> Mistakes:
    """Return what is wrong where each row has one class.

    Args:
        rows: the number of the row of each input.
        gold: (inputs,) the right classes.
        answers: what the model said.
        labels: the names of the classes.
    """
    counts = Counter(zip(gold.tolist(), answers.predicted.tolist(), strict=True))
    wrong = [
        Mistake(int(rows[at]), _finite(answers.losses[at]), int(answers.predicted[at]),
                _finite(answers.sure[at]))
        for at in np.flatnonzero(gold != answers.predicted).tolist()
    ]  # fmt: skip
    return Mistakes.of(labels, len(gold), counts, wrong)


def of_entities(
    gold: Sequence[Sequence[Entity]],
    found: Sequence[Sequence[Entity]],
    losses: np.ndarray,
    types: Sequence[str],
) -> Mistakes:
    """Return what is wrong where each row has entities.

    An entity is taken for the one that is found on the same words, else for one that shares some of
    them, of its own type if there is such; each for one at most.

    Args:
        gold: the right entities of each row.
        found: the predicted ones.
        losses: (rows,) minus the log-probability of each row's gold.
        types: the entity types.
    """
    place = {name: index for index, name in enumerate(types)}
    counts: Counter[tuple[int, int]] = Counter()
    bounds: Counter[int] = Counter()
    wrong = []
    for row, (right, said) in enumerate(zip(gold, found, strict=True)):
        for one, other in _paired(right, said):
            pair = tuple(NONE if each is None else place[each[0]] for each in (one, other))
            counts[pair[0], pair[1]] += 1
            if one is not None and other is not None and one[0] == other[0] and one != other:
                bounds[pair[0]] += 1
        if {*right} != {*said}:
            entities = [(place[name], first, after) for name, first, after in said]
            wrong.append(Mistake(row, _finite(losses[row]), entities))
    return Mistakes.of(types, len(gold), counts, wrong, bounds)


def _paired(
    gold: Sequence[Entity], found: Sequence[Entity]
) -> list[tuple[Entity | None, Entity | None]]:
    pairs: list[tuple[Entity | None, Entity | None]] = []
    left, rest = list(gold), list(found)
    for fits in (_on_the_same_words, _of_its_type, _overlaps):
        for one in list(left):
            other = next((each for each in rest if fits(one, each)), None)
            if other is not None:
                pairs.append((one, other))
                left.remove(one)
                rest.remove(other)
    return [*pairs, *((one, None) for one in left), *((None, other) for other in rest)]


def _on_the_same_words(one: Entity, other: Entity) -> bool:
    return one[1:] == other[1:]


def _overlaps(one: Entity, other: Entity) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def _of_its_type(one: Entity, other: Entity) -> bool:
    return one[0] == other[0] and _overlaps(one, other)


def _finite(value: Any) -> float:
    number = float(value)
    return number if math.isfinite(number) else 1e9
