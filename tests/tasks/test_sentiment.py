"""Sentiment keeps the head or the tail of a long text, and scores any number of classes."""

from typing import Any, Literal

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report, matthews_corrcoef

from hpo import tokenization
from hpo.pretrained import Source
from hpo.tasks import Encoding
from hpo.tasks.sentiment import SENTIMENT, score

CLASSES = ["bad", "good", "so-so", "mixed"]
LONG = " ".join(f"word{at}" for at in range(40))


def encode(
    source: Source, texts: list[str], max_length: int, side: Literal["left", "right"] = "right"
) -> tuple[Dataset, Any]:
    """Encode texts as a study would; return the tokenizer too."""
    tokenizer = tokenization.load_tokenizer(source, words=False, causal_classifier=True)
    rows = Dataset.from_dict({"text": texts, "label": [CLASSES[2]] * len(texts)})
    return SENTIMENT.encode(rows, tokenizer, Encoding(CLASSES, max_length, side)), tokenizer


@pytest.mark.parametrize("side", ["left", "right"])
def test_truncation_side(source: Source, side: Literal["left", "right"]) -> None:
    """A long text keeps its tail if it is cut on the left, its head if on the right."""
    inputs, tokenizer = encode(source, [LONG, "word0"], 16, side)
    assert list(inputs["length"]) == [16, len(inputs[1]["input_ids"])]
    whole = tokenizer(LONG)["input_ids"]
    edge = tokenizer.num_special_tokens_to_add() // 2  # as many before the text as after it
    head, tail = (edge, 16 - edge) if side == "left" else (16 - edge, edge)
    assert inputs[0]["input_ids"] == whole[:head] + whole[len(whole) - tail :]


def test_labels_in_their_order(source: Source) -> None:
    """A label is the place of its name among the declared ones."""
    inputs, _ = encode(source, ["fine", "fine too"], 16)
    assert list(inputs["labels"]) == [2, 2]


def test_a_text_without_sub_tokens(source: Source) -> None:
    """A text in which the tokenizer reads nothing still gives an input."""
    inputs, tokenizer = encode(source, ["\u200b", "fine"], 16)
    assert min(inputs["length"]) > 0
    assert [len(ids) for ids in inputs["input_ids"]] == list(inputs["length"])
    columns = inputs.select_columns(["input_ids", "attention_mask", "labels"])
    batch = SENTIMENT.collator(tokenizer, multiple_of=None)(list(columns))
    assert batch["attention_mask"].sum(dim=1).tolist() == list(inputs["length"])
    if source.name == "sample:openai-gpt":
        assert inputs[0]["input_ids"] == [tokenizer.unk_token_id]


answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@given(answers)
def test_score_equals_sklearn(pairs: list[tuple[int, int]]) -> None:
    """Every figure is that of sklearn's report, whichever classes occur."""
    gold, predicted = np.array(pairs).T
    metrics = score(gold, predicted, CLASSES)
    occurring = [f"{at}" for at in np.union1d(gold, predicted)]
    report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    assert metrics["accuracy"] == pytest.approx(np.mean(gold == predicted))
    assert metrics["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    mcc = matthews_corrcoef(gold, predicted) if len(occurring) > 1 else 0.0
    assert metrics["mcc"] == pytest.approx(mcc)
    for at, name in enumerate(CLASSES):
        expected = (
            report[f"{at}"] if f"{at}" in occurring else dict.fromkeys(report["macro avg"], 0)
        )
        for metric in ("precision", "recall", "f1", "support"):
            key = "f1-score" if metric == "f1" else metric
            assert metrics[f"{name}.{metric}"] == pytest.approx(expected[key])


def test_a_class_absent_from_gold() -> None:
    """It counts where it is predicted, and not where it occurs nowhere."""
    gold = np.array([0, 0, 1, 1])
    assert score(gold, gold, CLASSES)["macro_f1"] == 1.0
    metrics = score(gold, np.array([0, 0, 1, 2]), CLASSES)
    assert metrics["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert metrics["so-so.support"] == 0
    assert metrics["mixed.f1"] == 0


def test_scorer_reads_rows_in_order(source: Source) -> None:
    """Predictions are compared with the rows' labels by name."""
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": ["good", "bad", "mixed"]})
    tokenizer = tokenization.load_tokenizer(source, words=False, causal_classifier=True)
    inputs = SENTIMENT.encode(rows, tokenizer, Encoding(CLASSES, 16))
    score_of = SENTIMENT.scorer(rows, inputs, CLASSES)
    assert score_of(np.array([1, 0, 3]))["accuracy"] == 1.0
    assert score_of(np.array([1, 0, 0]))["accuracy"] == pytest.approx(2 / 3)
