"""Which problems there are: some to choose by, and others to report."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from benchmarks.search.branches import Branches
from benchmarks.search.landscape import Landscape
from benchmarks.search.problem import Problem
from benchmarks.search.ridge import Ridge
from benchmarks.search.table import ENOUGH, TABLES, WRONG, Table, read
from benchmarks.search.walls import Walls

Seeds = Literal["development", "held-out"]

FIRST: dict[Seeds, int] = {"development": 0, "held-out": 200}
"""The number of each family's first landscape. What was looked at to choose anything is
development; only what was not is reported."""
ORDER = [block + each for block in range(0, 18, 3) for each in (0, 2, 1)]
"""Of a family's landscapes; 2, 5, 8, … are off by a decade."""
FAMILIES: tuple[type[Landscape], ...] = (Ridge, Walls, Branches)
Maker = Callable[[], Problem]


def landscapes(seeds: Seeds) -> dict[str, Maker]:
    """Return name -> maker, in an order of which every beginning is balanced.

    Every third is off: by a decade up, but every sixth of `branches` by a decade down.
    """
    makers: dict[str, Maker] = {}
    for index in ORDER:
        for family in FAMILIES:
            number = FIRST[seeds] + index
            off = 1 if index % 3 == 2 else 0
            if family is Branches and index % 6 == 5:
                off = -1
            makers[f"{family.family}-{number}"] = partial(family, number, off)
    return makers


def tables() -> dict[str, Maker]:
    """Return name -> maker of the tables that say enough, the same for all seeds."""
    return {
        f"table-{name}": partial(Table, name)
        for name in WRONG
        if len(read(TABLES / f"{name}.jsonl")) >= ENOUGH
    }


def problems(seeds: Seeds) -> dict[str, Maker]:
    """Return all, by name."""
    return landscapes(seeds) | tables()
