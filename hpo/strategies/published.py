"""What is published about fine-tuning, as expectations that a study's data may overrule.

Devlin et al. 2019 (https://arxiv.org/abs/1810.04805): batch 16 or 32, a learning rate of 5e-5, 3e-5
or 2e-5, 2 to 4 epochs, dropout 0.1 (appendix A.3); linear decay and a weight decay of 0.01 (A.2),
and warm-up over a tenth of the steps in the code that came with it. Sun et al. 2019
(https://arxiv.org/abs/1905.05583): a layer-wise decay of 0.95. The best learning rate grows with
the batch size, linearly (Goyal et al. 2017, https://arxiv.org/abs/1706.02677) or, with Adam, by its
square root (Malladi et al. 2022, https://arxiv.org/abs/2205.10287). Each optimizer has a best rate
of its own, Lion's a lower one (Chen et al. 2023, https://arxiv.org/abs/2302.06675, section 5).
"""

import math
from collections.abc import Mapping

from hpo.parameters import Choice, Parameter, Prior
from hpo.space import SearchSpace

_RATE = "learning_rate"
_SECOND = 10 / 3  # of the first start configuration's learning rate
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
    "layerwise_lr_decay": (0.95, 0.05),
    "label_smoothing_factor": (0.0, 0.1),
}
_NAMES = {"lr_scheduler_type": "linear", "freeze": "none", "optim": "adamw_torch"}
_BY_BATCH = 0.7  # exponent of the learning rate: between the square root and linear
_BY_EPOCHS = -0.5  # a shorter training wants larger steps
_LAYERS = 12  # of a base model
_LION = 0.2  # between a third and a tenth of AdamW's
RATE_DOUBT = 2.0  # a factor on the learning rate, one standard deviation
OPTIMIZER_DOUBT = 5.0  # the same, between optimizers


def rate_factor(name: str, value: float) -> float | None:
    """Return by which factor the best learning rate grows with a parameter; None if by none.

    Args:
        name: of the parameter.
        value: of it; the factor is relative to that of other values.
    """
    if name in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        return float(value**_BY_BATCH)
    if name == "num_train_epochs" and value > 0:
        return float(value**_BY_EPOCHS)
    if name == "layerwise_lr_decay":  # the mean over the layers stays the same
        return _LAYERS / sum(value**layer for layer in range(_LAYERS))
    return None


def optimizer_factor(name: str) -> float:
    """Return the best learning rate of an optimizer, named as in `optim`, over AdamW's."""
    return _LION if name.startswith("lion") else 1.0


def expecting(space: SearchSpace, published: Mapping[str, float]) -> SearchSpace:
    """Return a space with what is published for its task, where the study says nothing itself.

    Args:
        space: what is searched.
        published: parameter -> value; one that the parameter cannot have is left out.
    """
    found = {
        name: each.model_copy(update={"prior": prior})
        for name, each in space.root.items()
        if name in published.keys() & (_FACTORS | _NUMBERS).keys()
        and each.prior is None
        and (prior := _around(name, each, published[name]))
    }
    return space.model_copy(update={"root": {**space.root, **found}})


def expectations(space: SearchSpace) -> dict[str, Prior]:
    """Return what is expected of each parameter: what the study says, else what is published.

    A spread is a factor where the range is logarithmic, steps for choices, else a difference.
    Nothing is expected of a parameter whose range does not hold the published value.
    """
    found = {name: each.prior or _published(name, each) for name, each in space.root.items()}
    return {name: prior for name, prior in found.items() if prior is not None}


def starts(space: SearchSpace) -> list[dict[str, object]]:
    """Return the configurations that are tried first; each leaves open what nothing is known of.

    What is expected, and the same with a higher learning rate: where the published rates are wrong
    they are too low, for small models and small data. None where no rate is searched: then too
    little of what is published is about the study.
    """
    expected = expectations(space)
    if _RATE not in expected:
        return []
    first: dict[str, object] = {name: prior.center for name, prior in expected.items()}
    rate, parameter = expected[_RATE].center, space.root[_RATE]
    wanted = rate * _SECOND if isinstance(rate, float) else rate
    if isinstance(parameter, Choice):
        higher = [value for value in parameter.values if _higher(value, rate)]
        wanted = min(higher, key=lambda value: abs(float(value) - float(wanted)), default=rate)
    elif isinstance(wanted, float):
        wanted = min(wanted, parameter.high)
    return [first, {**first, _RATE: wanted}] if wanted != rate else [first]


def _higher(value: object, rate: object) -> bool:
    numbers = isinstance(value, int | float) and isinstance(rate, int | float)
    return numbers and value > rate  # type: ignore[operator]


def _published(name: str, parameter: Parameter) -> Prior | None:
    if name in _NAMES:
        return Prior(center=_NAMES[name], spread=1.0) if parameter.holds(_NAMES[name]) else None
    if name not in _FACTORS | _NUMBERS:
        return None
    return _around(name, parameter, (_FACTORS | _NUMBERS)[name][0])


def _around(name: str, parameter: Parameter, center: float) -> Prior | None:
    """Return the expectation of a value; None where the parameter cannot have it."""
    _, spread = (_FACTORS | _NUMBERS)[name]
    if isinstance(parameter, Choice):
        held = [value for value in parameter.values if _close(value, center)]
        return Prior(center=held[0], spread=1.0) if held else None
    if not parameter.low <= center <= parameter.high:
        return None
    if name == "warmup_steps" and parameter.high > 1:  # steps, and not a share of them
        return None
    if parameter.log and name in _NUMBERS:
        spread = max(1.1, (center + spread) / center)  # a logarithmic range begins above 0
    elif not parameter.log and name in _FACTORS:
        spread = center * (spread - 1)
    return Prior(center=center, spread=spread)


def _close(value: object, center: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isclose(float(value), center, rel_tol=1e-6)  # type: ignore[arg-type]
