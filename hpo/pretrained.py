"""A pretrained model: where it is, what its configuration says, and why it will not load."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file, has_file

from hpo.errors import ModelError


@dataclass(frozen=True)
class Source:
    """Where a pretrained model is loaded from: a hub id, or a folder on this machine.

    Args:
        name: as the study file has it.
        path: the id, or the folder.
        trust_remote_code: run the code that it brings along.
        revision: of the hub: a commit, or before it is known, a branch or a tag.
    """

    name: str
    path: str
    trust_remote_code: bool = False
    revision: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that each `from_pretrained` is called with."""
        options: dict[str, Any] = {"trust_remote_code": self.trust_remote_code}
        return options if self.revision is None else {**options, "revision": self.revision}


def load_config(source: Source) -> PreTrainedConfig:
    """Read the configuration of a pretrained model.

    Raises:
        ModelError: there is no such model, or it cannot be read.
    """
    with told(source):
        config: PreTrainedConfig = AutoConfig.from_pretrained(source.path, **source.options())
    return config


def commit_of(source: Source) -> str | None:
    """Return the commit that a model of the hub is now, or was when the cache last saw it.

    Where `main` has no safetensors, transformers takes those that the hub's bot converted, which
    are no part of any commit of `main`: None, and it is loaded as ever.

    Raises:
        ModelError: there is no such model, or no such revision.
    """
    with told(source):
        found = Path(str(cached_file(source.path, CONFIG_NAME, revision=source.revision)))
        commit = found.parent.name
        files = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
        if source.trust_remote_code or source.revision is not None:
            return commit
        return commit if any(has_file(source.path, each, commit) for each in files) else None


def is_causal(config: PreTrainedConfig) -> bool:
    """Say whether a token sees only those before it (GPT, GPT-2, Llama …)."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED,
    )

    if getattr(config, "is_decoder", False):
        return True
    return config.model_type in CAUSAL and config.model_type not in MASKED


@contextmanager
def told(source: Source) -> Iterator[None]:
    """Turn whatever loading a model raises into one message that says what to do."""
    try:
        yield
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # hub, tokenizers and safetensors each have their own
        raise ModelError(_explain(source, str(error).strip())) from error


def _explain(source: Source, text: str) -> str:
    where = f"model {source.name}"
    if source.revision is not None and not source.name.endswith(f"@{source.revision}"):
        where += f" at revision {source.revision}"  # the one that the study began with
    if "trust_remote_code" in text:
        return (
            f"{where}: needs code of its own to run; if you trust it, say "
            "trust_remote_code = true in the study file"
        )
    if "model.safetensors" in text and not source.trust_remote_code:
        return (
            f"{where}: found no model.safetensors; expected one (weights in a pickle can run code: "
            "trust_remote_code = true in the study file loads them all the same)"
        )
    if Path(source.path).is_dir():
        return f"{where}: cannot be loaded from its folder: {_first(text)}"
    return f"{where}: {_not_found(source, text)}"


def _not_found(source: Source, text: str) -> str:
    if "gated" in text.lower():
        return "is gated; ask for access on its hub page and log in with `hf auth login`"
    if Path(source.name).is_absolute() or source.name.startswith((".", "~")):
        return f"found no folder {source.path}; expected a model folder, or a hub id"
    if "connect to" in text or "offline" in text.lower():
        return (
            "found no folder of that name, and the hub cannot be reached nor does its "
            "cache have it; check the network, unset HF_HUB_OFFLINE, or load it once on a machine "
            "with a network and share HF_HOME"
        )
    return (
        "found neither a folder of that name nor a model that the hub (or its local cache) gives "
        f"out: {_first(text)}"
    )


def _first(text: str) -> str:
    line = text.splitlines()[0] if text else "no reason given"
    return line if len(line) <= 200 else f"{line[:197]}…"
