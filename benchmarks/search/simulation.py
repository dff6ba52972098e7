"""A search with any number of workers on a simulated clock."""

import heapq
import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.random import default_rng

from benchmarks.search.problem import Params, Problem, regret

JITTER = 0.2  # standard deviation of the logarithm of a training's time


class Searcher(Protocol):
    """A strategy at work; between `ask` and `tell` a configuration is pending."""

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Return a ticket, to be given back with the score, and the next configuration."""

    def tell(self, ticket: Any, value: float) -> None:
        """Take the score of a configuration; NaN where its training failed."""


@dataclass(frozen=True)
class Evaluation:
    """One trial.

    Args:
        params: what was tried.
        value: what was observed; NaN if the training failed.
        ask_seconds: how long it took to choose, in processor time.
    """

    params: Params
    value: float
    ask_seconds: float


def simulate(
    problem: Problem, searcher: Searcher, workers: int, trials: int, seed: int
) -> list[Evaluation]:
    """Search, and return the trials in the order in which they ended.

    Whenever a worker is free it asks, with the trials of the others pending; one worker is a
    sequential search. The noise of the n-th trial is the same for every strategy.
    """
    clock, number = 0.0, 0
    running: list[tuple[float, int, Any, Evaluation]] = []
    ended: list[Evaluation] = []
    jitter = default_rng([seed, 1])
    while number < trials or running:
        if number < trials and len(running) < workers:
            before = time.process_time()
            ticket, params = searcher.ask()
            took = time.process_time() - before
            params = {name: _plain(value) for name, value in params.items()}
            value = problem.observe(params, default_rng([seed, 2, number]))
            end = clock + problem.seconds(params) * float(np.exp(jitter.normal(0, JITTER)))
            heapq.heappush(running, (end, number, ticket, Evaluation(params, value, took)))
            number += 1
            continue
        clock, _, ticket, evaluation = heapq.heappop(running)
        searcher.tell(ticket, evaluation.value)
        ended.append(evaluation)
    return ended


def _plain(value: Any) -> Any:
    """Return the numbers and the text of numpy, which some strategies answer, as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def regrets(problem: Problem, ended: Sequence[Evaluation]) -> list[float]:
    """Return the regret after each trial: that of the best *observed* score, noise included."""
    best, found, curve = -math.inf, None, []
    here = regret(problem, None)
    for each in ended:
        if each.value > best:  # never where it is NaN
            best, found = each.value, each.params
            here = regret(problem, found)
        curve.append(here)
    return curve


def repeats(ended: Sequence[Evaluation]) -> int:
    """Return how many trials had a configuration that an earlier one had."""
    distinct: set[Hashable] = {frozenset(each.params.items()) for each in ended}
    return len(ended) - len(distinct)
