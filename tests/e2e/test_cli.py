"""The commands beside `hpo run`: reading studies, starting one, and how each ends."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from hpo import storage
from hpo.spec import parse
from tests.e2e.processes import Hpo
from tests.studies_made import document, write_study

HPO = Path(sys.executable).with_name("hpo")
SLOW = ["datasets", "plotly", "sklearn", "torch", "transformers"]
PROBE = f"""
import sys
from hpo.cli import main
try:
    main.main(sys.argv[1:], prog_name="hpo")
finally:
    print([name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command, imports and all."""
    line = [str(HPO), *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def test_reading_a_study_needs_no_torch(hpo: Hpo) -> None:
    """`status`, `best` and `list` agree with `run`, as text and as JSON, without slow libraries."""
    write_study(hpo.folder / "study.toml", {"training": {"num_train_epochs": 1}})
    made = hpo("run", "--json").json()
    answers = {}
    for command in ("status", "best", "list"):
        line = [sys.executable, "-c", PROBE, command, "--json"]
        ended = subprocess.run(line, cwd=hpo.folder, capture_output=True, text=True, check=True)
        assert ended.stderr.splitlines()[-1] == "[]"
        answers[command] = json.loads(ended.stdout)
    assert answers["best"] == made
    assert answers["list"] == {"studies": [made]}
    details = answers["status"].pop("details")
    tickets = answers["status"].pop("tickets")
    assert [(each["state"], each["epoch"], each["deaths"]) for each in tickets] == [
        ("done", 1, 0)
    ] * 2
    assert answers["status"] == made
    assert [each["state"] for each in details] == ["COMPLETE"] * 2
    assert f"{made['best']['value']:.4f}" in hpo("status").stdout
    assert f"learning_rate = {made['best']['params']['learning_rate']!r}" in hpo("best").stdout
    assert hpo("best").stdout.startswith("study study-random: 2 trials in ")
    assert "2 COMPLETE; budget: 2 trials" in hpo("status", "study-random").stdout


def test_unknown_study_and_storage(hpo: Hpo) -> None:
    """No storage is 4; no such study, or no name where there are several, is 2."""
    nothing = hpo("status")
    assert (nothing.code, "nothing has been run there yet" in nothing.stderr) == (4, True)
    assert not (hpo.folder / "runs" / "hpo.db").exists()
    write_study(hpo.folder / "study.toml", {"training": {"num_train_epochs": 1}})
    for name in ("first", "second"):
        assert hpo("run", "--trials", "1", "--name", name).code == 0
    missing = hpo("best", "frist", "--json")
    assert (missing.code, missing.json()["exit_code"]) == (2, 2)
    assert "did you mean 'first'?" in missing.stderr
    several = hpo("status")
    assert (several.code, "first, second" in several.stderr) == (2, True)


def test_conclusion_names_a_command_that_works(hpo: Hpo) -> None:
    """The hint at the end names output, storage and study as this shell takes them."""
    write_study(hpo.folder / "study.toml", {"training": {"num_train_epochs": 1}})
    for place in (["--output", "odd 'folder"], ["--storage", "odd 'file.db"]):
        ended = hpo("run", "--trials", "1", "--name", "a b", *place)
        assert ended.code == 0, ended.stderr
        trials, report = ended.stdout.splitlines()[-2:]
        _, *words = shlex.split(trials.removeprefix("trials   "))
        assert "1 COMPLETE; budget: 1 trial" in hpo(*words).stdout
        _, *words = shlex.split(report.removeprefix("report   "))
        assert hpo(*words, "--format", "csv", "-o", "-").stdout.count("a b,0,COMPLETE") == 1


def test_a_spent_budget_is_told(hpo: Hpo) -> None:
    """Running a study that is done already says that nothing is left, and how to go on."""
    write_study(hpo.folder / "study.toml", {"training": {"num_train_epochs": 1}})
    hpo("run", "--trials", "2")
    again = hpo("run", "--trials", "1")
    assert again.code == 0
    assert "2 done already; nothing is left to run (a larger --trials goes on)" in again.stderr


def test_starter_is_written_once(tmp_path: Path) -> None:
    """`hpo init` writes a study that can be run, and never over a file."""
    first = run(tmp_path, "init", "sentiment")
    assert first.returncode == 0, first.stderr
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    assert 'task = "sentiment"' in text
    again = run(tmp_path, "init", "ner")
    assert (again.returncode, "exists already" in again.stderr) == (2, True)
    assert (tmp_path / "study.toml").read_text(encoding="utf-8") == text
    nowhere = run(tmp_path, "init", "ner", "no/such/folder/study.toml")
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (2, True)
    assert run(tmp_path, "init", "nerr").returncode == 2
    for ended in (again, nowhere):
        assert "Traceback" not in ended.stderr


def test_installed_command_runs_a_study(tmp_path: Path) -> None:
    """The entry point in a process of its own: one JSON object out, all else to standard error."""
    write_study(tmp_path / "study.toml", {"training": {"num_train_epochs": 1}})
    ended = run(tmp_path, "run", "--trials", "1", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["trials"] == {"COMPLETE": 1}
    assert "Warning" not in ended.stderr
    assert ended.stderr.splitlines()[0].endswith("Z checking the study …")


def test_a_fault_of_ours_is_one_message(hpo: Hpo) -> None:
    """What nobody foresaw is exit code 1 and a line, and no traceback."""
    write_study(hpo.folder / "study.toml", {"training": {"num_train_epochs": 1}})
    (hpo.folder / "plugins.py").write_text("raise_it = lambda: 1 / 0\n")
    info = hpo.folder / "faulty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hpo.strategies]\nfaulty = plugins:raise_it\n")
    env = {**os.environ, "PYTHONPATH": str(hpo.folder)}
    line = [str(HPO), "run", "--strategy", "faulty"]
    ended = subprocess.run(
        line, cwd=hpo.folder, env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "a fault of hpo's: ZeroDivisionError" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["run", "check", "status", "best", "list"])
def test_unknown_option_is_a_usage_error(tmp_path: Path, command: str) -> None:
    """A mistyped option ends with exit code 2 and the way to help."""
    ended = run(tmp_path, command, "--jsn")
    assert ended.returncode == 2
    assert "No such option" in ended.stderr


@pytest.mark.parametrize("columns", [80, 60])
def test_a_terminal_shows_names_whole(tmp_path: Path, columns: int) -> None:
    """`list` and `status` keep to its width; a pipe has no width, whatever COLUMNS says."""
    name = "sentiment-of-films-roberta-large-2026-bayes"
    opened = storage.open_storage(f"sqlite:///{tmp_path}/hpo.db")
    spec = parse(document(), "x")
    facts = {storage.METRIC: "accuracy"}
    storage.create_or_attach(opened, name, spec, direction="maximize", facts=facts)
    opened.engine.dispose()
    env = {**os.environ, "HPO_STORAGE": f"sqlite:///{tmp_path}/hpo.db", "COLUMNS": str(columns)}
    whole = "strategy  state    done  at work  metric    best  time  left"
    for command in ("list", "status"):
        lines = in_terminal([str(HPO), command], env)
        assert max(map(len, lines)) <= columns
        assert any(line.split()[:1] == [name] for line in lines)
        assert not any(whole in line and name in line for line in lines)
    ended = subprocess.run([HPO, "list"], env=env, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[0].endswith(whole)


def in_terminal(line: list[str], env: dict[str, str]) -> list[str]:
    """Run a command in a terminal, and return what it shows, without colours."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(line, env={**env, "NO_COLOR": "1"}, stdout=theirs) as process:
        os.close(theirs)
        with suppress(OSError):  # what a terminal says when nobody is there any more
            while read := os.read(ours, 65536):
                shown += read
    os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()


def test_what_is_hardly_meant_is_told_before_training(hpo: Hpo) -> None:
    """Once, when the study is made; what a device does not do, by each who trains on it."""
    settings = {"num_train_epochs": 1, "fp16": True}
    write_study(hpo.folder / "study.toml", {"training": settings, "stop": {"patience": 9}})
    stop, precision = "note: stop: 10 trials must end first", "note: training.fp16: found true"
    queued = hpo("submit", "study.toml")
    assert (queued.stderr.count(stop), queued.stderr.count(precision)) == (1, 0)
    made = hpo("run", "--trials", "1")
    assert (made.stderr.count(stop), made.stderr.count(precision)) == (0, 1)
    assert made.stderr.index(precision) < made.stderr.index("trial 0 started")
