"""Stock `Trainer.hyperparameter_search` on a model of six weights, to see what upstream does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

Space = Callable[[optuna.Trial], dict[str, Any]]
ROWS = 16


class Tiny(nn.Module):
    """Two inputs, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return loss and logits."""
        logits = self.layer(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Stock(Trainer):
    """Stock but for taking notes: what `train` was asked to resume from."""

    resumed_from: list[Any]

    def train(self, resume_from_checkpoint: Any = None, trial: Any = None, **rest: Any) -> Any:  # type: ignore[override]
        """Train, and take a note."""
        self.resumed_from = [*getattr(self, "resumed_from", []), resume_from_checkpoint]
        return super().train(resume_from_checkpoint=resume_from_checkpoint, trial=trial, **rest)


def stock_trainer(
    folder: Path,
    model_init: Callable[..., Any] = Tiny,
    scores: list[float] | None = None,
    **arguments: Any,
) -> Stock:
    """Return a Trainer on 16 rows.

    Args:
        folder: where its runs go.
        model_init: as Trainer takes it.
        scores: `accuracy` of each evaluation in turn, instead of a computed one.
        arguments: for `TrainingArguments`.
    """
    draw = np.random.default_rng(0)
    rows = [
        {"x": draw.normal(size=2).astype("float32"), "labels": index % 2} for index in range(ROWS)
    ]
    left = iter(scores or [])
    settings = {
        "per_device_train_batch_size": 8,
        "num_train_epochs": 1,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        **arguments,
    }
    return Stock(
        args=TrainingArguments(output_dir=str(folder), **settings),
        model_init=model_init,
        train_dataset=rows,
        eval_dataset=rows,
        compute_metrics=lambda _: {"accuracy": next(left, 0.5)},
    )


def search(
    trainer: Trainer, space: Space, points: list[Mapping[str, Any]], **options: Any
) -> optuna.Study:
    """Run some points through stock `hyperparameter_search`; return the study."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="stock", storage=storage, direction="maximize")
    for point in points:
        study.enqueue_trial(dict(point))
    settings = {
        "compute_objective": lambda metrics: metrics["eval_accuracy"],
        "direction": "maximize",
        **options,
    }
    trainer.hyperparameter_search(
        space, backend="optuna", n_trials=len(points), study_name="stock", storage=storage,
        load_if_exists=True, **settings,
    )  # fmt: skip
    return study
