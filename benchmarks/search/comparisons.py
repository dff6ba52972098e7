"""Which runs are set against each other."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.estimates import Estimate
from benchmarks.search.problem import Problem
from benchmarks.search.runs import Run, Task
from benchmarks.search.summary import CHECKPOINTS, Unit, by_problem, by_run, ratio_at

OURS = "bayes"


@dataclass(frozen=True)
class Results:
    """All that is reported.

    Args:
        seeds: of the landscapes.
        problems: by name.
        runs: that are done.
        planned: the runs that there should be.
        ask_seconds: contender -> number of finished trials -> seconds, None beyond the limit;
            empty where it was not measured.
    """

    seeds: str
    problems: Mapping[str, Problem]
    runs: Sequence[Run]
    planned: Sequence[Task]
    ask_seconds: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def some(self, *, table: bool, workers: int, wrong: bool | None = None) -> list[Run]:
        """Return the runs on tables or landscapes, all of them or by what the prior is worth."""
        return [
            run
            for run in self.runs
            if run.task.workers == workers
            and (self.problems[run.task.problem].family == "table") == table
            and (wrong is None or self.problems[run.task.problem].prior_is_wrong == wrong)
        ]

    def missing(self) -> Counter[str]:
        """Return how many runs of each contender broke, or were not carried out."""
        done = {run.task for run in self.runs}
        return Counter(task.contender for task in self.planned if task not in done)

    def workers(self) -> list[int]:
        """Return the numbers of workers that there are."""
        return sorted({run.task.workers for run in self.runs})


@dataclass(frozen=True)
class Comparison:
    """Contenders beside each other.

    Args:
        title: of the table.
        runs: of all of them.
        unit: what an observation is.
    """

    title: str
    runs: Sequence[Run]
    unit: Unit


@dataclass(frozen=True)
class Ratio:
    """Our regret as a share of another one, on the problems that both ran.

    Args:
        title: on what.
        other: the contender, as it is called in a table.
        at: number of trials -> the ratio; None where there is none.
    """

    title: str
    other: str
    at: Mapping[int, Estimate | None]


def comparisons(results: Results) -> list[Comparison]:
    """Return those for which there are runs."""
    found = []
    for workers in results.workers():
        for title, wrong in (
            ("Landscapes", None),
            ("Landscapes, published rates near the best", False),
            ("Landscapes, published rates a decade off", True),
        ):
            runs = results.some(table=False, workers=workers, wrong=wrong)
            found.append(Comparison(f"{title}, {named(workers)}", runs, by_problem))
        runs = results.some(table=True, workers=workers)
        found.append(Comparison(f"Recorded fine-tunings, {named(workers)}", runs, by_run))
    return [each for each in found if each.runs]


def named(workers: int) -> str:
    """Return the words for a number of workers."""
    return "one worker" if workers == 1 else f"{workers} asynchronous workers"


def ratios(results: Results) -> list[Ratio]:
    """Return ours against each other one, and with several workers against itself with one."""
    found = []
    for table, unit in ((False, by_problem), (True, by_run)):
        words = "recorded fine-tunings" if table else "landscapes"
        alone = _of(OURS, results.some(table=table, workers=1))
        for workers in results.workers():
            runs = results.some(table=table, workers=workers)
            ours, title = _of(OURS, runs), f"{words}, {named(workers)}"
            for name in dict.fromkeys(run.task.contender for run in runs):
                if name != OURS:
                    at = _at_checkpoints(ours, _of(name, runs), unit)
                    found.append(Ratio(title, CONTENDERS[name].label, at))
            if workers != 1:
                at = _at_checkpoints(ours, alone, unit)
                found.append(Ratio(title, f"{OURS} with one worker", at))
    return [each for each in found if any(each.at.values())]


def _of(contender: str, runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.task.contender == contender]


def _at_checkpoints(
    ours: Sequence[Run], others: Sequence[Run], unit: Unit
) -> dict[int, Estimate | None]:
    return {trials: ratio_at(ours, others, trials, unit) for trials in CHECKPOINTS}
