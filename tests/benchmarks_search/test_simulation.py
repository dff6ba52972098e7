"""The simulated clock of the search benchmark: who waits for whom, and what counts as found."""

import itertools
from typing import Any

import pytest

from benchmarks.search.conditions import existing
from benchmarks.search.problem import Params
from benchmarks.search.simulation import Evaluation, regrets, repeats, simulate
from benchmarks.search.suite import landscapes
from hpo.space import SearchSpace

PROBLEM = landscapes("development")["walls-0"]()


class Watching:
    """Proposes configurations in order, and notes how many are pending when it is asked."""

    def __init__(self) -> None:
        self.pending: set[int] = set()
        self.seen: list[int] = []
        self.told: list[float] = []
        self.numbers = itertools.count()

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Propose one epoch more each time, up to ten."""
        self.seen.append(len(self.pending))
        number = next(self.numbers)
        self.pending.add(number)
        return number, {
            "learning_rate": 2e-5, "per_device_train_batch_size": 16,
            "num_train_epochs": 1 + number % 10, "weight_decay": 0.01,
        }  # fmt: skip

    def tell(self, ticket: int, value: float) -> None:
        """Note that it ended."""
        self.pending.remove(ticket)
        self.told.append(value)


@pytest.mark.parametrize("workers", [1, 8])
def test_every_worker_is_busy(workers: int) -> None:
    """Whoever is free asks, beside the others' pending trials; all that is asked is told."""
    searcher = Watching()
    ended = simulate(PROBLEM, searcher, workers, 30, seed=1)
    assert searcher.seen == [*range(workers), *[workers - 1] * (30 - workers)]
    assert not searcher.pending
    assert len(ended) == 30
    assert [each.value for each in ended] == pytest.approx(searcher.told, nan_ok=True)


def test_short_trainings_end_first() -> None:
    """Of eight that begin together, those with fewer epochs; alone they end in their order."""
    together = [each.params["num_train_epochs"] for each in simulate(PROBLEM, Watching(), 8, 8, 1)]
    assert together[0] == 1
    assert together[-1] >= 7
    alone = [each.params["num_train_epochs"] for each in simulate(PROBLEM, Watching(), 1, 8, 1)]
    assert alone == list(range(1, 9))


def test_noise_is_the_same_for_every_search() -> None:
    """The n-th trial's, whatever the strategy and however many workers."""
    one, other = Watching(), Watching()
    alone = simulate(PROBLEM, one, 1, 20, 1)
    together = simulate(PROBLEM, other, 8, 20, 1)
    assert sorted(each.value for each in alone) == sorted(each.value for each in together)
    assert one.told != [each.value for each in simulate(PROBLEM, Watching(), 1, 20, 2)]


def test_regret_is_of_the_best_observed() -> None:
    """Not of the best there was: a lucky worse one hides it; failures change nothing."""
    best: Params = PROBLEM.optimum  # type: ignore[attr-defined]
    worse = {**best, "num_train_epochs": 1}

    def trial(params: Params, value: float) -> Evaluation:
        return Evaluation(params, value, 0.0)

    nothing = (PROBLEM.best - PROBLEM.floor) / (PROBLEM.best - PROBLEM.typical)
    off = (PROBLEM.best - PROBLEM.true(worse)) / (PROBLEM.best - PROBLEM.typical)
    ended = [trial(best, float("nan")), trial(worse, 0.9), trial(best, 0.5), trial(best, 0.91)]
    assert regrets(PROBLEM, ended) == pytest.approx([nothing, off, off, 0])
    assert repeats(ended) == 2


def test_parameters_that_exist() -> None:
    """What depends on a missing parameter is missing too; a single value is always there."""
    space = SearchSpace.model_validate({
        "only": {"type": "choice", "values": ["x"]},
        "a": {"type": "choice", "values": [1, 2], "when": {"only": "x"}},
        "b": {"type": "choice", "values": [1, 2], "when": {"a": 1}},
        "c": {"type": "int", "low": 1, "high": 3, "when": {"b": 2}},
    })  # fmt: skip
    assert existing(space, {"a": 1, "b": 2, "c": 3}) == {"a": 1, "b": 2, "c": 3}
    assert existing(space, {"a": 2, "b": 2, "c": 3}) == {"a": 2}
