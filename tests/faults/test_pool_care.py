"""What a pool's worker must not do: look too hard, fall with one study, mistake one for another."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import optuna
import pytest
from sqlalchemy import event

from hpo import leases, outages, planning, storage, workers
from hpo.errors import DataError, HandedBack
from hpo.joining import join
from hpo.leases import Tickets, view_tickets
from hpo.pool import Pool
from hpo.progress import Progress
from hpo.refusals import read, refuse, withdraw
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


def test_a_finished_confirmation_is_not_opened(here: Here) -> None:
    """How many runs it has stands in its specification: an idle worker need not read its data."""
    file = here.field.write(2, budget={"trials": 2}, confirm={"top": 1, "seeds": 2})
    assert here.field.run(file).end().code == 0
    opened: list[str] = []

    def join(name: str) -> Worker:
        opened.append(name)
        return here.join(name)

    pool = Pool(here.opened, join, lambda _name: None, here.heard, Stop())
    assert not pool._work_once()
    assert opened == []
    more = here.field.write(2, budget={"trials": 2}, confirm={"top": 2, "seeds": 2})
    here.field.arm("created")
    going_on = here.field.run(more)
    here.field.reached("created")  # of a further run of the confirmation: the others wait
    assert pool._work_once()
    assert opened == ["field-confirm"]
    here.field.go("created")
    assert going_on.end().code == 0


@pytest.mark.parametrize("where", ["join", "turn"])
def test_a_signal_is_not_the_fault_of_a_study(
    here: Here, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What loads a model takes whatever is raised meanwhile for what is wrong with the model."""

    def load(_: object) -> NoReturn:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except HandedBack as error:
            raise RuntimeError("cannot be loaded: stopped by SIGTERM") from error
        raise AssertionError("no signal came")

    here.field.create()
    if where == "turn":
        monkeypatch.setattr(Worker, "turn", load)
    joining: Callable[[str], Worker] = load if where == "join" else here.join
    with Stop() as stop:
        pool = Pool(here.opened, joining, lambda _name: None, here.heard, stop)
        with pytest.raises(HandedBack):
            pool.serve()
    assert here.heard.notes == []
    assert read(storage.load(here.opened, "field").user_attrs, leases.now(here.opened.engine)) == {}


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
    assert "TypeError" in next(iter(read(faulty, 0.0).values())).why
    tickets = view_tickets(here.opened.engine, faulty[storage.ID])
    assert {(ticket.state, ticket.deaths) for ticket in tickets} == {("waiting", 0)}


def test_a_specification_that_nobody_reads_here_is_told(here: Here) -> None:
    """A newer hpo wrote it: it is left to others, and says why."""
    make(here.field, "newer", 0)
    study = storage.load(here.opened, "newer")
    study.set_user_attr(storage.SPEC, {**study.user_attrs[storage.SPEC], "novelty": 1})
    assert here.work() == [False]
    (refusal,) = read(study.user_attrs, 0.0).values()
    assert "another version of hpo" in refusal.why
    assert "install the version there" in refusal.advice


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
    """Also where the claim had to be repeated, which tells nothing about them."""
    field.create(1)
    opened = storage.open_storage(field.url)
    study = storage.load(opened, "field").user_attrs[storage.ID]
    workers_ = [Tickets(opened.engine, study, worker=name) for name in "abc"]
    workers_[0].issue([None])
    for deaths, worker in enumerate(workers_):
        with outages.repeated():
            assert worker.claim(None) is not None
        assert worker.view()[0].deaths == deaths
        assert worker.end_leases([worker.worker]) == 1
    opened.engine.dispose()


def test_a_refusal_ends_by_itself(field: Field) -> None:
    """A machine that serves the storage no more says nothing about it for ever."""
    field.create(1)
    opened = storage.open_storage(field.url)
    began = leases.now(opened.engine)
    refuse(opened, "field", DataError("no data here"), 300.0)
    first = storage.load(opened, "field").user_attrs
    (refusal,) = read(first, began + 10.0).values()
    assert (refusal.why, refusal.worker) == ("no data here", workers.here())
    assert "--data" in refusal.advice
    assert 0 <= refusal.since <= 10
    assert 290 <= refusal.again < 300
    assert read(first, began + 4000.0) == {}
    refuse(opened, "field", DataError("still none"), 300.0)  # it is the first one that counts
    (again,) = read(storage.load(opened, "field").user_attrs, began + 10.0).values()
    assert again.why == "still none"
    assert again.since == pytest.approx(refusal.since)
    withdraw(opened, "field")
    assert read(storage.load(opened, "field").user_attrs, began) == {}
    opened.engine.dispose()
