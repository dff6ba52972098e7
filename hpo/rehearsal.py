"""What transformers itself refuses, found by building what a trial builds, around no model.

Names and types say little about whether arguments go together, whether a scheduler has all that it
needs, or whether the package behind an optimizer or a reporter is installed; upstream says so when
the training begins, in each trial anew.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from transformers import Trainer, TrainingArguments
from transformers.integrations.integration_utils import (
    get_available_reporting_integrations,
    get_reporting_integration_callbacks,
)

_STEPS = 10  # of the training that does not take place
_UNLISTED = {"azure_ml", "flyte"}  # reporters whose packages transformers' list leaves out


def refusal(arguments: Mapping[str, Any]) -> tuple[str, str] | None:
    """Build training arguments, optimizer and schedule, and look for the reporters.

    Args:
        arguments: of `TrainingArguments`, but for the folder.

    Returns:
        The argument that is to blame (empty where it may be any) and what upstream says of it;
        None if it takes them all.
    """
    name = ""
    with tempfile.TemporaryDirectory() as folder:  # Trainer makes its output_dir
        try:
            built = TrainingArguments(output_dir=folder, **arguments)
            name = "report_to"
            _look_for(list(built.report_to or []))
            built.report_to = []
            name = "optim"
            trainer = Trainer(nn.Linear(1, 1), built, eval_dataset={})
            if not built.optim_target_modules:  # they are those of a real model
                trainer.create_optimizer()
                name = "lr_scheduler_type"
                trainer.create_scheduler(_STEPS)
        except Exception as error:  # noqa: BLE001 - whatever it raises is about the user's values
            return name, re.sub(r"\s+", " ", str(error)) or type(error).__name__
    return None


def _look_for(reporters: Iterable[str]) -> None:
    get_reporting_integration_callbacks(reporters)  # refuses a name that it does not know
    installed = {*get_available_reporting_integrations(), *_UNLISTED}
    if missing := [name for name in reporters if name not in installed]:
        raise ImportError(f"{', '.join(missing)} is not installed here")
