"""Where the layers of a model are, whatever its family, and how to freeze some of them."""

from collections.abc import Collection
from dataclasses import dataclass
from types import MethodType

from torch import nn
from transformers import PreTrainedModel

from hpo.errors import ModelError


@dataclass(frozen=True)
class Parts:
    """The pretrained part of a task model, from its input to its last layer."""

    embeddings: list[nn.Module]
    layers: list[nn.Module]


def parts(model: PreTrainedModel) -> Parts:
    """Find embeddings and layers by the shape of the module tree, whatever they are called.

    The layers are the longest list of modules in the base model; the embeddings are those of its
    children that come before them (GPT-2: `wte`, `wpe` and their dropout; ELECTRA: the projection
    to its width too) or hold an embedding.

    Raises:
        ModelError: the model has no such list.
    """
    base = model.base_model
    lists = [module for module in base.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise ModelError(
            f"freeze: found no layers in the model {model.config.name_or_path} "
            f"({type(base).__name__}); expected 'none'"
        )
    layers = max(lists, key=len)
    embeddings: list[nn.Module] = []
    before = True
    for child in base.children():
        inside = list(child.modules())
        if layers in inside:
            before = False
        elif before or any(isinstance(module, nn.Embedding) for module in inside):
            embeddings.append(child)
    return Parts(embeddings, list(layers))


def freeze(model: PreTrainedModel, how: str, *, fresh: Collection[str] = ()) -> None:
    """Freeze part of a model: no gradients, and evaluation mode for good.

    Args:
        model: the task model.
        how: `none`, `embeddings`, `layers:K` (the embeddings too) or `encoder` (the whole base
            model).
        fresh: names of the weights that the checkpoint did not have; they are always trained,
            such as a pooler that a masked language model came without.

    Raises:
        ModelError: the model has fewer than K layers, or none at all.
    """
    if how == "none":
        return
    found = parts(model)
    frozen: list[nn.Module]
    if how == "embeddings":
        frozen = found.embeddings
    elif how == "encoder":
        frozen = [model.base_model]
    else:
        count = int(how.removeprefix("layers:"))
        if count > len(found.layers):
            raise ModelError(
                f"freeze: found {how!r}; the model {model.config.name_or_path} has "
                f"{len(found.layers)} layers"
            )
        frozen = [*found.embeddings, *found.layers[:count]]
    trained = {parameter for name, parameter in model.named_parameters() if name in fresh}
    for module in frozen:
        for parameter in module.parameters():
            parameter.requires_grad_(parameter in trained)
        # The Trainer calls `model.train()` before each step; dropout in a frozen part would only
        # blur its features.
        module.train = MethodType(_stay_in_eval_mode, module)  # type: ignore[method-assign]
        module.eval()


def _stay_in_eval_mode(module: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001, FBT001, FBT002
    return nn.Module.train(module, mode=False)


def depths(model: PreTrainedModel) -> dict[nn.Parameter, int]:
    """Map each parameter to its distance from the top: 0 for the head, 1 for the last layer, ….

    The embeddings are the deepest; what follows the layers in the base model counts as the head.
    """
    found = parts(model)
    depth: dict[nn.Parameter, int] = {}
    for index, layer in enumerate(reversed(found.layers), start=1):
        depth |= dict.fromkeys(layer.parameters(), index)
    for module in found.embeddings:
        depth |= dict.fromkeys(module.parameters(), len(found.layers) + 1)
    return {parameter: depth.get(parameter, 0) for parameter in model.parameters()}
