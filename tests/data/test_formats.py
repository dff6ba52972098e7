"""JSON, CSV, TSV and Parquet: the same rows whatever the file."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hpo.data import Layout
    from tests.data.conftest import Pairs, Study

TEXTS = [("Good, really.", "pos"), ('He said "no"\nand left', "neg"), ("schön\u2028👍", "pos")]
TEXT_LINES = "".join(
    json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in TEXTS
)
TEXT_CSV = (
    'id,text,label\n1,"Good, really.",pos\n2,"He said ""no""\nand left",neg\n3,schön\u2028👍,pos\n'
)
WORDS = [(["EU", "", "\u200b"], ["B-ORG", "O", "O"]), (["Ann", "Lee"], ["B-PER", "I-PER"])]
WORD_LINES = "".join(
    json.dumps({"id": str(n), "tokens": tokens, "ner_tags": tags}) + "\n"
    for n, (tokens, tags) in enumerate(WORDS)
)


def parquet(columns: dict[str, Any]) -> bytes:
    """Write a Parquet file as a program other than datasets does."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def columns(rows: list[tuple[Any, Any]], first: str, second: str) -> dict[str, Any]:
    """Turn pairs into two columns."""
    return {first: [row[0] for row in rows], second: [row[1] for row in rows]}


TEXT_FILES: dict[str, str | bytes] = {
    "a.jsonl": TEXT_LINES,
    "b.jsonl": "\ufeff" + TEXT_LINES.replace("\n", "\r\n\r\n").rstrip(),
    "c.json": TEXT_LINES,
    "d.json": json.dumps([{"text": text, "label": label} for text, label in TEXTS], indent=1),
    "e.csv": TEXT_CSV,
    "f.csv": "\ufeff" + TEXT_CSV.rstrip("\n"),
    "g.csv": 'text;label\nGood, really.;pos\n"He said ""no""\nand left";neg\nschön\u2028👍;pos\n',
    "h.tsv": 'label\ttext\npos\tGood, really.\nneg\t"He said ""no""\nand left"\n'
    "pos\tschön\u2028👍\n",
    "i.parquet": parquet(columns(TEXTS, "text", "label")),
    "j.data": TEXT_LINES,
    "k.data": parquet(columns(TEXTS, "text", "label")),
    "l.jsonl.gz": gzip.compress(TEXT_LINES.encode()),
    "m.csv.gz": gzip.compress(TEXT_CSV.encode()),
    "n.parquet.gz": gzip.compress(parquet(columns(TEXTS, "text", "label"))),
    "o.jsonl": gzip.compress(TEXT_LINES.encode()),
}
TOKEN_FILES: dict[str, str | bytes] = {
    "a.jsonl": WORD_LINES,
    "b.json": json.dumps([{"tokens": tokens, "ner_tags": tags} for tokens, tags in WORDS]),
    "c.parquet": parquet(columns(WORDS, "tokens", "ner_tags")),
    "d.parquet": parquet(columns(WORDS, "words", "labels")),
    "e.jsonl": WORD_LINES.replace("tokens", "words").replace("ner_tags", "tags"),
    "f.conll": "EU B-ORG\n O\n\u200b O\n\nAnn B-PER\nLee I-PER\n",
    "g.conll.gz": gzip.compress("EU\tB-ORG\n\tO\n\u200b\tO\n\nAnn\tB-PER\nLee\tI-PER".encode()),
    "h.jsonl": WORD_LINES.replace('"B-PER", "I-PER"', '"B-PER", "E-PER"').replace("B-ORG", "S-ORG"),
}


@pytest.mark.parametrize("name", TEXT_FILES)
def test_sentiment_formats(study: Study, pairs: Pairs, name: str) -> None:
    """Each format of texts and labels gives the same rows and the same fingerprint."""
    study.write({name: TEXT_FILES[name], "v/v.jsonl": TEXT_LINES, "v/t.jsonl": TEXT_LINES})
    data = study.load("text", train=name, validation="v/v.jsonl")
    assert pairs(data.train) == TEXTS
    assert (data.labels, data.train.counts) == (["neg", "pos"], {"neg": 1, "pos": 2})
    assert data.fingerprint == study.load("text", train="v/t.jsonl", validation=name).fingerprint


@pytest.mark.parametrize("name", TOKEN_FILES)
def test_ner_formats(study: Study, pairs: Pairs, name: str) -> None:
    """Each format of words and tags gives the same rows and the same fingerprint."""
    study.write({name: TOKEN_FILES[name], "v/v.jsonl": '{"tokens": ["Oslo"], "tags": ["O"]}'})
    data = study.load("tokens", train=name, validation="v/v.jsonl")
    assert pairs(data.train) == WORDS
    assert data.fingerprint == "0988b131fd27e8a7"  # on every machine


def test_columns_are_mapped(study: Study, pairs: Pairs) -> None:
    """Columns of other names are read where the study file names them."""
    study.write({"a.csv": "review,stars\ngood,5\nbad,1\nmeh,3\n"})
    study.write({"b.csv": "review,stars\nfine,10\n"})
    data = study.load(
        "text", train="a.csv", validation="b.csv", text_column="review", label_column="stars"
    )
    assert pairs(data.train) == [("good", "5"), ("bad", "1"), ("meh", "3")]
    assert data.labels == ["1", "3", "5", "10"]
    study.write({"a.jsonl": '{"w": ["EU"], "t": ["B-ORG"]}', "b.jsonl": '{"w": ["x"], "t": ["O"]}'})
    ner = study.load(
        "tokens", train="a.jsonl", validation="b.jsonl", tokens_column="w", tags_column="t"
    )
    assert pairs(ner.train) == [(["EU"], ["B-ORG"])]


@pytest.mark.parametrize(
    ("values", "labels", "names", "order"),
    [
        ([0, 1, 0], None, ["0", "1", "0"], ["0", "1"]),
        ([10, 9, -1], None, ["10", "9", "-1"], ["-1", "9", "10"]),
        (["b", "a", "b"], None, ["b", "a", "b"], ["a", "b"]),
        ([1, 0, 1], ["neg", "pos"], ["pos", "neg", "pos"], ["neg", "pos"]),
        (["1", "0", "1"], ["neg", "pos"], ["pos", "neg", "pos"], ["neg", "pos"]),
        (["pos", "neg", "pos"], ["pos", "neg"], ["pos", "neg", "pos"], ["pos", "neg"]),
        ([1, 5, 3], list("12345"), ["1", "5", "3"], list("12345")),
        (["2", "11", "1"], None, ["2", "11", "1"], ["1", "2", "11"]),
    ],
)
def test_class_names(
    study: Study, values: list[Any], labels: list[str] | None, names: list[str], order: list[str]
) -> None:
    """Integers and texts become class names, in order, with declared names or without."""
    rows = [{"text": f"text {n}", "label": value} for n, value in enumerate(values)]
    study.write({"a.jsonl": "\n".join(map(json.dumps, rows))})
    study.write({"b.jsonl": json.dumps({"text": "other", "label": values[0]})})
    data = study.load("text", train="a.jsonl", validation="b.jsonl", labels=labels)
    assert data.train.rows["label"][:] == names
    assert data.labels == order


FEATURES = {
    "text": datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg", "?"])}
    ),
    "tokens": datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "I-PER", "B-PER", "I-X"])),
        }
    ),
}


def _as_parquet(dataset: datasets.Dataset, folder: Path) -> str:
    with (folder / "train.parquet").open("wb") as file:
        pq.write_table(dataset.with_format("arrow")[:].cast(dataset.features.arrow_schema), file)
    return "."


def _as_saved(dataset: datasets.Dataset, folder: Path) -> str:
    datasets.DatasetDict({"train": dataset}).save_to_disk(str(folder / "saved"))
    return "saved"


@pytest.mark.parametrize("write", [_as_parquet, _as_saved])
@pytest.mark.parametrize(
    ("layout", "inputs", "targets", "named", "labels"),
    [
        ("text", ["a", "b", "c", "d"], [1, 0, 1, 0], ["neg", "pos"] * 2, ["pos", "neg", "?"]),
        (
            "tokens",
            [["a", "b"], ["c"], ["d"], ["e"]],
            [[2, 1], [0], [2], [2]],
            [["B-PER", "I-PER"], ["O"], ["B-PER"], ["B-PER"]],
            ["O", "B-PER", "I-PER", "B-X", "I-X"],
        ),
    ],
)
def test_class_label_features(
    study: Study,
    write: Callable[[datasets.Dataset, Path], str],
    layout: Layout,
    inputs: list[Any],
    targets: list[Any],
    named: list[Any],
    labels: list[str],
) -> None:
    """Names that a data set gives to its integers are used, and those that do not occur kept."""
    first, second = FEATURES[layout]
    dataset = datasets.Dataset.from_dict(
        {first: inputs, second: targets}, features=FEATURES[layout]
    )
    data = study.load(layout, path=write(dataset, study.folder))
    assert data.labels == labels
    read = dict(zip(inputs if layout == "text" else map(tuple, inputs), named, strict=True))
    for split in (data.train, data.validation):
        keys, values = (split.rows[name][:] for name in split.rows.column_names)
        assert [read[key if layout == "text" else tuple(key)] for key in keys] == values


def test_declared_names_replace_those_of_the_data_set(study: Study) -> None:
    """Declared names win: the same names in another order, or other names for the integers."""
    dataset = datasets.Dataset.from_dict(
        {"text": ["a", "b", "c", "d"], "label": [0, 1, 0, 1]},
        features=datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
        ),
    )
    path = _as_saved(dataset, study.folder)
    same = study.load("text", path=path, labels=["pos", "neg"])
    other = study.load("text", path=path, labels=["bad", "good"])
    assert same.labels == ["pos", "neg"]
    assert {row["text"]: row["label"] for row in same.train.rows}.items() <= {
        "a": "neg",
        "b": "pos",
        "c": "neg",
        "d": "pos",
    }.items()
    assert {row["text"]: row["label"] for row in other.train.rows}.items() <= {
        "a": "bad",
        "b": "good",
        "c": "bad",
        "d": "good",
    }.items()


@pytest.mark.parametrize(
    ("declared", "scheme", "values", "tags", "labels"),
    [
        (["O", "I-X", "B-X"], None, [2, 1, 0], ["B-X", "I-X", "O"], ["O", "I-X", "B-X"]),
        (["O", "B-X"], None, [1, 1, 0], ["B-X", "B-X", "O"], ["O", "B-X"]),
        (["O", "I-X"], None, [1, 1, 0], ["B-X", "I-X", "O"], ["O", "I-X", "B-X"]),
        (["O", "S-X", "B-X", "E-X"], None, [2, 3, 1], ["B-X", "I-X", "B-X"], ["O", "B-X", "I-X"]),
        (
            ["I-X", "O", "B-X"],
            None,
            ["B-X", "E-X", "S-X"],
            ["B-X", "I-X", "B-X"],
            ["I-X", "O", "B-X"],
        ),
    ],
)
def test_declared_tags(
    study: Study,
    declared: list[str],
    scheme: str | None,
    values: list[Any],
    tags: list[str],
    labels: list[str],
) -> None:
    """Integers get declared tags, whatever their scheme; the order is that of the study file."""
    row = {"tokens": ["a", "b", "c"], "tags": values}
    study.write({"a.jsonl": json.dumps(row), "b.jsonl": '{"tokens": ["x"], "tags": ["O"]}'})
    data = study.load(
        "tokens", train="a.jsonl", validation="b.jsonl", labels=declared, scheme=scheme
    )
    assert data.train.rows["tags"][0] == tags
    assert data.labels == labels


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.tsv", 'text\tlabel\n"Great" it was\t1\n"Bad" it was\t0\n', ['"Great" it was'] * 1),
        ("a.tsv", 'text\tlabel\n"swallow\t1\nnext"\t0\n', ['"swallow', 'next"']),
        ("a.csv", "text\tlabel\none, two\t1\nthree\t0\n", ["one, two", "three"]),
        ("a.csv", "text,label\n\none,1\n\ntwo,0\n\n", ["one", "two"]),
        ("a.csv", f"text,label\n{'x ' * 200_000},1\ntwo,0\n", ["x " * 200_000, "two"]),
    ],
)
def test_delimited_oddities(study: Study, name: str, content: str, texts: list[str]) -> None:
    """Quotes that quote nothing, other delimiters, empty lines and very long cells are read."""
    study.write({name: content, "b.csv": "text,label\nthird,1\n"})
    data = study.load("text", train=name, validation="b.csv")
    assert data.train.rows["text"][: len(texts)] == texts
    assert len(data.train.rows) == 2
