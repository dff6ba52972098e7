"""What a sampler that knows no conditions has proposed too much."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.space import SearchSpace
from hpo.strategies.distributions import distributions_of


def existing(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those parameters of a configuration that exist beside the others.

    Args:
        space: whose `when` says so.
        params: name -> value; a parameter with a single value may be missing.
    """
    left = {**_constants(space), **params}
    while absent := [name for name in left if not space.root[name].exists(left)]:
        for name in absent:
            del left[name]
    return {name: left[name] for name in params if name in left}


def _constants(space: SearchSpace) -> dict[str, Any]:
    distributions = distributions_of(space).items()
    return {
        name: each.choices[0] if isinstance(each, CategoricalDistribution) else each.low
        for name, each in distributions
        if each.single()
        and isinstance(each, CategoricalDistribution | FloatDistribution | IntDistribution)
    }
