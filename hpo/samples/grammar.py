"""Seeded text from small context-free grammars, the same on every machine and Python version."""

import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Split = Literal["train", "validation", "test"]
Polarity = Literal["+", "-"]
T = TypeVar("T")


class Draw:
    """A seeded source of choices.

    Only `random.Random.random` promises the same sequence in every Python version, so all
    choices are made from it: https://docs.python.org/3/library/random.html#notes-on-reproducibility
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items, each with the same probability."""
        return items[int(self._random.random() * len(items))]


@dataclass(frozen=True)
class Grammar:
    """Rules `symbol -> alternatives`, each alternative words and `<symbol>`s parted by spaces.

    A rule may come in two polarities, `symbol+` and `symbol-`. An expansion has a polarity, which
    `<symbol>` keeps and `<symbol->` reverses, so that one rule serves for praise and for blame:
    `opinion: "it was <quality>", "it was not <quality->"`.
    """

    rules: Mapping[str, Sequence[str]]

    def expand(self, symbol: str, draw: Draw, polarity: Polarity = "+") -> Iterator[str]:
        """Yield the words of a random expansion, and as they are the `<symbol>`s without a rule."""
        alternatives = self.rules.get(symbol + polarity) or self.rules[symbol]
        for word in draw.pick(alternatives).split():
            if not word.startswith("<"):
                yield word
                continue
            name = word[1:-1]
            inner = polarity
            if name.endswith("-"):
                name = name[:-1]
                inner = "-" if polarity == "+" else "+"
            if name in self.rules or name + inner in self.rules:
                yield from self.expand(name, draw, inner)
            else:
                yield word


def words(text: str) -> list[str]:
    """Return the words of a text: a long list of words, easy to read."""
    return text.split()


def split_of(word: str) -> Split:
    """Return the one split in which a word may occur: 60 % of all words are for train."""
    bucket = zlib.crc32(word.casefold().encode()) % 10
    return "train" if bucket < 6 else "validation" if bucket < 8 else "test"


def by_split(inventory: Sequence[str]) -> dict[Split, list[str]]:
    """Part words into disjoint inventories, without regard to case."""
    parts: dict[Split, list[str]] = {"train": [], "validation": [], "test": []}
    for word in dict.fromkeys(inventory):
        parts[split_of(word)].append(word)
    return parts
