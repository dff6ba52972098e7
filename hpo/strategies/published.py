"""What is published about fine-tuning, as expectations that a study's data may overrule.

Devlin et al. 2019 (https://arxiv.org/abs/1810.04805, appendix A.3): batch 16 or 32, a learning rate
of 5e-5, 3e-5 or 2e-5, 2 to 4 epochs, dropout 0.1, linear decay, weight decay 0.01.
"""

import math
from collections.abc import Mapping

from hpo.parameters import Choice, Parameter, Prior
from hpo.space import SearchSpace

_RATE = "learning_rate"
_SECOND = 2 / 3  # of the first start configuration's learning rate
_FACTORS = {  # center, and one standard deviation as a factor
    _RATE: (3e-5, 2.8),
    "per_device_train_batch_size": (16, 2.0),
}
_NUMBERS = {  # center, and one standard deviation as a difference
    "num_train_epochs": (3, 1.0),
    "warmup_steps": (0.1, 0.07),
    "weight_decay": (0.01, 0.05),
    "dropout": (0.1, 0.08),
    "classifier_dropout": (0.1, 0.08),
    "layerwise_lr_decay": (1.0, 0.1),
    "label_smoothing_factor": (0.0, 0.1),
}
_NAMES = {"lr_scheduler_type": "linear", "freeze": "none", "optim": "adamw_torch"}


def expectations(space: SearchSpace) -> dict[str, Prior]:
    """Return what is expected of each parameter: what the study says, else what is published.

    A spread is a factor where the range is logarithmic, steps for choices, else a difference.
    Nothing is expected of a parameter whose range does not hold the published value.
    """
    found = {name: each.prior or _published(name, each) for name, each in space.root.items()}
    return {name: prior for name, prior in found.items() if prior is not None}


def starts(expected: Mapping[str, Prior]) -> list[dict[str, object]]:
    """Return the configurations that are tried first; each leaves open what nothing is known of.

    The published one, and one with a lower learning rate. None where no rate is searched: then
    too little of what is published is about the study.
    """
    if _RATE not in expected:
        return []
    first: dict[str, object] = {name: prior.center for name, prior in expected.items()}
    rate = expected[_RATE].center
    lower = {**first, _RATE: rate * _SECOND} if isinstance(rate, float) else first
    return [first, lower] if lower != first else [first]


def _published(name: str, parameter: Parameter) -> Prior | None:
    if name in _NAMES:
        return Prior(center=_NAMES[name], spread=1.0) if parameter.holds(_NAMES[name]) else None
    if name not in _FACTORS | _NUMBERS:
        return None
    center, spread = (_FACTORS | _NUMBERS)[name]
    if isinstance(parameter, Choice):
        held = [value for value in parameter.values if _close(value, center)]
        return Prior(center=held[0], spread=1.0) if held else None
    if not parameter.low <= center <= parameter.high:
        return None
    if parameter.log and name in _NUMBERS:
        spread = max(1.1, (center + spread) / center) if center > 0 else 2.0
    elif not parameter.log and name in _FACTORS:
        spread = center * (spread - 1)
    return Prior(center=center, spread=spread)


def _close(value: object, center: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isclose(float(value), center, rel_tol=1e-6)  # type: ignore[arg-type]
