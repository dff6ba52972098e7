"""Exported models of every family in a fresh process: `pipeline`, Auto classes, `hpo predict`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo import run_study
from hpo.concluded import open_study
from hpo.entities import entities
from hpo.export import export
from tests.conftest import FAMILIES
from tests.shipping.conftest import SENTENCES, write_test_split
from tests.studies_made import NER, write_study

LONG = " ".join(["the film was"] * 9 + ["superb and warm"])
TEXTS = {
    "ner": [" ".join(each["tokens"]) for each in SENTENCES],
    "sentiment": ["warm and great", "the dull and awful plot", LONG],
}
SCRIPT = """
import contextlib, json, sys
import hpo
from pathlib import Path
from transformers import AutoModelForSequenceClassification as Classes
from transformers import AutoModelForTokenClassification as Tokens
from transformers import AutoTokenizer, pipeline
from hpo.cli import main
task, texts, folders = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
found = {}
for folder in folders:
    (Tokens if task == "ner" else Classes).from_pretrained(folder)
    AutoTokenizer.from_pretrained(folder)
    if task == "ner":
        read = pipeline("token-classification", model=folder, aggregation_strategy="first")
        kept = ("entity_group", "start", "end")
        theirs = [[[str(e[k]) for k in kept] for e in read(text)] for text in texts]
    else:
        read = pipeline("text-classification", model=folder, truncation=True, top_k=None)
        theirs = [{e["label"]: e["score"] for e in read([text])[0]} for text in texts]
    out = Path(folder) / "out"
    (Path(folder) / "in.txt").write_text("\\n".join(texts))
    with out.open("w") as file, contextlib.redirect_stdout(file):
        main(["predict", folder, "--file", folder + "/in.txt"], standalone_mode=False)
    ours = [json.loads(line) for line in out.read_text().splitlines()]
    found[Path(folder).name] = [theirs, ours]
print(json.dumps(found))
"""


@pytest.mark.parametrize("task", ["ner", "sentiment"])
def test_pipeline_reads_what_was_scored(tmp_path: Path, task: str) -> None:
    """Classes and entities of `pipeline` are ours, cut where ours are; a GPT's load."""
    folders: list[str] = []
    scored: dict[str, Any] = {}
    model_labels: dict[str, list[str]] = {}
    for family in FAMILIES:
        changes: dict[str, Any] = {
            **(NER if task == "ner" else {}), "model": f"sample:{family}",
            "budget": {"trials": 1},
            "training": {"num_train_epochs": 8 if task == "ner" else 1},
            "fine_tuning": {"max_length": 14},
            "space": {"learning_rate": {"type": "float", "low": 4e-3, "high": 5e-3}},
        }  # fmt: skip
        path = write_study(tmp_path / family / "study.toml", changes)
        write_test_split(path.parent)
        url, runs = f"sqlite:///{tmp_path}/{family}/hpo.db", tmp_path / "runs"
        run_study(path, storage_url=url, name=family, output=runs)
        concluded = open_study(family, url, output=runs)
        folder = tmp_path / "models" / family
        export(concluded, folder, None, lambda _: None)
        folders.append(str(folder))
        own_head = (task, family) == ("ner", "openai-gpt")
        assert ("import hpo" in (folder / "README.md").read_text("utf-8")) is own_head
        model = concluded.model(concluded.winner())
        model_labels[family] = list(model.encoding.labels)
        scored[family] = model.probabilities(
            [text.split() for text in TEXTS[task]] if task == "ner" else TEXTS[task]
        )
    line = [sys.executable, "-c", SCRIPT, task, json.dumps(TEXTS[task]), *folders]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    if task == "sentiment":
        for family, (theirs, ours) in found.items():
            for classes, mine, chances in zip(theirs, ours, scored[family], strict=True):
                assert classes == pytest.approx(mine["probabilities"], abs=1e-5)
                assert list(mine["probabilities"].values()) == pytest.approx(chances, abs=1e-6)
        return
    for family, (theirs, ours) in found.items():
        spans = [
            [[each["type"], str(each["start"]), str(each["end"])] for each in line["entities"]]
            for line in ours
        ]
        assert any(spans), family
        names = model_labels[family]
        tags = [[names[place] for place in each.argmax(-1)] for each in scored[family]]
        assert [len(entities(each)) for each in tags] == [len(each) for each in spans]
        if family in {"bert", "roberta"}:  # the others are read at a word's last sub-token
            assert theirs == spans
