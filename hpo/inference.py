"""A fine-tuned model as it was scored: full precision, the task's own encoding, the same batches.

Texts that are too long go through windows (NER) or are cut (sentiment) as in scoring.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from hpo import manifest, pretrained, tokenization
from hpo.device import Device, use_cores
from hpo.errors import ModelError
from hpo.manifest import Reading
from hpo.pretrained import Source, told
from hpo.tallies import Tally
from hpo.tasks import Encoding, Metrics, Task, load_task

_LONGEST_WINDOW = 1024  # sub-tokens, for NER; attention needs memory for their square
_SUFFIXES = {"ForTokenClassification": "ner", "ForSequenceClassification": "sentiment"}
_TARGETS = {"tokens": ("tokens", "tags"), "text": ("text", "label")}  # layout -> columns


@dataclass(frozen=True)
class Scored:
    """What a model scored on some rows.

    Args:
        metrics: as the task computes them; `loss` too, unless there are labels it does not know.
        tally: what was right, row by row.
        unknown: labels of the rows that the model was not trained on.
    """

    metrics: Metrics
    tally: Tally
    unknown: list[str]


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model, ready to read.

    Args:
        task: what it learned.
        encoding: how it reads.
        model: in evaluation mode, in full precision.
        tokenizer: of the model.
        batch_size: inputs that are read at once.
    """

    task: Task
    encoding: Encoding
    model: PreTrainedModel
    tokenizer: Any
    batch_size: int

    def probabilities(self, texts: Sequence[Any]) -> list[np.ndarray]:
        """Return the probabilities of the classes.

        Args:
            texts: a list of words each for NER, else strings.

        Returns:
            In the order of `texts`: (words, classes) for NER, else (classes,). A word that the
            tokenizer drops is O.
        """
        inputs = self._encode(self._rows(texts), self.encoding)
        outputs = [_softmax(logits) for logits in self._logits(inputs)[0]] if len(inputs) else []
        if not self.task.takes_words:
            return outputs
        outside = np.eye(len(self.encoding.labels))[list(self.encoding.labels).index("O")]
        found = [np.tile(outside, (len(words), 1)) for words in texts]
        for place, output in zip(inputs, outputs, strict=True):
            found[place["row"]][place["words"]] = output[place["positions"]]
        return found

    def score(self, rows: Dataset) -> Scored:
        """Score rows with gold, over all of it.

        Args:
            rows: of the task's layout (see `hpo.data.Split`).
        """
        _, target = _TARGETS[self.task.layout]
        gold = {name for each in rows[target] for name in ([each] if target == "label" else each)}
        unknown = sorted(gold - {*self.encoding.labels})
        labels = [*self.encoding.labels, *unknown]
        if len(rows) == 0:
            raise ValueError("found no rows to score")
        inputs = self._encode(rows, replace(self.encoding, labels=labels))
        # The order of an evaluation while training: batches are the same, to the last digit.
        inputs = inputs.select(np.argsort(-np.asarray(inputs["length"]), kind="stable"))
        logits, loss = self._logits(inputs, with_loss=not unknown)
        predicted = _padded([each.argmax(-1) for each in logits])
        metrics = self.task.scorer(rows, inputs, labels)(predicted)
        tally = self.task.tally(rows, inputs, labels, predicted)
        return Scored({**metrics, **({} if loss is None else {"loss": loss})}, tally, unknown)

    def _rows(self, texts: Sequence[Any]) -> Dataset:
        name, target = _TARGETS[self.task.layout]
        label = self.encoding.labels[0]  # any: it is not looked at
        targets = [[label] * len(each) if self.task.takes_words else label for each in texts]
        return Dataset.from_dict({name: list(texts), target: targets})

    def _encode(self, rows: Dataset, encoding: Encoding) -> Dataset:
        return self.task.encode(rows, self.tokenizer, encoding)

    def _logits(
        self, inputs: Dataset, *, with_loss: bool = False
    ) -> tuple[list[np.ndarray], float | None]:
        """Return the logits of each input without its padding, and the mean loss of the batches."""
        device = self.model.device
        multiple_of = None if device.type == "cpu" else 8
        collate = self.task.collator(self.tokenizer, multiple_of=multiple_of)
        taken = {*inspect.signature(self.model.forward).parameters, "labels"}
        columns = [name for name in inputs.column_names if name in taken]
        rows = inputs.select_columns(columns)
        lengths = np.asarray(inputs["length"], int)
        order = np.argsort(-lengths, kind="stable")
        found: list[np.ndarray] = [np.empty(0)] * len(inputs)
        losses: list[np.ndarray] = []
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            batch = {
                name: value.to(device)
                for name, value in collate([rows[int(index)] for index in chosen]).items()
            }
            labels = batch.pop("labels")
            with torch.inference_mode():
                logits = self.model(**batch).logits.float()
                if with_loss:
                    flat = logits.view(-1, logits.shape[-1])
                    loss = torch.nn.functional.cross_entropy(flat, labels.view(-1))
                    losses.append(np.full(len(chosen), loss.item(), np.float32))
            for index, each in zip(chosen, logits.cpu().numpy(), strict=True):
                found[index] = each[: lengths[index]] if each.ndim > 1 else each
        loss_of_all = float(np.concatenate(losses).mean()) if losses else None
        return found, loss_of_all


def load(folder: Path, reading: Reading | None = None, *, trust: bool = False) -> FineTuned:
    """Load a model that hpo fine-tuned.

    Args:
        folder: what `hpo export` wrote, or the `best` folder of a trial.
        reading: how it reads, where the folder has no `hpo.json`; else it reads as long inputs as
            model and tokenizer take (for NER in windows of 1024 sub-tokens at most).
        trust: whether code that the model brings along may run.

    Raises:
        ModelError: it is no such folder, or cannot be loaded.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: found no config.json; expected a folder that `hpo export` wrote, or the "
            "`best` folder of a trial"
        )
    source = Source(str(folder), str(folder), trust)
    config = pretrained.load_config(source)
    use_cores(int(getattr(config, "hidden_size", 0) or 0))
    told_here = manifest.reading_of(folder)
    reading = told_here or reading or _derived(source, config)
    task, encoding = load_task(reading.task), reading.encoding
    tokenizer = tokenization.load_tokenizer(
        source,
        words=task.takes_words,
        causal_classifier=encoding.causal and not task.takes_words,
        truncation_side=encoding.truncation_side,
    )
    longest = tokenization.max_length_of(config, tokenizer)
    shortest = tokenizer.num_special_tokens_to_add() + 1
    if told_here is not None and not shortest <= encoding.max_length <= longest:
        raise ModelError(
            f"{folder / manifest.FILE}: reading.max_length: found {encoding.max_length}; the model "
            f"reads {shortest} to {longest} sub-tokens"
        )
    with told(source):
        model = task.auto_model().from_pretrained(
            folder, use_safetensors=None if trust else True, dtype=torch.float32, **source.options()
        )
    if model.config.num_labels != len(encoding.labels):
        raise ModelError(
            f"{folder}: found {model.config.num_labels} outputs for {len(encoding.labels)} labels; "
            f"expected the {manifest.FILE} of this model"
        )
    model.eval()
    return FineTuned(task, encoding, model.to(Device.here().kind), tokenizer, reading.batch_size)


def _derived(source: Source, config: Any) -> Reading:
    names: Mapping[int, str] = config.id2label
    labels = [names[index] for index in sorted(names)]
    kind = (getattr(config, "architectures", None) or [""])[0]
    task = next((task for suffix, task in _SUFFIXES.items() if kind.endswith(suffix)), None)
    if task is None:
        raise ModelError(
            f"{source.path}: found {kind or 'no architecture'} and no {manifest.FILE}; expected a "
            "model for NER or sentiment analysis"
        )
    words = task == "ner"
    with told(source):
        tokenizer = tokenization.load_tokenizer(source, words=words, causal_classifier=False)
    longest = tokenization.max_length_of(config, tokenizer)
    length = min(longest, _LONGEST_WINDOW) if words else longest
    side = tokenizer.init_kwargs.get("truncation_side", "right")
    return Reading(task, Encoding(labels, length, side, pretrained.is_causal(config)))


def _softmax(logits: np.ndarray) -> np.ndarray:
    # In doubles, so that classes whose logits differ have probabilities that do.
    shifted = np.exp(logits.astype(float) - logits.max(-1, keepdims=True))
    normal: np.ndarray = shifted / shifted.sum(-1, keepdims=True)
    return normal


def _padded(lines: Sequence[np.ndarray]) -> np.ndarray:
    if lines[0].ndim == 0:
        return np.asarray(lines)
    whole = np.zeros((len(lines), max(map(len, lines))), int)
    for row, line in zip(whole, lines, strict=True):
        row[: len(line)] = line
    return whole
