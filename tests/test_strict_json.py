"""What a script reads is JSON, whatever a metric is."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hpo import manifest, orders, storage
from hpo.cli import main
from hpo.manifest import Reading
from hpo.tasks import Encoding
from tests.report.studies import make_study, trial, url_of


def parsed(text: str) -> Any:
    """Read JSON as everybody but Python does."""

    def refuse(constant: str) -> None:
        raise ValueError(f"no JSON: {constant}")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "command",
    [["status"], ["best"], ["watch", "--once"], ["watch"], ["report", "--format", "json"]],
    ids=" ".join,
)
def test_a_metric_that_is_no_number(tmp_path: Path, command: list[str]) -> None:
    """It is null, in what each command prints."""
    metrics = {"metrics": {"accuracy": 0.9, "loss": math.nan, "odd": -math.inf}}
    make_study(tmp_path, [trial(0, 0.9, attrs=metrics)], changes={"budget": {"trials": 1}})
    (name,) = storage.study_names(opened := storage.open_storage(url_of(tmp_path)))
    orders.give(opened, name, "stopped")  # so that to follow it ends
    more = ["-o", "-"] if command[0] == "report" else ["--json"]
    line = [command[0], name, *command[1:], *more, "--storage", url_of(tmp_path)]
    ended = CliRunner().invoke(main, line)
    assert ended.exit_code == 0, ended.output
    texts = ended.stdout.splitlines() if command == ["watch"] else [ended.stdout]
    found = [parsed(each) for each in texts]
    assert '"loss": null' in json.dumps(found)


def test_a_manifest(tmp_path: Path) -> None:
    """What lies beside a model is read by others, too."""
    manifest.write(tmp_path, Reading("ner", Encoding(["O"], 8)), {"loss": [math.nan, 1.0]})
    assert parsed((tmp_path / manifest.FILE).read_text(encoding="utf-8"))["loss"] == [None, 1.0]
