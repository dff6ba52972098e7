"""How long a strategy takes to choose, beside a history of many trials in memory.

In processor time, so that a busy machine changes little.
"""

import multiprocessing
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from statistics import median

from numpy.random import default_rng

from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.landscape import configuration, draw
from benchmarks.search.makers import Setting
from benchmarks.search.optuna_search import OptunaSearcher
from benchmarks.search.quietness import quieten
from benchmarks.search.ridge import Ridge

ASKED = ("bayes", "tpe", "gp")
SIZES = (100, 500, 1000, 3000)
ASKS = 5
LIMIT = 60.0  # seconds for one answer
FIRST = 20  # trials of the search that is asked once before the clock runs: it imports


def measure(name: str, size: int, limit: float = LIMIT) -> float | None:
    """Return the median processor time of an answer; None if one took more than the limit.

    Args:
        name: of a contender that is an Optuna sampler.
        size: how many trials have finished; 9 parameters each.
        limit: seconds of processor time for one answer.

    Raises:
        RuntimeError: the process that was asked died of something else.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, name, size, limit), daemon=True)
    process.start()
    there.close()
    try:
        seconds: list[float] = here.recv()
        return median(seconds)
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGPROF:
            return None
        raise RuntimeError(f"{name}: found exit code {process.exitcode}; expected times") from None
    finally:
        process.kill()
        process.join()


def _answer(there: Connection, name: str, size: int, limit: float) -> None:
    quieten()
    landscape = Ridge(0)
    rng = default_rng(0)
    for count in (FIRST, size):
        searcher = CONTENDERS[name].make(Setting(landscape.space, 0, size + ASKS))
        if not isinstance(searcher, OptunaSearcher):
            raise TypeError(f"found {name}; expected a sampler of Optuna's kind")
        columns = draw(landscape.space, count, rng)
        history = [configuration(landscape.space, columns, row) for row in range(count)]
        searcher.remember([(params, landscape.observe(params, rng)) for params in history])
        if count == FIRST:
            searcher.ask()
    seconds = []
    for _ in range(ASKS):
        before = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, limit)  # SIGPROF ends the process
        ticket, params = searcher.ask()
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds.append(time.process_time() - before)
        searcher.tell(ticket, landscape.observe(params, rng))
    there.send(seconds)


def measure_all(
    names: Sequence[str] = ASKED, sizes: Sequence[int] = SIZES
) -> dict[str, dict[str, float | None]]:
    """Return contender -> number of finished trials (as text, for JSON) -> seconds of an answer."""
    return {name: {str(size): measure(name, size) for size in sizes} for name in names}
