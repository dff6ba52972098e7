"""Raw text is split into words with their places, and streams into texts as they come."""

import io
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo import texts, words
from hpo.errors import DataError

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
HEART, THUMB = "\u2764\ufe0f", "\U0001f44d\U0001f3fd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada Berg moved to Olm.", "Ada|Berg|moved|to|Olm|."),
        ('"No," said Ada\u2026', '"|No|,|"|said|Ada|\u2026'),
        ("Ada's, the Bergs' and O'Brien\u2019s", "Ada|'s|,|the|Bergs|'|and|O'Brien|\u2019s"),
        ("German-born (38) cost $3.50, not 1,000", "German-born|(|38|)|cost|$|3.50|,|not|1,000"),
        ("at 10:30, AT&T 1/2", "at|10:30|,|AT&T|1/2"),
        ("-- a - b-", "-|-|a|-|b|-"),
        ("हिन्दी में लिखा", "हिन्दी|में|लिखा"),
        ("naïve cafe\u0301s", "naïve|cafe\u0301s"),
        (f"good {FAMILY}! {HEART}{THUMB}", f"good|{FAMILY}|!|{HEART}|{THUMB}"),
        ("a\x00b\tc\u00a0d\n", "a|b|c|d"),
        ("", ""),
        (" \t ", ""),
    ],
)  # fmt: skip
def test_words(text: str, expected: str) -> None:
    """As data sets of NER have them: punctuation apart, numbers, names and emoji whole."""
    assert [text[start:end] for start, end in words.split(text)] == expected.split("|")[
        : None if expected else 0
    ]


@given(st.text())
def test_no_character_is_lost(text: str) -> None:
    """Words stand in order, none overlaps, and what is between them is blank."""
    end = 0
    for start, after in words.split(text):
        assert end <= start < after
        assert not any(character.isspace() for character in text[start:after])
        assert _is_blank(text[end:start])
        end = after
    assert _is_blank(text[end:])


def _is_blank(text: str) -> bool:
    return all(each.isspace() or unicodedata.category(each) == "Cc" for each in text)


class Pieces(io.RawIOBase):
    """A stream whose reads return what a writer wrote at once."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = list(pieces)

    def read1(self, size: int = -1) -> bytes:
        """Return the next piece."""
        return self.pieces.pop(0) if self.pieces else b""


def read(content: bytes, form: texts.Form = "txt") -> list[texts.Given]:
    """Read all of a stream."""
    batches = texts.read(io.BytesIO(content), "F", form)
    return [each for batch in batches for each in batch]


FORMS: dict[texts.Form, bytes] = {
    "txt": "\ufeffeins\r\n\nzwei ä\n drei".encode(),
    "jsonl": b'{"text": "a"}\n\n{"tokens": ["b", ""], "id": 3}\n{"text": "", "tokens": null}',
    "conll": b"-DOCSTART- O\n\n# id 7 x\nAda\tB-PER\n#\tO\r\n\n\nOlm O\nFoo",
}
READ: dict[texts.Form, list[str | list[str]]] = {
    "txt": ["eins", "", "zwei ä", " drei"],
    "jsonl": ["a", ["b", ""], ""],
    "conll": [["Ada", "#"], ["Olm", "Foo"]],
}


@pytest.mark.parametrize("form", FORMS)
@given(cuts=st.lists(st.integers(0, 60)))
def test_pieces_do_not_matter(form: texts.Form, cuts: list[int]) -> None:
    """However a stream is cut, the texts are the same."""
    content = FORMS[form]
    places = sorted({0, *(cut for cut in cuts if cut < len(content)), len(content)})
    pieces = [content[i:j] for i, j in pairwise(places)]
    stream: io.RawIOBase = Pieces(pieces)
    found = [each for batch in texts.read(stream, "F", form) for each in batch]  # type: ignore[arg-type]
    assert [each.words if each.text is None else each.text for each in found] == READ[form]
    assert found == read(content, form)


def test_what_has_arrived_is_yielded_at_once() -> None:
    """A pipe is answered line by line."""
    stream = Pieces([b"one\ntw", b"o\nthree\n", b"four"])
    found = [[each.text for each in batch] for batch in texts.read(stream, "F", "txt")]  # type: ignore[arg-type]
    assert found == [["one"], ["two", "three"], ["four"]]


@pytest.mark.parametrize(
    ("content", "form", "message", "before"),
    [
        (b"a\nb\xff\n", "txt", "F, line 2, byte 2: found 0xff, which is no UTF-8", 1),
        ("x".encode("utf-16"), "txt", "F, line 1, byte 1: found 0xff", 0),
        (b'{"text": "a"}\n{"text"', "jsonl", "F, line 2: found no JSON; expected", 1),
        (b'{"text": 3}', "jsonl", "F, line 1: found '{\"text\": 3}'; expected", 0),
        (b'{"tokens": ["a", 3]}', "jsonl", "F, line 1: found", 0),
        (b"[" * 100_000, "jsonl", "F, line 1: found no JSON", 0),
        (rb'{"text": "a\ud800"}', "jsonl", r"F, line 1: found U\+D800 at character 1", 0),
        (b"O\nx\ny\xe4\n", "conll", "F, line 3, byte 2: found 0xe4", 0),
    ],
)
def test_what_cannot_be_read(content: bytes, form: texts.Form, message: str, before: int) -> None:
    """It is told with its line, behind the texts that came before it."""
    found: list[texts.Given] = []
    with pytest.raises(DataError, match=message):
        found.extend(each for batch in texts.read(io.BytesIO(content), "F", form) for each in batch)
    assert len(found) == before


def test_a_stream_without_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read into memory for ever."""
    monkeypatch.setattr(texts, "_LONGEST", 2**17)
    stream = Pieces([b"a\n", *[b"x" * 2**16] * 9])
    with pytest.raises(DataError, match="F, line 2: found more than 0 MB without an end"):
        list(texts.read(stream, "F", "txt"))  # type: ignore[arg-type]
    assert len(stream.pieces) > 4


def test_form_by_name() -> None:
    """Of the names that are known; any other wants --format."""
    assert texts.form_of(Path("a.CoNLL")) == "conll"
    with pytest.raises(DataError, match=r"found 'a.csv'; expected \.txt, \.jsonl"):
        texts.form_of(Path("a.csv"))
