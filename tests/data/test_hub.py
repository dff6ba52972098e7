"""Data sets of the hub, from a hub of this test's own, with a network and without."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROWS = [{"text": f"text {n}", "label": n % 2} for n in range(20)]
LINES = "\n".join(map(json.dumps, ROWS)).encode()
TEST_LINES = "\n".join(map(json.dumps, ROWS[:5])).encode()
CARD = b"---\nlicense: mit\n---\n"
COMMIT = "c" * 40
REPOSITORIES = {
    "owner/good": {"train.jsonl": LINES, "test.jsonl": TEST_LINES, "README.md": CARD},
    "owner/scripted": {"scripted.py": b"x = 1", "README.md": CARD},
    "owner/broken": {"train.jsonl": LINES + b"\n{broken", "README.md": CARD},
    "owner/empty": {"README.md": CARD},
}
CASES: dict[str, dict[str, Any]] = {
    "good": {"path": "owner/good"},
    "pinned": {"path": "owner/good", "revision": COMMIT},
    "branch": {"path": "owner/good", "revision": "main"},
    "slices": {"path": "owner/good", "train": "train[:60%]", "validation": "train[60%:]"},
    "revision": {"path": "owner/good", "revision": "nope"},
    "split": {"path": "owner/good", "validation": "tset"},
    "column": {"path": "owner/good", "label_column": "stars"},
    "config": {"path": "owner/good", "name": "xy"},
    "gated": {"path": "owner/gated"},
    "unknown": {"path": "owner/unknown"},
    "script": {"path": "owner/scripted"},
    "empty": {"path": "owner/empty"},
    "broken": {"path": "owner/broken"},
}
PROGRAM = """
import json, sys
from pathlib import Path
from hpo.data import load_data, load_test
from hpo.errors import DataError
from hpo.spec import DataSpec
found = {}
for name, case in json.loads(sys.argv[1]).items():
    spec = DataSpec.model_validate(case)
    try:
        data = load_data(spec, layout="text", folder=Path(sys.argv[2]), seed=1)
        test = load_test(spec, layout="text", folder=Path(sys.argv[2]))
        found[name] = [len(data.train.rows), len(data.validation.rows), len(test.rows)]
    except DataError as error:
        found[name] = error.problems
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Load every case, first from the hub, then without it from the cache that it filled."""
    path = Path(__file__).with_name("hub_server.py")
    # tests are collected by file: nothing imports their neighbours
    module_spec = importlib.util.spec_from_file_location("hub_server", path)
    assert module_spec
    assert module_spec.loader
    hub_server = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(hub_server)
    folder = tmp_path_factory.mktemp("hub")
    # a folder of that name in the working directory must not be taken for the hub's
    (folder / "work" / "owner" / "good").mkdir(parents=True)
    (folder / "study").mkdir()
    results = {}
    with hub_server.serve(REPOSITORIES) as address:
        for name, offline in (("online", "0"), ("offline", "1")):
            environment = {
                "HF_ENDPOINT": address,
                "HF_HOME": str(folder),
                "HF_HUB_OFFLINE": offline,
            }
            run = subprocess.run(
                [sys.executable, "-c", PROGRAM, json.dumps(CASES), str(folder / "study")],
                env=os.environ | environment,
                cwd=folder / "work",
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert run.returncode == 0, run.stderr
            results[name] = json.loads(run.stdout)
    return results


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("good", [18, 2, 5]),
        ("pinned", [18, 2, 5]),
        ("branch", [18, 2, 5]),
        ("slices", [12, 8, 5]),
        ("revision", "at revision 'nope': found no such revision"),
        ("split", "data.validation: found 'tset'; owner/good has the splits 'train', 'test'; did"),
        ("column", "owner/good, train: found the columns 'text', 'label'; expected 'stars'"),
        ("config", "BuilderConfig 'xy' not found. Available: ['default']"),
        ("gated", "is gated; ask for access"),
        ("unknown", "found neither on the hub nor as a folder"),
        ("script", "is made by a script, which datasets 5 does not run; try data.revision"),
        ("empty", "doesn't contain any data files"),
        ("broken", "cannot be read: ArrowInvalid: JSON parse error"),
    ],
)
def test_with_a_hub(found: dict[str, dict[str, Any]], case: str, expected: str | list[int]) -> None:
    """A data set loads, and each thing that can be wrong with it is one problem."""
    _compare(found["online"][case], expected)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("good", [18, 2, 5]),
        ("pinned", [18, 2, 5]),
        ("branch", [18, 2, 5]),
        (
            "revision",
            f"data.revision: found 'nope', but the hub cannot be reached and the newest "
            f"copy of 'owner/good' in the cache is revision '{COMMIT}'",
        ),
        ("config", "Couldn't find cache for owner/good for config 'xy'"),
        ("gated", "the hub cannot be reached and the cache does not have it"),
        ("unknown", "the hub cannot be reached and the cache does not have it"),
    ],
)
def test_without_a_hub(
    found: dict[str, dict[str, Any]], case: str, expected: str | list[int]
) -> None:
    """A warm cache is enough, for the revision that it has; the rest says what to do."""
    _compare(found["offline"][case], expected)


def _compare(result: Any, expected: str | list[int]) -> None:
    if isinstance(expected, list):
        assert result == expected
    else:
        assert len(result) == 1
        assert expected in result[0]
