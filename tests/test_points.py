"""The strategy of listed configurations."""

from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial

from hpo.errors import SpecError
from hpo.spec import parse
from hpo.strategies import Strategy, load_strategy
from tests.studies_made import document

SPACE = {
    "optim": {"type": "choice", "values": ["sgd", "adamw_torch"]},
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2},
    "adam_beta1": {"type": "float", "low": 0.8, "high": 0.9, "when": {"optim": "adamw_torch"}},
}
ONE = "strategy_options.points[0]"
LISTED = [
    {"optim": "sgd", "learning_rate": 1e-3},
    {"optim": "adamw_torch", "learning_rate": 1e-4, "adam_beta1": 0.85},
]


def strategy(points: Any) -> Strategy:
    """Load the strategy as a study does."""
    options = {"points": points}
    changes = {"strategy": "points", "strategy_options": options, "space": SPACE, "budget": {}}
    return load_strategy(parse(document(changes), "file"))


def test_they_are_the_study() -> None:
    """In their order; what does not exist beside a value needs none."""
    space = parse(document({"space": SPACE}), "file").search_space()
    assert strategy(LISTED).points(space, 1) == LISTED


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ([], "strategy_options.points: found []; expected at least one"),
        ([{"optim": "sgd"}], f"{ONE}.learning_rate: found no value"),
        (
            [{**LISTED[0], "learning_rate": 1.0}],
            f"{ONE}.learning_rate: found 1",
        ),
        (
            [LISTED[0], {**LISTED[0], "dropout": 0.1}],
            "strategy_options.points[1].dropout: found",
        ),
        (
            [{**LISTED[0], "adam_beta1": 0.85}],
            f"{ONE}.adam_beta1: found beside",
        ),
    ],
)
def test_what_is_no_configuration_of_the_space(points: Any, problem: str) -> None:
    """It is told with its place."""
    with pytest.raises(SpecError) as caught:
        strategy(points)
    (told,) = caught.value.problems
    assert told.startswith(problem)


def test_each_configuration_keeps_the_weights_of_its_best_seed() -> None:
    """However many the study asks for."""

    def trial(number: int, point: int, seed: int) -> FrozenTrial:
        made = optuna.create_trial(
            value=0.5, params={"point": point, "seed": seed},
            distributions={"point": IntDistribution(0, 9), "seed": IntDistribution(0, 9)},
        )  # fmt: skip
        made.number = number
        return made

    ranked = [trial(3, 1, 5), trial(0, 1, 4), trial(1, 2, 4), trial(2, 2, 5)]
    assert [each.number for each in strategy(LISTED).kept(ranked, 1)] == [3, 1]
