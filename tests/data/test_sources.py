"""Where data may be: files by split, folders, saved data sets and samples."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import datasets
import pytest

from hpo.data import load_data
from hpo.errors import DataError
from hpo.spec import DataSpec

if TYPE_CHECKING:
    from pathlib import Path

    from hpo.data import Layout
    from tests.data.conftest import Study


def lines(start: int, stop: int) -> str:
    """Return rows with two classes."""
    rows = [{"text": f"text {n}", "label": n % 2} for n in range(start, stop)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def sizes(study: Study, **spec: Any) -> tuple[int, int, int | None]:
    """Load everything and count the rows."""
    data, test = study.load("text", **spec), study.load_test("text", **spec)
    return len(data.train.rows), len(data.validation.rows), None if test is None else len(test.rows)


@pytest.mark.parametrize(
    ("files", "spec", "expected"),
    [
        (["train.jsonl", "validation.jsonl", "test.jsonl"], {}, (4, 4, 4)),
        (["train.jsonl", "dev.jsonl"], {}, (4, 4, None)),
        (["train.jsonl", "valid.jsonl", "notes.md", "train.md"], {}, (4, 4, None)),
        (["train.json", "val.ndjson", "test.txt"], {}, (4, 4, 4)),
        (
            [
                "data/train-00000-of-00002.jsonl",
                "data/train-00001-of-00002.jsonl",
                "data/validation-00000-of-00001.jsonl",
            ],
            {},
            (8, 4, None),
        ),
        (
            ["a.jsonl", "b.jsonl", "c.jsonl"],
            {"train": "a.jsonl", "validation": "b.jsonl"},
            (4, 4, None),
        ),
        (
            ["a.jsonl", "b.jsonl", "c.jsonl"],
            {"train": ["a.jsonl", "c.jsonl"], "validation": "b.jsonl"},
            (8, 4, None),
        ),
        (["x-1.jsonl", "x-2.jsonl", "dev.jsonl"], {"train": "x-*.jsonl"}, (8, 4, None)),
        (
            ["train.jsonl", "dev.jsonl", "a.jsonl"],
            {"train": "a", "validation": "train"},
            (4, 4, None),
        ),
        (["train.jsonl", "train.csv", "dev.jsonl"], {"train": "train.jsonl"}, (4, 4, None)),
    ],
)
def test_a_folder_of_files(
    study: Study, files: list[str], spec: dict[str, Any], expected: tuple[int, int, int | None]
) -> None:
    """Files are found by the usual names of splits, or by those of the study."""
    study.write({f"set/{name}": lines(4 * n, 4 * n + 4) for n, name in enumerate(files)})
    assert sizes(study, path="set", **spec) == expected


def test_files_by_split(study: Study, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files may be several, patterns, in other folders, and absolute."""
    away = tmp_path_factory.mktemp("away") / "v.jsonl"
    away.write_text(lines(50, 53))
    study.write({f"deep/{name}/rows.jsonl": lines(n, n + 2) for n, name in enumerate("acegik")})
    study.write({"t [1].jsonl": lines(90, 95)})
    spec = {"train": ["deep/[ace]/*.jsonl", "deep/i/rows.jsonl"], "validation": str(away)}
    assert sizes(study, **spec, test="t [1].jsonl") == (8, 3, 5)


@pytest.mark.parametrize(
    ("files", "spec", "message"),
    [
        ([], {"path": "set/x/y"}, "data.path: found no folder "),
        ([], {"path": "./set"}, "data.path: found no folder "),
        (["x"], {"path": "set/x"}, "data.path: found the file set/x; expected a folder"),
        (["x.jsonl"], {"path": "set"}, "data.path: found no train.* in "),
        (["train.csv", "train.jsonl"], {"path": "set"}, "data.path: found 'train.csv', 'train.jso"),
        (
            ["train.jsonl", "dev.jsonl", "val.jsonl"],
            {"path": "set"},
            "data.path: found 'dev.jsonl'",
        ),
        ([], {"train": "set/none.jsonl"}, "data.train: found no file "),
        (["x"], {"train": "set/*.jsonl"}, "data.train: found no file that matches "),
        (["x"], {"train": "set"}, "data.train: found the folder "),
        (
            ["x"],
            {"train": "set/x", "validation": "set/../set/x"},
            "data.train: found set/x in data.v",
        ),
        (["x"], {"train": "set/x", "test": "set/x"}, "data.train: found set/x in data.test too"),
        (
            [],
            {"path": "~nobody-of-that-name/x"},
            "data.path: found '~nobody-of-that-name/x', which",
        ),
        ([], {"path": "x" * 5000}, "data.path: found 'xxx"),
        ([], {"path": ""}, "data.path: found an empty name"),
        ([], {"train": ["x" * 5000]}, "data.train: found 'xxx"),
        ([], {"train": " "}, "data.train: found an empty name"),
        ([], {"train": "\0"}, "data.train: found no file "),
        ([], {"path": "sample:nre"}, "data.path: found 'sample:nre'; known are 'sample:ner', 's"),
        ([], {"path": "sample:ner"}, "data.path: found 'sample:ner'; expected 'sample:sentiment'"),
        ([], {"path": "sample:sentiment", "train": "x"}, "data.train: found 'x'; sample:sentiment"),
    ],
)
def test_what_is_not_there(
    study: Study, files: list[str], spec: dict[str, Any], message: str
) -> None:
    """What was looked for and where is said, once."""
    study.write({f"set/{name}": lines(4 * n, 4 * n + 4) for n, name in enumerate(files)})
    with pytest.raises(DataError) as caught:
        study.load("text", **spec)
    assert caught.value.problems[0].startswith(message)


def test_a_missing_test_file_is_for_load_test_to_say(study: Study) -> None:
    """A search does not need the test split, so it does not miss it."""
    study.write({"a.jsonl": lines(0, 20)})
    assert len(study.load("text", train="a.jsonl", test="t.jsonl").train.rows) == 18
    with pytest.raises(DataError, match=r"data.test: found no file .*t.jsonl"):
        study.load_test("text", train="a.jsonl", test="t.jsonl")


def test_a_device_is_no_file(study: Study) -> None:
    """A named pipe is refused, named or found: reading it would wait for ever."""
    os.mkfifo(study.folder / "pipe")
    with pytest.raises(DataError, match="which is no regular file"):
        study.load("text", train="pipe")
    os.mkfifo(study.folder / "train.csv")
    with pytest.raises(DataError, match="found no regular file"):
        study.load("text", path=str(study.folder))


CASES: list[tuple[str, dict[str, str]]] = [
    ("text", {"path": "set"}),
    ("text", {"train": "set/train.jsonl", "test": "set/test.jsonl"}),
    ("text", {"path": "saved"}),
    ("tokens", {"train": "train.conll", "test": "test.conll"}),
]
AUDIT = """
import json, sys
from pathlib import Path
from hpo.data import load_data
from hpo.spec import DataSpec
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
found = []
for layout, spec in json.loads(sys.argv[1]):
    opened.clear()
    spec = DataSpec.model_validate(spec)
    load_data(spec, layout=layout, folder=Path(sys.argv[2]), seed=1)
    found.append([path.removeprefix(sys.argv[2]) for path in opened if sys.argv[2] in path])
print(json.dumps(found))
"""


def test_the_test_split_is_never_opened(study: Study) -> None:
    """Loading opens no file of the test split: it may be a pipe, garbage, or damaged."""
    study.write({"set/train.jsonl": lines(0, 20), "train.conll": "a B-X\n\nb B-X\n\nc B-X\n"})
    study.write({"test.conll": b"\xff garbage"})
    os.mkfifo(study.folder / "set" / "test.jsonl")
    saved(study.folder / "saved", train=9, test=9)
    for path in (study.folder / "saved" / "test").iterdir():
        path.write_bytes(b"\xff garbage")
    run = subprocess.run(
        [sys.executable, "-c", AUDIT, json.dumps(CASES), str(study.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert len(found) == len(CASES)
    for opened in found:
        assert any("train" in path for path in opened)
        assert not [path for path in opened if "test" in path]


def saved(folder: Path, **splits: int) -> None:
    """Write a data set of some rows a split as `save_to_disk` does."""
    parts = {
        name: datasets.Dataset.from_list(
            [{"text": f"{name} {n}", "label": n % 2} for n in range(k)]
        )
        for name, k in splits.items()
    }
    if list(splits) == ["all"]:
        parts["all"].save_to_disk(str(folder))
    else:
        datasets.DatasetDict(parts).save_to_disk(str(folder))


@pytest.mark.parametrize(
    ("splits", "spec", "expected"),
    [
        ({"train": 8, "validation": 4, "test": 6}, {}, (8, 4, 6)),
        ({"train": 8, "dev": 4}, {}, (8, 4, None)),
        ({"all": 10}, {}, (9, 1, None)),
        ({"a": 8, "b": 4, "c": 2}, {"train": ["a", "b"], "validation": "c"}, (12, 2, None)),
    ],
)
def test_saved_data_sets(
    study: Study,
    splits: dict[str, int],
    spec: dict[str, Any],
    expected: tuple[int, int, int | None],
) -> None:
    """A folder of `save_to_disk` is read by the names of its splits."""
    saved(study.folder / "owner" / "name", **splits)  # a folder wins over a hub id
    assert sizes(study, path="owner/name", **spec) == expected


@pytest.mark.parametrize(
    ("spec", "remove", "message"),
    [
        (
            {"validation": "dve"},
            None,
            "data.validation: found 'dve'; set has the splits 'train', '",
        ),
        ({"train": "all"}, None, "data.train: found 'all'; set has the splits 'train', 'dev'"),
        ({}, "train/dataset_info.json", "found no data set of save_to_disk"),
        ({}, "train", "found no data set of save_to_disk"),
    ],
)
def test_saved_data_sets_that_are_wrong(
    study: Study, spec: dict[str, Any], remove: str | None, message: str
) -> None:
    """A missing split and a damaged folder are said."""
    saved(study.folder / "set", train=4, dev=4)
    if remove:
        path = study.folder / "set" / remove
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError) as caught:
        study.load("text", path="set", **spec)
    assert message in caught.value.problems[0]


@pytest.mark.parametrize("layout", ["tokens", "text"])
def test_samples(study: Study, layout: Layout) -> None:
    """The samples load without a file, by split."""
    path = "sample:ner" if layout == "tokens" else "sample:sentiment"
    data = study.load(layout, path=path)
    test = study.load_test(layout, path=path)
    assert test
    assert min(len(split.rows) for split in (data.train, data.validation, test)) >= 200
    assert data.notices == []
    assert not list(study.folder.iterdir())


@pytest.mark.parametrize("explicit", [False, True])
def test_hidden_test_labels(study: Study, explicit: bool) -> None:
    """A test split that has -1 for every label counts as none, unless the study asks for it."""
    names = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    parts = {
        name: datasets.Dataset.from_dict(
            {"text": [f"{name} {n}" for n in range(6)], "label": values}, features=names
        )
        for name, values in {"train": [0, 1] * 3, "test": [-1] * 6}.items()
    }
    datasets.DatasetDict(parts).save_to_disk(str(study.folder / "set"))
    if explicit:
        with pytest.raises(DataError, match="found -1, a hidden label"):
            study.load_test("text", path="set", test="test")
    else:
        assert study.load_test("text", path="set") is None


def test_labels_that_only_test_has_can_be_reported(study: Study) -> None:
    """The counts of the test split name what train and validation have not."""
    study.write({"a.csv": "text,label\none,a\ntwo,b\nthree,a\n", "t.csv": "text,label\nfour,c\n"})
    spec: dict[str, Any] = {"train": "a.csv", "test": "t.csv"}
    data, test = study.load("text", **spec), study.load_test("text", **spec)
    assert test
    assert data.labels == ["a", "b"]
    assert test.counts == {"c": 1}


@pytest.mark.parametrize("key", ["name", "revision"])
def test_what_only_a_hub_has_is_refused_elsewhere(tmp_path: Path, key: str) -> None:
    """A configuration or a revision means nothing for a sample, and is no silent wish."""
    spec = DataSpec.model_validate({"path": "sample:ner", key: "main"})
    with pytest.raises(DataError, match=f"data.{key}: found beside data on this machine"):
        load_data(spec, layout="tokens", folder=tmp_path, seed=0)
