"""Family `branches`: thirteen parameters, some of which exist only beside others or do not matter.

Each optimizer has a learning rate of its own, factors are multiplied instead of losses added, noise
has heavy tails, and now and then a training collapses for no reason of its configuration's (Mosbach
et al. 2021, https://arxiv.org/abs/2006.04884).
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from benchmarks.search.landscape import Array, Columns, Landscape, as_columns, ramp
from benchmarks.search.problem import Params
from hpo.space import SearchSpace

OPTIMIZERS = ("adamw_torch", "adafactor", "sgd")
FREEZE = ("none", "embeddings", "layers")
SCHEDULES = ("linear", "cosine", "polynomial", "constant")
COLLAPSE = 0.03  # probability


def _bell(x: Array) -> Array:
    return 1 / (1 + x**2)  # Cauchy's: its tails are long


class Branches(Landscape):
    """A product of bells; `max_grad_norm` and `adam_epsilon` are in none of them."""

    family = "branches"
    space = SearchSpace.model_validate({
        "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
        "per_device_train_batch_size": {"type": "choice", "values": [8, 16, 32]},
        "num_train_epochs": {"type": "int", "low": 1, "high": 5},
        "optim": {"type": "choice", "values": list(OPTIMIZERS)},
        "adam_beta2": {"type": "float", "low": 0.9, "high": 0.999,
                       "when": {"optim": OPTIMIZERS[0]}},
        "adam_epsilon": {"type": "float", "low": 1e-9, "high": 1e-6, "log": True,
                         "when": {"optim": OPTIMIZERS[0]}},
        "momentum": {"type": "float", "low": 0.0, "high": 0.95, "when": {"optim": "sgd"}},
        "freeze": {"type": "choice", "values": list(FREEZE)},
        "freeze_layers": {"type": "int", "low": 1, "high": 11, "when": {"freeze": "layers"}},
        "lr_scheduler_type": {"type": "choice", "values": list(SCHEDULES)},
        "power": {"type": "float", "low": 0.5, "high": 4.0,
                  "when": {"lr_scheduler_type": "polynomial"}},
        "label_smoothing_factor": {"type": "float", "low": 0.0, "high": 0.3},
        "max_grad_norm": {"type": "float", "low": 0.1, "high": 10.0, "log": True},
    })  # fmt: skip

    def prepare(self, rng: Generator) -> None:
        """Draw the coefficients and the optimum."""
        u = rng.uniform
        self.rates = rng.normal(-4.6, 0.2) + self.off + np.array([0, u(0.1, 0.5), u(1.3, 1.7)])
        self.widths = u(0.5, 0.8), u(0.25, 0.4)  # below and above the best rate
        self.slopes = {"batch": u(0.4, 1), "epochs": u(0.2, 0.6), "freeze": u(0, 0.5)}
        self.qualities = np.array([*rng.permutation([1.0, u(0.94, 0.99)]), u(0.8, 0.9)])
        self.schedules = rng.permutation([1.0, 0.997, 0.993, 0.98])
        self.widths_of = {
            "batch": u(15, 40), "epochs": u(3, 8), "freeze": u(2, 6), "beta2": u(0.2, 0.6),
            "power": u(5, 15), "smoothing": u(1, 3),
        }  # fmt: skip
        self.cliff = u(0.5, 0.9)
        self.top = u(0.75, 0.95)
        self.floor = self.top - u(0.2, 0.45)
        self.noise = u(0.002, 0.004)
        optimizer = OPTIMIZERS[int(np.argmax(self.qualities))]
        freeze = FREEZE[int(rng.integers(3))]
        schedule = SCHEDULES[int(np.argmax(self.schedules))]
        at = {
            "learning_rate": 1.0,
            "per_device_train_batch_size": int(rng.choice([8, 16, 32])),
            "num_train_epochs": int(rng.integers(2, 6)),
            "optim": optimizer,
            "freeze": freeze,
            "lr_scheduler_type": schedule,
            "label_smoothing_factor": max(0.0, u(-0.1, 0.15)),
            "max_grad_norm": 1.0,
        }
        # drawn in any case, so that the branches do not change what is drawn later
        self.beta2, self.power, self.layers = u(0.95, 0.999), u(0.7, 2.5), int(rng.integers(1, 7))
        at |= {"adam_beta2": self.beta2, "adam_epsilon": 1e-8} if optimizer == OPTIMIZERS[0] else {}
        at |= {"power": self.power} if schedule == "polynomial" else {}
        at |= {"freeze_layers": self.layers} if freeze == "layers" else {}
        self.optimum = at
        at["learning_rate"] = float(10 ** -self._off_best(as_columns(self.space, [at]))[0])

    def _frozen(self, x: Columns) -> Array:
        """Return how many of twelve layers are frozen; (n,)."""
        few = np.where(x["freeze"] == FREEZE.index("embeddings"), 0.5, 0.0)
        return np.where(x["freeze"] == FREEZE.index("layers"), x["freeze_layers"], few)

    def _off_best(self, x: Columns) -> Array:
        """Return by how many decades rates are above the best ones of their optimizer; (n,)."""
        momentum = np.where(x["optim"] == 2, x["momentum"], 0.0)
        return np.asarray(
            np.log10(x["learning_rate"])
            - self.rates[x["optim"].astype(int)]
            - self.slopes["batch"] * np.log10(x["per_device_train_batch_size"] / 16)
            + self.slopes["epochs"] * np.log10(x["num_train_epochs"] / 3)
            - self.slopes["freeze"] * self._frozen(x) / 12
            - 0.7 * np.log10(1 - momentum)
        )

    def _bells(self, x: Columns) -> Sequence[Array]:
        best, width = self.optimum, self.widths_of
        off = self._off_best(x)
        frozen = self._frozen(x) - self._frozen(as_columns(self.space, [best]))
        batch = x["per_device_train_batch_size"] / best["per_device_train_batch_size"]
        epochs = np.log(x["num_train_epochs"] / best["num_train_epochs"])
        smoothing = x["label_smoothing_factor"] - best["label_smoothing_factor"]
        beta2 = np.where(x["optim"] == 0, x["adam_beta2"] - self.beta2, 0.0)
        power = np.where(x["lr_scheduler_type"] == 2, np.log(x["power"] / self.power), 0.0)
        return [
            self.qualities[x["optim"].astype(int)],
            self.schedules[x["lr_scheduler_type"].astype(int)],
            _bell(off / np.where(off < 0, *self.widths)),
            _bell(np.log2(batch) / width["batch"]),
            _bell(epochs / width["epochs"]),
            _bell(frozen / 12 * width["freeze"] / 10),
            _bell(beta2 / width["beta2"]),
            _bell(power / width["power"]),
            _bell(smoothing / width["smoothing"]),
        ]

    def quality(self, columns: Columns) -> Array:
        """Return the scores of trainings that neither fail nor collapse; (n,)."""
        product = np.prod(self._bells(columns), axis=0)
        return np.asarray(self.floor + (self.top - self.floor) * product)

    def risk(self, columns: Columns) -> Array:
        """Return the probabilities of a failure, some way above the best rates; (n,)."""
        return ramp(self._off_best(columns) - self.cliff, 0.2)

    def observe(self, params: Params, rng: Generator) -> float:
        """Return the score of one training: the floor if it collapsed, NaN if it failed."""
        x = as_columns(self.space, [params])
        if rng.random() < self.risk(x)[0]:
            return float("nan")
        if rng.random() < COLLAPSE:
            return self.floor
        return float(self.quality(x)[0] + self.noise * rng.standard_t(3))

    def seconds(self, params: Params) -> float:
        """Return the time of the epochs; small batches and free layers take longer."""
        frozen = float(self._frozen(as_columns(self.space, [params]))[0]) / 12
        steps = 1 + 4 / params["per_device_train_batch_size"]
        return float(25 * params["num_train_epochs"] * steps * (1 - 0.5 * frozen))
