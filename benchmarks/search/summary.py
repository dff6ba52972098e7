"""What many runs say together: regrets at some numbers of trials, ranks, repeats, ask times."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from scipy.stats import rankdata

from benchmarks.search.estimates import Estimate, mean, ratio
from benchmarks.search.runs import Run, Task

CHECKPOINTS = (10, 25, 50, 100)
RANKED = 50

Unit = Callable[[Task], Hashable]
"""What an observation is: runs with the same one are averaged first."""


def by_problem(task: Task) -> Hashable:
    """Take the mean of a problem's runs for one observation."""
    return task.problem


def by_run(task: Task) -> Hashable:
    """Take every run for an observation, where there are few problems."""
    return task.problem, task.repeat


@dataclass(frozen=True)
class Row:
    """One contender in one comparison.

    Args:
        contender: by its name.
        regrets: after so many trials; where it did not run that far, one is missing.
        rank: the mean of its ranks after `RANKED` trials in what all contenders ran, 1 the best;
            None where there is nothing that all ran.
        repeats: trials in a hundred that had a configuration again.
        ask_seconds: to choose a configuration, the median over the runs.
        runs: how many there were.
    """

    contender: str
    regrets: dict[int, Estimate]
    rank: float | None
    repeats: float
    ask_seconds: float
    runs: int


def compare(runs: Sequence[Run], unit: Unit) -> list[Row]:
    """Return a row for each contender, in the order in which they first ran."""
    of: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        of[run.task.contender].append(run)
    ranks = _mean_ranks({name: _regrets(each, RANKED, unit) for name, each in of.items()})
    return [
        Row(
            name,
            {
                trials: mean(list(found.values()))
                for trials in CHECKPOINTS
                if (found := _regrets(each, trials, unit))
            },
            ranks.get(name),
            100 * fmean(run.repeats / len(run.regrets) for run in each),
            median(run.ask_seconds for run in each),
            len(each),
        )
        for name, each in of.items()
    ]


def ratio_at(
    ours: Sequence[Run], others: Sequence[Run], trials: int, unit: Unit
) -> Estimate | None:
    """Return the ratio of mean regrets over what both ran; None where there is nothing."""
    one, other = _regrets(ours, trials, unit), _regrets(others, trials, unit)
    both = [each for each in one if each in other]
    if not both or not any(other[each] for each in both):
        return None
    return ratio([one[each] for each in both], [other[each] for each in both])


def _regrets(runs: Sequence[Run], trials: int, unit: Unit) -> dict[Hashable, float]:
    found: dict[Hashable, list[float]] = defaultdict(list)
    for run in runs:
        if len(run.regrets) >= trials:
            found[unit(run.task)].append(run.regrets[trials - 1])
    return {each: fmean(values) for each, values in found.items()}


def _mean_ranks(regrets: dict[str, dict[Hashable, float]]) -> dict[str, float]:
    common = set.intersection(*(set(each) for each in regrets.values())) if regrets else set()
    if not common:
        return {}
    table = np.array([[each[key] for key in common] for each in regrets.values()])
    means = rankdata(table, axis=0).mean(axis=1)
    return dict(zip(regrets, map(float, means), strict=True))
