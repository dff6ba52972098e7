"""`hpo predict`: entities with their places, classes with probabilities, whatever is given."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpo import inference
from hpo.cli import main
from hpo.data import load_data
from hpo.fine_tuning import fine_tune
from hpo.observer import Observer
from hpo.prediction import written
from hpo.spec import DataSpec
from tests.studies_made import NER, make_job, make_workspace

LENGTH = 10  # sub-tokens


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The `best` folder of a trial of each task."""
    folders = {}
    for task, changes in {"ner": NER, "sentiment": {}}.items():
        folder = tmp_path_factory.mktemp(task) / "study"
        tuning = {"max_length": LENGTH}
        workspace = make_workspace(folder, {**changes, "fine_tuning": tuning})
        job = make_job(workspace, learning_rate=5e-3, num_train_epochs=8)
        folders[task] = fine_tune(job, Observer()).checkpoint
    return folders


def hpo(*arguments: object, stdin: bytes | str = b"") -> Result:
    """Run `hpo predict` in this process."""
    return CliRunner().invoke(main, ["predict", *map(str, arguments)], input=stdin)


def lines(result: Result) -> list[dict[str, Any]]:
    """Read the JSON lines that a successful command printed."""
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_entities_with_places(trained: dict[str, Path]) -> None:
    """Each is a slice of the text, at the place that it names; more text than a window holds."""
    text = "the film, with \U0001f600 Ada Berg; " * 3 + "was warm in Olm"
    (found,) = lines(hpo(trained["ner"], text))
    assert found["text"] == text
    assert len(found["entities"]) >= 3
    for each in found["entities"]:
        assert text[each["start"] : each["end"]] == each["text"]
        assert 1 / 5 < each["score"] <= 1
    assert "Ada Berg" in {each["text"] for each in found["entities"]}
    starts = [each["start"] for each in found["entities"]]
    assert starts == sorted(starts)


@pytest.mark.parametrize("form", ["jsonl", "conll"])
def test_tokens_are_read_as_they_were_scored(trained: dict[str, Path], form: str) -> None:
    """The tags of the validation split are those that scored."""
    folder = trained["ner"].parents[3]
    data = load_data(
        DataSpec(**NER["data"]), layout="tokens", folder=folder, seed=7  # type: ignore[arg-type]
    ).validation.rows  # fmt: skip
    content = {
        "jsonl": "\n".join(json.dumps({"tokens": tokens}) for tokens in data["tokens"]),
        "conll": "\n\n".join(
            "\n".join(f"{token}\tO" for token in tokens) for tokens in data["tokens"]
        ),
    }[form]
    path = folder / f"again.{form}"
    path.write_text(content, encoding="utf-8")
    found = lines(hpo(trained["ner"], "--file", path))
    assert [each["tokens"] for each in found] == data["tokens"][:]
    model = inference.load(trained["ner"])
    scored = model.score(data)
    gold = data["tags"][:]
    assert len(gold) == len(found)
    rights = sum(
        len(_spans(tags) & _entities(each)) for tags, each in zip(gold, found, strict=True)
    )
    assert rights == scored.tally.counts[..., 0].sum() > 0
    assert sum(len(each["entities"]) for each in found) == scored.tally.counts[..., 1].sum()
    for each in found:
        for entity in each["entities"]:
            words = each["tokens"][entity["first"] : entity["last"] + 1]
            assert entity["text"] == " ".join(words)


def _spans(tags: list[str]) -> set[tuple[str, int, int]]:
    from hpo.entities import entities

    return {(name, first, after - 1) for name, first, after in entities(tags)}


def _entities(found: dict[str, Any]) -> set[tuple[str, int, int]]:
    return {(each["type"], each["first"], each["last"]) for each in found["entities"]}


def test_classes_with_probabilities(trained: dict[str, Path], tmp_path: Path) -> None:
    """The label is the likeliest; a text that is cut has the probabilities of what is left."""
    path = tmp_path / "texts.txt"
    kept = "superb warm great clever a film of the"  # what is left beside [CLS] and [SEP]
    path.write_text(f"{kept}\n{kept} awful dull poor\nawful dull poor\n", encoding="utf-8")
    good, cut, bad = lines(hpo(trained["sentiment"], "--file", path))
    assert (good["label"], bad["label"]) == ("positive", "negative")
    assert good["probabilities"] == pytest.approx(cut["probabilities"], abs=1e-6)
    for each in (good, bad):
        assert each["score"] == max(each["probabilities"].values())
        assert sum(each["probabilities"].values()) == pytest.approx(1)


ODD = [
    "",
    "  ",
    "\U0001f600\u200d\u2764\ufe0f",
    "x" * 5000,
    "a\x00b",
    "\u200b",
    "<s> </s> [SEP] [PAD]",
]


@pytest.mark.parametrize("task", ["ner", "sentiment"])
def test_odd_texts(trained: dict[str, Path], task: str) -> None:
    """Each line has an answer; an empty one has no entity, and no label."""
    found = lines(hpo(trained[task], "-", stdin="\n".join(ODD)))
    assert [each["text"] for each in found] == ODD
    if task == "ner":
        assert [found[0]["entities"], found[1]["entities"]] == [[], []]
    else:
        assert [each["label"] is None for each in found] == [True, True] + [False] * 5
    assert all(written(each) for each in found[2:])


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("ner", [], "found no TEXT and no --file; expected one of them"),
        ("ner", ["text", "--file", "x.txt"], "found TEXT and --file; expected one of them"),
        ("ner", ["--file", "missing.txt"], "--file missing.txt: cannot be read: No such file"),
        ("ner", ["--file", "."], "--file: found ''; expected .txt"),
        ("sentiment", ["--file", "-", "--format", "conll"], "found tokens; expected text"),
        ("sentiment", ["--file", "-", "--format", "jsonl"], "line 1: found no JSON"),
        ("sentiment", ["--file", "-"], "standard input, line 3, byte 1: found 0xff"),
        ("sentiment", ["a\udcff"], "TEXT: found U+DCFF at character 1, which is no character"),
        ("nowhere", ["text"], "found no config.json; expected a folder that `hpo export` wrote"),
    ],
)
def test_what_cannot_be_read(
    trained: dict[str, Path], task: str, arguments: list[str], message: str
) -> None:
    """It is one message and exit code 2."""
    result = hpo(trained.get(task, "nowhere"), *arguments, stdin=b"Ada O\n\n\xff")
    assert result.exit_code == 2
    assert message in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("hpo: ")


def test_a_pipe_is_answered_line_by_line(trained: dict[str, Path]) -> None:
    """Before it ends; whoever reads no more ends the command without a word."""
    command = [sys.executable, "-m", "hpo", "predict", str(trained["sentiment"]), "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for text in ("warm and great", "dull"):
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdout.close()
        process.stdin.write(b"warm\n")
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_for_a_person() -> None:
    """What a terminal shows."""
    entity = {"type": "PER", "score": 0.98765, "start": 4, "end": 7, "text": "Ada"}
    assert written({"text": "see Ada", "entities": [entity]}) == "see Ada\n  PER  0.988  4-7  Ada"
    found = {"text": "warm", "label": "good", "score": np.float64(0.5), "probabilities": {}}
    assert written(found) == "good  0.500  warm"
