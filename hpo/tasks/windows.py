"""Words to sub-tokens and back, over overlapping windows for input longer than the model takes.

Each word belongs to exactly one window, the one that shows most of its surroundings, and is
labelled and read at one sub-token there: so no entity is counted twice or lost to truncation.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a word is read: its number in the sentence, and its position in the window."""

    word: int
    position: int


def places(windows: Sequence[Sequence[int | None]], *, last: bool) -> list[list[Place]]:
    """Assign each word of a sentence to one window and to one sub-token of it.

    Args:
        windows: for each window, the number of the word that each sub-token comes from, and None
            for special tokens (`BatchEncoding.word_ids`).
        last: read a word at its last sub-token, as a causal model must, since its first one
            cannot see the rest of the word; else at the first. What follows is then no
            context either.

    Returns:
        The words that each window owns, in order. A word without any sub-token is nowhere.
    """
    owner: dict[int, tuple[tuple[int, int], int, int]] = {}
    for index, word_ids in enumerate(windows):
        for word, (start, end) in _spans(word_ids).items():
            context = _left(word_ids, start, first=index == 0)
            if not last:
                context = min(context, _right(word_ids, end, final=index == len(windows) - 1))
            rank = (end - start, context)  # a word cut by the window's edge is worth less
            if word not in owner or rank > owner[word][0]:
                owner[word] = (rank, index, end - 1 if last else start)
    result: list[list[Place]] = [[] for _ in windows]
    for word in sorted(owner):
        _, index, position = owner[word]
        result[index].append(Place(word, position))
    return result


def _spans(word_ids: Sequence[int | None]) -> dict[int, tuple[int, int]]:
    spans: dict[int, tuple[int, int]] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            start = spans.get(word, (position, 0))[0]
            spans[word] = (start, position + 1)
    return spans


def _left(word_ids: Sequence[int | None], start: int, *, first: bool) -> int:
    """Return the number of sub-tokens to the left edge, if the sentence was cut there."""
    if first:
        return len(word_ids)
    return start - next(at for at, word in enumerate(word_ids) if word is not None)


def _right(word_ids: Sequence[int | None], end: int, *, final: bool) -> int:
    """Return the number of sub-tokens to the right edge, if the sentence was cut there."""
    if final:
        return len(word_ids)
    return sum(word is not None for word in word_ids[end:])
