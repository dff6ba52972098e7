"""The problems of the search benchmark: their answers are known, and nothing beats them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng

from benchmarks.search.landscape import Landscape, as_columns, configuration, draw
from benchmarks.search.problem import regret
from benchmarks.search.suite import FIRST, landscapes
from benchmarks.search.table import Table

NAMES = list(landscapes("development"))


def landscape(name: str) -> Landscape:
    """Return a development landscape."""
    made = landscapes("development")[name]()
    assert isinstance(made, Landscape)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_nothing_beats_the_stated_optimum(name: str) -> None:
    """Neither random configurations nor those with one other value and a rate near the best."""
    problem = landscape(name)
    columns = draw(problem.space, 20_000, default_rng(1))
    assert problem.scores(columns).max() <= problem.best
    spread = np.exp(default_rng(2).normal(0, 0.3, 20_000))
    at_best = as_columns(problem.space, [problem.optimum] * 20_000)
    at_best["learning_rate"] *= spread
    for each in problem.optimum:
        if each != "learning_rate":  # NaN where the value lets others come to exist
            assert np.nanmax(problem.scores({**at_best, each: columns[each]})) <= problem.best
    assert problem.best == pytest.approx(problem.top, abs=1e-12)
    assert regret(problem, problem.optimum) == 0
    assert not list(problem.space.misfits(problem.optimum))
    assert problem.space.is_drawn(problem.optimum)


@pytest.mark.parametrize("name", NAMES)
def test_the_median_configuration_has_a_regret_of_one(name: str) -> None:
    """About: it is the median of other draws; and a search that found nothing is no better."""
    problem = landscape(name)
    scores = problem.scores(draw(problem.space, 20_000, default_rng(3)))
    middle = (problem.best - np.median(scores)) / (problem.best - problem.typical)
    assert middle == pytest.approx(1, abs=0.1)
    assert regret(problem, None) >= 1


@pytest.mark.parametrize("name", NAMES[:6])
def test_observations_are_the_true_scores_in_the_mean(name: str) -> None:
    """At the optimum, where no training fails for its configuration's sake, by their median."""
    problem = landscape(name)
    rng = default_rng(4)
    seen = [problem.observe(problem.optimum, rng) for _ in range(400)]
    assert np.median(seen) == pytest.approx(problem.best, abs=0.002)
    assert np.std(seen) > 0
    assert problem.seconds(problem.optimum) > 0


@pytest.mark.parametrize("name", NAMES[:3])
def test_draws_are_of_the_space(name: str) -> None:
    """As configurations they are complete and in bounds, and as columns again the same."""
    problem = landscape(name)
    columns = draw(problem.space, 200, default_rng(5))
    drawn = [configuration(problem.space, columns, row) for row in range(200)]
    assert all(problem.space.is_drawn(each) for each in drawn)
    assert not any(list(problem.space.misfits(each)) for each in drawn)
    again = as_columns(problem.space, drawn)
    assert all(np.array_equal(columns[key], again[key], equal_nan=True) for key in columns)


def test_trainings_that_fail_have_no_score() -> None:
    """Behind the cliff of `walls`; nothing is learnt far below the best rates."""
    problem = landscape("walls-0")
    rng = default_rng(6)
    assert math.isnan(problem.observe({**problem.optimum, "learning_rate": 3e-3}, rng))
    assert problem.observe({**problem.optimum, "learning_rate": 3e-6, "num_train_epochs": 1},
                           rng) == 0  # fmt: skip


def test_what_is_reported_chose_nothing() -> None:
    """Held-out landscapes are none of development; a third of each prefix of nine is off."""
    held_out = list(landscapes("held-out"))
    assert not set(held_out) & set(NAMES)
    assert len(held_out) == len(NAMES)
    assert FIRST["held-out"] - FIRST["development"] >= 18
    off = [landscapes("held-out")[name]().prior_is_wrong for name in held_out]
    assert [sum(off[start : start + 9]) for start in (0, 9, 18)] == [3, 3, 3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of six points, of which four are recorded and one failed."""
    (tmp_path / "small.toml").write_text(
        "[space]\n"
        'learning_rate = { type = "choice", values = [1e-5, 1e-4, 1e-3] }\n'
        'freeze = { type = "choice", values = ["none", "encoder"] }\n'
    )
    rows = [
        ({"learning_rate": 1e-5, "freeze": "none"}, 0.2),
        ({"learning_rate": 1e-4, "freeze": "none"}, 0.6),
        ({"learning_rate": 1e-3, "freeze": "none"}, None),
        ({"learning_rate": 1e-4, "freeze": "encoder"}, 0.5),
    ]
    lines = [
        json.dumps({"params": params, "value": value, "seconds": 3.0}) for params, value in rows
    ]
    (tmp_path / "small.jsonl").write_text("\n".join(lines) + '\n{"params": {"lear')
    return tmp_path


def test_a_table(folder: Path) -> None:
    """What is recorded is looked up, what is not has failed, and a torn line is nothing yet."""
    table = Table("small", folder)
    rng = default_rng(1)
    assert (table.best, table.typical, table.size) == (0.6, 0.5, 6)
    assert table.incomplete.startswith("4 of 6 points recorded")
    assert regret(table, table.optimum) == 0
    assert table.observe(table.optimum, rng) == 0.6
    assert table.seconds(table.optimum) == 3.0
    for rate, freeze in ((1e-3, "none"), (1e-3, "encoder")):  # failed, and not recorded
        params = {"learning_rate": rate, "freeze": freeze}
        assert math.isnan(table.observe(params, rng))
        assert regret(table, params) == pytest.approx(4)
