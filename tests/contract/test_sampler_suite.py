"""Optuna's published test suite for samplers, against those that we wrote."""

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from hpo.strategies.bayes_sampler import BayesSampler
from hpo.strategies.skopt_gp import SkoptOptions, SkoptSampler

# Models from the second trial on, since the suite rarely runs more than ten; each of the three
# acquisition functions of the default would take its share of the time.
SKOPT = SkoptOptions(startup_trials=1, acquisition="EI")

SAMPLERS: dict[str, Callable[[], BaseSampler]] = {
    "bayes": lambda: BayesSampler(seed=1),
    "skopt": lambda: SkoptSampler(seed=1, options=SKOPT),
}


class TestSampler(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """Every test of the suite that is for samplers with one objective."""

    @pytest.fixture(params=SAMPLERS)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        """Makes each sampler in turn."""
        return SAMPLERS[request.param]
