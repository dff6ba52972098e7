"""A study that has plateaued ends for all its workers alike."""

import os
from pathlib import Path

from hpo import plateau
from hpo.spec import StopSpec
from hpo.trials import has_outcome
from tests.faults import scripted
from tests.faults.field import NAME, Field
from tests.faults.invariant import trials_of

POINTS = 24
STOP = {"patience": 6, "min_trials": 1}
WORKERS = 3


def test_all_workers_conclude_alike(field: Field) -> None:
    """They finish what they run and say why; another run says so again; more patience goes on."""
    field.create(POINTS, stop=STOP)
    field.script(steps=4, pause=0.05)  # a worker that is held up lets the others go on meanwhile
    for worker in [field.worker() for _ in range(WORKERS)]:
        ended = worker.end()
        assert ended.code == 0, ended.stderr
        assert "the study has plateaued: the last 6 of " in ended.stderr
    trials = trials_of(field.url, NAME)
    count = plateau.plateau(plateau.outcomes(trials, maximize=True), StopSpec(**STOP))
    assert count is not None
    assert count <= len(trials) < count + 2 * WORKERS
    assert all(has_outcome(trial) for trial in trials)
    assert not field.held()
    again = field.run(field.write(POINTS, stop=STOP)).end()
    assert again.code == 0, again.stderr
    assert f"the last 6 of {count} trials" in again.stderr
    assert len(trials_of(field.url, NAME)) == len(trials)
    more = field.run(field.write(POINTS, stop={"patience": POINTS})).end()
    assert more.code == 0, more.stderr
    assert "plateaued" not in more.stderr
    field.check(POINTS)


def test_whoever_watches_says_why(field: Field) -> None:
    """With --workers it is they who see it; the one that started them says so too."""
    site = field.folder / "process-0" / "site"  # where the task is installed
    path = os.pathsep.join([str(site), str(Path(scripted.__file__).parents[2])])
    field.script(steps=1, pause=0.0)
    points = 10 * POINTS  # trials that wait for one whose worker is slow say nothing meanwhile
    file = field.write(points, stop=STOP)
    options = ("--name", NAME, "--workers", "2")
    ended = field.start("run", str(file), *options, env={"PYTHONPATH": path}).end()
    assert ended.code == 0, ended.stderr
    assert "the study has plateaued: the last 6 of " in ended.stderr
    assert len(trials_of(field.url, NAME)) < points
