"""From a specification to what a worker needs: names checked, data read, models looked at."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna

from hpo import storage
from hpo.baseline import baseline
from hpo.errors import SpecError
from hpo.evaluations import Objective
from hpo.own_training import OwnTrainingRunner, trains_itself
from hpo.parameters import Scalar
from hpo.plugins import nearest
from hpo.spec import StudyFile, StudySpec
from hpo.strategies import Strategy, load_strategy
from hpo.tasks import TASKS
from hpo.trial import Runner


@dataclass(frozen=True)
class Facts:
    """What was found when a study was loaded.

    Args:
        agreed: what all workers must find alike, by the name under which the study stores it.
        notices: sentences about the data.
        commits: model -> the commit of the hub that trials begin with here.
    """

    agreed: dict[str, Any]
    notices: list[str] = field(default_factory=list)
    commits: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A study whose names are right.

    Args:
        runner: trains its configurations.
        strategy: chooses them.
        load: reads what takes a while, the data first; takes model -> commit of the hub, of those
            models for which it is settled.
        gpus: returns the GPUs that it can use here, as `CUDA_VISIBLE_DEVICES` names them.
        baseline: the default configuration, which takes one of the trials.
        remarks: returns what the file may say and hardly means.
        remarks_here: returns what will not be here as one would think: the device, models.
    """

    runner: Runner
    strategy: Strategy
    load: Callable[[Mapping[str, str]], Facts]
    gpus: Callable[[], list[str]] = list
    baseline: Mapping[str, Scalar] | None = None
    remarks: Callable[[], list[str]] = list
    remarks_here: Callable[[], list[str]] = list

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's word for the better direction of the objective."""
        return "maximize" if self.runner.objective.maximize else "minimize"


def prepare(file: StudyFile, folder: Path, cache: Path) -> Prepared:
    """Check all that needs neither data nor model.

    Args:
        file: the study.
        folder: the study's own, for its trials.
        cache: for what studies share.

    Raises:
        BadInput: everything that is wrong.
    """
    task = TASKS.load(file.spec.task)
    if trains_itself(task):
        return _prepare_own(file, task, folder)
    # torch and transformers are imported for tasks that need them
    from hpo.check import check_names
    from hpo.device import Device, visible_gpus
    from hpo.quiet import quieten
    from hpo.remarks import about_device, remarks
    from hpo.search import TrainerRunner
    from hpo.workspace import Workspace

    quieten()
    workspace = Workspace(file.spec, file.folder, folder, cache)
    strategy = check_names(file, workspace)

    def load(commits: Mapping[str, str]) -> Facts:
        workspace.commits.update(commits)
        data = workspace.data
        workspace.check_class_metric()
        found = {}
        for model in file.spec.models():
            workspace.check_model(model)
            if commit := workspace.source(model).revision:
                found[model] = commit
        gc.collect()
        gc.freeze()  # Trainer collects three times a trial; what was imported is no garbage
        agreed = {
            storage.METRIC: workspace.objective.metric,
            storage.FINGERPRINT: data.fingerprint,
        }
        return Facts(agreed, data.notices, found)

    usual = _baseline(file.spec, strategy, workspace.task.published)

    def remarked() -> list[str]:
        points = strategy.points(workspace.space, file.spec.seed)
        return remarks(file.spec, strategy, None if points is None else len(points))

    return Prepared(
        TrainerRunner(workspace), strategy, load, visible_gpus, usual,
        remarked,
        lambda: [*workspace.unpinned(), *about_device(file.spec, Device.here())],
    )  # fmt: skip


def _baseline(
    spec: StudySpec, strategy: Strategy, published: Mapping[str, float]
) -> Mapping[str, Scalar] | None:
    """Return the default configuration if it is to take one of the trials."""
    made_of_points = strategy.points(spec.search_space(), spec.seed) is not None
    if not spec.baseline or made_of_points or spec.budget.trials == 1:
        return None
    return baseline(spec.search_space(), published)


def _prepare_own(file: StudyFile, task: Any, folder: Path) -> Prepared:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spec = file.spec
    metric = spec.objective.metric or task.metric
    if metric not in task.metrics:
        known = ", ".join(task.metrics)
        raise SpecError(
            f"{file.path}: objective.metric: found {metric!r}; known are {known}"
            f"{nearest(metric, task.metrics)}"
        )
    objective = Objective(metric, (spec.objective.direction or task.metrics[metric]) == "maximize")
    runner = OwnTrainingRunner(task, spec.search_space(), objective, folder)
    return Prepared(runner, load_strategy(spec), lambda _: Facts({storage.METRIC: metric}))
