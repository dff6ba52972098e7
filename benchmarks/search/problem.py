"""What is searched in the benchmark: a space, and a score for each of its configurations."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.random import Generator

from hpo.space import SearchSpace

Params = Mapping[str, Any]


class Problem(Protocol):
    """A search whose answer is known. Scores are shares, as F1 and accuracy; larger is better."""

    name: str  # unique; it begins with the family
    prior_is_wrong: bool  # the best learning rate is about a decade off the published ones
    best: float  # the highest true score
    typical: float  # the median true score of random configurations
    floor: float  # the score of a training that failed

    @property
    def family(self) -> str:
        """Problems of one kind."""

    @property
    def space(self) -> SearchSpace:
        """What is searched."""

    @property
    def size(self) -> float:
        """How many configurations there are."""

    @property
    def incomplete(self) -> str:
        """Why its figures are provisional; empty where they are not."""

    def observe(self, params: Params, rng: Generator) -> float:
        """Return the score of one training, noise included; NaN if it failed."""

    def true(self, params: Params) -> float:
        """Return the score that trainings have in the mean."""

    def seconds(self, params: Params) -> float:
        """Return about how long a training takes."""


def regret(problem: Problem, found: Params | None) -> float:
    """Return how far a search is from the best: 0 there, 1 at the median random configuration.

    Args:
        problem: what is searched.
        found: the configuration with the best observed score; None where all failed so far.
    """
    score = problem.floor if found is None else problem.true(found)
    return (problem.best - score) / (problem.best - problem.typical)
