"""From raw text to words with their places, much as the data sets of NER have them.

A word is a run of letters, digits and marks; `-`, `'`, `’`, `.`, `_`, `&` and `/` stay inside it
where such characters stand on both sides, `,` and `:` between digits. A final `'s` is a word of its
own. Every other character that is not white space is a word by itself, with the marks, joiners and
skin tones that follow it, so that an emoji is one. White space and control characters separate.
"""

import unicodedata
from collections.abc import Iterator

_INSIDE = frozenset("-'’._&/")
_BETWEEN_DIGITS = frozenset(",:")
_POSSESSIVE = ("'s", "’s", "'S", "’S")
_JOINER = "\u200d"
_LETTER, _MARK, _BLANK, _OTHER = "letter", "mark", "blank", "other"


def split(text: str) -> list[tuple[int, int]]:
    """Return the words of a text: for each the place of its first character and that behind it.

    Places count characters (code points), as Python's slices do.
    """
    found: list[tuple[int, int]] = []
    for start, end in _runs(text):
        word = text[start:end]
        if len(word) > 2 and word.endswith(_POSSESSIVE) and _kind(word[0]) == _LETTER:
            found += [(start, end - 2), (end - 2, end)]
        else:
            found.append((start, end))
    return found


def _runs(text: str) -> Iterator[tuple[int, int]]:
    place = 0
    while place < len(text):
        kind = _kind(text[place])
        end = place + 1
        if kind == _BLANK:
            place = end
            continue
        if kind == _LETTER:
            while end < len(text) and (_goes_on(text[end]) or _links(text, end)):
                end += 1
        else:
            while end < len(text) and (_kind(text[end]) == _MARK or text[end - 1] == _JOINER):
                end += 1
        yield place, end
        place = end


def _goes_on(character: str) -> bool:
    return _kind(character) in {_LETTER, _MARK}


def _links(text: str, place: int) -> bool:
    """Say whether a character stands inside a word."""
    if place + 1 >= len(text):
        return False
    before, character, after = text[place - 1], text[place], text[place + 1]
    if character in _BETWEEN_DIGITS:
        return before.isdigit() and after.isdigit()
    return character in _INSIDE and _goes_on(before) and _kind(after) == _LETTER


def _kind(character: str) -> str:
    if character.isspace():
        return _BLANK
    category = unicodedata.category(character)
    if category[0] in "LN":
        return _LETTER
    if category[0] == "M" or category == "Cf" or 0x1F3FB <= ord(character) <= 0x1F3FF:
        return _MARK
    return _BLANK if category == "Cc" else _OTHER
