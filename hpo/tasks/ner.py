"""Named entity recognition: one tag a word, scored by whole entities."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2, Entities
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedTokenizerBase,
)

from hpo import mistakes
from hpo.data import Layout
from hpo.entities import entities
from hpo.mistakes import Answers, Mistakes
from hpo.tallies import Tally
from hpo.tasks import Direction, Encoding, Metrics
from hpo.tasks.windows import places

IGNORED = -100  # torch's cross entropy leaves such labels out


class NER:
    """A list of words and their IOB2 tags.

    A word is labelled and read at one of its sub-tokens (the first; for a causal model the last);
    input longer than the model takes goes through overlapping windows.
    """

    name = "ner"
    layout: Layout = "tokens"
    metric = "f1"
    metrics: Mapping[str, Direction] = {
        "f1": "maximize",
        "precision": "maximize",
        "recall": "maximize",
        "macro_f1": "maximize",
        "loss": "minimize",
    }
    takes_words = True
    published: Mapping[str, float] = {}  # Devlin et al. fine-tuned CoNLL-2003 as all their tasks

    def auto_model(self) -> Any:
        """Return transformers' Auto class of the task."""
        return AutoModelForTokenClassification

    def encode(
        self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, encoding: Encoding
    ) -> Dataset:
        """Return one input a window; `row`, `words` and `positions` say what it stands for.

        A window that owns no word is left out: there is nothing to learn or to read in it.
        """
        ids = {label: index for index, label in enumerate(encoding.labels)}
        tokenizer.truncation_side = "right"  # windows from the first word on

        def batch(examples: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
            inputs = tokenizer(
                examples["tokens"],
                is_split_into_words=True,
                truncation=True,
                max_length=encoding.max_length,
                stride=_stride(encoding.max_length, tokenizer),
                return_overflowing_tokens=True,
                return_attention_mask=True,
            )
            sample = inputs.pop("overflow_to_sample_mapping")
            ours = ("labels", "length", "row", "words", "positions")
            out: dict[str, list[Any]] = {name: [] for name in (*inputs, *ours)}
            for first, after in _runs(sample):
                windows = [inputs.word_ids(index) for index in range(first, after)]
                tags = examples["tags"][sample[first]]
                for index, owned in enumerate(places(windows, last=encoding.causal), start=first):
                    if not owned:
                        continue  # the mean loss of a batch without any label is NaN
                    for name, values in inputs.items():
                        out[name].append(values[index])
                    labels = [IGNORED] * len(inputs["input_ids"][index])
                    for place in owned:
                        labels[place.position] = ids[tags[place.word]]
                    out["labels"].append(labels)
                    out["length"].append(len(labels))
                    out["row"].append(indices[sample[first]])
                    out["words"].append([place.word for place in owned])
                    out["positions"].append([place.position for place in owned])
            return out

        return rows.map(batch, batched=True, with_indices=True, remove_columns=rows.column_names)

    def collator(self, tokenizer: PreTrainedTokenizerBase, *, multiple_of: int | None) -> Any:
        """Return the collator that pads a batch to its longest input."""
        return DataCollatorForTokenClassification(
            tokenizer, pad_to_multiple_of=multiple_of, label_pad_token_id=IGNORED
        )

    def scorer(
        self, rows: Dataset, inputs: Dataset, labels: Sequence[str]
    ) -> Callable[[np.ndarray], Metrics]:
        """Return the function from predicted classes (inputs, padded length) to metrics."""
        gold = list(rows["tags"])
        places_of = _places_of(inputs)
        types = _types(labels)
        return lambda predicted: score(gold, _tags(gold, places_of, labels, predicted), types)

    def tally(
        self, rows: Dataset, inputs: Dataset, labels: Sequence[str], predicted: np.ndarray
    ) -> Tally:
        """Return of each sentence how many entities of each type are right, predicted and gold."""
        gold = list(rows["tags"])
        tags = _tags(gold, _places_of(inputs), labels, predicted)
        types = _types(labels)
        counts = np.zeros((len(gold), len(types), 3), np.int32)
        for row, sentences in enumerate(zip(tags, gold, strict=True)):
            found, right = (set(entities(sentence)) for sentence in sentences)
            for place, whole in enumerate((found & right, found, right)):
                for name, _, _ in whole:
                    counts[row, types.index(name), place] += 1
        return Tally(types, counts)

    def mistakes(
        self, rows: Dataset, inputs: Dataset, labels: Sequence[str], answers: Answers
    ) -> Mistakes:
        """Return which type was taken for which, and the sentences whose tags were least likely."""
        gold, places_of = list(rows["tags"]), _places_of(inputs)
        losses = np.zeros(len(gold))
        for (row, _, positions), line in zip(places_of, answers.losses, strict=True):
            losses[row] += line[positions].sum()
        tags = _tags(gold, places_of, labels, answers.predicted)
        right, found = ([entities(each) for each in lines] for lines in (gold, tags))
        return mistakes.of_entities(right, found, losses, _types(labels))


_Places = list[tuple[int, list[int], list[int]]]  # of each input: row, words, positions


def _places_of(inputs: Dataset) -> _Places:
    return list(zip(inputs["row"], inputs["words"], inputs["positions"], strict=True))


def _tags(
    gold: Sequence[Sequence[str]], places_of: _Places, labels: Sequence[str], predicted: np.ndarray
) -> list[list[str]]:
    tags = [["O"] * len(sentence) for sentence in gold]
    for (row, words, positions), line in zip(places_of, predicted, strict=True):
        for word, position in zip(words, positions, strict=True):
            tags[row][word] = labels[line[position]]
    return tags


def _types(labels: Sequence[str]) -> list[str]:
    return sorted({label[2:] for label in labels if label != "O"})


def score(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], types: Sequence[str] = ()
) -> Metrics:
    """Score IOB2 tags by whole entities, strictly: type and both ends must agree.

    The measure of CoNLL-2003 (Tjong Kim Sang and De Meulder 2003) as seqeval computes it in its
    strict mode: a predicted I- that continues nothing is no entity.

    Args:
        gold: the right tags of each sentence.
        predicted: the predicted ones.
        types: entity types that get figures of their own, whether they occur or not.

    Returns:
        `precision`, `recall`, `f1` (micro); `macro_f1`, over the types that occur; and for each
        type `TYPE.precision`, `TYPE.recall`, `TYPE.f1` and `TYPE.support`.
    """
    metrics = dict.fromkeys(("precision", "recall", "f1", "macro_f1"), 0.0)
    figures = ("precision", "recall", "f1", "support")
    metrics |= {f"{name}.{figure}": 0.0 for name in types for figure in figures}
    found = {"entities_true": Entities(gold, IOB2), "entities_pred": Entities(predicted, IOB2)}
    occurring = sorted({entity.tag for entities in found.values() for line in entities.entities
                    for entity in line})  # fmt: skip
    if not occurring:  # seqeval takes no data without any entity
        return metrics
    options: dict[str, Any] = {"scheme": IOB2, "zero_division": 0, **found}
    micro = precision_recall_fscore_support(gold, predicted, average="micro", **options)
    by_type = precision_recall_fscore_support(gold, predicted, average=None, **options)
    metrics |= zip(("precision", "recall", "f1"), map(float, micro[:3]), strict=True)
    metrics["macro_f1"] = float(np.mean(by_type[2]))
    for name, *values in zip(occurring, *by_type, strict=True):
        for figure, value in zip(figures, values, strict=True):
            metrics[f"{name}.{figure}"] = float(value)
    return metrics


def _stride(max_length: int, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the overlap of two windows, a quarter of a window, in sub-tokens."""
    return (max_length - tokenizer.num_special_tokens_to_add()) // 4


def _runs(sample: Sequence[int]) -> list[tuple[int, int]]:
    """Split window numbers into (first, after the last) for each sentence."""
    starts = [i for i, row in enumerate(sample) if i == 0 or row != sample[i - 1]]
    return list(zip(starts, [*starts[1:], len(sample)], strict=True))


NER_TASK = NER()
