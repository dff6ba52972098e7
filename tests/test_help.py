"""Help is at hand: it answers without loading what a search needs."""

import json
import subprocess
import sys

import click
import pytest

from hpo.cli import main

SLOW = ["datasets", "optuna", "plotly", "sklearn", "torch", "transformers"]
PROBE = f"""
import contextlib, io, json, sys
from hpo.cli import main
text = io.StringIO()
with contextlib.redirect_stdout(text):
    try:
        code = main.main(sys.argv[1:], prog_name="hpo", standalone_mode=False)
    except SystemExit as end:
        code = end.code
loaded = [name for name in {SLOW!r} if name in sys.modules]
print(json.dumps({{"code": code, "loaded": loaded, "text": text.getvalue()}}))
"""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """List the group itself and every command below it, as one would type it."""
    found = [path]
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append((*path, name))
    return found


@pytest.mark.parametrize("command", commands(main), ids=lambda path: " ".join(("hpo", *path)))
def test_help_loads_nothing_slow_and_shows_an_example(command: tuple[str, ...]) -> None:
    """Each `--help` succeeds, gives an example and imports none of the slow libraries."""
    line = [sys.executable, "-c", PROBE, *command, "--help"]
    result = subprocess.run(line, capture_output=True, text=True, check=True)
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["loaded"] == []
    assert answer["code"] in (0, None)
    assert answer["text"].startswith("Usage: hpo")
    assert "Example" in answer["text"]


@pytest.mark.parametrize("module", ["hpo", "hpo.spec", "hpo.cli"])
def test_import_loads_nothing_slow(module: str) -> None:
    """The package, the study file and the command line are light to import."""
    code = f"import {module}, sys; print([name for name in {SLOW!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_probe_would_notice() -> None:
    """The list of slow libraries names modules that exist, so that an import of one is seen."""
    code = f"import importlib.util as u; print([n for n in {SLOW!r} if not u.find_spec(n)])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
