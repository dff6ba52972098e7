"""A pool that grows and shrinks, by joining, SIGTERM and kill -9, serves studies by priority."""

import random
import signal

from sqlalchemy import create_engine, text

from hpo import orders, storage
from hpo.spec import parse
from tests.faults import scripted
from tests.faults.conftest import often
from tests.faults.field import NAME, Field
from tests.faults.invariant import check_invariant, trials_of
from tests.faults.processes import ELSEWHERE, Process, wait_until

PRIORITIES = {"urgent": 5, "usual": 0, "idle": -5}  # study -> its priority, the first one first
MOST = 6  # workers at a time


def make(field: Field, name: str, first: int, points: int) -> None:
    """Make a study of a grid of points from some number on; deaths are no poison here."""
    space = {"point": {"type": "choice", "values": list(range(first, first + points))}}
    spec = parse(field.document(space=space, budget={"max_attempts": 50}), "study.toml")
    opened = storage.open_storage(field.url)
    storage.create_or_attach(
        opened, name, spec, direction="maximize", facts={storage.METRIC: scripted.METRIC},
        first={storage.DATA: str(field.folder)},
    )  # fmt: skip
    orders.change(opened, name, priority=PRIORITIES[name])
    opened.engine.dispose()


def churn(field: Field, running: list[Process], draw: random.Random) -> None:
    """Let a worker join, or one that works leave, asked or killed."""
    running[:] = [worker for worker in running if not worker.over()]
    if len(running) < 2 or (len(running) < MOST and draw.random() < 0.5):
        elsewhere = draw.random() < 0.5  # then only its lease tells that it was killed
        env = {ELSEWHERE: "1"} if elsewhere else {}
        running.append(field.start("worker", "--lease", "3", env=env))
        return
    leaving = running.pop(draw.randrange(len(running)))
    leaving.send(draw.choice([signal.SIGTERM, signal.SIGKILL]))


def done(field: Field) -> int:
    """Return how many tickets have an outcome, of all studies."""
    engine = create_engine(storage._parse(field.url))
    with engine.connect() as connection:
        statement = text("SELECT count(*) FROM hpo_tickets WHERE state = 'done'")
        found = int(connection.scalar(statement) or 0)
    engine.dispose()
    return found


def claimed_first(field: Field, name: str) -> list[float]:
    """Return when tickets of a study were claimed for the first time, by the database's clock."""
    runs = [trial.user_attrs["hpo:run"] for trial in trials_of(field.url, name)]
    return sorted(run["at"] for run in runs if run["epoch"] == 1)


def test_three_studies(field: Field) -> None:
    """None is begun while one of a higher priority is not; each has its exact budget."""
    points = often(8, 60)
    for place, name in enumerate(PRIORITIES):
        make(field, name, 100 * place, points)
    field.script(steps=5, pause=0.04)
    draw, total = random.Random(1), points * len(PRIORITIES)
    field.arm("claimed")
    killed = field.start("worker", "--lease", "3")
    field.reached("claimed")
    killed.kill()
    running: list[Process] = []
    while (before := done(field)) < total:
        churn(field, running, draw)
        wait_until(
            lambda n=before: done(field) > n or all(one.over() for one in running),  # type: ignore[misc]
            "an outcome",
        )
    running.append(field.start("worker"))
    running[-1].wait_for("nothing to do")
    for worker in running:
        worker.send(signal.SIGTERM)
    ends = [worker.end() for worker in field.processes]
    assert {75, -signal.SIGKILL} <= {each.code for each in ends}  # they left in both ways, …
    left = {75, -signal.SIGKILL, -signal.SIGTERM}  # … the last before they had begun
    assert [each.stderr for each in ends if each.code not in left] == []
    for name in PRIORITIES:
        check_invariant(field.url, name, points, field.stage, alone=False)
    urgent, usual, idle = (claimed_first(field, name) for name in PRIORITIES)
    assert (
        min(map(len, (urgent, usual, idle))) > points // 2
    )  # others died before their first trial
    assert urgent[-1] <= usual[0]
    assert usual[-1] <= idle[0]


def test_a_grid_that_grows(field: Field) -> None:
    """A worker of the pool that has begun a grid runs the points that are added meanwhile, too."""
    wide = field.write(6)
    field.script(steps=4000)
    first = field.run(field.write(3))
    first.wait_for("trial 0 started")
    first.send(signal.SIGTERM)
    assert first.end().code == 75
    field.script(steps=4, pause=0.2)
    worker = field.start("worker")
    field.wait_for("began", 2)
    assert field.start("submit", str(wide), "--name", NAME).end().code == 0
    wait_until(lambda: done(field) == 6 or worker.over(), "six outcomes")
    worker.send(signal.SIGTERM)
    assert worker.end().code == 75, worker.said()
    field.check(6)
