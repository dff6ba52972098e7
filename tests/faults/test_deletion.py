"""A study is deleted with all that is its own, and nothing else, whoever works for it."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from optuna.storages._rdb import models
from sqlalchemy import MetaData, create_engine, func, select

from hpo import deletion, storage
from hpo.cli import main
from hpo.study import slug
from tests.faults.field import NAME, Field
from tests.faults.invariant import check_invariant
from tests.faults.processes import Ended, Process
from tests.faults.test_pool import make, serve
from tests.report.studies import confirm, make_study, trial, url_of

HPO = Path(sys.executable).with_name("hpo")
ROWS = {*models.BaseModel.metadata.tables, "hpo_tickets", "hpo_workers"} - {"version_info"}


def delete(field: Field, *options: str, name: str = NAME) -> Ended:
    """Run `hpo delete` without a terminal."""
    return field.start("delete", name, *options).end()


def rows(field: Field) -> dict[str, int]:
    """Return the table -> how many rows it has."""
    engine = create_engine(storage._parse(field.url))
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        found = {
            name: connection.scalar(select(func.count()).select_from(tables.tables[name])) or 0
            for name in sorted(ROWS)
        }
    engine.dispose()
    return found


def listed(field: Field) -> list[str]:
    """Return the names that `hpo list` has."""
    ended = field.start("list", "--json").end()
    return [each["study"] for each in json.loads(ended.stdout)["studies"]]


def busy(field: Field, worker: Process) -> None:
    """Wait until a worker trains, for as long as it is let."""
    field.wait_for("began")
    assert not worker.over()


def test_all_of_a_study_goes_and_nothing_else(field: Field) -> None:
    """Its rows, those of its confirmation, its tickets; not its files, nor another study's."""
    assert field.run(field.write(4)).end().code == 0
    others = rows(field)
    file = field.write(2, confirm={"top": 1, "seeds": 2})
    ended = field.start("run", str(file), "--name", "doomed").end()
    assert ended.code == 0, ended.stderr
    assert listed(field) == [NAME, "doomed", "doomed-confirm"]
    said = delete(field, "--yes", name="doomed")
    assert said.code == 0, said.stderr
    first, *kept = said.stdout.splitlines()
    assert first == "deleted study doomed and its confirmation doomed-confirm, 4 trials"
    folders = [field.output / name for name in ("doomed", "doomed-confirm")]
    assert [line.split(" (")[0] for line in kept] == [f"files kept in {path}" for path in folders]
    assert all(path.is_dir() for path in folders)
    assert rows(field) == others
    assert listed(field) == [NAME]
    check_invariant(field.url, NAME, 4, field.stage, alone=False)
    again = field.start("run", str(file), "--name", "doomed").end()
    assert again.code == 3
    assert f"{folders[0]}: found the trials of another study of this name" in again.stderr


def test_files_go_on_request(field: Field) -> None:
    """Those that hpo made; a stranger's file, model or link stays, and so does another's folder."""
    file = field.write(2, confirm={"top": 1, "seeds": 1})
    assert field.run(file).end().code == 0
    own, strange = (field.output / name for name in (NAME, f"{NAME}-confirm"))
    (strange / "study.json").write_text('{"study": "x", "id": "y"}')
    id_ = json.loads((own / "study.json").read_text())["id"]
    for name, made_by in (("export", id_), ("theirs", "another study")):
        (own / name).mkdir()
        (own / name / "hpo.json").write_text(json.dumps({"made_by": {"study": made_by}}))
    (own / "link").symlink_to(field.folder)
    logs = own / "workers" / "here"
    logs.mkdir(parents=True)
    for name in ("worker-0.log", "worker-0.json", ".lock", "thesis.txt"):
        (logs / name).touch()
    said = json.loads(delete(field, "--yes", "--files", "--json").stdout)
    left = [own / "link", own / "theirs", logs / "thesis.txt"]
    assert said == {
        "deleted": [NAME, f"{NAME}-confirm"], "trials": 3, "files_deleted": [str(own)],
        "files_kept": [*map(str, left), str(strange)],
    }  # fmt: skip
    assert sorted(own.iterdir()) == [own / "link", own / "theirs", own / "workers"]
    assert list(logs.iterdir()) == [logs / "thesis.txt"]
    assert strange.is_dir()


def test_what_a_user_put_there_is_named(tmp_path: Path) -> None:
    """A folder goes once nothing of a stranger's is in it; before that, the command says what."""
    field = Field(tmp_path, f"sqlite:///{tmp_path}/hpo.db")
    for name in ("first", "second"):
        assert field.start("run", str(field.write(1)), "--name", name).end().code == 0
    thesis = field.output / "first" / "thesis.txt"
    thesis.write_text("four years")
    kept = f"files deleted in {thesis.parent}; kept there, for hpo did not make it: thesis.txt"
    assert kept in delete(field, "--yes", "--files", name="first").stdout
    assert list(thesis.parent.iterdir()) == [thesis]
    gone = field.output / "second"
    assert f"files deleted with {gone}" in delete(field, "--yes", "--files", name="second").stdout
    assert not gone.exists()
    field.close()


@pytest.mark.parametrize("there", ["thesis.txt", "study.json"])
def test_no_study_moves_into_a_users_folder(tmp_path: Path, there: str) -> None:
    """It is refused in one line before there is a study; one of hpo's leftovers is taken."""
    field = Field(tmp_path, f"sqlite:///{tmp_path}/hpo.db")
    data = field.output / NAME
    (data / "trial-0000").mkdir(parents=True)
    (data / there).write_text("four years")
    file = field.write(1)
    refused = field.run(file).end()
    assert refused.code == 2
    assert f"--output: found {there} in {data}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (data / there).read_text() == "four years"
    assert not (tmp_path / "hpo.db").exists()
    (data / there).unlink()
    assert field.run(file).end().code == 0
    field.close()


def test_a_folder_that_is_a_link_is_kept(field: Field) -> None:
    """Whatever it says of itself."""
    field.create(2)
    assert field.finish().code == 0
    own, elsewhere = field.output / slug(NAME), field.folder / "elsewhere"
    own.rename(elsewhere)
    own.symlink_to(elsewhere)
    said = delete(field, "--yes", "--files")
    assert said.code == 0, said.stderr
    assert f"files kept in {own}, which is a link" in said.stdout
    assert (elsewhere / "study.json").exists()


def test_workers_are_not_deleted_beneath(field: Field) -> None:
    """It is refused while one holds a trial; --now lets it save, leave and tell no error."""
    field.create(3)
    field.script(steps=4000)
    worker = field.worker()
    busy(field, worker)
    refused = delete(field, "--yes")
    assert refused.code == 2
    assert f":{worker.pid}) holds a trial of it" in refused.stderr
    assert listed(field) == [NAME]
    said = delete(field, "--yes", "--now", "--files")
    assert said.code == 0, said.stderr
    assert f":{worker.pid} to save and leave" in said.stderr
    assert worker.end().code == 5, worker.said()  # nothing had succeeded
    assert "the study was stopped, its trials are handed back" in worker.said()
    assert listed(field) == []
    assert not (field.output / NAME).exists()
    assert set(rows(field).values()) == {0}


def test_a_pool_goes_on_with_other_studies(field: Field) -> None:
    """It leaves the one that is deleted, and takes the next; no error, no refusal."""
    make(field, "doomed", 0, priority=5)
    make(field, "usual", 10)
    field.script(steps=4000)
    (worker,) = serve(field, 1)
    busy(field, worker)
    assert {each["point"] // 10 for each in field.log("began")} == {0}
    field.script(steps=4)
    said = delete(field, "--yes", "--now", name="doomed")
    assert said.code == 0, said.stderr
    field.wait_for("told", 4)
    worker.wait_for("nothing to do; waiting for studies")
    worker.send(signal.SIGTERM)
    assert worker.end().code == 75, worker.said()
    assert listed(field) == ["usual"]
    assert "left to others" not in worker.said()


def test_a_worker_that_knows_nothing_of_it(field: Field) -> None:
    """It finds the study gone with its next word, says so, and writes nothing any more."""
    field.create(3)
    field.script(steps=4000)
    worker = field.worker()
    busy(field, worker)
    opened = storage.open_storage(field.url, create=False)
    deletion.delete_rows(opened, deletion.look(opened, NAME, field.output))
    opened.engine.dispose()
    ended = worker.end()
    assert ended.code == 4
    assert f"study {NAME!r}: was deleted while this worker ran" in ended.stderr
    assert set(rows(field).values()) == {0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([NAME], "found no terminal to ask on; expected --yes"),
        ([f"{NAME}-confirm", "--yes"], f"is the confirmation of '{NAME}'; expected that one"),
        (["feild", "--yes"], "did you mean 'field'?"),
    ],
)
def test_mistakes(tmp_path: Path, words: list[str], message: str) -> None:
    """Each is told in one message, and nothing is deleted."""
    field = Field(tmp_path, f"sqlite:///{tmp_path}/hpo.db")
    assert field.run(field.write(1, confirm={"top": 1, "seeds": 1})).end().code == 0
    ended = delete(field, *words[1:], name=words[0])
    assert ended.code == 2
    assert message in ended.stderr
    assert listed(field) == [NAME, f"{NAME}-confirm"]
    field.close()


@pytest.mark.parametrize(("answer", "left"), [("n", [NAME]), ("y", [])])
def test_it_asks_on_a_terminal(tmp_path: Path, answer: str, left: list[Any]) -> None:
    """What would go and what would stay is shown before."""
    field = Field(tmp_path, f"sqlite:///{tmp_path}/hpo.db")
    field.create(1)
    assert field.finish().code == 0
    ours, theirs = pty.openpty()
    line = [str(HPO), "delete", NAME, "--storage", field.url, "--output", str(field.output)]
    with subprocess.Popen(line, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as asked:  # fmt: skip
        os.write(ours, f"{answer}\n".encode())
        said, shown = asked.communicate()
    os.close(ours)
    os.close(theirs)
    assert asked.returncode == 0, shown
    assert f"study {NAME}, 1 trial\n" in shown
    assert f"files kept in {field.output / NAME} (--files deletes it, too)" in shown
    assert ("nothing was deleted" in shown) == (answer == "n")
    assert ("deleted study" in said) == (answer == "y")
    assert listed(field) == left
    field.close()


def test_what_confirmed_a_study_of_the_same_name_before(tmp_path: Path) -> None:
    """An orphan can be deleted, though there is a new study of its search's name."""
    make_study(tmp_path, [trial(0, 0.5)])
    confirm(tmp_path, {(3e-4, 16, 3): [0.6]})
    optuna.delete_study(study_name="films", storage=url_of(tmp_path))
    make_study(tmp_path, [trial(0, 0.5)])
    words = ["delete", "films-confirm", "--yes", "--storage", url_of(tmp_path)]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert storage.study_names(storage.open_storage(url_of(tmp_path))) == ["films"]
