"""Sentiment analysis: one class a text, any number of classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
)

from hpo import mistakes
from hpo.data import Layout
from hpo.mistakes import Answers, Mistakes
from hpo.tallies import Tally
from hpo.tasks import Direction, Encoding, Metrics


class Sentiment:
    """A text and its class; a text longer than the model takes is cut at one side."""

    name = "sentiment"
    layout: Layout = "text"
    metric = "accuracy"
    metrics: Mapping[str, Direction] = {
        "accuracy": "maximize",
        "macro_f1": "maximize",
        "mcc": "maximize",
        "loss": "minimize",
    }
    takes_words = False
    # Sun et al. 2019, section 5.2 (https://arxiv.org/abs/1905.05583)
    published: Mapping[str, float] = {"learning_rate": 2e-5, "num_train_epochs": 4}

    def auto_model(self) -> Any:
        """Return transformers' Auto class of the task."""
        return AutoModelForSequenceClassification

    def encode(
        self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, encoding: Encoding
    ) -> Dataset:
        """Return one input a text, cut to the longest that the model takes; `row` is its number."""
        ids = {label: index for index, label in enumerate(encoding.labels)}
        tokenizer.truncation_side = encoding.truncation_side

        def batch(examples: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
            inputs = tokenizer(
                examples["text"],
                truncation=True,
                max_length=encoding.max_length,
                return_attention_mask=True,
            )
            for tokens, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
                if not tokens:  # GPT adds no special token, and reads nothing in U+200B
                    tokens.append(tokenizer.unk_token_id)
                    mask.append(1)
            lengths = [len(tokens) for tokens in inputs["input_ids"]]
            labels = [ids[label] for label in examples["label"]]
            return {**inputs, "labels": labels, "length": lengths, "row": indices}

        return rows.map(batch, batched=True, with_indices=True, remove_columns=rows.column_names)

    def collator(self, tokenizer: PreTrainedTokenizerBase, *, multiple_of: int | None) -> Any:
        """Return the collator that pads a batch to its longest input."""
        return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple_of)

    def scorer(
        self, rows: Dataset, inputs: Dataset, labels: Sequence[str]
    ) -> Callable[[np.ndarray], Metrics]:
        """Return the function from predicted classes (inputs,) to metrics."""
        gold = np.asarray(inputs["labels"])  # `rows` come in another order
        return lambda predicted: score(gold, predicted, labels)

    def tally(
        self, rows: Dataset, inputs: Dataset, labels: Sequence[str], predicted: np.ndarray
    ) -> Tally:
        """Return of each input which class is right, predicted and gold."""
        classes = np.arange(len(labels))
        found, gold = (
            np.asarray(each)[:, None] == classes for each in (predicted, inputs["labels"])
        )
        return Tally(labels, np.stack([found & gold, found, gold], axis=-1).astype(np.int32))

    def mistakes(
        self, rows: Dataset, inputs: Dataset, labels: Sequence[str], answers: Answers
    ) -> Mistakes:
        """Return which class was taken for which, and the rows whose class was least likely."""
        return mistakes.of_classes(inputs["row"], np.asarray(inputs["labels"]), answers, labels)


def score(gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str]) -> Metrics:
    """Score predicted classes.

    Args:
        gold: (rows,) the right classes.
        predicted: (rows,) the predicted ones.
        labels: the names of the classes.

    Returns:
        `accuracy`; `macro_f1`, over the classes that occur in gold or prediction; `mcc`, Matthews'
        correlation (Gorodkin 2004 for more than two classes); and for each class
        `NAME.precision`, `NAME.recall`, `NAME.f1` and `NAME.support`.
    """
    classes = np.arange(len(labels))
    by_class = precision_recall_fscore_support(gold, predicted, labels=classes, zero_division=0)
    occurring = np.isin(classes, np.union1d(gold, predicted))
    metrics = {
        "accuracy": float(np.mean(gold == predicted)),
        "macro_f1": float(np.mean(by_class[2][occurring])),
        # sklearn warns where one class is all there is
        "mcc": float(matthews_corrcoef(gold, predicted)) if occurring.sum() > 1 else 0.0,
    }
    for name, *values in zip(labels, *by_class, strict=True):
        for metric, value in zip(("precision", "recall", "f1", "support"), values, strict=True):
            metrics[f"{name}.{metric}"] = float(value)
    return metrics


SENTIMENT = Sentiment()
