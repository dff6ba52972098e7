"""Splits: carved, subset, counted, compared and fingerprinted; the same on every machine.

Draws go by SHA-256 of the seed and the position of a row: Python promises the sequence of
`random.random` only, and `hash` differs between processes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import datasets

from hpo.data.rows import Rows
from hpo.data.tables import Layout
from hpo.data.tags import entity_types

_FEATURES = {
    "text": datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.Value("string")}
    ),
    "tokens": datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "tags": datasets.List(datasets.Value("string")),
        }
    ),
}


@dataclass(frozen=True)
class Split:
    """One split, ready for a task.

    Args:
        rows: layout `tokens`: columns `tokens` and `tags` (IOB2), a list of text each; layout
            `text`: columns `text` and `label` (the class name).
        counts: entity type -> number of entities, or class -> number of rows, sorted by name.
    """

    rows: datasets.Dataset
    counts: dict[str, int]


def make_split(rows: Rows, layout: Layout) -> Split:
    """Build a split from converted rows."""
    features = _FEATURES[layout]
    columns = dict(zip(features, (rows.inputs, rows.targets), strict=True))
    counts = Counter(name for names in names_of(rows, layout) for name in names)
    return Split(
        datasets.Dataset.from_dict(columns, features=features),
        {name: counts[name] for name in sort_names(counts)},
    )


def names_of(rows: Rows, layout: Layout) -> list[list[str]]:
    """Return for each row its class, or the types of its entities."""
    if layout == "text":
        return [[label] for label in rows.targets]
    return [entity_types(tags) for tags in rows.targets]


def sort_names(names: Iterable[str]) -> list[str]:
    """Sort names, by value if all of them are integers."""
    names = list(names)
    if all(name.removeprefix("-").isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def overlap(first: Split, second: Split) -> int:
    """Count the rows of `second` whose text `first` has too."""
    texts, others = (
        [row if isinstance(row, str) else tuple(row) for row in split.rows.with_format(None)[key]]
        for split in (first, second)
        for key in [split.rows.column_names[0]]
    )
    return _shared(texts, others)


def _shared(first: Iterable[Hashable], second: Iterable[Hashable]) -> int:
    known = set(first)
    return sum(text in known for text in second)


def carve(rows: Rows, layout: Layout, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Choose which rows stay in train and which become validation, stratified.

    Rows with the same text go to the same side, and each class or entity type keeps a row in
    train. The second list is empty where that leaves nothing to take.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, text in enumerate(rows.inputs):
        groups.setdefault(text if isinstance(text, str) else tuple(text), []).append(index)
    members = list(groups.values())
    row_names = names_of(rows, layout)
    names = [sorted({name for index in group for name in row_names[index]}) for group in members]
    count = min(max(1, round(fraction * len(members))), len(members) - 1)
    taken = _systematic(names, count, seed)
    left = Counter(name for group, own in enumerate(names) if group not in taken for name in own)
    for group in sorted(taken):
        if any(left[name] == 0 for name in names[group]):
            taken.remove(group)
            left.update(names[group])
    # In their place, others that train can spare.
    for group in sorted(range(len(members)), key=lambda group: _draw(seed, group)):
        spare = group not in taken and all(left[name] > 1 for name in names[group])
        if spare and len(taken) < count:
            taken.add(group)
            left.subtract(names[group])
    validation = sorted(index for group in taken for index in members[group])
    chosen = set(validation)
    return [index for index in range(len(rows)) if index not in chosen], validation


def subset(rows: Rows, layout: Layout, count: int, seed: int) -> list[int]:
    """Choose `count` rows, stratified."""
    return sorted(_systematic(names_of(rows, layout), count, seed))


def _systematic(strata: Sequence[Iterable[str]], count: int, seed: int) -> set[int]:
    # Systematic sampling: of the rows, ordered by stratum and by chance within it, every k-th.
    # Each stratum gets its share to within one row, however many small ones there are.
    total = len(strata)
    keys = [
        (json.dumps(sorted(set(names))), _draw(seed, index)) for index, names in enumerate(strata)
    ]
    order = sorted(range(total), key=keys.__getitem__)
    start = _draw(seed, -1) * total  # in units of 2**-64 / count of a row: integers, so no rounding
    return {order[((step << 64) * total + start) // (count << 64)] for step in range(count)}


def _draw(seed: int, index: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:8])


def fingerprint(train: Rows, validation: Rows, labels: Sequence[str]) -> str:
    """Return 16 hexadecimal digits of SHA-256 over the content."""
    digest = hashlib.sha256()
    for part in (train, validation):
        for row in zip(part.inputs, part.targets, strict=True):
            digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        digest.update(b"\n")
    digest.update(json.dumps(list(labels), ensure_ascii=False).encode())
    return digest.hexdigest()[:16]


def split_fingerprint(split: Split) -> str:
    """Return 16 hexadecimal digits of SHA-256 over the content of one split."""
    digest = hashlib.sha256()
    for row in split.rows.with_format(None):
        digest.update(json.dumps(list(row.values()), ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()[:16]
