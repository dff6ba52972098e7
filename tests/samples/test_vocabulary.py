"""The sub-token trainer: complete, marked as the families mark, the same every time."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.models import BPE, WordPiece

from hpo.samples.vocabulary import Mark, train

MARKS: tuple[Mark, ...] = ("##", "</w>", "")
# Planes 0 and 1; no control characters and no surrogates, which no tokenizer lets through.
CHARACTERS = st.characters(max_codepoint=0x1FFFF, exclude_categories=["Cs", "Cc"])
WORDS = st.lists(st.text(CHARACTERS, min_size=1, max_size=8), min_size=1, max_size=8)


def pieces(mark: Mark, tokens: list[str], merges: Any, word: str) -> list[str]:
    """Cut a word as the tokenizer of a family does."""
    ids = {token: number for number, token in enumerate(["<unk>", *tokens])}
    if mark == "##":
        return [token.value for token in WordPiece(ids, unk_token="<unk>").tokenize(word)]
    model = BPE(ids, merges, end_of_word_suffix=mark, unk_token="<unk>")
    return [token.value for token in model.tokenize(word)]


@given(WORDS, st.sampled_from(MARKS))
def test_round_trip(inventory: list[str], mark: Mark) -> None:
    """Every trained word is cut into known pieces, which give it back."""
    tokens, merges = train(inventory, 300, mark, "")
    assert len(tokens) == len(set(tokens))
    for word in inventory:
        cut = pieces(mark, tokens, merges, word)
        if mark == "##":
            assert all(piece.startswith("##") for piece in cut[1:])
            assert cut[0] + "".join(piece[2:] for piece in cut[1:]) == word
        else:
            assert "".join(cut) == word + mark


@given(WORDS, st.sampled_from(MARKS))
def test_order_of_words_does_not_matter(inventory: list[str], mark: Mark) -> None:
    """The same words in another order give the same sub-tokens, ids and merges."""
    assert train(inventory, 50, mark, "") == train(inventory[::-1], 50, mark, "")


@pytest.mark.parametrize("mark", MARKS)
def test_frequent_words_are_whole(mark: Mark) -> None:
    """A frequent word becomes one sub-token, an unseen one of the alphabet is spelt."""
    alphabet = "aehlo"
    tokens, merges = train(["hello"] * 20 + ["lo"], 50, mark, alphabet)
    assert len(pieces(mark, tokens, merges, "hello")) == 1
    spelt = pieces(mark, tokens, merges, "aha")
    assert len(spelt) == 3
    assert "<unk>" not in spelt


@pytest.mark.parametrize("mark", MARKS)
def test_size(mark: Mark) -> None:
    """Ten thousand different characters do not make ten thousand sub-tokens."""
    characters = [chr(number) for number in range(0x4E00, 0x4E00 + 10_000)]
    tokens, _ = train([a + b for a, b in pairwise(characters)], 300, mark, "")
    assert len(tokens) <= 300


def test_characters_beyond_the_known_planes() -> None:
    """Characters for which there is no private code point are left out, not mixed up."""
    tokens, _ = train(["a\U00020000b", "\U000f0061c"], 50, "##", "")
    assert tokens == ["a", "c", "##b", "ab"]
