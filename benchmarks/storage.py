"""Coordination: ticket claims and no-op trials a second, stock Optuna beside them in the same run.

    python -m benchmarks.storage                              # both databases; 1, 4, 16, 32 workers
    python -m benchmarks.storage --workers 1 16 --trials 500

SQLite lies in a temporary folder; PostgreSQL is that of `--postgresql URL`, else a throw-away
server, as in the tests. Every worker is a process of its own. All claims and all outcomes are
counted: a ticket that was claimed twice, or a trial too many, ends the benchmark with an error.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from hpo import storage, workers
from hpo.evaluations import Objective
from hpo.leases import Tickets
from hpo.own_training import OwnTrainingRunner
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.space import SearchSpace
from hpo.spec import BudgetSpec, StudySpec, parse
from hpo.strategies import Strategy
from hpo.strategies.random import Random
from hpo.tasks import Direction
from hpo.trial import Attempt, Result
from hpo.turn import Terms, Work
from hpo.worker import Worker

FORKS = multiprocessing.get_context("forkserver")
STUDY: dict[str, Any] = {
    "task": "noop",
    "model": "none",
    "strategy": "random",
    "data": {"path": "none"},
    "budget": {"trials": 1},
    "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
}


@dataclass(frozen=True)
class Job:
    """What one process does: with which database, how much in all, from when on."""

    url: str
    count: int
    folder: str


class Noop:
    """A task whose trials cost nothing."""

    def __init__(self) -> None:
        self.name = "noop"
        self.metrics: Mapping[str, Direction] = {"score": "maximize"}
        self.metric = "score"
        self.ran = 0

    def train(self, attempt: Attempt) -> Result:
        """Return the parameter."""
        self.ran += 1
        return Result(float(attempt.params["x"]))


def spec_of(count: int) -> StudySpec:
    """Return the study of a number of trials."""
    return parse({**STUDY, "budget": {"trials": count}}, "noop")


def create(job: Job) -> None:
    """Create the study and its tickets."""
    opened = storage.open_storage(job.url)
    study = storage.create_or_attach(
        opened, "noop", spec_of(job.count), direction="maximize", facts={}
    )
    tickets = Tickets(opened.engine, study.user_attrs[storage.ID], worker="")
    tickets.issue([None] * job.count)
    opened.engine.dispose()


def claim_tickets(job: Job, begin: Callable[[], None]) -> int:
    """Claim and settle tickets until none is left; to connect does not count."""
    opened = storage.open_storage(job.url)
    study = storage.load(opened, "noop")
    tickets = Tickets(opened.engine, study.user_attrs[storage.ID], worker=workers.here())
    claimed, done = 0, None
    begin()
    while (ticket := tickets.claim(None, done)) is not None:
        claimed, done = claimed + 1, ticket
    return claimed


def run_ours(job: Job, begin: Callable[[], None]) -> int:
    """Work on the study as `hpo worker` does, from the connection on."""
    begin()
    opened = storage.open_storage(job.url)
    study = storage.load(opened, "noop")
    spec = spec_of(job.count)
    space: SearchSpace = spec.search_space()
    task = Noop()
    runner = OwnTrainingRunner(task, space, Objective("score", maximize=True), Path(job.folder))
    strategy: Strategy = Random()
    terms = Terms(spec.seed, BudgetSpec(trials=job.count))
    attrs = study.user_attrs
    tickets = Tickets(opened.engine, attrs[storage.ID], worker=workers.here(), device="none")
    versions = storage.own_versions(attrs)
    work = Work(study, opened, tickets, strategy, runner, terms, Progress(), Stop(), versions)
    Worker(work).run()
    return task.ran


def run_stock(job: Job, begin: Callable[[], None]) -> int:
    """Work on the study as Optuna's documentation shows it, with a budget for all workers."""
    begin()
    connect = {"timeout": 60.0} if job.url.startswith("sqlite") else {}
    study = optuna.load_study(
        study_name="stock",
        storage=optuna.storages.RDBStorage(
            _driver(job.url), engine_kwargs={"connect_args": connect}
        ),
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )
    before = time.monotonic()
    ended = [optuna.trial.TrialState.COMPLETE]
    enough = optuna.study.MaxTrialsCallback(job.count, states=tuple(ended))
    ran = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal ran
        ran += 1
        return trial.suggest_float("x", 0.0, 1.0)

    study.optimize(objective, callbacks=[enough], timeout=max(600.0, before))
    return ran


def create_stock(job: Job) -> None:
    """Create the study that `run_stock` works on."""
    optuna.create_study(
        study_name="stock",
        storage=optuna.storages.RDBStorage(_driver(job.url)),
        direction="maximize",
    )


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://")


def _take_part(
    work: Callable[[Job, Callable[[], None]], int], job: Job, barrier: Any, results: Any
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.time()

    def begin() -> None:
        nonlocal started
        barrier.wait()
        started = time.time()

    try:
        counted = work(job, begin)
    except Exception as error:  # noqa: BLE001 - told, and counted as nothing
        print(f"  a worker failed: {type(error).__name__}: {error}", file=sys.stderr)
        counted = 0
    results.put((counted, started, time.time()))


def measure(
    make: Callable[[Job], None],
    work: Callable[[Job, Callable[[], None]], int],
    job: Job,
    count: int,
) -> tuple[float, int]:
    """Return how many a second all workers together did, and how many they did in all."""
    maker = FORKS.Process(target=make, args=(job,))
    maker.start()
    maker.join()
    barrier, results = FORKS.Barrier(count), FORKS.Queue()
    processes = [
        FORKS.Process(target=_take_part, args=(work, job, barrier, results)) for _ in range(count)
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    done = sum(each[0] for each in found)
    seconds = max(each[2] for each in found) - min(each[1] for each in found)
    return done / seconds, done


@contextmanager
def databases(postgresql: str | None) -> Iterator[dict[str, Callable[[], str]]]:
    """Yield, for each kind of database, a function that returns the URL of a new one."""
    from tests.postgres import Server, private_server

    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10_000))

        def sqlite() -> str:
            return f"sqlite:///{folder}/{next(numbers)}.db"

        if postgresql is not None:
            yield {"sqlite": sqlite, "postgresql": Server(postgresql).new_database}
            return
        with private_server(max_connections=200) as server:
            yield {"sqlite": sqlite, "postgresql": server.new_database}


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--claims", type=int, default=2000, help="tickets of a round")
    parser.add_argument("--trials", type=int, default=400, help="no-op trials of a round")
    parser.add_argument("--postgresql", metavar="URL", help="an administrator's database")
    args = parser.parse_args()
    FORKS.set_forkserver_preload(["hpo.worker", "hpo.own_training"])
    print(f"{'database':12}{'workers':>8}{'claims/s':>10}{'trials/s':>10}{'stock':>8}{'ratio':>7}"
          f"{'  stock ran, of ' + str(args.trials)}")  # fmt: skip
    with databases(args.postgresql) as kinds, tempfile.TemporaryDirectory() as folder:
        for kind, new in kinds.items():
            for count in args.workers:
                claims, claimed = measure(
                    create, claim_tickets, Job(new(), args.claims, folder), count
                )
                ours, ran = measure(create, run_ours, Job(new(), args.trials, folder), count)
                job = Job(new(), args.trials, folder)
                stock, stock_ran = measure(create_stock, run_stock, job, count)
                if (claimed, ran) != (args.claims, args.trials):
                    sys.exit(f"storage: {claimed} claims of {args.claims}, {ran} trials")
                print(f"{kind:12}{count:8}{claims:10.0f}{ours:10.1f}{stock:8.1f}"
                      f"{ours / stock:7.2f}  {stock_ran}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
