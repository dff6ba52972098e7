"""A study that somebody takes something out of: its winner, its default, its data, its storage."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from hpo import confirmation, inference, manifest, recipe, storage
from hpo.binding import BindingStorage
from hpo.candidates import Candidate, key_of
from hpo.errors import BadInput, StudyFailed
from hpo.inference import FineTuned
from hpo.leases import view_tickets
from hpo.own_training import trains_itself
from hpo.recipe import Recipe
from hpo.study import StudyView, slug, view
from hpo.tasks import TASKS
from hpo.trials import TrialResult
from hpo.workspace import Workspace


@dataclass(frozen=True)
class Finalist:
    """The run of a configuration that stands for it.

    Args:
        study: the name of the study that the run is a trial of: the search, or its confirmation.
        trial: the run.
        candidate: the configuration, where it was confirmed.
    """

    study: str
    trial: TrialResult
    candidate: Candidate | None = None

    def weights(self) -> Path:
        """Return the folder of its weights.

        Raises:
            BadInput: they are not here.
        """
        name = f"trial {self.trial.number} of {self.study}"
        again = "`hpo export` with `--refit train` trains it anew"
        if self.trial.checkpoint is None:
            raise BadInput(f"{name}: found no weights, they were deleted; {again}")
        folder = Path(self.trial.checkpoint)
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise BadInput(
                f"{name}: found no weights in {folder}; expected them there: copy them from the "
                f"machine that trained it, or {again}"
            )
        return folder


@dataclass(frozen=True)
class Concluded:
    """A study, read to take something out of it.

    Args:
        opened: its storage.
        study: Optuna's.
        view: how it stands.
        workspace: its data and models on this machine.
    """

    opened: BindingStorage
    study: optuna.Study
    view: StudyView
    workspace: Workspace

    @property
    def attrs(self) -> Mapping[str, Any]:
        """What is stored with the study."""
        return self.study.user_attrs

    @property
    def owner(self) -> str:
        """What no other study has."""
        return str(self.attrs[storage.ID])

    def winner(self) -> Finalist:
        """Return the run to take: of the confirmed configuration the best, else the best trial.

        Raises:
            StudyFailed: no trial has completed.
        """
        found = self.view.confirmation
        if found is not None and found.winner is not None:
            return self._best_run(found.winner)
        if self.view.best is None:
            none = "no trial has succeeded" if self.view.done else "no trial has completed yet"
            raise StudyFailed(f"study {self.view.name!r}: {none}", self.view.to_json())
        return Finalist(self.view.name, self.view.best)

    def default(self) -> Finalist | None:
        """Return the best run of the default configuration of the field, if it was trained."""
        found = self.view.confirmation
        for each in [] if found is None else found.candidates:
            if each.baseline and each.runs:
                return self._best_run(each)
        wanted = self.attrs.get(confirmation.BASELINE)
        for trial in self.view.trials:
            is_it = wanted is not None and key_of(trial.params) == key_of(wanted)
            if trial.value is not None and is_it:
                return Finalist(self.view.name, trial)
        return None

    def _best_run(self, candidate: Candidate) -> Finalist:
        found = self.view.confirmation
        best = candidate.best_run(1 if found is None else found.sign)
        return Finalist(confirmation.name_of(self.view.name), best, candidate)

    def recipe(self, trial: TrialResult) -> Recipe:
        """Return what a trial was trained with."""
        stored = trial.record.get("recipe")
        if stored is None:  # it failed before
            return recipe.resolve(self.workspace.spec, trial.params)
        return recipe.from_record(stored)

    def model(self, finalist: Finalist) -> FineTuned:
        """Load the weights of a run.

        Raises:
            BadInput: they are not here.
        """
        folder = finalist.weights()
        trust = self.workspace.spec.trust_remote_code
        if (folder / manifest.FILE).is_file():
            return inference.load(folder, trust=trust)
        reading = self.workspace.inputs(self.recipe(finalist.trial)).reading
        return inference.load(folder, reading, trust=trust)

    def data_notes(self) -> list[str]:
        """Return in a sentence that the data is not what the study was trained on."""
        stored, found = self.attrs.get(storage.FINGERPRINT), self.workspace.data.fingerprint
        if stored in {None, found}:
            return []
        return [f"Warning: the data is not the study's: stored {stored}, found {found}."]


def open_study(
    name: str, storage_url: str, *, data: Path | None = None, output: Path = Path("runs")
) -> Concluded:
    """Read a study.

    Args:
        name: of the study.
        storage_url: where it is stored.
        data: where the relative paths of its study file start on this machine; by default where
            they did when it was created, if there is such a folder here, else the current one.
        output: the folder below which everything lies.

    Raises:
        BadInput: there is no such study, or its task trains by itself.
        StorageError: the storage cannot be read.
    """
    opened = storage.open_storage(storage_url, create=False)
    with storage.told(opened.engine.url):
        study = storage.load(opened, name)
        tickets = view_tickets(opened.engine, study.user_attrs[storage.ID])
        found = replace(view(study, tickets), confirmation=confirmation.read(opened, name))
        stored = Path(str(study.user_attrs.get(storage.DATA, "")))
    if trains_itself(TASKS.load(found.spec.task)):
        raise BadInput(
            f"study {name!r}: the task {found.spec.task} trains by itself; expected one that "
            "fine-tunes a model"
        )
    folder = data or (stored if stored.is_absolute() and stored.is_dir() else Path())
    root = output.resolve()
    commits: dict[str, str | None] = {**storage.commits_of(study.user_attrs)}
    workspace = Workspace(found.spec, folder, root / slug(name), root / "cache", commits)
    return Concluded(opened, study, found, workspace)
