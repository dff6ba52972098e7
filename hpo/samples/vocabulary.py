"""Train a sub-token vocabulary that depends on the texts alone.

The trainer of `tokenizers` numbers the units of one character in the order of a hash map, another
one in each process, once they carry a prefix (WordPiece's `##`) or a suffix (GPT's `</w>`), and
breaks ties by these numbers: the same text gives another vocabulary each time. Without prefix and
suffix it sorts them. So the marked characters are trained under single code points of their own,
and renamed afterwards. https://github.com/huggingface/tokenizers/issues/1794
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Literal

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

Mark = Literal["##", "</w>", ""]
"""`##` before every unit that continues a word, `</w>` after every unit that ends one, or none."""

# From the two first planes to the two private ones; the rare characters beyond become unknown.
_SHIFT = 0xF0000
_PLANES = 0x20000


def train(
    words: Iterable[str], size: int, mark: Mark, alphabet: Collection[str]
) -> tuple[list[str], Any]:
    """Learn sub-tokens by byte-pair encoding.

    Args:
        words: normalised and pre-tokenised words, as often as they occur.
        size: the number of sub-tokens aimed at; a third of it at most goes to single characters.
        mark: what tells the units within a word apart.
        alphabet: characters that are sub-tokens, marked and unmarked, even if they do not occur.

    Returns:
        The sub-tokens in the order of their ids, and the merges in the order of their priority:
        a list of pairs, which transformers takes and annotates as one of strings.
    """
    shifted = [_shift(word, mark) for word in words if word]
    counts = Counter(character for word in shifted for character in word)
    # A limit on the alphabet is met in the order of a hash map too, so it is met here.
    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    always = {*alphabet, *(_shift_character(character) for character in alphabet if mark)}
    kept = sorted({*always, *frequent[: size // 3]})
    tokenizer = Tokenizer(BPE())
    tokenizer.train_from_iterator(
        shifted,
        BpeTrainer(
            vocab_size=size,
            initial_alphabet=kept,
            limit_alphabet=len(kept),
            show_progress=False,
        ),
    )
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [(_name(left, mark), _name(right, mark)) for left, right in model["merges"]]
    return [_name(token, mark) for token in tokens], merges


def _shift(word: str, mark: Mark) -> str:
    known = [character for character in word if ord(character) < _PLANES]
    for position in range(len(known)):
        marked = position > 0 if mark == "##" else position == len(known) - 1
        if mark and marked:
            known[position] = _shift_character(known[position])
    return "".join(known)


def _shift_character(character: str) -> str:
    return chr(ord(character) + _SHIFT)


def _name(token: str, mark: Mark) -> str:
    name = "".join(
        chr(ord(character) - _SHIFT) if ord(character) >= _SHIFT else character
        for character in token
    )
    if mark == "##" and ord(token[0]) >= _SHIFT:
        return mark + name
    if mark == "</w>" and ord(token[-1]) >= _SHIFT:
        return name + mark
    return name
