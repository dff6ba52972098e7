"""Two groups of workers in networks of their own; the link of one is cut, and packets vanish."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.faults.field import Field
from tests.faults.processes import NETWORK, Process, wait_until
from tests.networks import Network, network
from tests.postgres import OwnServer, private_server

LEASE = 6.0  # seconds


@pytest.fixture
def networks() -> Iterator[list[Network]]:
    """Two networks."""
    with ExitStack() as stack:
        yield [stack.enter_context(network()) for _ in range(2)]


@pytest.fixture
def server(networks: list[Network]) -> Iterator[OwnServer]:
    """A server that both reach."""
    with private_server(listen_addresses="*") as own:
        with (own.folder / "data" / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.writelines(f"host all all {each.address}/30 trust\n" for each in networks)
        own.pg_ctl("reload")
        yield own


@pytest.fixture
def field(tmp_path: Path, networks: list[Network], server: OwnServer) -> Iterator[Field]:
    """A study on that server."""
    made = Field(tmp_path, server.new_database())
    yield made
    made.close()


def work(field: Field, place: Network, count: int) -> list[Process]:
    """Start workers in a network; nobody sees from elsewhere whether they are gone."""
    here = field.url
    field.url = make_url(here).set(host=place.address).render_as_string(hide_password=False)
    env = {NETWORK: place.name}
    started = [field.worker("--lease", str(LEASE), elsewhere=True, env=env) for _ in range(count)]
    field.url = here
    return started


@pytest.mark.parametrize("evaluate", [False, True], ids=["silent", "reporting"])
def test_a_link_that_is_cut(field: Field, networks: list[Network], evaluate: bool) -> None:
    """Who is cut off steps back before its lease ends; others take over; mended, it goes on."""
    budget = 16
    field.create(budget)
    field.script(steps=600, pause=0.1, evaluate=evaluate, timed=True)  # beyond any lease
    far = work(field, networks[1], 2)
    field.wait_for("began", 2)
    field.script(steps=50, pause=0.1, evaluate=evaluate, timed=True)
    near = work(field, networks[0], 2)
    field.wait_for("began", 4)
    pids = {worker.pid for worker in far}
    lost = {each["trial"] for each in field.log("began") if each["pid"] in pids}
    assert len(lost) == 2
    networks[1].cut()
    wait_until(
        lambda: sum(each["attempt"] > 0 for each in field.log("began")) >= 2, "others to take over"
    )
    before = len(field.log("began"))
    networks[1].mend()
    wait_until(
        lambda: any(each["pid"] in pids for each in field.log("began")[before:]), "their return"
    )
    field.script(steps=4, pause=0.01, evaluate=evaluate, timed=True)
    for worker in [*near, *far]:
        assert worker.end().code == 0, worker.said()
    for worker in far:
        said = " ".join(worker.said().split())
        assert "the storage did not answer until the lease of ticket" in said, worker.said()
        assert "was over; another worker has the ticket now, and continues the trial" in said
        # It was told so before its lease was over, and did not wait for an answer till then.
        assert ("the storage is away; training goes on" in worker.said()) == evaluate
    field.check(budget)
    check_one_owner(field)


def check_one_owner(field: Field) -> None:
    """Check that no attempt at a ticket took a step after the next attempt had begun."""
    steps = defaultdict(list)
    for each in field.log("stepped"):
        steps[each["trial"]].append(each["at"])
    attempts = defaultdict(list)
    for each in field.log("began"):
        attempts[each["point"]].append(each)
    for ofone in attempts.values():
        for former, latter in pairwise(ofone):
            assert max(steps[former["trial"]], default=0.0) < latter["at"]
    assert sum(len(ofone) > 1 for ofone in attempts.values()) >= 2
