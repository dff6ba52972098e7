"""The NER sample is valid, leaks nothing and is hard in the ways it promises."""

from collections import defaultdict
from itertools import chain, combinations, pairwise

import pytest

from hpo import samples
from hpo.samples import names
from hpo.samples.grammar import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
TYPES = {"PER", "LOC", "ORG", "MISC"}
Row = dict[str, list[str]]


def entities(row: Row) -> list[tuple[str, str]]:
    """Return each entity of a row, without regard to case, with its type."""
    found: list[tuple[list[str], str]] = []
    for token, tag in zip(row["tokens"], row["tags"], strict=True):
        if tag.startswith("B-"):
            found.append(([token], tag[2:]))
        elif tag.startswith("I-"):
            found[-1][0].append(token)
    return [(" ".join(tokens).casefold(), kind) for tokens, kind in found]


def surfaces(split: Split) -> dict[str, set[str]]:
    """Return the types of every entity surface of a split."""
    types = defaultdict(set)
    for surface, kind in chain.from_iterable(map(entities, samples.ner(split))):
        types[surface].add(kind)
    return types


@pytest.mark.parametrize("split", SPLITS)
def test_valid_iob2(split: Split) -> None:
    """Every I- tag continues an entity of its type, and every type occurs."""
    for row in samples.ner(split):
        assert len(row["tokens"]) == len(row["tags"])
        for before, tag in pairwise(["O", *row["tags"]]):
            assert tag == "O" or tag[2:] in TYPES
            if tag.startswith("I-"):
                assert before in (tag, f"B-{tag[2:]}")
    assert {kind for kinds in surfaces(split).values() for kind in kinds} == TYPES


@pytest.mark.parametrize("split", SPLITS)
def test_tokens(split: Split) -> None:
    """Tokens are neither empty nor left-over symbols, sentences short."""
    for row in samples.ner(split):
        assert 3 <= len(row["tokens"]) <= 40
        assert all(token and token.split() == [token] for token in row["tokens"])
        assert not any("<" in token or ">" in token for token in row["tokens"])


def test_no_sentence_twice() -> None:
    """No sentence occurs twice, not in two splits either, whatever its case."""
    texts = [" ".join(row["tokens"]).casefold() for split in SPLITS for row in samples.ner(split)]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(("one", "other"), [*combinations(SPLITS, 2)])
def test_unseen_names(one: Split, other: Split) -> None:
    """Two splits share neither an entity nor a name that entities are made of."""
    assert not surfaces(one).keys() & surfaces(other).keys()
    inventories = [
        {name.casefold() for part in vars(names.inventory(split)).values() for name in part}
        for split in (one, other)
    ]
    assert inventories[0].isdisjoint(inventories[1])


@pytest.mark.parametrize("split", SPLITS)
def test_ambiguous(split: Split) -> None:
    """One entity in ten and more has a surface of several types; common words are names too."""
    types = surfaces(split)
    rows = samples.ner(split)
    mentions = [surface for row in rows for surface, _ in entities(row)]
    assert sum(len(types[surface]) > 1 for surface in mentions) > 0.1 * len(mentions)
    plain = {
        token.casefold()
        for row in rows
        for token, tag in zip(row["tokens"], row["tags"], strict=True)
        if tag == "O"
    }
    assert len(plain & types.keys()) > 5


@pytest.mark.parametrize("split", SPLITS)
def test_variety(split: Split) -> None:
    """Names of several words, side by side, in either case, and sentences without one."""
    rows = samples.ner(split)
    few = 0.01 * len(rows)
    assert sum(not entities(row) for row in rows) > 10 * few
    assert sum(any(" " in surface for surface, _ in entities(row)) for row in rows) > 30 * few
    beside = [any(a != "O" and b[:2] == "B-" for a, b in pairwise(row["tags"])) for row in rows]
    assert sum(beside) > few
    lower, upper = (
        sum(case("".join(row["tokens"])) for row in rows) for case in (str.islower, str.isupper)
    )
    assert lower > few
    assert upper > few
