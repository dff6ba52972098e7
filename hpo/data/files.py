"""One file -> a table: which format it has, decompressed and decoded."""

import gzip
import re
import zlib
from pathlib import Path

from hpo.data.arrow import parquet_table
from hpo.data.conll import conll_table
from hpo.data.delimited import delimited_table
from hpo.data.json_rows import json_table
from hpo.data.tables import Layout, Table
from hpo.errors import DataError
from hpo.spec import DataSpec

_FORMATS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COLUMN_FILES = (".conll", ".conllu", ".txt", ".iob", ".iob2", ".bio", ".bioes", ".annotated")

_NO_TABLES = {  # by what they begin with, whatever they are called
    b"PK\x03\x04": "an Excel workbook or another ZIP archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook of the old kind",
    b"ARROW1": "an Arrow file",
    b"FEA1": "a Feather file",
    b"SQLite format 3\0": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF",
    b"\xfd7zXZ": "a file compressed by xz",
    b"\x28\xb5\x2f\xfd": "a file compressed by zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")

_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*"')

DATA_SUFFIXES = (*_FORMATS, *_COLUMN_FILES)
"""By these a file of a folder is known to hold data; a file that the study names may have any."""


def read_file(path: Path, name: str, spec: DataSpec, layout: Layout) -> Table:
    """Read a file, compressed by gzip or not.

    Args:
        path: the file.
        name: what messages call the file.
        spec: which columns to read.
        layout: what rows hold; it decides what a file of unknown name may be.

    Raises:
        DataError: the file cannot be read, or is not in its format; with the line.
    """
    content = _content(path, name)
    if what := _no_table(content):
        tables = "CSV, TSV" if layout == "text" else "a column file (CoNLL)"
        raise DataError(
            f"{name}: found {what}; expected {tables}, JSONL or Parquet, compressed by gzip or not"
        )
    if not content.strip():
        raise DataError(f"{name}: found an empty file; expected rows")
    match _format(path, content, layout):
        case "parquet":
            return parquet_table(content, name)
        case "json":
            return json_table(_text(content, name), name)
        case "conll":
            return conll_table(_text(content, name), name, spec)
        case delimited:
            if layout == "tokens":
                raise DataError(
                    f"{name}: found {delimited.upper()}; expected a column file, JSONL or Parquet"
                )
            delimiters = "\t,;" if delimited == "tsv" else ",;\t"
            wanted = (spec.text_column, spec.label_column)
            return delimited_table(_text(content, name), name, delimiters, wanted)


def _format(path: Path, content: bytes, layout: Layout) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    known = _FORMATS.get(suffixes[-1] if suffixes else "")
    if known == "tsv" and layout == "tokens":
        return "conll"
    if known:
        return known
    if content.startswith(b"PAR1"):
        return "parquet"
    if _JSON.match(content):
        return "json"
    return "conll" if layout == "tokens" else "csv"


def _no_table(content: bytes) -> str | None:
    """Return what a file is that nobody reads here; None where it may be read."""
    if _BZIP2.match(content):
        return "a file compressed by bzip2"
    return next((what for start, what in _NO_TABLES.items() if content.startswith(start)), None)


def _content(path: Path, name: str) -> bytes:
    if not path.is_file():
        raise DataError(f"{name}: found no regular file; expected one")  # a pipe never ends
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from None
    if content.startswith(b"\x1f\x8b"):
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name}: found a damaged gzip file: {error}") from None
    if path.suffix.lower() == ".gz":
        raise DataError(f"{name}: found no gzip file; expected one by its name")
    return content


def _text(content: bytes, name: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{name}: found UTF-16; expected UTF-8")
    if (zero := content.find(b"\0")) >= 0:
        raise DataError(f"{name}, {_place(content, zero)}: found a zero byte; expected UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the byte-order mark
        start = error.start + len(content) - len(error.object)
        raise DataError(
            f"{name}, {_place(content, start)}: found 0x{content[start]:02x}, which is no UTF-8; "
            "expected a file in UTF-8"
        ) from None


def _place(content: bytes, position: int) -> str:
    line_start = content.rfind(b"\n", 0, position) + 1
    line = content.count(b"\n", 0, position) + 1
    return f"line {line}, byte {position - line_start + 1} of the line"
