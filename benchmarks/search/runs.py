"""One run of one contender on one problem, and the file in which finished runs are kept.

A benchmark may be stopped and continued: what stands in the file is not run again.
"""

import json
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.makers import Setting
from benchmarks.search.problem import Problem
from benchmarks.search.simulation import regrets, repeats, simulate


@dataclass(frozen=True)
class Task:
    """A run to be done.

    Args:
        contender: by its name.
        problem: by its name.
        workers: how many ask at a time.
        repeat: its number; each has other seeds.
        trials: how many.
        version: digest of what decides on the result.
    """

    contender: str
    problem: str
    workers: int
    repeat: int
    trials: int
    version: str


@dataclass(frozen=True)
class Run:
    """What came of it.

    Args:
        task: that was done.
        regrets: after each trial.
        repeats: trials with a configuration that had been tried.
        failures: trials whose training failed.
        ask_seconds: to choose a configuration, the median.
        seconds: that the whole run took.
    """

    task: Task
    regrets: tuple[float, ...]
    repeats: int
    failures: int
    ask_seconds: float
    seconds: float


def carry_out(task: Task, problem: Problem) -> Run:
    """Run a search; its seeds depend on problem and repeat only."""
    began = time.perf_counter()
    seed = zlib.crc32(f"{problem.name} {task.repeat}".encode()) >> 1
    setting = Setting(problem.space, seed, task.trials)
    searcher = CONTENDERS[task.contender].make(setting)
    ended = simulate(problem, searcher, task.workers, task.trials, seed)
    return Run(
        task,
        tuple(round(each, 6) for each in regrets(problem, ended)),
        repeats(ended),
        sum(bool(np.isnan(each.value)) for each in ended),
        float(np.median([each.ask_seconds for each in ended])),
        round(time.perf_counter() - began, 2),
    )


class Store:
    """A file of JSON lines, one a finished run (or another record under a key).

    Args:
        path: of the file; it is made with its folder when the first record is added.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs: dict[Task, Run] = {}
        self._others: dict[str, Any] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole, _, torn = text.rpartition("\n")
        if torn:  # it was stopped while it wrote
            path.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
        for line in whole.splitlines():
            record = json.loads(line)
            if "task" in record:
                task = Task(**record["task"])
                self._runs[task] = Run(**{**record, "task": task,
                                          "regrets": tuple(record["regrets"])})  # fmt: skip
            else:
                self._others[record["key"]] = record["value"]

    def __contains__(self, task: Task) -> bool:
        return task in self._runs

    def runs(self, tasks: Iterable[Task]) -> list[Run]:
        """Return those runs of the tasks that are done."""
        return [self._runs[task] for task in tasks if task in self._runs]

    def add(self, run: Run) -> None:
        """Keep a run."""
        self._runs[run.task] = run
        self._append(asdict(run))

    def get(self, key: str) -> Any:
        """Return another record, or None."""
        return self._others.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep another record."""
        self._others[key] = value
        self._append({"key": key, "value": value})

    def _append(self, record: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
