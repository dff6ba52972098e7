"""Where trainings fail: they diverge, or run out of memory.

A failure also counts as the worst score, but where nothing was learnt scores are as low, and the
model of the scores does not tell the two apart. How likely a configuration is to fail is a model of
its own, whose answer is a factor on what a configuration promises (Gelbart, Snoek & Adams 2014,
https://arxiv.org/abs/1403.5607, section 3).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.surrogate import Belief, Inputs, Sample, Surrogate

LEAST = 0.01  # nothing is impossible


class Feasibility:
    """Learns from what failed by least-squares classification (Rasmussen & Williams 2006, 6.5).

    Args:
        inputs: the configurations, n of them.
        failed: whether they did; (n,).
        belief: of the scores' model.
        parameters: of that model; its length scales and slopes hold here, too.
    """

    def __init__(
        self, inputs: Inputs, failed: NDArray[np.bool_], belief: Belief, parameters: Array
    ) -> None:
        self._model: Surrogate | None = None
        if failed.any():
            labels = Sample(inputs, np.where(failed, -1.0, 1.0), np.zeros(len(failed)))
            variances = slice(len(belief.lengths), len(belief.lengths) + 2)
            parameters = parameters.copy()
            parameters[variances] = belief.center()[variances]
            self._model = Surrogate(labels, parameters, replace(belief, term=(0.0, 0.0)))

    def log_chance(self, inputs: Inputs) -> Array:
        """Return the logarithm of the probability that m configurations do not fail; (m,)."""
        if self._model is None:
            return np.zeros(len(inputs.features))
        return np.log(np.clip((1 + self._model.mean(inputs)) / 2, LEAST, 1.0))
