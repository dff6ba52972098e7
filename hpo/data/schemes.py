"""Tagging schemes: recognised by what the tags do, checked, and converted to IOB2.

An entity of type PER over three words, one over a single word, and two that touch each other:

    IOB1     I-PER I-PER I-PER    I-PER    I-PER B-PER
    IOB2     B-PER I-PER I-PER    B-PER    B-PER B-PER
    BIOES    B-PER I-PER E-PER    S-PER    S-PER S-PER
    BILOU    B-PER I-PER L-PER    U-PER    U-PER U-PER
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Scheme = Literal["IOB1", "IOB2", "BIOES", "BILOU"]

# BIOES and BILOU differ in two letters only; BMES writes M for I, BMEWO writes W for S.
_LETTERS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
_OUTSIDE = ("O", "")


class InvalidSequenceError(ValueError):
    """A tag that cannot stand where it stands; `position` counts from 0."""

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        super().__init__(reason)


@dataclass
class Evidence:
    """How often the entities of a data set begin in a way that only one scheme allows."""

    iob1: int = 0
    iob2: int = 0
    bioes: int = 0
    bilou: int = 0

    def scheme(self) -> Scheme:
        """Return the scheme; between IOB1 and IOB2 the majority decides, so errors stand out."""
        if self.bioes or self.bilou:
            return "BIOES" if self.bioes >= self.bilou else "BILOU"
        return "IOB1" if self.iob1 > self.iob2 else "IOB2"

    def __add__(self, other: "Evidence") -> "Evidence":
        """Return what two data sets say together."""
        return Evidence(
            self.iob1 + other.iob1,
            self.iob2 + other.iob2,
            self.bioes + other.bioes,
            self.bilou + other.bilou,
        )

    def add(self, tags: Iterable[str]) -> None:
        """Count the evidence of one sentence."""
        previous = _OUTSIDE
        for tag in tags:
            letter, kind = tag[:1], tag[2:]
            if letter in "BI" and kind != previous[1]:
                # An entity begins here. After one of its own type B- says nothing: IOB1 has it
                # to keep them apart, IOB2 has it anyway.
                self.iob1 += letter == "I"
                self.iob2 += letter == "B"
            self.bioes += letter in "EMSW"
            self.bilou += letter in "LU"
            previous = (letter, kind)


def evidence_of(sentences: Iterable[Iterable[str]]) -> Evidence:
    """Count the evidence of a data set."""
    evidence = Evidence()
    for tags in sentences:
        evidence.add(tags)
    return evidence


@lru_cache(maxsize=100_000)
def parse_tag(tag: str) -> tuple[str, str] | None:
    """Cut a tag into B, I, E, S or O and the entity type; None if it is no tag of any scheme."""
    if tag == "O":
        return _OUTSIDE
    prefix, hyphen, kind = tag.partition("-")
    letter = _LETTERS.get(prefix)
    return (letter, kind) if letter and hyphen and kind.strip() else None


def to_iob2(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Convert the tags of one sentence; all of them must be tags.

    Every sequence of B-, I- and O can be read as IOB1 (B- always begins an entity, I- does where
    none of its type goes before), so only the other schemes refuse any.

    Raises:
        InvalidSequenceError: the first tag that the scheme does not allow there.
    """
    letters = [parse_tag(tag) or _OUTSIDE for tag in tags]
    if scheme in ("IOB1", "IOB2"):
        return _from_iob(tags, letters, scheme)
    return _from_bioes(tags, letters, scheme)


def _from_iob(tags: Sequence[str], letters: Sequence[tuple[str, str]], scheme: Scheme) -> list[str]:
    converted = []
    previous = _OUTSIDE
    for position, (letter, kind) in enumerate(letters):
        if tags[position][0] not in "BIO":
            raise InvalidSequenceError(
                position, f"found {tags[position]!r}; {scheme} has B-, I- and O"
            )
        begins = letter == "B" or (letter == "I" and previous[1] != kind)
        if begins and letter == "I" and scheme == "IOB2":
            before = repr(tags[position - 1]) if position else "the beginning of the sentence"
            raise InvalidSequenceError(
                position, f"found {tags[position]!r} after {before}; IOB2 expects 'B-{kind}' there"
            )
        converted.append(f"B-{kind}" if begins else tags[position])
        previous = (letter, kind)
    return converted


def _from_bioes(
    tags: Sequence[str], letters: Sequence[tuple[str, str]], scheme: Scheme
) -> list[str]:
    inner, single = ("E", "S") if scheme == "BIOES" else ("L", "U")
    converted = []
    open_type: str | None = None
    for position, (letter, kind) in enumerate([*letters, _OUTSIDE]):
        end = position == len(tags)
        if open_type is not None and (letter not in "IE" or kind != open_type):
            found = "the end of the sentence" if end else repr(tags[position])
            raise InvalidSequenceError(
                position - end,
                f"found {found} after {tags[position - 1]!r}; {scheme} expects "
                f"'I-{open_type}' or '{inner}-{open_type}' there",
            )
        if open_type is None and letter in "IE":
            raise InvalidSequenceError(
                position,
                f"found {tags[position]!r} where no entity is open; {scheme} expects "
                f"'B-{kind}' or '{single}-{kind}' there",
            )
        if not end:
            prefix = {"S": "B", "E": "I"}.get(letter, letter)
            converted.append(f"{prefix}-{kind}" if kind else "O")
        open_type = kind if letter in "BI" else None
    return converted
