"""Studies that are done, for the tests of what is taken out of one."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hpo import run_study
from hpo.cli import main
from tests.studies_made import BAD, FILLER, GOOD, NER, write_study

RATE = {"learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True}}
SENTENCES = [
    {"tokens": ["the", "film", "of", "Ada", "Berg", "was", "with", "Olm"],
     "ner_tags": ["O", "O", "O", "B-PER", "I-PER", "O", "O", "B-LOC"]},
    {"tokens": ["with", "Ada", "and", "Olm"], "ner_tags": ["O", "B-PER", "O", "B-PER"]},
]  # fmt: skip


@dataclass(frozen=True)
class Done:
    """A study that is done: its folder, in which `runs` lies, and its name."""

    folder: Path
    name: str

    def hpo(self, command: str, *arguments: object) -> Result:
        """Run a command about it, in this process."""
        where = ["--storage", f"sqlite:///{self.folder}/runs/hpo.db"]
        place = "--output" if command in {"test", "run", "best"} else "--runs"
        line = [command, self.name, *map(str, arguments), *where, place, str(self.folder / "runs")]
        return CliRunner().invoke(main, line)

    def json(self, command: str, *arguments: object) -> Any:
        """Run a command that succeeds, and return what it prints."""
        ended = self.hpo(command, *arguments, "--json")
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)


def write_test_split(folder: Path) -> None:
    """Write `test.jsonl` and `ner-test.jsonl`."""
    draw = random.Random(3)
    texts = []
    for label, words in [("positive", GOOD), ("negative", BAD)] * 10:
        text = draw.sample([*words, *draw.choices(FILLER, k=9)], k=12)
        texts.append({"text": " ".join(text), "label": label})
    for prefix, rows in (("", texts), ("ner-", SENTENCES * 6)):
        lines = [json.dumps(row) for row in rows]
        (folder / f"{prefix}test.jsonl").write_text("\n".join(lines), encoding="utf-8")


def make(folder: Path, changes: dict[str, Any]) -> Done:
    """Run a small study to its end."""
    path = write_study(folder / "study.toml", changes)
    if "confirm" in changes:  # a configuration that is far better than the default
        with path.open("a", encoding="utf-8") as file:
            file.write("\n[[start]]\nlearning_rate = 5e-3\n")
    write_test_split(folder)
    view = run_study(path, storage_url=f"sqlite:///{folder}/runs/hpo.db", output=folder / "runs")
    return Done(folder, view.name)


CONFIRMED: dict[str, Any] = {
    **NER, "data": {**NER["data"], "test": "ner-test.jsonl"},  # type: ignore[dict-item]
    "space": RATE, "training": {"num_train_epochs": 3}, "fine_tuning": {"max_length": 12},
    "budget": {"trials": 2}, "confirm": {"top": 1, "seeds": 3},
}  # fmt: skip
PLAIN: dict[str, Any] = {
    "data": {"test": "test.jsonl"}, "budget": {"trials": 2}, "baseline": False,
    "training": {"num_train_epochs": 8}, "fine_tuning": {"max_length": 16},
    "space": {"learning_rate": {"type": "float", "low": 4e-3, "high": 6e-3}},
}  # fmt: skip


UNCONFIRMED: dict[str, Any] = {
    **PLAIN, "baseline": True, "budget": {"trials": 3}, "space": RATE,
}  # fmt: skip


@pytest.fixture(scope="session")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Done]:
    """Each kind of study, made once: `confirmed` is NER, the others are sentiment analysis."""
    made: dict[str, Done] = {}

    def master(kind: str) -> Done:
        if kind not in made:
            kinds = {"confirmed": CONFIRMED, "plain": PLAIN, "unconfirmed": UNCONFIRMED}
            changes = kinds[kind]
            made[kind] = make(tmp_path_factory.mktemp(kind) / "study", changes)
        return made[kind]

    return master


@pytest.fixture
def confirmed(masters: Callable[[str], Done]) -> Iterator[Done]:
    """The NER study, with a confirmation; changes are undone."""
    yield from _lent(masters("confirmed"))


@pytest.fixture
def plain(masters: Callable[[str], Done]) -> Iterator[Done]:
    """The sentiment study; changes are undone."""
    yield from _lent(masters("plain"))


@pytest.fixture
def unconfirmed(masters: Callable[[str], Done]) -> Iterator[Done]:
    """The sentiment study, with the default configuration as one of its trials."""
    yield from _lent(masters("unconfirmed"))


def _lent(done: Done) -> Iterator[Done]:
    """Lend a study: where it lies stands in its storage, so that it cannot be copied elsewhere."""
    kept = done.folder.with_name("kept")
    shutil.copytree(done.folder, kept)
    yield done
    shutil.rmtree(done.folder)
    kept.rename(done.folder)
