"""A study that learns from others: whoever works on it does, and goes on where they are deleted."""

from typing import Any

import optuna
import pytest
from optuna.trial import create_trial

from hpo import storage
from hpo.spec import parse
from hpo.strategies.distributions import distributions_of
from tests.faults import scripted
from tests.faults.field import NAME, Field
from tests.faults.invariant import trials_of

POINTS = 10
BEST = 7  # of a grid of them
GONE = "warm start: study 'earlier' is no longer there; the search goes on without it"


@pytest.fixture
def learner(field: Field) -> dict[str, Any]:
    """The changes that make a study learn from another one, called earlier."""
    spec = parse(field.document(POINTS), "study.toml")
    opened = storage.open_storage(field.url)
    study = storage.create_or_attach(opened, "earlier", spec, direction="maximize", facts={})
    distributions = distributions_of(spec.search_space())
    for point in range(POINTS):
        params, value = {"point": point}, scripted.score(point)
        study.add_trial(create_trial(params=params, distributions=distributions, value=value))
    opened.engine.dispose()
    return {"strategy": "bayes", "budget": {"trials": 2}, "warm_start": ["earlier"]}


def first_point(field: Field) -> int:
    """Return what was tried first in the study."""
    point: int = trials_of(field.url, NAME)[0].params["point"]
    return point


def delete_earlier(field: Field) -> None:
    """Delete the study that is learnt from."""
    opened = storage.open_storage(field.url)
    optuna.delete_study(study_name="earlier", storage=opened)
    opened.engine.dispose()


def test_who_joins_learns_too(field: Field, learner: dict[str, Any]) -> None:
    """What to learn from stands in the study: a worker that knows its name only begins with it."""
    field.create(POINTS, **learner)
    assert GONE not in field.finish().stderr
    assert first_point(field) == BEST


def test_the_option_is_stored_and_kept_to(field: Field, learner: dict[str, Any]) -> None:
    """It takes the place of the file's; another one, or none, is another specification."""
    file = field.write(POINTS, **{**learner, "warm_start": ["nothing"]})
    first = field.run(file, "--warm-start", "earlier").end()
    assert first.code == 0, first.stderr
    assert "warm start: earlier: 10 trials (objective of scripted) over point" in first.stderr
    assert first_point(field) == BEST
    opened = storage.open_storage(field.url, create=False)
    study = storage.load(opened, NAME)
    assert storage.spec_of(NAME, study.user_attrs).warm_start == ("earlier",)
    opened.remove_session()
    opened.engine.dispose()
    refused = field.run(file, "--set", "warm_start=[]").end()
    assert refused.code == 3
    assert 'warm_start: stored ["earlier"], found []' in refused.stderr
    assert len(trials_of(field.url, NAME)) == 2


def test_a_study_outlives_those_it_learns_from(field: Field, learner: dict[str, Any]) -> None:
    """Run again, or joined, it says once that one is gone, and goes on."""
    file = field.write(POINTS, **learner)
    assert field.run(file).end().code == 0
    delete_earlier(field)
    for again in (field.run(file, "--trials", "4").end(), field.worker().end()):
        assert again.code == 0, again.stderr
        assert again.stderr.count(GONE) == 1
    assert len(trials_of(field.url, NAME)) == 4


def test_gone_while_a_worker_runs(field: Field, learner: dict[str, Any]) -> None:
    """Deleted between two trials of one worker: one line, and the next trial."""
    field.create(POINTS, **{**learner, "budget": {"trials": 4}})
    field.arm("told")
    worker = field.worker()
    field.reached("told")
    delete_earlier(field)
    field.go("told")
    ended = worker.end()
    assert ended.code == 0, ended.stderr
    assert ended.stderr.count(GONE) == 1
    assert len(trials_of(field.url, NAME)) == 4


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--warm-start", "earler"],
         "warm_start: found no study 'earler'; known are earlier; did you mean 'earlier'?"),
        (["--warm-start", "earlier", "--warm-start", NAME],
         f"warm_start: found '{NAME}', the study itself; expected an earlier one"),
        (["--warm-start", "earlier", "--strategy", "tpe"],
         "warm_start: found beside tpe, which learns from its own trials only"),
        (["--warm-start", "earlier", "--warm-start", "earlier"],
         "warm_start: found a name twice; expected distinct names"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_before_a_study_is_made(
    field: Field, learner: dict[str, Any], options: list[str], problem: str
) -> None:
    """One line and exit code 2; the storage holds no study of the name."""
    ended = field.run(field.write(POINTS, **learner), *options).end()
    assert ended.code == 2, ended.stderr
    assert problem in ended.stderr
    opened = storage.open_storage(field.url, create=False)
    assert storage.study_names(opened) == ["earlier"]
    opened.engine.dispose()
