"""What a kept model reads is what was scored, to the last digit, in whatever process."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap
from seqeval.scheme import IOB2, Entities

from hpo import inference, manifest, tallies
from hpo.entities import entities
from hpo.errors import ModelError
from hpo.fine_tuning import fine_tune
from hpo.observer import Observer
from hpo.pretrained import Source, load_config
from hpo.tasks import Encoding, ner, sentiment
from tests.conftest import FAMILIES
from tests.studies_made import NER, make_job, make_workspace

TASKS: dict[str, dict[str, Any]] = {"ner": NER, "sentiment": {}}
SHORT = 10  # sub-tokens: most of the texts are longer
PROBE = """
import json, sys
from pathlib import Path
from datasets import Dataset
from hpo import inference
found = {}
for line in sys.argv[1:]:
    folder, rows = line.split("=")
    rows = Dataset.from_dict(json.loads(Path(rows).read_text()))
    found[folder] = inference.load(Path(folder)).score(rows).metrics
print(json.dumps(found))
"""


def fresh_process(*arguments: str) -> dict[str, dict[str, float]]:
    """Score folders of weights in a process of its own."""
    line = [sys.executable, "-c", PROBE, *arguments]
    ended = subprocess.run(line, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("task", TASKS)
def test_stored_metrics_are_reproduced_exactly(tmp_path: Path, task: str) -> None:
    """Of all families, with texts that are read in windows or cut, loss and all."""
    expected: dict[str, dict[str, float]] = {}
    arguments = []
    for family in FAMILIES:
        changes = {
            **TASKS[task], "model": f"sample:{family}", "fine_tuning": {"max_length": SHORT},
            "training": {"num_train_epochs": 4, "per_device_eval_batch_size": 5},
        }  # fmt: skip
        workspace = make_workspace(tmp_path / family, changes)
        job = make_job(workspace, learning_rate=3e-3)
        assert max(job.inputs.validation["length"]) == SHORT
        outcome = fine_tune(job, Observer())
        rows = tmp_path / f"{family}.json"
        rows.write_text(json.dumps(workspace.data.validation.rows.to_dict()), encoding="utf-8")
        expected[str(outcome.checkpoint)] = outcome.best.metrics
        arguments.append(f"{outcome.checkpoint}={rows}")
    assert fresh_process(*arguments) == expected
    objective = "f1" if task == "ner" else "accuracy"
    assert all(metrics[objective] > 0.1 for metrics in expected.values())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained model of each task."""
    folders = {}
    for task, changes in TASKS.items():
        folder = tmp_path_factory.mktemp(task) / "study"
        tuning = {"max_length": SHORT, "truncation_side": "left"}
        workspace = make_workspace(folder, {**changes, "fine_tuning": tuning})
        folders[task] = fine_tune(make_job(workspace), Observer()).checkpoint
    return folders


@pytest.mark.parametrize("task", TASKS)
def test_probabilities_are_those_of_each_text(trained: dict[str, Path], task: str) -> None:
    """One line a word or a text, in the order given, whatever else is read beside it."""
    model = inference.load(trained[task])
    words = ["the", "film", "of", "Ada", "Berg", "was", "very", "warm"]
    texts = [words[:count] for count in (8, 1, 30, 5)] + [words * 5]
    given = texts if task == "ner" else [" ".join(text) for text in texts]
    together = model.probabilities(given)
    for text, found, one in zip(texts, together, given, strict=True):
        (alone,) = model.probabilities([one])
        assert found.shape[:-1] == ((len(text),) if task == "ner" else ())
        assert np.allclose(found, alone, atol=1e-5)
        assert np.allclose(found.sum(-1), 1)
    assert model.probabilities([]) == []


def test_words_that_a_tokenizer_drops_are_outside(trained: dict[str, Path]) -> None:
    """They have no sub-token, and are O as in scoring."""
    model = inference.load(trained["ner"])
    (found,) = model.probabilities([["Ada", "\u200b", "\x00", "Berg"]])
    outside = list(model.encoding.labels).index("O")
    assert found[1:3, outside].tolist() == [1.0, 1.0]
    assert found[0, outside] < 1
    nothing, none, some = model.probabilities([["\u200b"], [], ["Ada"]])
    assert (nothing[0, outside], none.shape[0], some.shape[0]) == (1.0, 0, 1)
    assert model.probabilities([["\u200b"]])[0][0, outside] == 1.0
    assert model.probabilities([[]])[0].shape[0] == 0


@pytest.mark.parametrize("task", TASKS)
def test_labels_that_training_lacks(trained: dict[str, Path], task: str) -> None:
    """They are told, count as missed, and leave no loss."""
    rows = {
        "ner": {"tokens": [["Ada", "was"], ["Ada"]], "tags": [["B-GOD", "O"], ["B-PER"]]},
        "sentiment": {"text": ["warm", "dull"], "label": ["neutral", "negative"]},
    }[task]
    scored = inference.load(trained[task]).score(Dataset.from_dict(rows))
    new = {"ner": "B-GOD", "sentiment": "neutral"}[task]
    assert scored.unknown == [new]
    assert "loss" not in scored.metrics
    name = new.removeprefix("B-")
    assert scored.metrics[f"{name}.support"] == 1
    assert scored.metrics[f"{name}.recall"] == 0
    assert tallies.metric(scored.tally, f"{name}.recall")(scored.tally.counts.sum(0)) == 0


def test_folders_without_a_manifest(trained: dict[str, Path], tmp_path: Path) -> None:
    """It is read as long as model and tokenizer take, unless it is given how."""
    for task, folder in trained.items():
        whole = inference.load(folder)
        copy = tmp_path / task
        copy.mkdir()
        for path in folder.iterdir():
            if path.name != manifest.FILE:
                (copy / path.name).symlink_to(path)
        found = inference.load(copy)
        assert (found.task.name, found.encoding.labels) == (task, whole.encoding.labels)
        expected = found.model.config.max_position_embeddings if task == "ner" else SHORT
        assert found.encoding.max_length == expected
        told = inference.load(copy, manifest.reading_of(folder))
        assert told.encoding == whole.encoding


@pytest.mark.parametrize(("limit", "expected"), [(40, 40), (10**30, 1024)])
def test_the_window_of_a_foreign_model(
    trained: dict[str, Path], tmp_path: Path, limit: int, expected: int
) -> None:
    """The tokenizer's own where that is shorter; a model without any limit has one here."""
    for path in trained["ner"].iterdir():
        if path.name != manifest.FILE:
            shutil.copy(path, tmp_path)
    changes = {
        "tokenizer_config.json": {"model_max_length": limit},
        "config.json": {"max_position_embeddings": 4096},
    }
    for name, change in changes.items():
        told = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        (tmp_path / name).write_text(json.dumps({**told, **change}), encoding="utf-8")
    source = Source(str(tmp_path), str(tmp_path))
    found = inference._derived(source, load_config(source))
    assert found.encoding.max_length == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "found format"),
        ('{"format": 2}', "found format 2; expected 1"),
        ('{"format": 1}', "reading: found None; expected how the model reads"),
        ('{"format": 1, "reading": {}}', "reading.task: found nothing; expected the name"),
        ('{"format": 1, "reading": {"task": "ner", "labels": ["O"], "max_length": 9}}', "outputs"),
    ],
)
def test_damaged_manifests(
    trained: dict[str, Path], tmp_path: Path, content: str, message: str
) -> None:
    """One message says what is wrong with it."""
    for path in trained["ner"].iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / manifest.FILE).unlink()
    (tmp_path / manifest.FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        inference.load(tmp_path)


@pytest.mark.parametrize("length", [2, 513])
def test_lengths_that_the_model_does_not_read(
    trained: dict[str, Path], tmp_path: Path, length: int
) -> None:
    """A manifest that asks for longer inputs than the model's, or for nothing but markers."""
    for path in trained["sentiment"].iterdir():
        (tmp_path / path.name).symlink_to(path)
    written = json.loads((tmp_path / manifest.FILE).read_text(encoding="utf-8"))
    written["reading"]["max_length"] = length
    (tmp_path / manifest.FILE).unlink()
    (tmp_path / manifest.FILE).write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"max_length: found {length}; the model reads 3 to \d+"):
        inference.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "reading.batch_size: found 0; expected a number of inputs"),
        ({"batch_size": True}, "reading.batch_size: found True"),
        ({"max_length": "x"}, "reading.max_length: found 'x'; expected a number of sub-tokens"),
        ({"max_length": -5}, "reading.max_length: found -5"),
        ({"labels": "ab"}, "reading.labels: found 'ab'; expected a list of names"),
        ({"labels": [1, 2]}, "reading.labels: found"),
        ({"truncation_side": "middle"}, "reading.truncation_side: found 'middle'; expected left"),
        ({"causal": "yes"}, "reading.causal: found 'yes'; expected true or false"),
        ({"task": 3}, "reading.task: found 3"),
    ],
)
def test_readings_of_another_kind(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """What nobody can read by is told, where it is, before it is tried."""
    manifest.write(tmp_path, manifest.Reading("ner", Encoding(["O"], 8)))
    written = json.loads((tmp_path / manifest.FILE).read_text(encoding="utf-8"))
    assert manifest.reading_of(tmp_path) == manifest.Reading("ner", Encoding(["O"], 8))
    written["reading"] |= change
    (tmp_path / manifest.FILE).write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(ModelError, match=re.escape(message)) as told:
        manifest.reading_of(tmp_path)
    assert len(told.value.problems) == 1


def test_no_model_folder(tmp_path: Path) -> None:
    """It is told what would be one."""
    with pytest.raises(ModelError, match="expected a folder that `hpo export` wrote"):
        inference.load(tmp_path / "nowhere")


TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=1, max_size=9)


@given(TAGS)
def test_entities_are_seqevals(tags: list[str]) -> None:
    """Ours are those that seqeval finds in its strict mode."""
    (expected,) = Entities([tags], IOB2).entities
    assert entities(tags) == [(each.tag, each.start, each.end) for each in expected]


def _draw(task: str, seed: int) -> tuple[tallies.Tally, dict[str, float]]:
    """Return a tally of random predictions, and the metrics that the task computes of them."""
    draw = np.random.default_rng(seed)
    if task == "sentiment":
        labels = ["a", "b", "c"]
        gold = draw.integers(0, 3, 60)
        predicted = np.where(draw.random(60) < 0.6, gold, draw.integers(0, 2, 60))
        inputs = Dataset.from_dict({"labels": gold})
        tally = sentiment.SENTIMENT.tally(inputs, inputs, labels, predicted)
        return tally, sentiment.score(gold, predicted, labels)
    labels = ["O", "B-A", "I-A", "B-B", "I-B", "B-C", "I-C"]
    lines = draw.choice(5, (60, 8), p=[0.5, 0.2, 0.1, 0.1, 0.1])
    changed = np.where(draw.random((60, 8)) < 0.8, lines, draw.choice(5, (60, 8)))
    tags = [[labels[each] for each in line] for line in lines]
    rows = Dataset.from_dict({"tags": tags})
    places = [list(range(8))] * 60
    inputs = Dataset.from_dict({"row": list(range(60)), "words": places, "positions": places})
    tally = ner.NER_TASK.tally(rows, inputs, labels, changed)
    found = [[labels[each] for each in line] for line in changed]
    return tally, ner.score(tags, found, ["A", "B", "C"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("task", TASKS)
def test_metrics_follow_from_tallies(task: str, seed: int) -> None:
    """Each metric that the task computes is the one that sums of counts give."""
    tally, expected = _draw(task, seed)
    names = [name for name in expected if not name.endswith(".support")]
    assert {"macro_f1", "A.f1" if task == "ner" else "b.recall"} <= {*names}
    for name in names:
        found = tallies.metric(tally, name)(tally.counts.sum(0))
        assert found == pytest.approx(expected[name], abs=1e-12), name
    assert not tallies.is_known(tally, "loss")


@pytest.mark.parametrize(
    ("task", "name"),
    [("ner", "f1"), ("ner", "macro_f1"), ("sentiment", "accuracy"), ("sentiment", "mcc")],
)
def test_intervals_are_scipys(task: str, name: str) -> None:
    """The percentile interval of our resamples is that of `scipy.stats.bootstrap`."""
    tally, _ = _draw(task, 7)
    measure = tallies.metric(tally, name)

    def statistic(rows: np.ndarray, axis: int) -> Any:
        return measure(tally.counts[rows].sum(rows.ndim - 1))

    theirs = bootstrap(
        (np.arange(len(tally.counts)),), statistic, n_resamples=20_000, axis=-1, batch=2000,
        method="percentile", rng=np.random.default_rng(1), vectorized=True,
    ).confidence_interval  # fmt: skip
    (values,) = tallies.resampled([tally], name)
    low, high = tallies.interval(values)
    width = theirs.high - theirs.low
    assert len(values) == tallies.RESAMPLES
    assert low == pytest.approx(theirs.low, abs=0.05 * width)
    assert high == pytest.approx(theirs.high, abs=0.05 * width)


def test_models_are_resampled_alike() -> None:
    """Two models see the same rows, so that equal ones differ nowhere."""
    tally, _ = _draw("ner", 1)
    other, _ = _draw("ner", 2)
    first, same, different = tallies.resampled([tally, tally, other], "f1")
    assert np.array_equal(first, same)
    assert not np.array_equal(first, different)


def test_rows_that_are_alike_are_drawn_together() -> None:
    """Kinds of rows are resampled, not rows, of which there are thousands: order is nothing."""
    pair = [_draw("ner", 1)[0], _draw("ner", 2)[0]]
    order = np.random.default_rng(3).permutation(len(pair[0].counts))
    turned = [tallies.Tally(each.names, each.counts[order]) for each in pair]
    for ours, theirs in zip(
        tallies.resampled(pair, "f1"), tallies.resampled(turned, "f1"), strict=True
    ):
        assert np.array_equal(ours, theirs)
