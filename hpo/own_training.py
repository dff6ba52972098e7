"""The runner of a task that trains by itself, without transformers.

A plug-in task with a `train` method is called with the drawn parameters and nothing else of what
fine-tuning needs: for objectives that are no Trainer's, and for tests of everything around one.
"""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import optuna

from hpo.errors import TrialFailed
from hpo.evaluations import Objective
from hpo.space import SearchSpace
from hpo.tasks import Direction
from hpo.trial import Attempt, Draw, Result


class TrainingTask(Protocol):
    """A task that trains by itself.

    Attributes:
        name: as the study file writes it.
        metrics: the metrics an objective may name, and the better direction of each.
        metric: the objective where the study file names none.
    """

    name: str
    metrics: Mapping[str, Direction]
    metric: str

    def train(self, attempt: Attempt) -> Result:
        """Train one configuration; see `hpo.trial.Attempt` for what it is given and may tell.

        Raises:
            TrialFailed: for a reason that the study records and survives.
            HandedBack: `attempt.reporter.asked_to_stop()`; what a resume needs is in the folder.
        """


class OwnTrainingRunner:
    """Runs the trials of a `TrainingTask` in Optuna's own loop."""

    def __init__(
        self, task: TrainingTask, space: SearchSpace, objective: Objective, folder: Path
    ) -> None:
        self.task = task
        self.space = space
        self.objective = objective
        self.folder = folder

    @property
    def device(self) -> str:
        """Where it trains, as far as is known here."""
        return platform.processor() or platform.machine()

    def search(self, draw: Draw, objective: Callable[[optuna.Trial], float]) -> None:
        """Run one trial."""
        draw.study.sampler = draw.sampler
        draw.study.pruner = draw.pruner
        draw.study.optimize(objective, n_trials=1, catch=(TrialFailed,))

    def train(self, attempt: Attempt) -> Result:
        """Let the task train."""
        return self.task.train(attempt)

    def peak_memory(self) -> int:
        """Return nothing: the task alone knows."""
        return 0


def trains_itself(task: Any) -> bool:
    """Say whether a task is a `TrainingTask`."""
    return callable(getattr(task, "train", None))
