"""Small studies on files made here, for the tests of trial, runner and command line.

A trial takes a fraction of a second: 40 texts to train on, 24 to validate on, five steps of
eight texts an epoch, and a model of two narrow layers.
"""

import gc
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hpo import recipe
from hpo.fine_tuning import Job
from hpo.quiet import quieten
from hpo.spec import StudySpec, flatten, parse
from hpo.workspace import Workspace

TRAIN_ROWS = 40
VALIDATION_ROWS = 24
STEPS = 5  # an epoch
GOOD = ("great", "fine", "superb", "warm", "clever")
BAD = ("dull", "poor", "awful", "cold", "clumsy")
FILLER = ("the", "film", "plot", "was", "and", "a", "scene", "actor", "of", "with", "very")
NAMES = (("Ada Berg", "PER"), ("Ada", "PER"), ("Berg", "LOC"), ("Olm", "LOC"), ("Olm", "PER"))
DOCUMENT: dict[str, Any] = {
    "task": "sentiment",
    "model": "sample:bert",
    "strategy": "random",
    "seed": 7,
    "data": {"train": "train.jsonl", "validation": "validation.jsonl"},
    "budget": {"trials": 2},
    "fine_tuning": {"dropout": 0.1},  # so that the random state matters
    "training": {"per_device_train_batch_size": 8, "num_train_epochs": 2},
    "space": {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
}


NER = {
    "task": "ner",
    "data": {"train": "ner-train.jsonl", "validation": "ner-validation.jsonl"},
}
"""What `document` takes to make it a study of named entities."""


quieten()  # as a command does; a logged failure would also keep its model alive


def write_data(folder: Path) -> None:
    """Write `train.jsonl`, `validation.jsonl`, `ner-train.jsonl` and `ner-validation.jsonl`."""
    draw = random.Random(0)
    labels = ("negative", "positive") * ((TRAIN_ROWS + VALIDATION_ROWS) // 2)
    texts = [{"text": _text(draw, label), "label": label} for label in labels]
    sentences = [_sentence(draw) for _ in labels]
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, rows in (("", texts), ("ner-", sentences)):
        for split, part in (("train", rows[:TRAIN_ROWS]), ("validation", rows[TRAIN_ROWS:])):
            text = "\n".join(json.dumps(row) for row in part)
            (folder / f"{prefix}{split}.jsonl").write_text(text, encoding="utf-8")


def _sentence(draw: random.Random) -> dict[str, list[str]]:
    tokens, tags = [], []
    for _ in range(draw.randint(1, 5)):
        words = draw.choices(FILLER, k=draw.randint(1, 4))
        name, kind = draw.choice(NAMES)
        tokens += [*words, *name.split()]
        tags += ["O"] * len(words) + [f"B-{kind}", f"I-{kind}"][: len(name.split())]
    return {"tokens": tokens, "ner_tags": tags}


def _text(draw: random.Random, label: str) -> str:
    mine, other = (GOOD, BAD) if label == "positive" else (BAD, GOOD)
    words = draw.choices(FILLER, k=draw.randint(1, 20)) + draw.choices(mine, k=3)
    words += draw.choices(other, k=draw.randint(0, 1))
    draw.shuffle(words)
    return " ".join(words)


def document(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a study's document: `DOCUMENT` with some top-level keys replaced.

    Tables are merged, but for `space`; None takes a key away.
    """
    made = {**DOCUMENT}
    for key, value in (changes or {}).items():
        merged = isinstance(value, Mapping) and key != "space"
        made[key] = {**made.get(key, {}), **value} if merged else value
    return {key: value for key, value in made.items() if value is not None}


def write_study(path: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write a study file, and its data beside it."""
    write_data(path.parent)
    lines = [f"{key} = {json.dumps(value)}" for key, value in flatten(document(changes)).items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def make_spec(changes: Mapping[str, Any] | None = None) -> StudySpec:
    """Return a study's specification."""
    return parse(document(changes), "study.toml")


def make_workspace(folder: Path, changes: Mapping[str, Any] | None = None) -> Workspace:
    """Return a study's workspace; the study's data is written into the folder.

    The cache lies beside the folder: tests share the model and the encoded data.
    """
    write_data(folder)
    _forget_imports()
    return Workspace(make_spec(changes), folder, folder / "runs" / "study", folder.parent / "cache")


@cache
def _forget_imports() -> None:
    # Trainer collects garbage three times a trial, and looks at all that was ever imported.
    gc.collect()
    gc.freeze()


def make_job(workspace: Workspace, name: str = "trial-0000", **params: Any) -> Job:
    """Return the job of one trial with some parameters."""
    resolved = recipe.resolve(workspace.spec, {"learning_rate": 1e-3, **params})
    return workspace.job(resolved, workspace.folder / name)


def elsewhere(job: Job, folder: Path) -> Job:
    """Return the same job with another folder."""
    return replace(job, folder=folder)
