"""Tickets, one statement at a time, on both databases; many processes: `tests/faults`."""

from collections.abc import Callable, Iterator

import optuna
import pytest

from hpo import storage
from hpo.binding import BindingStorage
from hpo.leases import Ticket, Tickets, view_tickets
from tests.studies_made import make_spec


@pytest.fixture
def opened(database_url: str) -> Iterator[BindingStorage]:
    """A storage."""
    found = storage.open_storage(database_url)
    yield found
    found.engine.dispose()


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
    assert next_.renew(new, idle=5.0)
    (view,) = next_.view()
    assert (view.worker, view.state) == ("next", "held")
    assert view.idle == pytest.approx(5.0, abs=2.0)
    assert view.lease == pytest.approx(60.0, abs=2.0)
    assert next_.settle(new)
    assert not next_.renew(new)


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
    assert view.lease == pytest.approx(60.0, abs=10.0)


def test_tickets_of_a_deleted_study(
    opened: BindingStorage, tickets_of: Callable[..., Tickets]
) -> None:
    """They go when the next study is made; those of others stay."""
    gone, stays = tickets_of(name="gone"), tickets_of(name="stays")
    gone.issue([None])
    stays.issue([None])
    ticket = claimed(gone)
    optuna.delete_study(study_name="gone", storage=opened)
    assert not gone.renew(ticket)
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
