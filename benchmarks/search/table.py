"""Recorded fine-tunings as a problem: a grid whose every score is looked up.

A point that is not recorded yet counts as a training that failed, for every strategy; it is told
beside the figures. There is no noise: the recorded training is the only one of its configuration.
"""

import json
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from benchmarks.search.problem import Params
from hpo.space import SearchSpace

TABLES = Path(__file__).parent.parent / "tables"
ENOUGH = 60  # recorded points; with fewer, a table says little
WRONG = {"wnut17": True, "uci_sentences": False}
"""Tables, and whether their best learning rate is about a decade off the published ones."""


class Table:
    """One table of `benchmarks.record`.

    Args:
        name: of the table.
        folder: with `NAME.toml` and `NAME.jsonl`.

    Raises:
        ValueError: fewer than two points are recorded.
    """

    family = "table"

    def __init__(self, name: str, folder: Path = TABLES) -> None:
        self.name = f"table-{name}"
        self.prior_is_wrong = WRONG.get(name, False)
        document = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
        self.space = SearchSpace.model_validate(document["space"])
        self.rows = {_key(row["params"]): row for row in read(folder / f"{name}.jsonl")}
        scores = [row["value"] for row in self.rows.values() if row["value"] is not None]
        if len(scores) < 2:
            raise ValueError(f"{name}: found {len(scores)} recorded scores; expected two at least")
        self.best, self.floor = max(scores), min(scores)
        self.typical = float(np.median(scores))
        self.size = float(sum(1 for _ in self.space.points()))
        self.incomplete = ""
        if len(self.rows) < self.size:
            few = "; too few to say much" if len(self.rows) < ENOUGH else ""
            self.incomplete = f"{len(self.rows)} of {self.size:.0f} points recorded{few}"

    @property
    def optimum(self) -> dict[str, Any]:
        """The best recorded configuration."""
        found: dict[str, Any] = max(
            self.rows.values(), key=lambda row: -math.inf if row["value"] is None else row["value"]
        )["params"]
        return found

    def true(self, params: Params) -> float:
        """Return the recorded score; the lowest one for what failed or was not recorded."""
        value = self._value(params)
        return self.floor if value is None else value

    def observe(self, params: Params, rng: Generator) -> float:
        """Return the recorded score; NaN for what failed or was not recorded."""
        value = self._value(params)
        return math.nan if value is None else value

    def seconds(self, params: Params) -> float:
        """Return how long the training took."""
        return float(self.rows.get(_key(params), {}).get("seconds", 60.0))

    def _value(self, params: Params) -> float | None:
        value: float | None = self.rows.get(_key(params), {}).get("value")
        return value


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table; a last line that is still being written is left out."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def _key(params: Params) -> frozenset[tuple[str, Any]]:
    return frozenset(params.items())
