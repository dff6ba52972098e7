"""What a pool's worker must not do: look too hard, fall with one study, mistake one for another."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import event

from hpo import orders, outages, planning, storage, workers
from hpo.joining import join
from hpo.leases import Tickets, view_tickets
from hpo.orders import refusals_of
from hpo.pool import Pool
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.worker import Worker
from tests.faults import scripted
from tests.faults.field import Field
from tests.faults.invariant import check_invariant
from tests.faults.test_pool import make


class Heard(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a sentence."""
        self.notes.append(text)


class Here:
    """A pool's worker in this process.

    Args:
        field: whose storage it serves.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.opened = storage.open_storage(field.url)
        self.heard = Heard()
        self.pool = Pool(self.opened, self.join, lambda _name: None, self.heard, Stop())

    def join(self, name: str) -> Worker:
        """Join a study as `hpo worker` does."""
        plan = planning.plan_from_storage(name, self.field.url, data=None, output=self.field.output)
        return join(plan, Progress(), Stop(), self.opened).worker()

    def work(self, turns: int = 1) -> list[bool]:
        """Take turns; returns whether there was something to do in each."""
        return [self.pool._work_once() for _ in range(turns)]


@pytest.fixture
def here(field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """Serve the field's storage from this process, which knows the scripted task."""
    scripted.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv(scripted.STAGE, str(field.stage))
    made = Here(field)
    yield made
    made.opened.remove_session()
    made.opened.engine.dispose()
    sys.path_importer_cache.clear()


@contextmanager
def statements(here: Here) -> Iterator[list[str]]:
    """Record the statements that are sent to the database."""
    sent: list[str] = []

    def record(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(here.opened.engine, "before_cursor_execute", record)
    yield sent
    event.remove(here.opened.engine, "before_cursor_execute", record)


def test_a_look_is_as_cheap_with_many_studies(here: Here) -> None:
    """Three statements, however many studies there are and trials in them."""
    for number in range(3):
        make(here.field, f"study-{number}", 10 * number)
    assert all(here.work(12))
    assert not any(here.work(3))
    with statements(here) as sent:
        assert here.work() == [False]
    assert len([each for each in sent if each.startswith("SELECT")]) == 3


def test_a_fault_in_one_study_harms_no_other(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy's, say: the study is left to others with the reason, its ticket is handed back."""
    make(here.field, "faulty", 0, priority=9)
    make(here.field, "sound", 10)
    whole = Worker.turn

    def turn(worker: Worker) -> Any:
        if worker.study.study_name == "faulty":
            monkeypatch.setattr(worker.work.strategy, "sampler", None)  # is called for a trial
        return whole(worker)

    monkeypatch.setattr(Worker, "turn", turn)
    assert here.work(4) == [True] * 4
    check_invariant(here.field.url, "sound", 4, here.field.stage, alone=False)
    faulty = storage.load(here.opened, "faulty").user_attrs
    assert "TypeError" in next(iter(refusals_of(faulty).values()))
    tickets = view_tickets(here.opened.engine, faulty[storage.ID])
    assert {(ticket.state, ticket.deaths) for ticket in tickets} == {("waiting", 0)}


def test_a_specification_that_nobody_reads_here_is_told(here: Here) -> None:
    """A newer hpo wrote it: it is left to others, and says why."""
    make(here.field, "newer", 0)
    study = storage.load(here.opened, "newer")
    study.set_user_attr(storage.SPEC, {**study.user_attrs[storage.SPEC], "novelty": 1})
    assert here.work() == [False]
    (why,) = refusals_of(study.user_attrs).values()
    assert "another version of hpo" in why


def test_a_study_that_was_deleted_and_made_again_is_served(here: Here) -> None:
    """It has the same name, and is another one."""
    make(here.field, "again", 0)
    assert here.work(2) == [True, True]
    optuna.delete_study(study_name="again", storage=here.opened)
    shutil.rmtree(here.field.output)
    (here.field.stage / "log.jsonl").unlink()
    make(here.field, "again", 0)
    assert here.work(4) == [True] * 4
    check_invariant(here.field.url, "again", 4, here.field.stage)


def test_a_ticket_of_a_process_that_is_seen_to_be_gone_is_taken_at_once(here: Here) -> None:
    """Long before its lease is over."""
    make(here.field, "left", 0)
    here.join("left").begin()
    study = storage.load(here.opened, "left").user_attrs[storage.ID]
    no_more = ":".join([*workers.here().split(":")[:3], "0"])  # began with this machine
    gone = Tickets(here.opened.engine, study, worker=no_more, lease=3600.0)
    assert all(gone.claim(None) for _ in range(4))
    assert here.work(4) == [True] * 4
    check_invariant(here.field.url, "left", 4, here.field.stage)


def test_deaths_that_were_seen_are_charged(field: Field) -> None:
    """Also where some statement had to be repeated of late, which tells nothing about them."""
    field.create(1)
    opened = storage.open_storage(field.url)
    study = storage.load(opened, "field").user_attrs[storage.ID]
    first, second = (Tickets(opened.engine, study, worker=name) for name in "ab")
    first.issue([None])
    try:
        for deaths in range(3):
            outages._ends[:] = [time.monotonic()]
            assert first.claim(None) is not None
            assert first.view()[0].deaths == deaths
            assert second.end_leases(["a"]) == 1
    finally:
        outages._ends.clear()
        opened.engine.dispose()


def test_a_refusal_ends_by_itself(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that serves the storage no more says nothing about it for ever."""
    field.create(1)
    opened = storage.open_storage(field.url)
    orders.refused(opened, "field", "no data here")
    attrs = storage.load(opened, "field").user_attrs
    assert list(refusals_of(attrs).values()) == ["no data here"]
    monkeypatch.setattr("hpo.orders._REFUSED_FOR", -1.0)
    assert refusals_of(attrs) == {}
    opened.engine.dispose()
