"""Who takes part, and how much each is given to do.

What is Optuna's and what `hpo` runs under another name (`tpe`, `gp`, `random`) is one column.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.search import makers
from benchmarks.search.makers import Make

ALL = 1000  # more problems than there are


@dataclass(frozen=True)
class Contender:
    """One column of the comparison.

    Args:
        label: what it is called in a table.
        make: returns it at work.
        libraries: distributions whose versions decide on its results.
        code: what of `hpo` does, relative to the package.
        adapter: what of this folder does.
        problems: how many landscapes it runs on by default, fewer where it is slow.
        trials: how many it runs by default.
        repeats: how often it runs on each table, with other seeds.
        needs: modules that may not be installed.
    """

    label: str
    make: Make
    libraries: tuple[str, ...] = ("optuna",)
    code: tuple[str, ...] = ()
    adapter: str = "optuna_search.py"
    problems: int = ALL
    trials: int = 100
    repeats: int = 20
    needs: tuple[str, ...] = ()

    @property
    def is_slow(self) -> bool:
        """Whether it is given less to do than the others."""
        return self.problems < ALL

    def missing(self) -> list[str]:
        """Return the modules it needs that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


BAYES = ("strategies", "trials.py")
SKOPT = (
    "strategies/skopt_gp.py", "strategies/skopt_model.py", "strategies/axes.py", "strategies/gp",
    "strategies/losses.py", "strategies/distributions.py", "strategies/whole_space.py", "trials.py",
)  # fmt: skip
CONTENDERS: Mapping[str, Contender] = {
    "bayes": Contender("**bayes**", makers.ours("bayes"), ("optuna", "scipy"), BAYES),
    "tpe": Contender("tpe: Optuna TPESampler", makers.tpe),
    "tpe-published": Contender(
        "TPESampler, published first", makers.tpe_published, code=("strategies/published.py",)
    ),
    "gp": Contender(
        "gp: Optuna GPSampler", makers.gp, ("optuna", "torch", "scipy"),
        problems=9, trials=50, repeats=5,
    ),
    "cma-es": Contender(
        "Optuna CmaEsSampler", makers.cma_es, ("optuna", "cmaes"), needs=("cmaes",)
    ),
    "skopt": Contender(
        "skopt: ours, scikit-optimize GP", makers.ours("skopt"),
        ("scikit-optimize", "scikit-learn"), SKOPT, problems=6, trials=50, repeats=1,
    ),
    "skopt-own": Contender(
        "scikit-optimize Optimizer", makers.skopt_own, ("scikit-optimize", "scikit-learn"),
        adapter="skopt_search.py", problems=6, trials=50, repeats=1,
    ),
    "flaml": Contender(
        "FLAML BlendSearch", makers.flaml, ("FLAML", "optuna"), adapter="flaml_search.py",
        needs=("flaml",),
    ),
    "smac": Contender(
        "SMAC", makers.smac, ("smac", "ConfigSpace", "scikit-learn"), adapter="smac_search.py",
        problems=6, repeats=1, needs=("smac", "ConfigSpace"),
    ),
    "random": Contender("random", makers.random),
    "grid": Contender("grid", makers.grid, code=("strategies/grid.py",)),
}  # fmt: skip
