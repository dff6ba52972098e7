"""NER reads each word once, loses none to truncation, and scores strictly over the full gold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from hpo import pretrained, tokenization
from hpo.pretrained import Source
from hpo.tasks import Encoding
from hpo.tasks.ner import IGNORED, NER_TASK, score

LABELS = ["O", "B-PER", "I-PER", "B-creative-work", "I-creative-work"]
EMPTY = ["", "\u200b", "\ufe0f", "\u200d\ufe0f"]  # no sub-token, at least for BERT and GPT
LONG = "Donaudampfschifffahrtsgesellschaftskapitän-" * 3

Tags = list[list[str]]


def sentence(words: Sequence[str], entities: dict[int, str]) -> dict[str, list[str]]:
    """Return a row with a tag for each word."""
    return {"tokens": list(words), "tags": [entities.get(at, "O") for at in range(len(words))]}


ROWS = [
    sentence(["Anna", "Berg", "sang"], {0: "B-PER", 1: "I-PER"}),
    sentence(["", "Anna", "\u200b", "\ufe0f", "Berg", ""], {1: "B-PER", 4: "B-PER"}),
    sentence(EMPTY, {}),
    sentence([LONG, "saw", LONG, LONG], {0: "B-PER", 2: "B-creative-work", 3: "I-creative-work"}),
    sentence(["10 000", " x", "<|endoftext|>", "[SEP]", "</s>"], {0: "B-PER", 4: "B-PER"}),
    sentence(
        [f"word{at}" for at in range(90)],
        {at: LABELS[1 + at % 4] for at in range(0, 90, 3)} | {89: "B-PER"},
    ),
]


def dataset(rows: Sequence[dict[str, list[str]]] = ROWS) -> Dataset:
    """Return rows as a data set."""
    return Dataset.from_list(list(rows))


def load(source: Source) -> tuple[Any, bool]:
    """Return the tokenizer of a model, and whether the model is causal."""
    causal = pretrained.is_causal(pretrained.load_config(source))
    return tokenization.load_tokenizer(source, words=True, causal_classifier=False), causal


def encode(source: Source, rows: Dataset, max_length: int) -> Dataset:
    """Encode rows as a study would."""
    tokenizer, causal = load(source)
    return NER_TASK.encode(rows, tokenizer, Encoding(LABELS, max_length, causal=causal))


def oracle(inputs: Dataset, wrong: int) -> np.ndarray:
    """Predict what is labelled at each labelled sub-token, and `wrong` at all others."""
    predicted = np.full((len(inputs), max(inputs["length"])), wrong)
    for line, labels in zip(predicted, inputs["labels"], strict=True):
        for position, label in enumerate(labels):
            if label != IGNORED:
                line[position] = label
    return predicted


@pytest.mark.parametrize("max_length", [8, 16, 32, 64])
def test_nothing_is_truncated(source: Source, max_length: int) -> None:
    """A perfect model scores 1 over the full gold, whatever it predicts where nobody reads."""
    rows = dataset()
    inputs = encode(source, rows, max_length)
    assert max(inputs["length"]) == max_length
    score_of = NER_TASK.scorer(rows, inputs, LABELS)
    for wrong in range(len(LABELS)):
        metrics = score_of(oracle(inputs, wrong))
        assert metrics["f1"] == metrics["macro_f1"] == 1.0
    gold = sum(tag.startswith("B-") for tags in rows["tags"] for tag in tags)
    assert metrics["PER.support"] + metrics["creative-work.support"] == gold


@pytest.mark.parametrize("max_length", [8, 64])
def test_all_o_scores_0(source: Source, max_length: int) -> None:
    """A model that finds nothing scores 0."""
    rows = dataset()
    inputs = encode(source, rows, max_length)
    metrics = NER_TASK.scorer(rows, inputs, LABELS)(np.zeros_like(oracle(inputs, 0)))
    assert metrics["f1"] == metrics["precision"] == metrics["recall"] == metrics["macro_f1"] == 0


def test_one_label_a_word(source: Source) -> None:
    """A word is labelled at its first sub-token, at its last for a causal model, and once."""
    rows = dataset()
    inputs = encode(source, rows, 512)
    tokenizer, causal = load(source)
    assert causal == (source.name in {"sample:gpt2", "sample:openai-gpt"})
    encoded = tokenizer(list(rows["tokens"]), is_split_into_words=True)
    for row, ids, labels in zip(inputs["row"], inputs["input_ids"], inputs["labels"], strict=True):
        assert ids == encoded["input_ids"][row]
        spans: dict[int, list[int]] = {}
        for position, word in enumerate(encoded.word_ids(row)):
            if word is not None:
                spans.setdefault(word, []).append(position)
        expected = [IGNORED] * len(ids)
        for word, positions in spans.items():
            position = positions[-1] if causal else positions[0]
            expected[position] = LABELS.index(rows[row]["tags"][word])
        assert labels == expected


def test_more_rows_than_a_batch(model_folders: dict[str, Path]) -> None:
    """Rows are numbered through: an input stands for its own row, however many there are."""
    rows = dataset([*ROWS, *([sentence(["Anna", "sang"], {0: "B-PER"})] * 1000), *ROWS])
    inputs = encode(Source("sample:bert", str(model_folders["bert"])), rows, 64)
    assert max(inputs["row"]) == len(rows) - 1
    assert NER_TASK.scorer(rows, inputs, LABELS)(oracle(inputs, 0))["f1"] == 1.0


def test_words_without_sub_tokens_count_as_o(source: Source) -> None:
    """An entity on a word that the tokenizer drops is missed, and shifts no other."""
    rows = dataset(
        [
            sentence(["Anna", "", "Berg"], {1: "B-PER", 2: "B-creative-work"}),
            sentence(["Anna"], {0: "B-PER"}),
        ]
    )
    inputs = encode(source, rows, 16)
    metrics = NER_TASK.scorer(rows, inputs, LABELS)(oracle(inputs, 0))
    read = load(source)[0]([""], is_split_into_words=True).word_ids().count(0)
    assert read == 0
    assert metrics["PER.recall"] == 0.5
    assert metrics["creative-work.f1"] == 1.0


def test_windows_without_a_word_are_left_out(source: Source) -> None:
    """Each input has something to learn: the mean loss over no label is NaN."""
    rows = dataset([*ROWS, sentence([""], {}), sentence([LONG], {0: "B-PER"})])
    inputs = encode(source, rows, 8)
    for labels in inputs["labels"]:
        assert set(labels) != {IGNORED}
    assert len(ROWS) not in inputs["row"]
    assert list(inputs["row"]).count(len(ROWS) + 1) == 1


words = st.one_of(
    st.sampled_from([*EMPTY, LONG, "Anna", "Berg", "isn't", "10 000", " ", "ﬁ", "日本", "<unk>"]),
    st.text(st.characters(codec="utf-8"), max_size=8),
)


@pytest.mark.parametrize("max_length", [8, 9, 13])
def test_any_words(source: Source, max_length: int) -> None:
    """Whatever the words are, each one that has sub-tokens is labelled once, none is shifted."""
    tokenizer, causal = load(source)
    encoding = Encoding(LABELS, max_length, causal=causal)

    @settings(max_examples=10)
    @given(st.lists(st.lists(words, min_size=1, max_size=30), min_size=1, max_size=3))
    @example([["日本", "<unk>", "[SEP]", "</s>", "<|pad|>", "\n", "a b"]])
    def check(texts: list[list[str]]) -> None:
        rows = dataset([sentence(["x"], {}), *(sentence(text, {}) for text in texts)])
        inputs = NER_TASK.encode(rows, tokenizer, encoding)
        assert max(inputs["length"]) <= max_length
        whole = tokenizer(list(rows["tokens"]), is_split_into_words=True)
        read: list[list[int]] = [[] for _ in rows]
        for row, owned, positions, ids in zip(
            inputs["row"], inputs["words"], inputs["positions"], inputs["input_ids"], strict=True
        ):
            read[row] += owned
            for word, position in zip(owned, positions, strict=True):
                own = [
                    token
                    for token, place in zip(
                        whole["input_ids"][row], whole.word_ids(row), strict=True
                    )
                    if place == word
                ]
                assert ids[position] in own
        for row, found in enumerate(read):
            assert sorted(found) == sorted({*whole.word_ids(row)} - {None})

    check()


def test_truncation_side_of_the_tokenizer_does_not_matter(source: Source) -> None:
    """A tokenizer that cuts on the left gives the same windows."""
    rows = dataset()
    expected = encode(source, rows, 16)
    tokenizer, causal = load(source)
    tokenizer.truncation_side = "left"
    found = NER_TASK.encode(rows, tokenizer, Encoding(LABELS, 16, causal=causal))
    assert found.to_dict() == expected.to_dict()


def test_order_of_evaluation_does_not_matter(source: Source) -> None:
    """Inputs and predictions in another order, together, give the same score."""
    rows = dataset()
    inputs = encode(source, rows, 8)
    generator = np.random.default_rng(0)
    predicted = oracle(inputs, 0)
    noisy = generator.random(predicted.shape) < 0.3
    predicted[noisy] = generator.integers(0, len(LABELS), noisy.sum())
    expected = NER_TASK.scorer(rows, inputs, LABELS)(predicted)
    assert 0 < expected["f1"] < 1
    order = generator.permutation(len(inputs))
    assert NER_TASK.scorer(rows, inputs.select(order), LABELS)(predicted[order]) == expected


def test_collator_pads_labels(source: Source) -> None:
    """Padding is neither attended to nor labelled."""
    inputs = encode(source, dataset(), 16).select_columns(["input_ids", "attention_mask", "labels"])
    batch = NER_TASK.collator(load(source)[0], multiple_of=8)([inputs[0], inputs[1]])
    for row in range(2):
        length = len(inputs[row]["input_ids"])
        assert batch["labels"].shape == batch["input_ids"].shape
        assert batch["labels"].shape[1] % 8 == 0
        assert (batch["labels"][row, length:] == IGNORED).all()
        assert (batch["attention_mask"][row] == 1).sum() == length


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Read entities from the definition of IOB2: a B- and the I- of its type right after it."""
    found = set()
    for start, tag in enumerate(tags):
        if tag.startswith("B-"):
            end = start + 1
            while end < len(tags) and tags[end] == f"I-{tag[2:]}":
                end += 1
            found.add((tag[2:], start, end))
    return found


def ratio(part: int, whole: int) -> float:
    """Return a share, 0 of nothing."""
    return part / whole if whole else 0.0


def harmonic(precision: float, recall: float) -> float:
    """Return F1."""
    return ratio(2 * precision * recall, precision + recall)  # type: ignore[arg-type]


def reference(gold: Tags, predicted: Tags) -> dict[str, float]:
    """Score entities from the definition."""
    pairs = [
        (entities(right), entities(guess)) for right, guess in zip(gold, predicted, strict=True)
    ]
    types = {kind for pair in pairs for found in pair for kind, _, _ in found}
    counts = {
        kind: [
            sum(len([e for e in found if e[0] == kind]) for found in column)
            for column in ([r & g for r, g in pairs], [g for _, g in pairs], [r for r, _ in pairs])
        ]
        for kind in types
    }
    metrics: dict[str, float] = {}
    for kind, (hits, found, support) in counts.items():
        precision, recall = ratio(hits, found), ratio(hits, support)
        metrics[f"{kind}.precision"] = precision
        metrics[f"{kind}.recall"] = recall
        metrics[f"{kind}.f1"] = harmonic(precision, recall)
        metrics[f"{kind}.support"] = support
    hits, found, support = (
        (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 0, 0)
    )
    metrics["precision"], metrics["recall"] = ratio(hits, found), ratio(hits, support)
    metrics["f1"] = harmonic(metrics["precision"], metrics["recall"])
    f1s = [metrics[f"{kind}.f1"] for kind in types]
    metrics["macro_f1"] = sum(f1s) / len(f1s) if f1s else 0.0
    return metrics


TYPES = ["PER", "creative-work", "a-b-c"]
tags = st.sampled_from(["O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")])


@st.composite
def tagged(draw: st.DrawFn) -> tuple[Tags, Tags]:
    """Draw gold and predicted tags of some sentences; invalid sequences are among them."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    gold = [draw(st.lists(tags, min_size=count, max_size=count)) for count in lengths]
    near = [[draw(st.one_of(st.just(tag), tags)) for tag in line] for line in gold]
    return gold, near


@given(tagged())
@example(([["B-PER", "I-PER"]], [["I-PER", "I-PER"]]))
@example(([["B-PER", "I-a-b-c"]], [["B-PER", "O"]]))
@example(([["O"]], [["O"]]))
@example(([["O"]], [["B-PER"]]))
def test_score_is_strict(pair: tuple[Tags, Tags]) -> None:
    """The score is what the definition says, for any tags."""
    assert score(*pair) == pytest.approx(reference(*pair))


@given(tagged())
def test_score_equals_seqeval(pair: tuple[Tags, Tags]) -> None:
    """The score is what seqeval reports in its strict mode, wherever it reports anything."""
    gold, predicted = pair
    if not any(entities(line) for line in gold + predicted):
        return
    report = classification_report(
        gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
    )
    expected = {
        f"{kind}.{name.removesuffix('-score')}": value
        for kind, values in report.items()
        if not kind.endswith(" avg")
        for name, value in values.items()
    }
    for name in ("precision", "recall", "f1"):
        expected[name] = report["micro avg"][name.replace("f1", "f1-score")]
    expected["macro_f1"] = report["macro avg"]["f1-score"]
    assert score(gold, predicted) == pytest.approx(expected)
