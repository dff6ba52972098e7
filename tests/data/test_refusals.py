"""What cannot be right is refused: file, row, what was found, what would be right."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from typing import TYPE_CHECKING, Any

import pytest

from hpo.errors import DataError

if TYPE_CHECKING:
    from hpo.data import Layout
    from tests.data.conftest import Study

GOOD_TEXT = '{"text": "fine", "label": "a"}\n{"text": "poor", "label": "b"}\n'
GOOD_WORDS = '{"tokens": ["Rome"], "tags": ["B-LOC"]}\n'


def problems(study: Study, layout: Layout, **spec: Any) -> list[str]:
    """Load, and return what was refused."""
    with pytest.raises(DataError) as caught:
        study.load(layout, **spec)
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x"\n', "a.jsonl, line 1: broken JSON: Expecting ',' delimiter"),
        ("a.jsonl", GOOD_TEXT + "[1]\n", "a.jsonl, line 3: found [1]; expected an object"),
        ("a.jsonl", GOOD_TEXT + "\n\n7\n", "a.jsonl, line 5: found 7; expected an object"),
        ("a.jsonl", "[" * 100_000, "a.jsonl: broken JSON: nested too deep"),
        ("a.json", '[{"text": "x"},\n{"text"]', "a.json, line 2: broken JSON"),
        ("a.json", '[{"text": "x", "label": "a"}, 3]', "a.json, row 2: found 3; expected an"),
        ("a.json", "[]", "a.json: found no rows"),
        (
            "a.jsonl",
            '{"text": "x", "label": "a"}\n{"text": "y"}',
            "a.jsonl, line 2, label: found no",
        ),
        ("a.jsonl", '{"txt": "x", "label": "a"}', "a.jsonl: found the columns 'txt', 'label'; exp"),
        ("a.jsonl", '{"text": null, "label": "a"}', "a.jsonl, line 1, text: found null; expected"),
        ("a.jsonl", '{"text": 3, "label": "a"}', "a.jsonl, line 1, text: found 3; expected text"),
        ("a.jsonl", '{"text": " \\n", "label": "a"}', "a.jsonl, line 1, text: found empty text"),
        ("a.jsonl", '{"text": "\\ud83d", "label": "a"}', "a.jsonl, line 1, text: found half a su"),
        ("a.jsonl", '{"text": "x", "label": null}', "a.jsonl, line 1, label: found null"),
        ("a.jsonl", '{"text": "x", "label": 1.0}', "a.jsonl, line 1, label: found 1.0"),
        ("a.jsonl", '{"text": "x", "label": true}', "a.jsonl, line 1, label: found True"),
        ("a.jsonl", '{"text": "x", "label": [1]}', "a.jsonl, line 1, label: found [1]"),
        ("a.jsonl", '{"text": "x", "label": ""}', "a.jsonl, line 1, label: found empty text"),
        ("a.jsonl", b'{"text": "ok"}\n{"text": "\xe9"}', "a.jsonl, line 2, byte 11 of the line: "),
        ("a.jsonl", b"\xef\xbb\xbf{}\n\xff", "a.jsonl, line 2, byte 1 of the line: found 0xff"),
        ("a.csv", GOOD_TEXT.encode("utf-16"), "a.csv: found UTF-16; expected UTF-8"),
        ("a.csv", b"text,label\nx\0,a\n", "a.csv, line 2, byte 2 of the line: found a zero byte"),
        ("a.jsonl", b"", "a.jsonl: found an empty file"),
        ("a.jsonl", b" \n\n", "a.jsonl: found an empty file"),
        ("a.jsonl.gz", GOOD_TEXT, "a.jsonl.gz: found no gzip file"),
        (
            "a.jsonl.gz",
            gzip.compress(GOOD_TEXT.encode(), mtime=0)[:-9],
            "a.jsonl.gz: found a damaged gzip",
        ),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), "a.jsonl.gz: found an empty file"),
        ("a.parquet", b"PAR1 and so on", "a.parquet: found no Parquet file, or a damaged one"),
        ("a.csv", "text,label\n", "a.csv: found no rows"),
        ("a.csv", "x,1\ny,0\n", "a.csv, line 1: found the columns 'x', '1'; expected 'text', 'la"),
        ("a.csv", "text,label,text\nx,1,y\n", "a.csv, line 1: found the column 'text' twice"),
        ("a.csv", "text,label\nx,a\ny, z,b\n", "a.csv, line 3: found 3 cells; expected 2"),
        ("a.csv", 'text,label\n"x\ny",a\nz\n', "a.csv, line 4: found 1 cells; expected 2"),
        ("a.csv", 'text,label\nx,a\n"y,b\nz,c\n', "a.csv, line 3: broken quotes in the row that"),
        ("a.csv", 'text,label\n"x\n",a\n,b\n', "a.csv, line 4, text: found empty text"),
        ("a.tsv", "text\tlabel\nx\ta\ny\n", "a.tsv, line 3: found 1 cells; expected 2"),
    ],
)
def test_sentiment_files(study: Study, name: str, content: str | bytes, message: str) -> None:
    """A mistake in texts and labels is one problem, and names its place."""
    study.write({name: content, "v.jsonl": GOOD_TEXT})
    found = problems(study, "text", train=name, validation="v.jsonl")
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, ", tags: found 1 tags for 2 tokens; expected one"),
        ({"tokens": [], "tags": []}, ", tokens: found no token; expected at least one"),
        ({"tokens": "a b", "tags": ["O"]}, ", tokens: found 'a b'; expected a list of words"),
        ({"tokens": ["a", None], "tags": ["O", "O"]}, ", tokens: found null as token 2; expected"),
        ({"tokens": ["a"], "tags": "O"}, ", tags: found 'O'; expected a list of tags"),
        ({"tokens": ["a"]}, ", tags: found nothing; expected a list of tags"),
        ({"tokens": ["a"], "tags": [1]}, ", token 1, tags: found the integer 1 without a name"),
        ({"tokens": ["a", "b"], "tags": ["O", None]}, ", token 2, tags: found null; expected text"),
        ({"tokens": ["a", "b"], "tags": ["O", "X-PER"]}, ", token 2, tags: found the tag 'X-PER'"),
        ({"tokens": ["a"], "tags": ["PER"]}, ", token 1, tags: found the tag 'PER'; expected O, o"),
        ({"tokens": ["a", "b"], "tags": ["O", "I-LOC"]}, ", token 2: found 'I-LOC' after 'O'; IOB"),
        ({"tokens": ["\ud83d"], "tags": ["O"]}, ", tokens: found half a surrogate pair in token 1"),
    ],
)
def test_ner_rows(study: Study, row: dict[str, Any], message: str) -> None:
    """A mistake in words and tags is one problem, and names its row and its token."""
    study.write({"a.jsonl": GOOD_WORDS * 2 + json.dumps(row), "v.jsonl": GOOD_WORDS})
    found = problems(study, "tokens", train="a.jsonl", validation="v.jsonl")
    assert len(found) == 1
    assert found[0].startswith(f"a.jsonl, line 3{message}")


@pytest.mark.parametrize(
    ("layout", "values", "labels", "message"),
    [
        ("text", ["a", "c"], ["a", "b"], "found 'c'; expected one of data.labels: 'a', 'b'"),
        ("text", ["good", "goood"], ["good", "bad"], "did you mean 'good'?"),
        ("text", [0, 2], ["a", "b"], "found 2; expected 0 to 1, the numbers of 'a', 'b'"),
        ("text", ["0", "2"], ["a", "b"], "found 2; expected 0 to 1"),
        ("text", [0, -1], ["a", "b"], "found -1; expected 0 to 1"),
        ("tokens", ["O", "B-X"], ["O", "B-PER"], "found 'B-X'; expected one of data.labels"),
        ("tokens", [0, 3], ["O", "B-PER"], "found 3; expected 0 to 1"),
        ("tokens", ["O", "B-PER"], ["B-PER", "I-PER"], "data.labels: found 'B-PER', 'I-PER'"),
        ("tokens", ["B-PER", "B-PER"], ["B-PER", "I-PER"], "data.labels: found 'B-PER', 'I-PER'; "),
        ("tokens", [1, 1], ["O", "PER"], "found the tag 'PER'"),
    ],
)
def test_declared_labels(
    study: Study, layout: Layout, values: list[Any], labels: list[str], message: str
) -> None:
    """With declared labels nothing else is taken for one."""
    rows = (
        [{"text": f"text {value}", "label": value} for value in values]
        if layout == "text"
        else [{"tokens": [str(value)], "tags": [value]} for value in values]
    )
    study.write({"a.jsonl": "\n".join(map(json.dumps, rows)), "v.jsonl": json.dumps(rows[0])})
    found = problems(study, layout, train="a.jsonl", validation="v.jsonl", labels=labels)
    assert any(message in problem for problem in found)


@pytest.mark.parametrize(
    ("train", "validation", "number", "problem"),
    [
        ("B-X E-X O", "B-X I-X O", 1, "v.jsonl, line 1, token 3: found 'O' after 'I-X'; BIOES"),
        ("B-X I-X O", "I-X I-X O", 1, "v.jsonl, line 1, token 1: found 'I-X' after the beginning"),
        ("I-X I-X|O I-X", "O B-X", 1, "v.jsonl, line 1, token 2: found 'B-X', which does not tou"),
        ("B-X O|I-X O", "O B-X", 1, "a.jsonl, line 2, token 1: found 'I-X' after the beginning"),
        ("B-X O|O I-X|I-Y O", "O B-X", 2, "a.jsonl, line 2, token 2: found 'I-X' after 'O'; IOB2"),
    ],
)
def test_one_scheme_for_all_splits(
    study: Study, train: str, validation: str, number: int, problem: str
) -> None:
    """Splits in different schemes, and mixed ones, are refused with the rows that do not fit."""
    for name, sentences in (("a.jsonl", train), ("v.jsonl", validation)):
        rows = [
            {"tokens": [str(n) for n in range(len(tags.split()))], "tags": tags.split()}
            for tags in sentences.split("|")
        ]
        study.write({name: "\n".join(map(json.dumps, rows))})
    found = problems(study, "tokens", train="a.jsonl", validation="v.jsonl")
    assert len(found) == number
    assert found[0].startswith(problem)


def test_splits_may_have_schemes_of_their_own(study: Study) -> None:
    """Where each split keeps to its scheme throughout, both are read, and that is said."""
    study.write({"a.conll": "a I-X\nb B-X\n\n" * 20, "v.conll": "c B-X\nd I-X\n\n" * 20})
    data = study.load("tokens", train="a.conll", validation="v.conll")
    assert data.train.rows["tags"][0] == ["B-X", "B-X"]
    assert data.validation.rows["tags"][0] == ["B-X", "I-X"]
    assert any("one is in IOB1, the other in IOB2" in notice for notice in data.notices)
    study.write({"v.conll": "c B-X\nd I-X\n\n" * 20 + "e I-X\n"})
    first, *_ = problems(study, "tokens", train="a.conll", validation="v.conll")
    assert first.startswith("v.conll, line 1: found 'B-X', which does not touch an entity")


def test_a_declared_scheme_settles_a_mixture(study: Study) -> None:
    """Where both ways of beginning occur, scheme = 'IOB1' reads both."""
    study.write({"a.conll": "a B-X\nb I-X\n\nc O\nd I-Y\n", "v.conll": "e I-X\n"})
    data = study.load("tokens", train="a.conll", validation="v.conll", scheme="IOB1")
    assert data.train.rows["tags"][:] == [["B-X", "I-X"], ["O", "B-Y"]]


def test_the_validation_split_follows_the_scheme_of_train(study: Study) -> None:
    """A split without evidence of its own is read in the scheme of the whole."""
    study.write({"a.conll": "a I-X\nb B-X\nc O\n", "v.conll": "d O\n", "t.conll": "e I-X\nf B-X\n"})
    files: dict[str, Any] = {"train": "a.conll", "validation": "v.conll", "test": "t.conll"}
    assert study.load("tokens", **files).train.rows["tags"][:] == [["B-X", "B-X", "O"]]
    test = study.load_test("tokens", **files)
    assert test
    assert test.rows["tags"][:] == [["B-X", "B-X"]]


def test_problems_of_all_files_are_reported_together(study: Study) -> None:
    """Train and validation are both checked, and many problems are cut with a count."""
    rows = [f'{{"text": "x", "label": "{number}"}}\n' for number in range(2, 27)]
    study.write({"a.jsonl": GOOD_TEXT + "".join(rows)})
    names = {"labels": ["a", "b"]}
    found = problems(study, "text", train="a.jsonl", validation=["x.jsonl", "y.jsonl"], **names)
    assert len(found) == 11
    assert found[0].startswith("a.jsonl, line 3, label: found 2; expected 0 to 1")
    assert found[-1] == "… and 17 more"
    found = problems(study, "text", train="w.jsonl", validation=["x.jsonl", "y.jsonl"])
    assert [problem.split(":")[0] for problem in found] == [
        "data.train",
        "data.validation",
        "data.validation",
    ]


@pytest.mark.parametrize(
    ("layout", "train", "message"),
    [
        ("text", "a.jsonl", "data.train: found one class, 'a'; expected two or more"),
        ("tokens", "b.jsonl", "data.train: found no entity in 1 rows; expected tags besides O"),
    ],
)
def test_nothing_to_learn(study: Study, layout: Layout, train: str, message: str) -> None:
    """A train split with one class, or without entities, is refused."""
    study.write(
        {
            "a.jsonl": '{"text": "x", "label": "a"}\n',
            "b.jsonl": '{"tokens": ["x"], "tags": ["O"]}',
            "v.a.jsonl": GOOD_TEXT,
            "v.b.jsonl": GOOD_WORDS,
        }
    )
    assert problems(study, layout, train=train, validation=f"v.{train}")[0].startswith(message)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"tags_column": 3}, "data.tags_column: found the number 3 for a.jsonl, whose columns"),
        ({"tags_column": "ner"}, "a.jsonl: found the columns 'tokens', 'tags'; expected 'ner', or"),
        ({"tokens_column": "w"}, "a.jsonl: found the columns 'tokens', 'tags'; expected 'w', or"),
    ],
)
def test_columns_that_are_not_there(study: Study, spec: dict[str, Any], message: str) -> None:
    """A missing column is named once, beside those that were found."""
    study.write({"a.jsonl": GOOD_WORDS * 3, "v.jsonl": GOOD_WORDS})
    found = problems(study, "tokens", train="a.jsonl", validation="v.jsonl", **spec)
    assert found[0].startswith(message)
    assert len(found) <= 2


def test_csv_is_no_ner_format(study: Study) -> None:
    """CSV for NER is refused with the formats that are read."""
    study.write({"a.csv": "tokens,tags\n"})
    assert problems(study, "tokens", train="a.csv") == [
        "a.csv: found CSV; expected a column file, JSONL or Parquet"
    ]


def test_one_mistake_in_many_places_is_told_once(study: Study) -> None:
    """With the first places and how many there are, in one file and over several."""
    study.write(
        {
            "a.csv": "text,label\n" + "x,good\nx,bad\n" * 30,
            "b.csv": "text,label\nx,bad\nx,good\nx,worse\n",
        }
    )
    names = {"labels": ["pos", "bad"]}
    expected = "expected one of data.labels: 'pos', 'bad'"
    found = problems(study, "text", train="a.csv", validation="b.csv", **names)
    assert found == [
        f"a.csv, line 2, label: found 'good'; {expected}; also line 4; line 6; line 8 and 27 more",
        f"b.csv, line 4, label: found 'worse'; {expected}",
    ]
    study.write({"c.csv": "text,label\nx,good\n"})
    names = {"labels": ["pos", "bad", "worse"]}
    (over_files,) = problems(study, "text", train=["b.csv", "c.csv"], **names)
    assert over_files.endswith("'bad', 'worse'; also c.csv, line 2")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.xlsx", b"PK\x03\x04rest", "an Excel workbook"),
        ("a.csv", b"PK\x03\x04rest", "an Excel workbook"),
        ("a.xls", b"\xd0\xcf\x11\xe0rest", "an Excel workbook of the old kind"),
        ("a.csv.bz2", bz2.compress(b"text,label"), "a file compressed by bzip2"),
        ("a.csv.xz", lzma.compress(b"text,label"), "a file compressed by xz"),
        ("a.db", b"SQLite format 3\0rest", "an SQLite database"),
        ("a.feather", b"ARROW1rest", "an Arrow file"),
    ],
)
@pytest.mark.parametrize(
    ("layout", "formats"),
    [("text", "CSV, TSV, JSONL or Parquet"), ("tokens", "a column file (CoNLL), JSONL or Parq")],
)
def test_what_is_no_table_is_refused(
    study: Study, name: str, content: bytes, what: str, layout: Layout, formats: str
) -> None:
    """By what it holds, whatever it is called, with the formats that are read."""
    study.write({name: content})
    (found,) = problems(study, layout, train=name)
    assert found.startswith(f"{name}: found {what}")
    assert f"; expected {formats}" in found
