"""`hpo workers`: who waits, who works on what, who was lost; who has left is not there."""

import json
import signal
from typing import Any

from hpo import storage
from hpo.pool_view import WorkerView, list_workers
from tests.faults.field import NAME, Field
from tests.faults.processes import Process, wait_until
from tests.faults.test_pool import end, make, serve


def seen(field: Field, worker: Process) -> WorkerView | None:
    """Return how a worker is listed; None if it is not."""
    found = [each for each in list_workers(field.url) if each.pid == worker.pid]
    assert len(found) < 2
    return found[0] if found else None


def wait_for(field: Field, worker: Process, doing: str) -> WorkerView:
    """Wait until a worker is listed as doing something."""

    def look() -> WorkerView | None:
        found = seen(field, worker)
        return found if found is not None and found.doing == doing else None

    return wait_until(look, f"{worker.pid} {doing}")  # type: ignore[return-value]


def printed(field: Field, *options: str) -> str:
    """Return what the command prints."""
    ended = field.start("workers", *options).end()
    assert ended.code == 0, ended.stderr
    return ended.stdout


def test_at_work_killed_and_left(field: Field) -> None:
    """Each is told apart; what was killed is known as lost, what left is known no more."""
    field.script(steps=4000)
    make(field, "slow", 0)
    workers = serve(field, 3)
    for worker in workers:
        busy = wait_for(field, worker, "at work")
        assert busy.study == "slow"
        assert 0 < (busy.lease or 0) <= 5
        wait_until(lambda w=worker: getattr(seen(field, w), "trial", None) is not None, "a trial")  # type: ignore[misc]
    found: list[dict[str, Any]] = json.loads(printed(field, "--json"))["workers"]
    assert {each["pid"] for each in found} == {worker.pid for worker in workers}
    assert {each["trial"] for each in found} == {0, 1, 2}
    assert {each["doing"] for each in found} == {"at work"}
    killed, asked, last = workers
    killed.send(signal.SIGKILL)
    killed.end()
    assert wait_for(field, killed, "lost").study == "slow"
    end([asked])
    assert seen(field, asked) is None
    line = next(each for each in printed(field).splitlines() if f":{last.pid}" in each)
    assert "at work" in line
    assert "slow" in line
    end([last])


def test_killed_while_it_waits(field: Field) -> None:
    """Its machine knows at once; a worker that leaves by Ctrl-C takes its line along."""
    storage.open_storage(field.url).engine.dispose()
    assert "no worker is there" in printed(field)
    killed, asked = workers = serve(field, 2)
    for worker in workers:
        idle = wait_for(field, worker, "waiting")
        assert (idle.serves, idle.study, idle.trial, idle.lease) == (None, None, None, None)
        assert idle.since is not None
    killed.send(signal.SIGKILL)
    killed.end()
    assert wait_for(field, killed, "lost").idle is not None
    asked.send(signal.SIGINT)
    assert asked.end().code == 130
    assert seen(field, asked) is None


def test_what_waits_for_one_study(field: Field) -> None:
    """A worker of a paused study is there, and says which study; it is not there afterwards."""
    field.create(2)
    assert field.start("pause", NAME).end().code == 0
    worker = field.worker()
    assert wait_for(field, worker, "waiting").serves == NAME
    assert f"only {NAME}" in printed(field)
    assert field.start("resume", NAME).end().code == 0
    assert worker.end().code == 0, worker.said()
    assert list_workers(field.url) == []


def test_what_a_worker_cannot_serve(field: Field) -> None:
    """The study and the reason stand with each worker of the pool on that machine."""
    make(field, "strange", 0)
    opened = storage.open_storage(field.url)
    study = storage.load(opened, "strange")
    study.set_user_attr(storage.VERSIONS, {"transformers": "99.0.0"})
    opened.engine.dispose()
    (worker,) = serve(field, 1)
    found = wait_for(field, worker, "waiting")
    assert "transformers: stored 99.0.0" in found.refused["strange"].why
    assert "study strange is left to others by" in printed(field)
    end([worker])
