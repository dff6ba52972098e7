"""Family `ridge`: nine parameters of a BERT-like fine-tuning that trade off along a ridge.

The best learning rate rises with the batch and with frozen or slowed layers and falls with the
epochs; above it lies a cliff behind which trainings diverge to a constant prediction.
"""

from typing import Any

import numpy as np
from numpy.random import Generator

from benchmarks.search.landscape import Array, Columns, Landscape, as_columns, ramp
from benchmarks.search.problem import Params
from hpo.space import SearchSpace

LAYERS = np.array([0.0, 0.5, 3.0, 6.0, 9.0, 12.0])  # that each value of `freeze` holds, of 12
FREEZE = ("none", "embeddings", "layers:3", "layers:6", "layers:9", "encoder")
SCHEDULES = ("linear", "cosine", "constant", "polynomial")
_DECADES = np.log10(2)  # a doubling


class Ridge(Landscape):
    """Loss on both sides of a ridge, and small losses of each parameter's own."""

    family = "ridge"
    space = SearchSpace.model_validate({
        "learning_rate": {"type": "float", "low": 1e-6, "high": 1e-3, "log": True},
        "per_device_train_batch_size": {"type": "choice", "values": [8, 16, 32, 64]},
        "weight_decay": {"type": "float", "low": 0.0, "high": 0.3},
        "warmup_steps": {"type": "float", "low": 0.0, "high": 0.3},
        "num_train_epochs": {"type": "int", "low": 1, "high": 6},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5},
        "freeze": {"type": "choice", "values": list(FREEZE)},
        "lr_scheduler_type": {"type": "choice", "values": list(SCHEDULES)},
        "layerwise_lr_decay": {"type": "float", "low": 0.7, "high": 1.0},
    })  # fmt: skip

    def prepare(self, rng: Generator) -> None:
        """Draw the coefficients and the optimum."""
        u = rng.uniform
        self.center = rng.normal(-4.6, 0.2) + self.off  # log10 of the rate on the ridge
        self.slopes = {
            "batch": u(0.5, 1), "epochs": u(0.3, 0.8), "freeze": u(0.1, 0.5), "layers": u(0.4, 1),
        }  # fmt: skip
        self.under, self.under_width = u(0.25, 0.45), u(0.8, 1.2)
        self.over, self.over_width = u(0.015, 0.05), u(0.4, 0.6)
        self.cliff, self.relief = self.center + u(0.7, 1.1), u(0.1, 0.35)
        self.weights = {
            "epochs": u(0.003, 0.01), "dropout": u(0.05, 0.15), "freeze": u(0.02, 0.1),
            "decay": u(0.02, 0.08), "warmup": u(0.04, 0.12), "layers": u(0.1, 0.4),
            "batch": u(0, 0.002),
        }  # fmt: skip
        self.schedules = rng.permutation([0.0, 0.001, 0.003, 0.005])
        self.top = u(0.84, 0.94)
        self.floor = self.top - u(0.3, 0.5)
        self.noise = 0.003 * u(0.7, 1.6)
        at: dict[str, Any] = {
            "learning_rate": 1.0,
            "per_device_train_batch_size": int(rng.choice([8, 16, 32, 64])),
            "weight_decay": max(0.0, u(-0.05, 0.2)),  # often at the end of the range
            "warmup_steps": max(0.0, u(-0.02, 0.12)),
            "num_train_epochs": int(rng.integers(2, 6)),
            "dropout": u(0.05, 0.22),
            "freeze": FREEZE[int(rng.integers(4))],
            "lr_scheduler_type": SCHEDULES[int(np.argmin(self.schedules))],
            "layerwise_lr_decay": min(1.0, u(0.82, 1.05)),
        }
        at["learning_rate"] = 10 ** float(-self._off_ridge(as_columns(self.space, [at]))[0])
        self.optimum = at

    def _off_ridge(self, x: Columns) -> Array:
        """Return by how many decades learning rates are above the ridge; (n,)."""
        slope = self.slopes
        layers = x["layerwise_lr_decay"][:, None] ** np.arange(12)
        return np.asarray(
            np.log10(x["learning_rate"])
            - self.center
            - slope["batch"] * _DECADES * np.log2(x["per_device_train_batch_size"] / 16)
            + slope["epochs"] * np.log10(x["num_train_epochs"] / 3)
            - slope["freeze"] * LAYERS[x["freeze"].astype(int)] / 12
            + slope["layers"] * (np.log10(layers.mean(axis=1)) + 0.25)
            + np.where(x["lr_scheduler_type"] == SCHEDULES.index("constant"), 0.2, 0)
            - 0.3 * x["warmup_steps"]
        )

    def quality(self, columns: Columns) -> Array:
        """Return the scores of trainings that do not diverge; (n,)."""
        x, best, weight = columns, self.optimum, self.weights
        off = self._off_ridge(x)
        loss = np.where(
            off < 0,
            self.under * (1 - np.exp(-((off / self.under_width) ** 2))),
            self.over * (off / self.over_width) ** 2,
        )
        epochs = x["num_train_epochs"]
        loss += weight["epochs"] * np.log(epochs / best["num_train_epochs"]) ** 2
        dropout = best["dropout"] + 0.03 * (epochs - best["num_train_epochs"])
        loss += weight["dropout"] * (x["dropout"] - np.clip(dropout, 0, 0.4)) ** 2
        more = (LAYERS[x["freeze"].astype(int)] - LAYERS[FREEZE.index(best["freeze"])]) / 12
        loss += weight["freeze"] * np.where(more > 0, more**2, 0.01 * -more)
        loss += weight["decay"] * (x["weight_decay"] - best["weight_decay"]) ** 2
        warmup = np.clip(best["warmup_steps"] + 0.1 * np.clip(off, -0.5, 0.5), 0, 0.3)
        loss += weight["warmup"] * (x["warmup_steps"] - warmup) ** 2
        loss += self.schedules[x["lr_scheduler_type"].astype(int)]
        loss += weight["layers"] * (x["layerwise_lr_decay"] - best["layerwise_lr_decay"]) ** 2
        batch = x["per_device_train_batch_size"] / best["per_device_train_batch_size"]
        loss += weight["batch"] * np.abs(np.log2(batch))
        return np.asarray(np.maximum(self.top - loss, self.floor))

    def risk(self, columns: Columns) -> Array:
        """Return the probabilities of divergence; warmup and large batches put it off; (n,)."""
        batch = np.log2(columns["per_device_train_batch_size"] / 16)
        cliff = self.cliff + self.relief * np.minimum(columns["warmup_steps"], 0.1) / 0.1
        cliff = cliff + 0.5 * self.slopes["batch"] * _DECADES * batch
        return ramp(np.log10(columns["learning_rate"]) - cliff, 0.3)

    def observe(self, params: Params, rng: Generator) -> float:
        """Return the score of one training; it is noisier above the ridge."""
        x = as_columns(self.space, [params])
        if rng.random() < self.risk(x)[0]:
            return float(self.floor + abs(rng.normal(0, 0.01)))
        noise = self.noise * (1 + 2 * max(0.0, float(self._off_ridge(x)[0])))
        return float(self.quality(x)[0] + rng.normal(0, noise))

    def seconds(self, params: Params) -> float:
        """Return the time of the epochs; small batches and free layers take longer."""
        frozen = LAYERS[FREEZE.index(params["freeze"])] / 12
        steps = 1 + 4 / params["per_device_train_batch_size"]
        return float(20 * params["num_train_epochs"] * steps * (1 - 0.5 * frozen))
