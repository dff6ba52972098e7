"""The generator: choices that repeat everywhere, polarity, disjoint inventories."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpo
from hpo import samples
from hpo.errors import DataError
from hpo.samples.grammar import Draw, Grammar, Polarity, by_split

SPLITS = ("train", "validation", "test")
NEGATION = Grammar(
    {
        "text": ["<clause>", "<clause> , <text>"],
        "clause": ["<quality>", "<quality>", "not <clause->"],
        "quality+": ["good", "fine"],
        "quality-": ["bad"],
    }
)


def test_rows_are_the_same_everywhere() -> None:
    """No row has changed: scores on the samples would no longer compare with earlier ones."""
    rows = [[getter(split) for split in SPLITS] for getter in (samples.ner, samples.sentiment)]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    assert digest[:16] == "9e6f95a805e19582"


def test_rows_may_be_changed_by_the_caller() -> None:
    """What a caller does to its rows does not reach the next caller."""
    samples.ner("test")[0]["tags"].clear()
    samples.sentiment("test")[0].clear()
    assert samples.ner("test")[0]["tags"]
    assert samples.sentiment("test")[0]


@pytest.mark.parametrize("generate", [samples.ner, samples.sentiment])
def test_unknown_split(generate: object) -> None:
    """An unknown split is named together with those there are."""
    assert callable(generate)
    with pytest.raises(DataError, match=r"'dev'; known are train, validation, test"):
        generate("dev")


def test_no_slow_import() -> None:
    """The rows cost no import of a slow library."""
    script = (
        "import sys; from hpo import samples; samples.ner('test'); samples.sentiment('test');"
        "print({'datasets', 'numpy', 'tokenizers', 'torch', 'transformers'} & {*sys.modules})"
    )
    root = Path(hpo.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@given(st.text(), st.lists(st.integers(), min_size=1), st.floats(0, 1))
def test_draw_repeats(seed: str, items: list[int], probability: float) -> None:
    """The same seed gives the same choices, all of them among the items."""
    one, other = Draw(seed), Draw(seed)
    for _ in range(5):
        choice = one.pick(items)
        assert choice in items
        assert choice == other.pick(items)
        assert one.chance(probability) == other.chance(probability)


@given(st.text(), st.sampled_from(["+", "-"]))
def test_polarity(seed: str, polarity: Polarity) -> None:
    """Every clause of an expansion has the polarity asked for, its negations counted."""
    text = " ".join(NEGATION.expand("text", Draw(seed), polarity))
    for clause in text.split(" , "):
        *negations, quality = clause.split()
        praise = (quality != "bad") == (len(negations) % 2 == 0)
        assert praise == (polarity == "+")


def test_symbols_without_a_rule_stay() -> None:
    """What the grammar does not know is left to the caller."""
    grammar = Grammar({"start": ["in <LOC> on <day>"], "day": ["Monday"]})
    assert list(grammar.expand("start", Draw("seed"))) == ["in", "<LOC>", "on", "Monday"]


@given(st.lists(st.text()))
def test_by_split(inventory: list[str]) -> None:
    """Every word is in one split, whatever its case and its neighbours."""
    parts = by_split(inventory)
    assert sorted(word for part in parts.values() for word in part) == sorted(set(inventory))
    for split, part in parts.items():
        for word in part:
            assert by_split([word.casefold()])[split]
