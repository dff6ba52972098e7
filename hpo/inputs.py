"""From rows to model inputs, once for each tokenizer and length: in memory and on disk.

The files are shared by trials and processes; whoever comes first builds them, behind a lock, and
what is built appears at its place in one step.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, load_from_disk
from filelock import FileLock
from transformers import PreTrainedTokenizerBase

from hpo import pretrained, tokenization
from hpo.data import StudyData
from hpo.manifest import Reading
from hpo.mistakes import Answers, Mistakes
from hpo.pretrained import Source
from hpo.spec import FineTuningSpec
from hpo.tasks import Encoding, Metrics, Task

KEPT = 16  # encoded data sets in a cache folder; the one used longest ago makes room
_VERSION = 2  # of the encoding; another one does not read what this one wrote


@dataclass(frozen=True)
class Inputs:
    """What a Trainer is fed with.

    Args:
        reading: how rows became inputs.
        tokenizer: of the model, fit for the task.
        train: shuffled by the sampler.
        validation: sorted by length, longest first, and evaluated in that order.
        score: from the predicted classes of `validation` to metrics.
        mistakes: from what a model says about `validation` to what is wrong.
    """

    reading: Reading
    tokenizer: PreTrainedTokenizerBase
    train: Dataset
    validation: Dataset
    score: Callable[[np.ndarray], Metrics]
    mistakes: Callable[[Answers], Mistakes]

    @property
    def encoding(self) -> Encoding:
        """How rows became inputs."""
        return self.reading.encoding


def prepare(
    task: Task, data: StudyData, source: Source, fine_tuning: FineTuningSpec, cache: Path
) -> Inputs:
    """Encode a study's data for one model.

    Args:
        task: knows how.
        data: the rows.
        source: the pretrained model whose tokenizer is used.
        fine_tuning: `max_length` and `truncation_side`.
        cache: the folder that keeps what was encoded.

    Raises:
        ModelError: the model cannot be loaded or does not fit.
    """
    config = pretrained.load_config(source)
    causal = pretrained.is_causal(config)
    tokenizer = tokenization.load_tokenizer(
        source,
        words=task.takes_words,
        causal_classifier=causal and not task.takes_words,
        truncation_side=fine_tuning.truncation_side,
    )
    encoding = Encoding(
        labels=data.labels,
        max_length=tokenization.resolve_max_length(
            fine_tuning.max_length, source, config, tokenizer
        ),
        truncation_side=fine_tuning.truncation_side,
        causal=causal,
    )
    # Saved with the weights: whoever uses them cuts a text where the trial cut it. Words are never
    # cut but read in windows; there it is the model's own limit.
    limit = tokenization.max_length_of(config, tokenizer)
    tokenizer.model_max_length = limit if task.takes_words else encoding.max_length
    splits = _encoded(task, data, tokenizer, encoding, cache)
    validation = splits["validation"]
    score = task.scorer(data.validation.rows, validation, data.labels)
    reading = Reading(task.name, encoding)

    def mistakes(answers: Answers) -> Mistakes:
        return task.mistakes(data.validation.rows, validation, data.labels, answers)

    return Inputs(reading, tokenizer, splits["train"], validation, score, mistakes)


def _encoded(
    task: Task, data: StudyData, tokenizer: Any, encoding: Encoding, cache: Path
) -> DatasetDict:
    folder = cache / _key(task, data, tokenizer, encoding)
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):
        if not folder.exists():
            _build(task, data, tokenizer, encoding, folder)
            _forget_oldest(cache)
        os.utime(folder)
        return DatasetDict(load_from_disk(str(folder)))


def _forget_oldest(cache: Path) -> None:
    # A searched `max_length` makes one a value. Who has one open keeps its files until the end.
    folders = sorted(cache.glob("*/"), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _build(task: Task, data: StudyData, tokenizer: Any, encoding: Encoding, folder: Path) -> None:
    train = task.encode(data.train.rows, tokenizer, encoding)
    validation = task.encode(data.validation.rows, tokenizer, encoding)
    order = np.argsort(-np.asarray(validation["length"]), kind="stable")
    unfinished = folder.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    DatasetDict(train=train, validation=validation.select(order)).save_to_disk(str(unfinished))
    unfinished.replace(folder)


def _key(task: Task, data: StudyData, tokenizer: Any, encoding: Encoding) -> str:
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # some models carry a length in their tokenizer; each call sets its own
    backend.no_padding()
    facts = [
        _VERSION,
        task.name,
        data.fingerprint,
        list(encoding.labels),
        encoding.max_length,
        encoding.truncation_side,
        encoding.causal,
        type(tokenizer).__name__,
        bool(tokenizer.split_special_tokens),
        backend.to_str(),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
