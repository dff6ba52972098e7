"""Texts to be read by a model, from a stream: a line each, JSON lines, or columns.

Whatever has arrived is yielded at once, so that a pipe is answered line by line and a file in
blocks; nothing is held but that.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from hpo.errors import DataError

Form = Literal["txt", "jsonl", "conll"]
SUFFIXES: dict[str, Form] = {
    ".txt": "txt", ".jsonl": "jsonl", ".ndjson": "jsonl", ".conll": "conll", ".iob": "conll",
    ".iob2": "conll", ".bio": "conll",
}  # fmt: skip
_BLOCK = 2**16  # bytes read at once
_LONGEST = 2**24  # bytes of a line
_BLANKS = re.compile("[ \t]+")  # not \s: a no-break space may be a token


@dataclass(frozen=True)
class Given:
    """A text, or the words of one.

    Args:
        place: what messages call it.
        text: None where there are words.
        words: None where there is text.
    """

    place: str
    text: str | None = None
    words: list[str] | None = None


def form_of(path: Path) -> Form:
    """Return the form of a file by its name.

    Raises:
        DataError: the name says nothing.
    """
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        known = ", ".join(SUFFIXES)
        raise DataError(f"--file: found {path.name!r}; expected {known}, or --format")
    return form


def read(stream: BinaryIO, name: str, form: Form) -> Iterator[list[Given]]:
    """Read texts as they come.

    Args:
        stream: of bytes, in UTF-8.
        name: what messages call it.
        form: `txt` has a text a line, an empty one if the line is; `jsonl` an object with `text` or
            `tokens` a line; `conll` a token a line, in the first column, and a blank line behind
            each sentence.

    Yields:
        What has arrived since the last time.

    Raises:
        DataError: a line that cannot be read; what came before it was yielded.
    """
    parse: Callable[[str, int, str], list[Given]] = _text
    if form == "jsonl":
        parse = _object
    columns = _Sentences() if form == "conll" else None
    for lines in _lines(stream, name):
        texts: list[Given] = []
        try:
            for number, line in lines:
                decoded = _decoded(line, number, name)
                given = columns.take if columns is not None else parse
                texts += given(decoded, number, name)
        except DataError:
            if texts:
                yield texts
            raise
        if texts:
            yield texts
    if columns is not None and (rest := columns.end()):
        yield rest


def checked(text: str, place: str) -> str:
    """Return a text that can be encoded.

    Raises:
        DataError: it holds half a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = ord(text[error.start])
        raise DataError(
            f"{place}: found U+{found:04X} at character {error.start}, which is no character; "
            "expected text in UTF-8"
        ) from None
    return text


def _lines(stream: BinaryIO, name: str) -> Iterator[Iterable[tuple[int, bytes]]]:
    number, rest = 0, b""
    # read1 waits for some bytes, and for no more of them than there are.
    while block := getattr(stream, "read1", stream.read)(_BLOCK):
        *whole, rest = (rest + block).split(b"\n") if b"\n" in block else (rest + block,)
        if len(rest) > _LONGEST:
            raise DataError(
                f"{name}, line {number + len(whole) + 1}: found more than {_LONGEST >> 20} MB "
                "without an end; expected lines"
            )
        yield list(enumerate(whole, number + 1))
        number += len(whole)
    if rest:
        yield [(number + 1, rest)]


def _decoded(line: bytes, number: int, name: str) -> str:
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        return line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}, line {number}, byte {error.start + 1}: found 0x{line[error.start]:02x}, "
            "which is no UTF-8; expected text in UTF-8"
        ) from None


def _text(line: str, number: int, name: str) -> list[Given]:
    return [Given(f"{name}, line {number}", text=line)]


def _object(line: str, number: int, name: str) -> list[Given]:
    place = f"{name}, line {number}"
    if not line.strip():
        return []
    expected = 'expected {"text": "…"} or {"tokens": ["…", …]}'
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f"{place}: found no JSON; {expected}") from None
    text, words = None, None
    if isinstance(found, dict):
        text, words = found.get("text"), found.get("tokens")
    if isinstance(words, list) and all(isinstance(each, str) for each in words):
        return [Given(place, words=[checked(each, place) for each in words])]
    if isinstance(text, str):
        return [Given(place, text=checked(text, place))]
    raise DataError(f"{place}: found {line.strip()[:60]!r}; {expected}")


class _Sentences:
    """Puts the lines of a column file together to sentences."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._place = ""
        self._width: int | None = None

    def take(self, line: str, number: int, name: str) -> list[Given]:
        """Take a line; returns the sentence that it ends."""
        if not line.strip() or line.startswith("-DOCSTART-"):
            return self.end()
        cells = line.split("\t") if "\t" in line else _BLANKS.split(line.strip(" \t"))
        if not cells[0].strip("#") and len(cells) not in {1, self._width}:
            return []  # a comment
        self._width = len(cells)
        self._place = self._place or f"{name}, line {number}"
        self._words.append(cells[0])
        return []

    def end(self) -> list[Given]:
        """Return the sentence so far."""
        words, place, self._words, self._place = self._words, self._place, [], ""
        return [Given(place, words=words)] if words else []
