"""What a process needs to run a study's trials: specification, data, folders, encoded inputs."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from hpo import pretrained, tokenization
from hpo.data import StudyData, load_data
from hpo.errors import ModelError, SpecError
from hpo.evaluations import Objective
from hpo.fine_tuning import Job
from hpo.inputs import Inputs, prepare
from hpo.plugins import nearest
from hpo.pretrained import Source
from hpo.recipe import Recipe
from hpo.samples import models as sample_models
from hpo.space import SearchSpace
from hpo.spec import StudySpec
from hpo.strategies.published import expecting
from hpo.tasks import Task, load_task

_KEPT_INPUTS = 4  # encoded data sets open at once, where model or max_length are searched


@dataclass
class Workspace:
    """A study as one process sees it.

    Args:
        spec: what the study is.
        data_folder: where relative paths of data and models start.
        folder: the study's own folder, for its trials.
        cache: a folder for encoded data and sample models, shared by studies.
        commits: model -> the commit of the hub that trials begin with, of those that were looked
            up; None where it has none (see `pretrained.commit_of`).
    """

    spec: StudySpec
    data_folder: Path
    folder: Path
    cache: Path
    commits: dict[str, str | None] = field(default_factory=dict)
    _inputs: OrderedDict[tuple[object, ...], Inputs] = field(default_factory=OrderedDict)

    @cached_property
    def task(self) -> Task:
        """The task."""
        return load_task(self.spec.task)

    @cached_property
    def space(self) -> SearchSpace:
        """What is searched, and what is published about it for the task."""
        return expecting(self.spec.search_space(), self.task.published)

    @cached_property
    def objective(self) -> Objective:
        """What is optimised.

        Raises:
            SpecError: the task has no such metric.
        """
        metric = self.spec.objective.metric or self.task.metric
        known = self.task.metrics
        if metric not in known and not _of_one_class(metric):
            raise SpecError(
                f"objective.metric: found {metric!r}; known are {', '.join(known)} "
                f"(and NAME.f1 and so on of one class){nearest(metric, known)}"
            )
        usual = known.get(metric, "maximize")
        direction = self.spec.objective.direction or usual
        if direction != usual:
            raise SpecError(
                f"objective.direction: found {direction!r} for {metric}, a search for the worst; "
                f"expected {usual!r}"
            )
        return Objective(metric, direction == "maximize")

    def check_class_metric(self) -> None:
        """Check an objective over one class against the classes that there are.

        Raises:
            SpecError: the data has no such class.
        """
        name, _, _ = self.objective.metric.rpartition(".")
        classes = self.data.labels
        if self.task.layout == "tokens":
            classes = [label[2:] for label in classes if label.startswith("B-")]
        if name and name not in classes:
            raise SpecError(
                f"objective.metric: found {self.objective.metric!r}; the data has "
                f"{', '.join(classes)}{nearest(name, classes)}"
            )

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's word for the better direction of the objective."""
        return "maximize" if self.objective.maximize else "minimize"

    @cached_property
    def data(self) -> StudyData:
        """The rows to train and validate on; the test split is never read."""
        return load_data(
            self.spec.data,
            layout=self.task.layout,
            folder=self.data_folder,
            seed=self.spec.seed,
        )

    def hub_id(self, model: str) -> str | None:
        """Return the hub's id of a model of the study file; None for a folder or a sample."""
        if model.startswith(("sample:", ".", "/", "~")) or (self.data_folder / model).is_dir():
            return None
        return model.partition("@")[0]

    def source(self, model: str, commit: str | None = None) -> Source:
        """Return where a model of the study file is; a sample model is made if need be.

        Args:
            model: as the study file names it.
            commit: of the hub; by default the one that the study began with, or else, for the rest
                of this process, the one that the model is now.

        Raises:
            ModelError: there is no such model.
        """
        if model.startswith("sample:"):
            family = model.removeprefix("sample:")
            folder = self.cache / "models" / f"{family}-{self.data.fingerprint}"
            return Source(model, str(sample_models.build(family, self._texts(), folder)))
        local = self.data_folder / Path(model).expanduser()
        if not local.is_dir() and Path(model).is_dir():  # transformers would take it
            raise ModelError(
                f"model {model}: found a folder of that name where you are, but not beside the "
                "study file, where its paths start; expected the path from there"
            )
        trust = self.spec.trust_remote_code
        hub_id = self.hub_id(model)
        if hub_id is None:
            return Source(model, str(local) if local.is_dir() else model, trust)
        if commit is None and model not in self.commits:
            revision = _revision(model)
            self.commits[model] = pretrained.commit_of(Source(model, hub_id, trust, revision))
        return Source(model, hub_id, trust, commit or self.commits[model])

    def unpinned(self) -> list[str]:
        """Return in sentences which models of the hub may be others tomorrow."""
        return [
            f"model {model}: its main branch has no model.safetensors; the weights that the hub "
            "has converted are loaded, and no commit of them is kept"
            for model in self.spec.models()
            if self.hub_id(model) and not self.source(model).revision
        ]

    def _texts(self) -> Iterator[str]:
        for row in self.data.train.rows:
            yield " ".join(row["tokens"]) if self.task.takes_words else row["text"]

    def check_model(self, model: str) -> None:
        """Check what takes no time: that a model is there, and takes inputs of the study's length.

        Raises:
            ModelError: it cannot be loaded, or is too short.
        """
        source = self.source(model)
        config = pretrained.load_config(source)
        tokenizer = tokenization.load_tokenizer(
            source, words=self.task.takes_words, causal_classifier=False
        )
        wanted = self.spec.fine_tuning.max_length
        with self.spec.located():
            tokenization.resolve_max_length(wanted, source, config, tokenizer)

    def inputs(self, recipe: Recipe) -> Inputs:
        """Return the encoded data of a recipe, from memory where it is still there."""
        tuning = recipe.fine_tuning
        source = self.source(recipe.model, recipe.commit)
        key = (source, tuning.max_length, tuning.truncation_side)
        if key not in self._inputs:
            self._inputs[key] = prepare(self.task, self.data, source, tuning, self.cache / "inputs")
        self._inputs.move_to_end(key)
        while len(self._inputs) > _KEPT_INPUTS:
            self._inputs.popitem(last=False)
        return self._inputs[key]

    def job(self, recipe: Recipe, folder: Path) -> Job:
        """Return all that the fine-tuning of one recipe needs."""
        return Job(
            recipe=recipe,
            task=self.task,
            source=self.source(recipe.model, recipe.commit),
            inputs=self.inputs(recipe),
            objective=self.objective,
            folder=folder,
        )


def _revision(model: str) -> str | None:
    """Return the revision of `ID@REVISION`; a hub id has no @ in it."""
    hub_id, at, revision = model.partition("@")
    if at and not (hub_id and revision):
        raise ModelError(
            f"model {model}: expected a hub id before the @, and a branch, tag or commit behind it"
        )
    return revision or None


def _of_one_class(metric: str) -> bool:
    return metric.rpartition(".")[2] in {"precision", "recall", "f1"} and "." in metric
