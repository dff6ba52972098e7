"""Which runs a benchmark is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.problem import Problem
from benchmarks.search.runs import Task
from benchmarks.search.suite import Seeds, landscapes, problems
from benchmarks.search.versions import version_of

QUICK_PROBLEMS = 6  # landscapes
QUICK_TRIALS = 50


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Args:
        seeds: of the landscapes.
        extent: `quick` takes two minutes and leaves the slow contenders out, `default` gives them
            fewer problems and trials, `full` gives everybody everything.
        only: contenders by name; empty for all.
        problems: by name or by family; empty for all.
        workers: how many ask at a time, each number a column of its own.
        repeats: of each landscape; a table has its own number of them.
    """

    seeds: Seeds = "held-out"
    extent: Literal["quick", "default", "full"] = "default"
    only: Sequence[str] = ()
    problems: Sequence[str] = ()
    workers: Sequence[int] = (1, 8)
    repeats: int = 1

    def contenders(self) -> list[str]:
        """Return those of whom is wanted that are installed."""
        return [name for name in self.wanted() if not CONTENDERS[name].missing()]

    def wanted(self) -> list[str]:
        """Return who is to take part, in the order of the table."""
        if self.only:
            return [name for name in CONTENDERS if name in self.only]
        quick = self.extent == "quick"
        return [name for name, each in CONTENDERS.items() if not (quick and each.is_slow)]


def chosen(options: Options) -> dict[str, Callable[[], Problem]]:
    """Return the problems that are asked for.

    Raises:
        ValueError: a name is neither a problem's nor a family's.
    """
    known = problems(options.seeds)
    for wanted in options.problems:
        if not any(_belongs(name, wanted) for name in known):
            raise ValueError(f"found no problem {wanted!r}; there are {', '.join(known)}")
    if options.problems:
        return {
            name: make
            for name, make in known.items()
            if any(_belongs(name, wanted) for wanted in options.problems)
        }
    if options.extent == "quick":
        few = list(landscapes(options.seeds))[:QUICK_PROBLEMS]
        return {name: make for name, make in known.items() if name in few or _is_table(name)}
    return known


def _belongs(name: str, wanted: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}-")


def _is_table(name: str) -> bool:
    return _belongs(name, "table")


def tasks(options: Options, made: Mapping[str, Problem]) -> list[Task]:
    """Return the runs, in an order of which every beginning is a fair comparison.

    Args:
        options: what is asked for.
        made: the problems, by name.
    """
    synthetic = [name for name in made if not _is_table(name)]
    found = []
    for contender in options.contenders():
        entrant = CONTENDERS[contender]
        whole = options.extent == "full" or bool(options.problems)
        count = len(made) if whole else entrant.problems
        for name, problem in made.items():
            if name in synthetic[count:]:
                continue
            repeats = options.repeats
            if _is_table(name) and options.extent != "quick":
                repeats *= entrant.repeats
            trials = 100 if options.extent == "full" else entrant.trials
            trials = QUICK_TRIALS if options.extent == "quick" else trials
            trials = min(trials, int(min(problem.size, trials)))
            version = version_of(contender, problem)
            found += [
                Task(contender, name, workers, repeat, trials, version)
                for repeat in range(repeats)
                for workers in options.workers
            ]
    place = {name: index for index, name in enumerate(made)}
    return sorted(found, key=lambda task: (task.repeat, place[task.problem]))
