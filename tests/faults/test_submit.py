"""`hpo submit` of what is there already undoes nothing, and says who is there to take it."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.field import NAME, Field
from tests.faults.processes import Ended
from tests.faults.test_budget import RANDOM


def submit(field: Field, file: Path, *options: str) -> Ended:
    """Submit a study's file."""
    ended = field.start("submit", str(file), "--name", NAME, *options).end()
    assert ended.code == 0, ended.stderr
    return ended


def status(field: Field) -> dict[str, Any]:
    """Return what `hpo status --json` prints."""
    found: dict[str, Any] = json.loads(field.start("status", NAME, "--json").end().stdout)
    return found


@pytest.mark.parametrize("verb", ["submit", "run"])
def test_what_set_said_of_the_budget_stays(field: Field, verb: str) -> None:
    """Until the file or its options say something else than before; either is told in one line."""
    file = field.write(**{**RANDOM, "budget": {"trials": 2}})
    submit(field, file)
    assert field.start("set", NAME, "--trials", "3").end().code == 0
    again = field.start(verb, str(file), "--name", NAME).end()
    assert again.code == 0, again.stderr
    stays = "the study's budget stays trials = 3, as `hpo set` says; what is given here, trials = 2"
    assert again.stderr.count(stays) == 1
    assert status(field)["budget"]["trials"] == 3
    assert len(field.log("told")) == (3 if verb == "run" else 0)
    changed = field.start(verb, str(file), "--name", NAME, "--trials", "4").end()
    assert changed.code == 0, changed.stderr
    assert changed.stderr.count("the study's budget was trials = 3; now trials = 4") == 1
    assert "stays" not in changed.stderr
    assert status(field)["budget"]["trials"] == 4


def test_another_priority_is_told(field: Field) -> None:
    """Where the study is there already, with another one; without the option it keeps its own."""
    file = field.write(2)
    assert "priority" not in submit(field, file, "--priority", "3").stderr
    assert "the study's priority was 3; now -2" in submit(field, file, "--priority", "-2").stderr
    for options in ([], ["--priority", "-2"]):
        assert "priority" not in submit(field, file, *options).stderr
        assert status(field)["priority"] == -2
    assert field.run(file, "--priority", "7").end().code == 0
    assert status(field)["priority"] == 7


def test_who_is_there_to_take_it(field: Field) -> None:
    """Nobody: the command that starts a worker; or how many, who serve another study aside."""
    file = field.write(2)
    alone = submit(field, file).stdout
    assert "no worker is there to take it: start one, `hpo worker --storage " in alone
    paused = field.start("submit", str(field.write(4)), "--name", "other").end()
    assert field.start("pause", "other").end().code == 0, paused.stderr
    elsewhere = field.start("worker", "other")
    elsewhere.wait_for("the study is paused")
    assert field.start("pause", NAME).end().code == 0
    assert f"study {NAME} is paused; `hpo resume` lets it go on" in submit(field, file).stdout
    worker = field.start("worker")
    worker.wait_for("nothing to do; waiting for studies")
    assert field.start("resume", NAME).end().code == 0
    found = json.loads(submit(field, file, "--json").stdout)
    (name,) = found.pop("workers")
    assert name.split(":")[1] == str(worker.pid)
    assert found.pop("budget") == {"max_attempts": 3}
    assert (found["study"], found["priority"]) == (NAME, 0)
    for each in (worker, elsewhere):
        each.send(signal.SIGTERM)
        assert each.end().code == 75, each.said()
    assert field.finish().code == 0
    assert "is done; nothing is left to run" in submit(field, file).stdout


def test_a_study_must_be_named(field: Field) -> None:
    """A queue is other people's too: nothing is taken that was not asked for."""
    ended = field.start("submit").end()
    assert ended.code == 2
    assert "Missing argument 'STUDY'" in ended.stderr


def test_learns_from_earlier_studies(field: Field) -> None:
    """As `hpo run --warm-start` does; one that is not there is refused."""
    file = field.write(**{**RANDOM, "strategy": "bayes"})
    options = ["--trials", "4", "--warm-start", "earlier"]
    ended = field.start("submit", str(file), *options).end()
    assert ended.code == 2
    assert "warm_start: found no study 'earlier'" in ended.stderr
