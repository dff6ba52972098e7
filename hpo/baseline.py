"""The default configuration of the field, as far as a search space holds it.

What one would train without a search: the gain of a search is measured against it. Devlin et al.
2019, appendix A.3 (https://arxiv.org/abs/1810.04805): a batch of 16 or 32, a learning rate of 5e-5,
3e-5 or 2e-5, 2 to 4 epochs; the rest is what transformers does where nobody says otherwise.
"""

from collections.abc import Mapping

from hpo.parameters import Choice, Parameter, Scalar
from hpo.space import SearchSpace

_USUAL: Mapping[str, tuple[Scalar, ...]] = {  # the first of them that the parameter holds
    "learning_rate": (3e-5, 2e-5, 5e-5),
    "per_device_train_batch_size": (16, 32),
    "num_train_epochs": (3, 4, 2),
    "warmup_steps": (0.1, 0, 0.0),
    "weight_decay": (0.01, 0.0, 0),
    "dropout": (0.1,),
    "classifier_dropout": (0.1,),
    "layerwise_lr_decay": (1.0, 1),
    "label_smoothing_factor": (0.0, 0),
    "lr_scheduler_type": ("linear",),
    "optim": ("adamw_torch", "adamw_torch_fused"),
    "adam_beta1": (0.9,),
    "adam_beta2": (0.999,),
    "adam_epsilon": (1e-8, 1e-6),
    "max_grad_norm": (1.0, 1),
    "gradient_accumulation_steps": (1,),
    "freeze": ("none",),
    "truncation_side": ("right",),
}
_RATE = "learning_rate"


def baseline(
    space: SearchSpace, published: Mapping[str, float] | None = None
) -> dict[str, Scalar] | None:
    """Return the default configuration; None where the space does not hold it.

    Args:
        space: what is searched; without a learning rate nothing is the default.
        published: what is published for the task in place of what is for all.
    """
    if _RATE not in space.root:
        return None
    found: dict[str, Scalar] = {}
    for name in space.in_order():
        parameter = space.root[name]
        if not parameter.exists(found):
            continue
        usual = _USUAL.get(name, _any(name, parameter))
        first = (published or {}).get(name)
        wanted = usual if first is None else (first, *usual)
        held = [each for value in wanted if (each := _held(parameter, value)) is not None]
        if not held:
            return None
        found[name] = held[0]
    return {name: found[name] for name in space.root if name in found}


def _any(name: str, parameter: Parameter) -> tuple[Scalar, ...]:
    """Return the values of what has no default: the longest input, the first model, any seed."""
    if name == "max_length":
        values = parameter.values if isinstance(parameter, Choice) else (parameter.top(),)
        return (256, *sorted(values, reverse=True)) if _numbers(values) else values
    if name in {"model", "seed", "data_seed"}:
        return (parameter.values[0],) if isinstance(parameter, Choice) else (parameter.low,)
    return ()


def _numbers(values: tuple[Scalar, ...]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _held(parameter: Parameter, value: Scalar) -> Scalar | None:
    """Return the value as the parameter writes it; None where it does not hold it."""
    if isinstance(parameter, Choice):
        return next((each for each in parameter.values if parameter.holds(value) and each == value),
                    None)  # fmt: skip
    whole = isinstance(value, float) and value.is_integer() and not isinstance(parameter.low, float)
    number = int(value) if whole and isinstance(value, float) else value
    return number if parameter.holds(number) else None
