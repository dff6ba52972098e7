"""Runs carried out in processes of their own, each kept as soon as it is done."""

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache

from benchmarks.search.problem import Problem
from benchmarks.search.quietness import quieten
from benchmarks.search.runs import Run, Store, Task, carry_out
from benchmarks.search.suite import Seeds, problems


def carry_out_all(tasks: Sequence[Task], store: Store, seeds: Seeds, jobs: int) -> None:
    """Carry out runs and tell of each on stderr; one that breaks is told and left out.

    Args:
        tasks: to be done, in this order.
        store: keeps what is done.
        seeds: whose problems the tasks name.
        jobs: how many processes.

    Raises:
        KeyboardInterrupt: what was done until then is kept.
    """
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=quieten) as pool:
        futures = {pool.submit(_carry_out, task, seeds): task for task in tasks}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                task = futures[future]
                try:
                    run = future.result()
                except BrokenProcessPool:
                    raise
                except Exception as error:  # noqa: BLE001 - of a library that is compared
                    said = f"failed, {type(error).__name__}: {error}"
                else:
                    store.add(run)
                    said = _told(run)
                _say(f"{done}/{len(tasks)} {task.problem} {task.contender} x{task.workers}: {said}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _carry_out(task: Task, seeds: Seeds) -> Run:
    return carry_out(task, _problem(task.problem, seeds))


@cache
def _problem(name: str, seeds: Seeds) -> Problem:
    return problems(seeds)[name]()


def _told(run: Run) -> str:
    return f"{run.regrets[-1]:.4f} after {len(run.regrets)} trials, {run.seconds:.1f} s"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
