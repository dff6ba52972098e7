"""Tickets, one statement at a time, on both databases; many processes: `tests/faults`."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pytest
from sqlalchemy.exc import OperationalError

from hpo import storage
from hpo.binding import BindingStorage, Held
from hpo.errors import CutOff, LeaseLost
from hpo.keeper import Keeper, Patience
from hpo.leases import Ticket, Tickets, view_tickets
from hpo.signals import Stop
from tests.studies_made import make_spec

_GRAIN = 0.01  # seconds, of the database's clock


@pytest.fixture
def tickets_of(opened: BindingStorage) -> Callable[..., Tickets]:
    """Return a worker's tickets of a study, which is made if need be."""

    def found(worker: str = "one", name: str = "study", lease: float = 60.0) -> Tickets:
        study = storage.create_or_attach(
            opened, name, make_spec(), direction="maximize", facts={}
        )  # fmt: skip
        return Tickets(
            opened.engine, study.user_attrs[storage.ID], worker=worker, device="cpu", lease=lease
        )

    return found


def claimed(tickets: Tickets) -> Ticket:
    """Claim a ticket that must be there."""
    ticket = tickets.claim(None)
    assert ticket is not None
    return ticket


def test_issued_once(tickets_of: Callable[..., Tickets]) -> None:
    """To issue again adds what is missing and changes nothing."""
    tickets = tickets_of()
    tickets.issue([{"x": 1}, {"x": 2}])
    first = claimed(tickets)
    tickets.issue([{"x": 9}, {"x": 9}, {"x": 3}])
    assert first.params == {"x": 1}
    assert [claimed(tickets).params for _ in range(2)] == [{"x": 2}, {"x": 3}]
    assert tickets.claim(None) is None


def test_below(tickets_of: Callable[..., Tickets]) -> None:
    """Only tickets below a number are claimed, or shown as open."""
    tickets = tickets_of()
    tickets.issue([None] * 3)
    assert claimed(tickets).number == 0
    assert tickets.claim(1) is None
    assert [each.number for each in tickets.open(2)] == [0, 1]
    assert tickets.claim(2, claimed(tickets)) is None
    assert [each.state for each in tickets.view()] == ["held", "done", "waiting"]


def test_a_lease_that_is_over(tickets_of: Callable[..., Tickets]) -> None:
    """Somebody else claims the ticket; nothing that the first holder says is heard any more."""
    late, next_ = tickets_of("late", lease=-1.0), tickets_of("next")
    late.issue([None])
    old, new = claimed(late), claimed(next_)
    assert (new.number, new.epoch, new.deaths) == (0, 2, 1)
    assert not any([late.renew(old), late.settle(old), late.hand_back(old)])
    before = next_.now()
    assert next_.renew(new, idle=5.0)
    (view,) = next_.view()
    spent = next_.now() - before + _GRAIN
    assert (view.worker, view.state) == ("next", "held")
    assert view.idle is not None
    assert 5.0 - _GRAIN <= view.idle <= 5.0 + spent
    assert view.lease is not None
    assert 60.0 - spent <= view.lease <= 60.0 + _GRAIN
    assert next_.settle(new)
    assert not next_.renew(new)


def test_who_lives_was_not_dead(tickets_of: Callable[..., Tickets]) -> None:
    """A lease that was over counts as a death until its holder says otherwise; twice is as once."""
    late, next_ = tickets_of("late", lease=-1.0), tickets_of("next", lease=-1.0)
    late.issue([None])
    old, new = claimed(late), claimed(next_)
    assert (new.deaths, next_.deaths(new)) == (1, 1)
    assert [late.hand_back_late(old) for _ in range(2)] == [False, False]
    assert next_.deaths(new) == 0
    renewed = next_.renew(new)
    assert renewed is not None
    assert renewed.deaths == 0
    third = claimed(tickets_of("third"))
    assert (third.epoch, third.deaths) == (3, 1)
    assert not late.hand_back_late(old)  # that one is not of its lease
    assert late.deaths(third) == 1
    assert not next_.hand_back_late(renewed)
    assert late.deaths(third) == 0


def test_who_lives_hands_back(tickets_of: Callable[..., Tickets]) -> None:
    """Where nobody took the ticket over, it is free at once, and nobody died."""
    late = tickets_of("late", lease=-1.0)
    late.issue([None])
    assert late.hand_back_late(claimed(late))
    assert late.view()[0].state == "waiting"
    assert claimed(late).deaths == 0


def test_handed_back(tickets_of: Callable[..., Tickets]) -> None:
    """It is claimed again at once, and nobody died."""
    tickets = tickets_of()
    tickets.issue([None])
    assert tickets.hand_back(claimed(tickets))
    again = claimed(tickets)
    assert (again.epoch, again.deaths) == (2, 0)


def test_leases_of_the_dead(tickets_of: Callable[..., Tickets]) -> None:
    """Theirs end, once; those of others do not."""
    dead, alive = tickets_of("dead"), tickets_of("alive")
    dead.issue([None] * 2)
    claimed(dead), claimed(alive)
    assert [alive.end_leases(names) for names in (["dead"], ["dead"], [])] == [1, 0, 0]
    taken = claimed(alive)
    assert (taken.number, taken.deaths) == (0, 1)


def test_the_clock_is_the_database_s(
    tickets_of: Callable[..., Tickets], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is wrong changes nothing."""
    tickets = tickets_of()
    tickets.issue([None])
    before = tickets.now()
    monkeypatch.setattr("time.time", lambda: 0.0)
    ticket = claimed(tickets)
    assert before <= ticket.claimed_at <= tickets.now()
    (view,) = tickets.view()
    assert view.lease is not None
    assert 60.0 - (tickets.now() - before) - _GRAIN <= view.lease <= 60.0 + _GRAIN


def test_tickets_of_a_deleted_study(
    opened: BindingStorage, tickets_of: Callable[..., Tickets]
) -> None:
    """They go when the next study is made; those of others stay."""
    gone, stays = tickets_of(name="gone"), tickets_of(name="stays")
    gone.issue([None] * 3)
    stays.issue([None])
    ticket = claimed(gone)
    optuna.delete_study(study_name="gone", storage=opened)
    assert not gone.renew(ticket)
    assert gone.claim(None) is None
    assert gone.take(1) is None
    assert view_tickets(opened.engine, gone.study)
    new = tickets_of(name="gone")
    assert not view_tickets(opened.engine, gone.study)
    assert not new.view()
    assert len(view_tickets(opened.engine, stays.study)) == 1


def test_points_are_issued_behind_those_there_are(tickets_of: Callable[..., Tickets]) -> None:
    """Each point once, in whatever order it comes again; nothing that was issued changes."""
    tickets = tickets_of()
    tickets.issue_points([{"x": 1, "y": "a"}, {"x": 2, "y": "a"}])
    claimed(tickets)
    tickets.issue_points([{"y": "b", "x": 2}, {"y": "a", "x": 2}, {"x": 3}, {"x": 1, "y": "a"}])
    tickets.issue_points([{"x": 3}])
    found = [claimed(tickets).params for _ in range(3)]
    assert found == [{"x": 2, "y": "a"}, {"x": 2, "y": "b"}, {"x": 3}]
    assert tickets.claim(None) is None


@pytest.mark.parametrize("attempt", range(5))
def test_points_of_two_who_issue_at_once(tickets_of: Callable[..., Tickets], attempt: int) -> None:
    """Each point gets one ticket, although the two have different ones in different orders."""
    tickets = [tickets_of("one"), tickets_of("two")]
    points = [{"x": number} for number in range(40)]
    start = threading.Barrier(2)

    def issue(which: int) -> None:
        start.wait()
        tickets[which].issue_points(points[30::-1] if which else points[10:])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(issue, range(2)))
    found = [ticket.params["x"] for ticket in iter(lambda: tickets[0].claim(None), None)]  # type: ignore[index]
    assert sorted(found) == list(range(40))


@pytest.mark.parametrize("point", [{"x": 1.0}, {"x": True}, {"x": "1"}])
def test_points_of_other_types(tickets_of: Callable[..., Tickets], point: dict[str, Any]) -> None:
    """1, 1.0, true and "1" are four points."""
    tickets = tickets_of()
    tickets.issue_points([{"x": 1}])
    tickets.issue_points([point, {"x": 1}])
    assert [claimed(tickets).params for _ in range(2)] == [{"x": 1}, point]


def test_what_a_worker_held_that_lost_the_storage(tickets_of: Callable[..., Tickets]) -> None:
    """Its ticket is free at once, and no death is counted."""
    gone, other = tickets_of("gone"), tickets_of("other")
    gone.issue([None])
    claimed(gone)
    assert other.hand_back_of(["gone", "nobody"]) == 1
    assert claimed(other).deaths == 0


def test_one_ticket_is_taken(tickets_of: Callable[..., Tickets]) -> None:
    """By its number, if nobody holds it; with the last progress of who held it before."""
    late, other = tickets_of("late", lease=-1.0), tickets_of("other")
    late.issue([None] * 3)
    claimed(late)
    held = claimed(late)  # the first one again: its lease was over before it began
    before = late.now()
    late.renew(held, idle=100.0)
    spent = late.now() - before + _GRAIN
    taken = other.take(0)
    assert taken is not None
    assert (taken.number, taken.deaths) == (0, 2)
    assert taken.progressed_at is not None
    assert -_GRAIN <= taken.progressed_at - (before - 100) <= spent
    assert other.take(0) is None
    free = other.take(2)
    assert free is not None
    assert free.progressed_at is None


@pytest.mark.parametrize("away", [True, False])
def test_a_lease_that_was_lost_in_an_outage(
    tickets_of: Callable[..., Tickets], monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    """Whoever hears of it only when the storage is back was cut off; nobody has died."""
    late, next_ = tickets_of("late", lease=-1.0), tickets_of("next")
    late.issue([None])
    old, new = claimed(late), claimed(next_)
    assert new.deaths == 1
    keeper = Keeper(Held(late, old), time.monotonic(), Stop(), Patience(), print)
    if away:
        with monkeypatch.context() as outage:
            outage.setattr(late, "renew", _no_answer)
            keeper._renew(time.monotonic())
    keeper._renew(time.monotonic())
    with pytest.raises(LeaseLost) as caught:
        keeper.progressed()
    assert isinstance(caught.value, CutOff) is away
    if away:
        assert not keeper.step_back()
    assert next_.view()[0].deaths == (0 if away else 1)


def test_a_report_hears_of_it_first(
    tickets_of: Callable[..., Tickets], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease's own question was not answered yet; it was an outage all the same."""
    late = tickets_of("late")
    late.issue([None])
    keeper = Keeper(Held(late, claimed(late)), time.monotonic(), Stop(), Patience(), print)
    monkeypatch.setattr(late, "renew", _no_answer)
    keeper._renew(time.monotonic())
    lost = LeaseLost("trial 0 was ended by another worker")
    keeper._thread.start()
    keeper.__exit__(LeaseLost, lost, None)
    assert keeper.cut_off


def _no_answer(ticket: Ticket, idle: float) -> None:
    raise OperationalError("", {}, Exception("no answer"))
