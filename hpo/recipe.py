"""What one trial does, fully resolved: constants of the study file with the drawn values over them.

A recipe is all that retraining needs beside the study's data and seed; it is stored with the trial.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hpo.errors import SpecError
from hpo.spec import MODEL_PARAMETERS, FineTuningSpec, StudySpec, show


@dataclass(frozen=True)
class Recipe:
    """One configuration.

    Args:
        model: the pretrained model, as the study file names it.
        fine_tuning: what is no training argument.
        training: names and values of transformers' training arguments; hpo's defaults aside.
        commit: of the hub, that the model was loaded from; None for a folder, or if unknown.
    """

    model: str
    fine_tuning: FineTuningSpec
    training: Mapping[str, Any]
    commit: str | None = None

    @property
    def pinned(self) -> str:
        """The model as a study file names it so that nobody gets another one."""
        return self.model if self.commit is None else f"{self.model.split('@')[0]}@{self.commit}"


def resolve(spec: StudySpec, params: Mapping[str, Any]) -> Recipe:
    """Lay drawn parameters over the constants of a study.

    Raises:
        SpecError: a value is out of the range that its parameter allows.
    """
    ours = {name: value for name, value in params.items() if name in MODEL_PARAMETERS}
    training = {name: value for name, value in params.items() if name not in MODEL_PARAMETERS}
    model = str(ours.pop("model", spec.model[0]))
    try:
        fine_tuning = FineTuningSpec.model_validate(
            {**spec.fine_tuning.model_dump(exclude_unset=True), **ours}
        )
    except ValidationError as error:
        raise SpecError(
            [
                f"space.{detail['loc'][0]}: found {show(detail['input'])}; {detail['msg']}"
                for detail in error.errors()
            ]
        ) from None
    return Recipe(model, fine_tuning, {"seed": spec.seed, **spec.training, **training})


def as_record(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a trial stores it."""
    return {
        "model": recipe.model,
        "fine_tuning": recipe.fine_tuning.model_dump(mode="json"),
        "training": dict(recipe.training),
        **({} if recipe.commit is None else {"commit": recipe.commit}),
    }


def from_record(record: Mapping[str, Any]) -> Recipe:
    """Return a recipe that a trial stored.

    Raises:
        SpecError: another version of hpo wrote it, and this one cannot read it.
    """
    try:
        tuning = FineTuningSpec.model_validate_json(json.dumps(record["fine_tuning"]))
        training = dict(record["training"])
        return Recipe(str(record["model"]), tuning, training, record.get("commit"))
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(f"recipe: was stored by another version of hpo: {error}") from None
