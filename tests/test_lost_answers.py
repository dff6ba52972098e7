"""A transaction that the server has done, and whose answer is lost: it counts once, all the same.

Every method that is repeated through outages is here, by the name that introspection gives it; one
without a case fails.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import count
from typing import Any

import optuna
import psycopg2
import pytest
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpo import leases, storage
from hpo.binding import Binding, BindingStorage, Held
from hpo.leases import Tickets, supplies
from hpo.presence import Presence, rows
from hpo.trials import RUN
from tests.lost_answers import There, claimed, persistent_methods
from tests.postgres import Server
from tests.proxies import proxy
from tests.studies_made import make_spec

MAXIMIZE = StudyDirection.MAXIMIZE
TICKETS = 3


@pytest.fixture(scope="module")
def template(postgres: Server) -> Iterator[str]:
    """A database with a study and its tickets."""
    url = postgres.new_database()
    opened = storage.open_storage(url)
    study = storage.create_or_attach(
        opened, "study", make_spec(), direction="maximize", facts={storage.METRIC: "f1"}
    )  # fmt: skip
    Tickets(opened.engine, study.user_attrs[storage.ID], worker="").issue([None] * TICKETS)
    opened.remove_session()
    opened.engine.dispose()
    yield url
    postgres.drop(url)


@pytest.fixture
def there(postgres: Server, template: str) -> Iterator[There]:
    """A study of one's own."""
    url = postgres.new_database(template)
    with proxy(url) as between:
        made = There(url, between)
        yield made
        made.close()
    postgres.drop(url)


# ── tickets ──────────────────────────────────────────────────────────────────────────────────────


def _issue(there: There) -> None:
    there.lost(lambda: there.tickets.issue([None] * (TICKETS + 2)))
    assert there.states() == ["waiting"] * (TICKETS + 2)


def _issue_points(there: There) -> None:
    there.lost(lambda: there.tickets.issue_points([{"x": 1}, {"x": 2}]))
    assert there.states() == ["waiting"] * (TICKETS + 2)


def _take(there: There) -> None:
    ticket = there.lost(lambda: there.tickets.take(1))
    assert (ticket.number, ticket.deaths) == (1, 0)
    assert there.is_mine(ticket)


def _claim(there: There) -> None:
    first = claimed(there.tickets)
    ticket = there.lost(lambda: there.tickets.claim(None, first))
    assert (ticket.number, ticket.deaths) == (1, 0)
    assert there.states() == ["done", "held", "waiting"]
    assert there.others().renew(ticket) is not None


def _renew(there: There) -> None:
    ticket = claimed(there.tickets)
    assert there.lost(lambda: there.tickets.renew(ticket)) == ticket
    assert there.is_mine(ticket)


def _leave(there: There) -> None:
    for way, then in ((there.tickets.settle, "done"), (there.tickets.hand_back, "waiting")):
        ticket = claimed(there.tickets)
        assert there.lost(partial(way, ticket)) is True
        assert there.states()[ticket.number] == then


def _hand_back_late(there: There) -> None:
    ticket = claimed(there.tickets)
    assert there.lost(lambda: there.tickets.hand_back_late(ticket)) is True
    assert there.states()[0] == "waiting"
    claimed(there.others("first", lease=-1.0))
    late = claimed(there.others("late", lease=-1.0))
    heir = claimed(there.others("heir"))
    assert heir.deaths == 2
    assert there.lost(lambda: there.tickets.hand_back_late(late)) is False
    assert there.tickets.deaths(heir) == 1


def _take_from(there: There) -> None:
    claimed(there.others())
    there.lost(lambda: there.tickets.end_leases(["other"]))
    again = claimed(there.others())
    assert (again.number, again.deaths) == (0, 1)
    there.lost(lambda: there.tickets.hand_back_of(["other"]))
    assert claimed(there.others()).deaths == 1


# ── the list of workers ──────────────────────────────────────────────────────────────────────────


def _listed(there: There) -> list[Any]:
    with there.direct.engine.begin() as connection:
        return [(each["worker"], each["idle"] is not None) for each in rows(connection)]


def _presence_store(there: There) -> None:
    presence = Presence(there.mine.engine, "me")
    there.lost(lambda: presence.note(idle=True))
    assert _listed(there) == [("me", True)]


def _presence_leave(there: There) -> None:
    presence = Presence(there.mine.engine, "me")
    presence.note(idle=True)
    there.lost(presence.leave)
    assert _listed(there) == []


# ── Optuna's tables ──────────────────────────────────────────────────────────────────────────────


def _create_named(there: There) -> None:
    made = there.lost(lambda: there.mine.create_new_study([MAXIMIZE]))
    assert [each._study_id for each in there.direct.get_all_studies()] == [there.study, made]
    named = there.lost(
        lambda: optuna.create_study(storage=there.mine, study_name="new", load_if_exists=True)
    )
    assert named._study_id == there.direct.get_study_id_from_name("new")


def _create_bound(there: There) -> None:
    ticket, binding = there.bound()
    with there.mine.bound(binding):
        made = there.lost(lambda: there.mine.create_new_trial(there.study))
    (trial,) = there.trials()
    assert (trial._trial_id, trial.number, trial.state) == (made, 0, TrialState.RUNNING)
    assert trial.user_attrs[RUN]["ticket"] == ticket.number
    assert there.others().view()[0].trial_id == made


def _take_queued(there: There) -> None:
    waiting = optuna.trial.create_trial(state=TrialState.WAITING)
    queued = there.direct.create_new_trial(there.study, waiting)
    _, binding = there.bound()
    with there.mine.bound(binding):
        taken = there.lost(lambda: there.mine.set_trial_state_values(queued, TrialState.RUNNING))
    assert taken is True
    (trial,) = there.trials()
    assert trial.state == TrialState.RUNNING
    assert there.others().view()[0].trial_id == queued
    second = there.others("second")
    theirs = Binding(second, claimed(second), {}, {})
    with there.direct.bound(theirs):
        assert not there.direct.set_trial_state_values(queued, TrialState.RUNNING)


def _created(there: There) -> tuple[Binding, int]:
    """Return what a running trial of mine was made with, and its id."""
    _, binding = there.bound()
    with there.mine.bound(binding):
        return binding, there.mine.create_new_trial(there.study)


def _end(there: There) -> None:
    binding, trial_id = _created(there)
    complete = (trial_id, TrialState.COMPLETE, [0.5])
    with there.mine.bound(binding):
        assert there.lost(lambda: there.mine.set_trial_state_values(*complete)) is True
        with pytest.raises(UpdateFinishedTrialError):
            there.mine.set_trial_state_values(*complete)
    assert [(each.state.name, each.values) for each in there.trials()] == [("COMPLETE", [0.5])]


def _conclude(there: There) -> None:
    binding, trial_id = _created(there)
    held = Held(there.tickets, binding.ticket)
    with pytest.raises(UpdateFinishedTrialError):  # callers know that it may have been themselves
        there.lost(lambda: there.mine.conclude(held, trial_id, None, {"reason": "x"}))
    assert there.between.lost == 1
    (trial,) = there.trials()
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.FAIL, "x")


def _set_param(there: There) -> None:
    binding, trial_id = _created(there)
    with there.mine.bound(binding):
        there.lost(
            lambda: there.mine.set_trial_param(trial_id, "x", 0.5, FloatDistribution(0.0, 1.0))
        )
    assert there.direct.get_trial(trial_id).params == {"x": 0.5}


def _report(there: There) -> None:
    _, trial_id = _created(there)
    there.lost(lambda: there.mine.set_trial_intermediate_value(trial_id, 3, 0.25))
    assert there.direct.get_trial(trial_id).intermediate_values == {3: 0.25}


def _sets(what: str, kind: str) -> Callable[[There], None]:
    """Return the case of a method that sets an attribute."""

    def case(there: There) -> None:
        number = there.study if what == "study" else _created(there)[1]
        there.lost(lambda: getattr(there.mine, f"set_{what}_{kind}_attr")(number, "a", [1]))
        assert getattr(there.direct, f"get_{what}_{kind}_attrs")(number)["a"] == [1]

    return case


def _reads(ask: Callable[[BindingStorage, There, int], Any]) -> Callable[[There], None]:
    """Return the case of a method that reads: its answer is what the server says."""

    def case(there: There) -> None:
        _, trial_id = _created(there)
        answer = there.lost(lambda: ask(there.mine, there, trial_id))
        assert answer == ask(there.direct, there, trial_id)
        assert answer

    return case


def _now(there: There) -> None:
    before = leases.now(there.direct.engine)
    assert before <= there.lost(there.tickets.now) <= leases.now(there.direct.engine)


def _deaths(there: There) -> None:
    claimed(there.others(lease=-1.0))
    ticket = claimed(there.others())
    assert there.lost(lambda: there.tickets.deaths(ticket)) == 1


def _view(there: There) -> None:
    assert there.lost(there.tickets.view) == there.others().view()


def _names(studies: list[Any]) -> list[str]:
    return [each.study_name for each in studies]


CASES: dict[str, Callable[[There], None]] = {
    "BindingStorage._create_bound": _create_bound,
    "BindingStorage._create_named": _create_named,
    "BindingStorage._end": _end,
    "BindingStorage._get_trials": _reads(lambda s, there, _: s.get_all_trials(there.study)),
    "BindingStorage._set_trial_param": _set_param,
    "BindingStorage._take_queued": _take_queued,
    "BindingStorage.conclude": _conclude,
    "BindingStorage.get_all_studies": _reads(lambda s, _, __: _names(s.get_all_studies())),
    "BindingStorage.get_study_directions": _reads(lambda s, t, _: s.get_study_directions(t.study)),
    "BindingStorage.get_study_id_from_name": _reads(
        lambda s, _, __: s.get_study_id_from_name("study")
    ),
    "BindingStorage.get_study_name_from_id": _reads(
        lambda s, t, _: s.get_study_name_from_id(t.study)
    ),
    "BindingStorage.get_study_system_attrs": _reads(
        lambda s, t, _: (True, s.get_study_system_attrs(t.study))
    ),
    "BindingStorage.get_study_user_attrs": _reads(lambda s, t, _: s.get_study_user_attrs(t.study)),
    "BindingStorage.get_trial": _reads(lambda s, _, trial: s.get_trial(trial)),
    "BindingStorage.get_trial_system_attrs": _reads(
        lambda s, _, trial: (True, s.get_trial_system_attrs(trial))
    ),
    "BindingStorage.get_trial_user_attrs": _reads(lambda s, _, n: s.get_trial_user_attrs(n)),
    "BindingStorage.set_study_system_attr": _sets("study", "system"),
    "BindingStorage.set_study_user_attr": _sets("study", "user"),
    "BindingStorage.set_trial_intermediate_value": _report,
    "BindingStorage.set_trial_system_attr": _sets("trial", "system"),
    "BindingStorage.set_trial_user_attr": _sets("trial", "user"),
    "Presence._store": _presence_store,
    "Presence.leave": _presence_leave,
    "Tickets._leave": _leave,
    "Tickets._take_from": _take_from,
    "Tickets.claim": _claim,
    "Tickets.deaths": _deaths,
    "Tickets.hand_back_late": _hand_back_late,
    "Tickets.issue": _issue,
    "Tickets.issue_points": _issue_points,
    "Tickets.renew": _renew,
    "Tickets.take": _take,
    "Tickets.view": _view,
    "now": _now,
    "supplies": _reads(lambda s, _, __: list(supplies(s.engine))),
}  # fmt: skip


@pytest.mark.parametrize("name", persistent_methods())
def test_what_was_done_counts_once(there: There, name: str) -> None:
    """The server commits, the connection breaks, the method is repeated: it is done once."""
    assert name in CASES, f"no case shows what becomes of {name} when its answer is lost"
    CASES[name](there)


def test_no_case_is_of_the_past() -> None:
    """Each is of a method that there is."""
    assert set(CASES) == set(persistent_methods())


def test_tables_and_a_study_are_made_once(postgres: Server) -> None:
    """On a new database, whichever answer is lost on the way."""
    spec = make_spec()
    for which in count(1):
        url = postgres.new_database()
        with proxy(url) as between, ExitStack() as stack:
            between.lose(which)
            opened = storage.open_storage(between.url)
            stack.callback(opened.engine.dispose)
            study = storage.create_or_attach(opened, "s", spec, direction="maximize", facts={})
            tables, versions, studies = _stored(url)
            assert (tables, versions) == (1, 1)
            assert studies == [("s",)]
            assert storage.spec_of("s", study.user_attrs) == spec
            assert study.user_attrs[storage.ID]
            lost = between.lost
        postgres.drop(url)
        if not lost:
            assert which > 10
            return


def _stored(url: str) -> tuple[int, int, list[tuple[str]]]:
    """Return how many tables of tickets, versions and studies there are."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'hpo_tickets'")
        (tables,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT count(*) FROM alembic_version")
        (versions,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT study_name FROM studies")
        return tables, versions, cursor.fetchall()
