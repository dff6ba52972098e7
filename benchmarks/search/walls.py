"""Family `walls`: four parameters, walls that are straight in the logarithm, and failures.

As on small data for named entities: below some rate nothing is learnt and F1 is exactly 0, above
another one trainings end without a score, and in between noise grows towards the cliff. The
published rate is not in the middle of the range, where CMA-ES, for one, starts.
"""

import numpy as np
from numpy.random import Generator

from benchmarks.search.landscape import Array, Columns, Landscape, as_columns, ramp
from benchmarks.search.problem import Params
from hpo.space import SearchSpace

_DECADES = np.log10(2)  # a doubling


def log_cosh(x: Array) -> Array:
    """Return log(cosh(x)): a parabola near 0, straight walls far off; (n,) to (n,)."""
    return np.asarray(np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - np.log(2))


class Walls(Landscape):
    """A valley between two walls, and a plateau without any score."""

    family = "walls"
    floor = 0.0
    space = SearchSpace.model_validate({
        "learning_rate": {"type": "float", "low": 3e-6, "high": 3e-3, "log": True},
        "per_device_train_batch_size": {"type": "choice", "values": [8, 16, 32, 64]},
        "num_train_epochs": {"type": "int", "low": 1, "high": 10},
        "weight_decay": {"type": "float", "low": 1e-4, "high": 0.3, "log": True},
    })  # fmt: skip

    def prepare(self, rng: Generator) -> None:
        """Draw the coefficients and the optimum."""
        u = rng.uniform
        self.batch_slope, self.epochs_slope, self.decay_slope = u(0.3, 1), u(0.3, 0.9), u(-0.8, 0.8)
        self.below, self.above = (u(0.3, 0.6), u(2, 4)), (u(0.15, 0.35), u(3, 6))
        self.epochs, self.batch, self.decay = u(0.02, 0.06), u(0.005, 0.02), u(0.005, 0.02)
        self.top, self.noise = u(0.45, 0.75), u(0.002, 0.006)
        center = rng.normal(-4.6, 0.2) + self.off
        batch, epochs = int(rng.choice([8, 16, 32])), int(rng.integers(2, 9))
        shift = self.batch_slope * _DECADES * np.log2(batch / 16)
        rate = center + shift - self.epochs_slope * np.log10(epochs / 4)
        self.cliff = rate + u(0.35, 0.8)
        self.optimum = {
            "learning_rate": float(10**rate),
            "per_device_train_batch_size": batch,
            "num_train_epochs": epochs,
            "weight_decay": float(10 ** u(-3.5, -0.8)),
        }

    def _off_valley(self, x: Columns) -> Array:
        """Return by how many decades learning rates are above the best ones beside them; (n,)."""
        best = self.optimum
        batch = x["per_device_train_batch_size"] / best["per_device_train_batch_size"]
        epochs = x["num_train_epochs"] / best["num_train_epochs"]
        rate = np.log10(x["learning_rate"] / best["learning_rate"])
        return np.asarray(
            rate - self.batch_slope * np.log10(batch) + self.epochs_slope * np.log10(epochs)
        )

    def quality(self, columns: Columns) -> Array:
        """Return the scores of trainings that do not fail; (n,)."""
        x, best = columns, self.optimum
        off = self._off_valley(x)
        below, above = self.below, self.above
        loss = np.where(
            off < 0, below[0] * log_cosh(below[1] * off), above[0] * log_cosh(above[1] * off)
        )
        loss += self.epochs * log_cosh(2 * np.log(x["num_train_epochs"] / best["num_train_epochs"]))
        batch = x["per_device_train_batch_size"] / best["per_device_train_batch_size"]
        loss += self.batch * log_cosh(np.log2(batch))
        decay = np.log10(x["weight_decay"] / best["weight_decay"]) + self.decay_slope * off
        return np.asarray(np.maximum(self.top - loss - self.decay * log_cosh(decay), 0))

    def risk(self, columns: Columns) -> Array:
        """Return the probabilities of a failure; larger batches put it off; (n,)."""
        best = self.optimum["per_device_train_batch_size"]
        batch = 0.4 * self.batch_slope * np.log10(columns["per_device_train_batch_size"] / best)
        return ramp(np.log10(columns["learning_rate"]) - self.cliff - batch, 0.2)

    def observe(self, params: Params, rng: Generator) -> float:
        """Return the score of one training: never below 0, and NaN behind the cliff."""
        x = as_columns(self.space, [params])
        if rng.random() < self.risk(x)[0]:
            return float("nan")
        off = float(np.clip(self._off_valley(x)[0], -0.5, 1))
        noise = self.noise * np.exp(1.5 * off) * (1 + 1 / params["num_train_epochs"])
        score = float(self.quality(x)[0])
        return max(0.0, score + float(rng.normal(0, noise))) if score > 0 else 0.0

    def seconds(self, params: Params) -> float:
        """Return the time of the epochs; small batches take longer."""
        return float(
            15 * params["num_train_epochs"] * (1 + 6 / params["per_device_train_batch_size"])
        )
