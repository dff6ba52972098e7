"""Encoded data is cached by content, tokenizer and options, and survives whoever builds it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

import hpo
from hpo.data import StudyData
from hpo.errors import ModelError
from hpo.inputs import KEPT, Inputs, prepare
from hpo.pretrained import Source
from hpo.spec import FineTuningSpec
from hpo.tasks import Encoding, load_task
from hpo.tasks.ner import NER

Prepare = Callable[..., Inputs]


class CountingNER(NER):
    """NER that counts how often it encodes."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode(
        self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, encoding: Encoding
    ) -> Dataset:
        """Encode, and count it."""
        self.encoded += 1
        return super().encode(rows, tokenizer, encoding)


@pytest.fixture
def bert(model_folders: dict[str, Path]) -> Source:
    """The tiny BERT."""
    return Source("sample:bert", str(model_folders["bert"]))


def folders(cache: Path) -> set[str]:
    """Return the names of the encoded data sets."""
    return {path.name for path in cache.iterdir() if path.is_dir()}


def content(inputs: Inputs) -> list[dict[str, object]]:
    """Return everything that was encoded."""
    return [inputs.train.to_dict(), inputs.validation.to_dict()]


def test_encoded_once(study_data: dict[str, StudyData], bert: Source, tmp_path: Path) -> None:
    """A second call reads what the first one wrote."""
    task, data = CountingNER(), study_data["ner"]
    first = prepare(task, data, bert, FineTuningSpec(), tmp_path)
    assert task.encoded == 2  # train and validation
    second = prepare(task, data, bert, FineTuningSpec(), tmp_path)
    assert task.encoded == 2
    assert content(first) == content(second)
    assert first.encoding == second.encoding


def test_a_folder_for_each_encoding(
    study_data: dict[str, StudyData], model_folders: dict[str, Path], tmp_path: Path
) -> None:
    """Another length, side, tokenizer, task or content is encoded anew; another dropout not."""
    ner, sentiment = load_task("ner"), load_task("sentiment")
    bert = Source("sample:bert", str(model_folders["bert"]))
    gpt2 = Source("sample:gpt2", str(model_folders["gpt2"]))
    other = replace(study_data["ner"], fingerprint="another")
    short = FineTuningSpec(max_length=16)
    calls = [
        (ner, study_data["ner"], bert, FineTuningSpec()),
        (ner, study_data["ner"], bert, short),
        (ner, study_data["ner"], gpt2, short),
        (ner, other, bert, short),
        (sentiment, study_data["sentiment"], bert, short),
        (
            sentiment,
            study_data["sentiment"],
            bert,
            FineTuningSpec(max_length=16, truncation_side="left"),
        ),
    ]
    for count, (task, data, source, tuning) in enumerate(calls, start=1):
        inputs = prepare(task, data, source, tuning, tmp_path)
        assert len(folders(tmp_path)) == count
        assert max(inputs.train["length"]) <= inputs.encoding.max_length
    prepare(ner, study_data["ner"], bert, FineTuningSpec(max_length=16, dropout=0.5), tmp_path)
    assert len(folders(tmp_path)) == len(calls)


@pytest.mark.parametrize("task", ["ner", "sentiment"])
def test_validation_is_sorted_and_scored_in_its_order(
    study_data: dict[str, StudyData], source: Source, task: str, tmp_path: Path
) -> None:
    """Inputs are sorted by length, longest first; right predictions for them score 1."""
    tuning = FineTuningSpec(max_length=16)
    inputs = prepare(load_task(task), study_data[task], source, tuning, tmp_path)
    lengths = list(inputs.validation["length"])
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) > 1
    labels = list(inputs.validation["labels"])
    if task == "sentiment":
        metrics = inputs.score(np.array(labels))
        assert metrics["accuracy"] == 1.0
    else:
        predicted = np.zeros((len(labels), max(lengths)), dtype=int)
        for line, row in zip(predicted, labels, strict=True):
            line[: len(row)] = np.maximum(row, 0)
        assert inputs.score(predicted)["f1"] == 1.0


@pytest.mark.parametrize("cached", [False, True])
def test_truncation_side_is_saved(
    study_data: dict[str, StudyData], bert: Source, tmp_path: Path, cached: bool
) -> None:
    """The tokenizer cuts where it was told to after loading too, also if nothing was encoded."""
    tuning = FineTuningSpec(max_length=16, truncation_side="left")
    for _ in range(1 + cached):
        inputs = prepare(
            load_task("sentiment"), study_data["sentiment"], bert, tuning, tmp_path / "cache"
        )
    inputs.tokenizer.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())
    assert config["truncation_side"] == "left"


@pytest.mark.parametrize(("task", "limit"), [("sentiment", 16), ("ner", 256)])
def test_length_is_saved(
    study_data: dict[str, StudyData], bert: Source, tmp_path: Path, task: str, limit: int
) -> None:
    """A loaded tokenizer cuts a text where the trial did; words it cuts at the model's limit."""
    tuning = FineTuningSpec(max_length=16)
    inputs = prepare(load_task(task), study_data[task], bert, tuning, tmp_path / "cache")
    inputs.tokenizer.save_pretrained(tmp_path / "saved")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert len(loaded("a " * 300, truncation=True)["input_ids"]) == limit


def test_too_long(study_data: dict[str, StudyData], bert: Source, tmp_path: Path) -> None:
    """More than the model takes is refused before anything is encoded."""
    with pytest.raises(ModelError, match=r"max_length: found 300; .* takes 256 at most"):
        prepare(load_task("ner"), study_data["ner"], bert, FineTuningSpec(max_length=300), tmp_path)
    assert not folders(tmp_path)


def test_left_behind_by_a_killed_process(
    study_data: dict[str, StudyData], bert: Source, tmp_path: Path
) -> None:
    """A half-built folder and a lock that nobody holds are no obstacle."""
    task, data = load_task("ner"), study_data["ner"]
    expected = content(prepare(task, data, bert, FineTuningSpec(), tmp_path / "whole"))
    (key,) = folders(tmp_path / "whole")
    cache = tmp_path / "cache"
    half = cache / f"{key}.new"
    (half / "train").mkdir(parents=True)
    (half / "train" / "state.json").write_text("{")
    (half / "dataset_dict.json").write_text("")
    (half / "half.arrow").touch()
    (cache / ".lock").touch()
    assert content(prepare(task, data, bert, FineTuningSpec(), cache)) == expected
    assert folders(cache) == {key}
    assert not (cache / key / "half.arrow").exists()


def test_the_cache_is_bounded(
    study_data: dict[str, StudyData], bert: Source, tmp_path: Path
) -> None:
    """What was used longest ago makes room; what a study has open can still be read."""
    task, data = CountingNER(), study_data["ner"]
    opened = prepare(task, data, bert, FineTuningSpec(), tmp_path)
    (key,) = folders(tmp_path)
    os.utime(tmp_path / key, (1, 1))
    for age in range(KEPT):
        (tmp_path / f"other-{age}").mkdir()
        os.utime(tmp_path / f"other-{age}", (100 - age, 100 - age))
    prepare(task, data, bert, FineTuningSpec(max_length=16), tmp_path)
    left = folders(tmp_path)
    assert len(left) == KEPT
    assert left.isdisjoint({key, f"other-{KEPT - 1}"})
    assert content(opened) == content(prepare(task, data, bert, FineTuningSpec(), tmp_path))
    assert task.encoded == 6


SCRIPT = """
import sys
from pathlib import Path
from hpo.inputs import prepare
from hpo.pretrained import Source
from hpo.spec import FineTuningSpec
from hpo.tasks import load_task
from tests.conftest import load
data, model, cache = sys.argv[1:]
data = load(Path(data), "ner")
print("ready", flush=True)
sys.stdin.read()  # until all are ready
for length in range(16, 28):
    tuning = FineTuningSpec(max_length=length)
    prepare(load_task("ner"), data, Source(model, model), tuning, Path(cache))
print("done")
"""


def test_two_processes_at_once(
    study_data: dict[str, StudyData], ner_folder: Path, bert: Source, tmp_path: Path
) -> None:
    """Two processes that encode the same, at the same time, leave one intact folder of each."""
    command = [sys.executable, "-c", SCRIPT, str(ner_folder), bert.path, str(tmp_path / "cache")]
    root = Path(hpo.__file__).parents[1]
    processes = [
        subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    for process in processes:
        out, error = process.communicate()
        assert (process.returncode, out) == (0, "done\n"), error
    assert len(folders(tmp_path / "cache")) == 12
    assert not [name for name in folders(tmp_path / "cache") if name.endswith(".new")]
    task, data = CountingNER(), study_data["ner"]
    for length in range(16, 28):
        tuning = FineTuningSpec(max_length=length)
        found = content(prepare(task, data, bert, tuning, tmp_path / "cache"))
        assert task.encoded == 0
        if length == 16:
            assert found == content(prepare(load_task("ner"), data, bert, tuning, tmp_path / "own"))
