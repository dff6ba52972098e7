"""Who may join a study: those who mean the same one, wherever their clocks and folders are."""

import os
import signal

import optuna
import pytest

from hpo import storage
from tests.faults.conftest import often
from tests.faults.field import NAME, Field
from tests.faults.invariant import trials_of


def test_race_of_the_same_specification(field: Field) -> None:
    """Two create the study at the same time: both join it, and it is one."""
    file = field.write(4)
    for worker in [field.run(file) for _ in range(2)]:
        ended = worker.end()
        assert ended.code == 0, ended.stderr
    field.check(4)


def test_race_of_different_specifications(field: Field) -> None:
    """Whoever comes second is refused with each difference; the study is the first one's."""
    files = [field.write(4), field.write(4, seed=4, space={"point": grid_of(5)})]
    for number in range(often(2, 50)):
        name = f"race-{number}"
        both = [field.start("run", str(file), "--name", name) for file in files]
        codes = {worker.end().code: worker for worker in both}
        assert sorted(codes) == [0, 3], [worker.said() for worker in both]
        said = codes[3].said()
        assert "exists with another specification" in said
        won = codes[0] is both[0]
        assert f"seed: stored {3 if won else 4}, found {4 if won else 3}" in said
        assert "space.point.values: stored" in said
        assert len(trials_of(field.url, name)) == (4 if won else 5)


def grid_of(points: int) -> dict[str, object]:
    """Return a parameter of so many values."""
    return {"type": "choice", "values": list(range(points))}


def test_folder_that_cannot_be_written(field: Field) -> None:
    """Refused before a ticket is claimed; root may write anywhere but into a file."""
    field.create(2)
    blocked = field.folder / "a file"
    blocked.touch()
    places = [blocked / "runs"]
    if os.geteuid() != 0:
        closed = field.folder / "closed"
        closed.mkdir(mode=0o500)
        places.append(closed)
    for place in places:
        ended = field.worker("--output", str(place)).end()
        assert ended.code == 2, ended.stderr
        assert "cannot be written" in ended.stderr
    assert not trials_of(field.url, NAME)
    field.finish()
    assert [ticket["epoch"] for ticket in field.check(2)["tickets"]] == [1, 1]


@pytest.mark.parametrize("variable", ["TZ", "PGTZ"])
def test_time_zones_do_not_matter(field: Field, variable: str) -> None:
    """A worker of another zone neither takes a live lease nor waits longer for a dead one."""
    field.create(3)
    field.script(steps=8, pause=0.1)
    zones = [{variable: zone} for zone in ("Pacific/Kiritimati", "Pacific/Honolulu", "UTC")]
    # None that a busy machine might cost them: a zone's error is one of hours.
    workers = [field.worker("--lease", "20", elsewhere=True, env=zone) for zone in zones]
    for worker in workers:
        ended = worker.end()
        assert ended.code == 0, ended.stderr
    assert len(field.check(3)["trials"]) == 3
    assert [ticket["epoch"] for ticket in field.check(3)["tickets"]] == [1, 1, 1]


def test_dead_leases_end_in_any_time_zone(field: Field) -> None:
    """What a worker of one zone held is free for one of another within its lease."""
    field.create(1)
    field.script(steps=4000)
    killed = field.worker(elsewhere=True, env={"TZ": "Pacific/Honolulu"})
    field.wait_for("began")
    killed.kill()
    field.script()
    assert field.worker(env={"TZ": "Pacific/Kiritimati"}).end().code == 0
    assert len(field.check(1)["trials"]) == 2


@pytest.mark.parametrize(
    ("package", "version", "code"),
    [
        ("hpo", "0.0.9", 3),
        ("optuna", "4.9.0", 3),
        ("transformers", "4.57.1", 3),
        ("hpo", "{}.99", 0),
        ("torch", "1.0.0", 0),
    ],
)
def test_versions(field: Field, package: str, version: str, code: int) -> None:
    """Another minor version of what gives a study its meaning is refused; others are recorded."""
    field.create(1)
    opened = storage.open_storage(field.url)
    study = storage.load(opened, NAME)
    versions = study.user_attrs[storage.VERSIONS]
    mine = versions[package]
    edited = version.format(".".join(mine.split(".")[:2]))
    study.set_user_attr(storage.VERSIONS, {**versions, package: edited})
    opened.engine.dispose()
    ended = field.worker().end()
    assert ended.code == code, ended.stderr
    if code:
        assert f"{package}: stored {edited}, found {mine}" in ended.stderr
        assert not trials_of(field.url, NAME)
    else:
        assert field.check(1)["trials"][0].user_attrs["hpo:run"]["versions"] == {package: mine}


def test_deleted_under_its_workers(field: Field) -> None:
    """A study that somebody deletes ends its workers with a sentence."""
    field.create(4)
    field.script(steps=200, pause=0.05)
    workers = [field.worker() for _ in range(2)]
    field.wait_for("began", 2)
    opened = storage.open_storage(field.url)
    optuna.delete_study(study_name=NAME, storage=opened)
    opened.engine.dispose()
    for worker in workers:
        ended = worker.end()
        assert ended.code == 4, ended.stderr
        assert f"study {NAME!r}: was deleted while this worker ran" in ended.stderr


def test_deleted_and_made_again(field: Field) -> None:
    """A worker of the study that was writes nothing into the new one of its name."""
    field.create(1)
    field.script(steps=4000, pause=0.1)
    late = field.worker()
    field.wait_for("began")
    opened = storage.open_storage(field.url)
    optuna.delete_study(study_name=NAME, storage=opened)
    opened.engine.dispose()
    field.create(2)
    field.script(steps=20, pause=0.15)
    other = field.worker("--output", str(field.folder / "other"))
    assert late.end().code == 4, late.said()
    assert other.end().code == 0, other.said()
    (field.stage / "log.jsonl").unlink()  # its events name trials of both studies
    assert len(field.check(2)["trials"]) == 2


def test_who_runs_a_file_has_the_options_of_a_worker(field: Field) -> None:
    """How long its leases last, and how long it may take to save and leave."""
    field.script(steps=4000)
    file = field.write(2)
    runs = field.run(file, "--lease", "7", "--grace", "20", "--hang", "900")
    field.wait_for("began")
    (ticket,) = field.held()
    assert ticket.lease is not None
    assert 0 < ticket.lease <= 7
    runs.send(signal.SIGTERM)
    assert runs.end().code == 75, runs.said()
