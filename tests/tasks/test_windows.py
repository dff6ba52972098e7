"""Each word of a sentence belongs to one window and is read at one sub-token of its own."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.tasks.windows import Place, places

WordIds = list[int | None]


@dataclass(frozen=True)
class Sentence:
    """The sub-tokens of each word, and the windows that a tokenizer makes of them."""

    pieces: list[int]
    windows: list[WordIds]


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    """Draw a sentence, and cut it as a tokenizer does: windows of `room`, `stride` in common."""
    pieces = draw(st.lists(st.integers(0, 12), min_size=1, max_size=12))
    room = draw(st.integers(1, 10))
    stride = draw(st.integers(0, room - 1))
    special: WordIds = [None] * draw(st.integers(0, 1))
    flat: WordIds = [word for word, count in enumerate(pieces) for _ in range(count)]
    starts = [0]
    while starts[-1] + room < len(flat):
        starts.append(starts[-1] + room - stride)
    return Sentence(pieces, [special + flat[at : at + room] + special for at in starts])


@given(sentences(), st.booleans())
def test_each_word_is_owned_once(sentence: Sentence, last: bool) -> None:
    """A word with sub-tokens is in one window, one without is nowhere; each window in order."""
    owned = places(sentence.windows, last=last)
    assert len(owned) == len(sentence.windows)
    words = [place.word for window in owned for place in window]
    assert sorted(words) == [word for word, count in enumerate(sentence.pieces) if count]
    for window in owned:
        assert [place.word for place in window] == sorted(place.word for place in window)


@given(sentences(), st.booleans())
def test_the_sub_token_is_the_words_own(sentence: Sentence, last: bool) -> None:
    """A word is read at its first sub-token in the window, or at its last."""
    for word_ids, owned in zip(sentence.windows, places(sentence.windows, last=last), strict=True):
        for place in owned:
            own = [at for at, word in enumerate(word_ids) if word == place.word]
            assert place.position == (own[-1] if last else own[0])


@given(sentences(), st.booleans())
def test_no_other_window_shows_more_of_the_word(sentence: Sentence, last: bool) -> None:
    """A word that some window shows whole is read in a window that shows it whole."""
    for word_ids, owned in zip(sentence.windows, places(sentence.windows, last=last), strict=True):
        for place in owned:
            most = max(other.count(place.word) for other in sentence.windows)
            assert word_ids.count(place.word) == most


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (False, [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]),  # half of what both show goes to each
        (True, [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9]]),  # nothing after a word is context
    ],
)
def test_the_window_with_more_context(last: bool, expected: list[list[int]]) -> None:
    """Of two windows that show a word, it goes to the one where the cut is farther away."""
    windows: list[WordIds] = [[None, *range(8), None], [None, *range(4, 10), None]]
    owned = places(windows, last=last)
    assert [[place.word for place in window] for window in owned] == expected


def test_a_word_longer_than_a_window() -> None:
    """It is read in the window that shows most of it; the words beside it are not lost."""
    windows: list[WordIds] = [[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 2]]
    assert places(windows, last=False) == [[Place(0, 0)], [Place(1, 0)], [Place(2, 3)]]
    assert places(windows, last=True) == [[Place(0, 0)], [Place(1, 3)], [Place(2, 3)]]


def test_one_window() -> None:
    """Where nothing is cut, each word is read at its first or last sub-token."""
    word_ids: WordIds = [None, 0, 0, 2, 3, 3, 3, None]
    spans = itertools.groupby(range(8), key=word_ids.__getitem__)
    runs = {word: list(run) for word, run in spans if word is not None}
    first, last = places([word_ids], last=False), places([word_ids], last=True)
    assert first == [[Place(word, run[0]) for word, run in runs.items()]]
    assert last == [[Place(word, run[-1]) for word, run in runs.items()]]
