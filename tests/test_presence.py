"""What workers note of themselves: seldom, by the database's clock; what is stale is no news."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, event, inspect, text

from hpo import presence, storage
from hpo.binding import BindingStorage
from hpo.leases import now
from hpo.pool_view import WorkerView, list_workers
from hpo.presence import Presence
from hpo.storage_check import check
from tests.postgres import Server

_GRAIN = 0.01  # seconds, of the database's clock
FAR = "far:7::99"  # of a machine that is not known: nobody sees whether it is gone


@pytest.fixture
def listed(opened: BindingStorage, database_url: str) -> Callable[[], list[WorkerView]]:
    """Return who is listed, one after the other by name."""
    return lambda: list_workers(database_url)


def age(engine: Engine, seconds: float) -> None:
    """Let notes be older than they are."""
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE hpo_workers SET seen_at = seen_at - {seconds}"))  # noqa: S608


def count(engine: Engine) -> int:
    """Return how many rows there are."""
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM hpo_workers")) or 0)


def test_a_worker_that_waits(
    opened: BindingStorage, listed: Callable[[], list[WorkerView]]
) -> None:
    """It is listed with host, process and what it serves, until it leaves."""
    pool = Presence(opened.engine, FAR)
    one = Presence(opened.engine, "there:8::99", study="its own")
    before = now(opened.engine)
    pool.note(idle=True, device="cuda")
    one.note(idle=True)
    found = listed()
    spent = now(opened.engine) - before
    assert [(each.host, each.pid, each.doing) for each in found] == [
        ("far", 7, "waiting"),
        ("there", 8, "waiting"),
    ]
    assert [each.serves for each in found] == [None, "its own"]
    assert found[0].device == "cuda"
    assert found[0].since is not None
    assert found[0].idle is not None
    assert -_GRAIN <= found[0].since <= spent + _GRAIN
    assert -_GRAIN <= found[0].idle <= spent + _GRAIN
    pool.leave()
    assert [each.host for each in listed()] == ["there"]


def test_notes_are_rare(opened: BindingStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a worker looks, it writes once in a while, and when it begins to wait."""
    written: list[str] = []
    event.listen(
        opened.engine, "before_cursor_execute",
        lambda *of: written.append(of[2]) if "hpo_workers" in of[2] else None,
    )  # fmt: skip
    mine = Presence(opened.engine, FAR)
    for idle in [False] * 50 + [True] * 50:
        mine.note(idle=idle)
    assert [line.split()[0] for line in written] == ["DELETE", "INSERT", "INSERT"]
    monkeypatch.setattr(presence, "_EVERY", 0.0)
    mine.note(idle=True)
    assert len(written) == 4


def test_since_when_it_waits(
    opened: BindingStorage,
    listed: Callable[[], list[WorkerView]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The beginning stays with later notes, and goes when the worker is at work."""
    monkeypatch.setattr(presence, "_EVERY", 0.0)
    mine = Presence(opened.engine, FAR)
    before = now(opened.engine)
    mine.note(idle=True)
    with opened.engine.begin() as connection:
        connection.execute(text("UPDATE hpo_workers SET idle_since = idle_since - 100"))
    mine.note(idle=True)
    waited = listed()[0].since or 0.0
    assert 100 - _GRAIN <= waited <= 100 + now(opened.engine) - before + _GRAIN
    mine.note(idle=False)
    assert listed()[0].since is None
    before = now(opened.engine)
    mine.note(idle=True)
    since = listed()[0].since
    assert since is not None
    assert -_GRAIN <= since <= now(opened.engine) - before + _GRAIN


def test_stale_notes(opened: BindingStorage, listed: Callable[[], list[WorkerView]]) -> None:
    """First the worker counts as lost, then it is not listed, then whoever comes deletes it."""
    Presence(opened.engine, FAR).note(idle=True)
    age(opened.engine, presence.LOST + 1)
    assert [each.doing for each in listed()] == ["lost"]
    age(opened.engine, 3600)
    assert listed() == []
    assert count(opened.engine) == 1
    Presence(opened.engine, "there:8::99").note(idle=True)
    assert [each.host for each in listed()] == ["there"]
    assert count(opened.engine) == 1


def test_at_work_is_for_tickets_to_tell(
    opened: BindingStorage, listed: Callable[[], list[WorkerView]]
) -> None:
    """An old note of one that went to work is no sign of life, nor of death."""
    Presence(opened.engine, FAR).note(idle=False)
    assert [each.doing for each in listed()] == ["waiting"]
    age(opened.engine, presence.LOST + 1)
    assert listed() == []


def test_a_storage_that_is_older(opened: BindingStorage, database_url: str) -> None:
    """It is read, and worked on, without the table; who opens it to work makes it."""
    with opened.engine.begin() as connection:
        connection.execute(text("DROP TABLE hpo_workers"))
    assert list_workers(database_url) == []
    again = storage.open_storage(database_url)
    assert inspect(again.engine).has_table("hpo_workers")
    again.engine.dispose()


def test_a_role_that_may_not_make_it(postgres: Server) -> None:
    """The storage is fit, a worker opens it and goes on; its owner makes the table with init."""
    url = postgres.new_database()
    storage.open_storage(url).engine.dispose()
    role = url.rpartition("/")[2] + "_role"
    owner = storage.open_storage(url)
    with owner.engine.begin() as connection:
        for line in (
            "DROP TABLE hpo_workers", f"CREATE ROLE {role} LOGIN",
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        ):  # fmt: skip
            connection.execute(text(line))
    theirs = url.replace("postgres@", f"{role}@")
    found = storage.open_storage(theirs)
    assert not inspect(found.engine).has_table("hpo_workers")
    mine = Presence(found.engine, FAR)
    mine.note(idle=True)
    mine.leave()
    assert check(theirs).is_fit()
    storage.open_storage(url).engine.dispose()
    assert inspect(owner.engine).has_table("hpo_workers")
    assert "DELETE on hpo_workers" in check(theirs).missing
    Presence(found.engine, FAR).note(idle=True)  # which is not granted yet
    found.engine.dispose()
    with owner.engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}; DROP ROLE {role}"))
    owner.engine.dispose()
    postgres.drop(url)
