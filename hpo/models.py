"""From a pretrained model to a task model: tokenizer, padding, head, dropout, freezing.

Model families differ in where their layers are, what their dropout is called and whether they
have a pad token; those differences end here. Nothing is keyed on a family's name where the
module tree itself tells.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hpo.errors import ModelError
from hpo.freezing import freeze
from hpo.spec import FineTuningSpec

DEFAULT_MAX_LENGTH = 256  # sub-tokens; where the study file does not say and the model allows it
PAD_TOKEN = "<|pad|>"  # noqa: S105 - a token of text, no secret
_NO_LIMIT = 1_000_000  # a tokenizer without a limit says 1e30

_DROPOUT_FIELDS = (
    "hidden_dropout_prob", "attention_probs_dropout_prob",  # BERT, RoBERTa, ELECTRA, DeBERTa
    "resid_pdrop", "embd_pdrop", "attn_pdrop",  # GPT, GPT-2
    "dropout", "attention_dropout", "activation_dropout",  # DistilBERT, BART
    "embedding_dropout", "mlp_dropout",  # ModernBERT
    "hidden_dropout", "dropout_rate",  # MPNet's cousins, T5
)  # fmt: skip
_CLASSIFIER_DROPOUT_FIELDS = (
    "classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "cls_dropout",
    "summary_first_dropout",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where a pretrained model is loaded from: a hub id, or a folder on this machine."""

    name: str
    path: str
    trust_remote_code: bool = False

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments that each `from_pretrained` is called with."""
        return {"trust_remote_code": self.trust_remote_code}


def load_config(source: Source) -> PreTrainedConfig:
    """Read the configuration of a pretrained model.

    Raises:
        ModelError: there is no such model, or it cannot be read.
    """
    with _told(source):
        config: PreTrainedConfig = AutoConfig.from_pretrained(source.path, **source.options())
    return config


def load_tokenizer(
    source: Source,
    *,
    words: bool,
    causal_classifier: bool,
    truncation_side: Literal["left", "right"] = "right",
) -> Any:
    """Load the tokenizer and make it fit for the task.

    Args:
        source: the pretrained model.
        words: the input comes as lists of words (NER).
        causal_classifier: the model classifies at the last token that is no pad token.
        truncation_side: where it cuts a text that is too long; saved with it.

    Raises:
        ModelError: it cannot be loaded, is no fast tokenizer, or splits words wrongly.
    """
    with _told(source):
        # Byte-level BPE marks the start of a word with a space: a pre-split word needs one too.
        prefix = {"add_prefix_space": True} if words else {}
        tokenizer = AutoTokenizer.from_pretrained(
            source.path, truncation_side=truncation_side, **prefix, **source.options()
        )
    if not tokenizer.is_fast:
        raise ModelError(f"model {source.name}: found no fast tokenizer; expected one")
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        # Where its files are missing, transformers makes an empty one, which reads nothing.
        raise ModelError(f"model {source.name}: found no vocabulary; expected its tokenizer.json")
    if words:
        splitter = tokenizer.backend_tokenizer.pre_tokenizer
        if isinstance(splitter, ByteLevel):  # the class that ModernBERT has ignores the argument
            splitter.add_prefix_space = True
        _check_words(tokenizer, source)
    _ensure_pad_token(tokenizer, unique=causal_classifier)
    return tokenizer


def _check_words(tokenizer: Any, source: Source) -> None:
    # Looked at, not trusted: the words alone must give the very tokens that the text gives.
    words = ["The", "answer", "is", "forty", "two"]
    split = tokenizer(words, is_split_into_words=True)["input_ids"]
    joined = tokenizer(" ".join(words))["input_ids"]
    if split != joined:
        raise ModelError(
            f"model {source.name}: its tokenizer reads pre-split words as "
            f"{tokenizer.convert_ids_to_tokens(split)}, but their text as "
            f"{tokenizer.convert_ids_to_tokens(joined)}; expected the same"
        )


def _ensure_pad_token(tokenizer: Any, *, unique: bool) -> None:
    # GPT and GPT-2 have no pad token. The common cure, pad = eos, misreads a text that ends in
    # eos: the classifier looks for the last token that is not the pad token. So the pad token is
    # a new one, and no text may spell it.
    new = tokenizer.pad_token_id is None
    if new or unique:
        tokenizer.split_special_tokens = True
        # Saved with the tokenizer, so that a loaded one behaves the same.
        tokenizer.init_kwargs["split_special_tokens"] = True
    if new or (unique and _occurs(tokenizer.pad_token, tokenizer)):
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    tokenizer.padding_side = "right"


def _occurs(pad_token: str, tokenizer: Any) -> bool:
    """Say whether an input may hold the pad token: as another special token, or as plain text."""
    ids = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id}
    for text in (pad_token, f"a{pad_token}"):
        ids.update(tokenizer(text)["input_ids"])
    return tokenizer.pad_token_id in ids


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


def max_length_of(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the longest input, in sub-tokens, that model and tokenizer take."""
    limit = tokenizer.model_max_length
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa and its kin number positions from padding_idx + 1, so that many are never used.
        offset = (config.pad_token_id or 0) + 1 if _offsets_positions(config) else 0
        limit = min(limit, positions - offset)
    return min(limit, _NO_LIMIT)


def _offsets_positions(config: PreTrainedConfig) -> bool:
    return bool(re.search(r"roberta|camembert|mpnet|longformer|xmod|data2vec", config.model_type))


def resolve_max_length(
    wanted: int | None, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> int:
    """Return the length that inputs are cut or windowed at, in sub-tokens.

    Raises:
        ModelError: the study asks for more than the model takes.
    """
    limit = max_length_of(config, tokenizer)
    if wanted is None:
        return min(DEFAULT_MAX_LENGTH, limit)
    if wanted > limit:
        raise ModelError(
            f"max_length: found {wanted}; the model {config.name_or_path} takes {limit} at most"
        )
    return wanted


def build(
    auto_model: Any,
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    labels: list[str],
    fine_tuning: FineTuningSpec,
) -> PreTrainedModel:
    """Build the task model of one trial: pretrained weights under a new head.

    The head's weights come from torch's random generator: seed it first.

    Args:
        auto_model: the Auto class of the task.
        source: the pretrained model.
        tokenizer: as `load_tokenizer` returned it.
        labels: the names of the outputs, in their order.
        fine_tuning: dropout and freezing.

    Raises:
        ModelError: it cannot be loaded, or has nothing to which a setting could apply.
    """
    with _told(source):
        config = AutoConfig.from_pretrained(
            source.path,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)},
            **source.options(),
        )
        config.problem_type = None  # a fine-tuned checkpoint may bring another one along
        config.pad_token_id = tokenizer.pad_token_id
        _set_dropout(config, fine_tuning, source)
        # A GPT-2 with a language-model head holds weights that the classifier lacks and the other
        # way round: that is what fine-tuning is, and no reason for a warning a trial.
        model, info = auto_model.from_pretrained(
            source.path,
            config=config,
            use_safetensors=None if source.trust_remote_code else True,
            ignore_mismatched_sizes=True,  # the head of an already fine-tuned checkpoint
            output_loading_info=True,
            dtype=torch.float32,  # master weights; what is computed in less is the Trainer's choice
            **source.options(),
        )
    task_model: PreTrainedModel = model
    missing, mismatched = set(info["missing_keys"]), set(_names(info["mismatched_keys"]))
    _check_weights(task_model, missing, mismatched, source)
    embeddings: Any = task_model.get_input_embeddings()
    if len(tokenizer) > embeddings.num_embeddings:
        task_model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    _set_classifier_dropout(task_model, fine_tuning.classifier_dropout)
    freeze(task_model, fine_tuning.freeze, fresh=missing | mismatched)
    return task_model


def _names(mismatched: Any) -> list[str]:
    return [key if isinstance(key, str) else key[0] for key in mismatched]


def _check_weights(
    model: PreTrainedModel, missing: set[str], mismatched: set[str], source: Source
) -> None:
    # transformers fills in at random whatever does not fit; only a head may be new.
    prefix = f"{model.base_model_prefix}."
    names = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
    if wrong := names & mismatched:
        raise ModelError(
            f"model {source.name}: found {min(wrong)} in another shape than its config.json says "
            f"({len(wrong)} such weights); expected a model saved as one"
        )
    if names and names <= missing:
        raise ModelError(
            f"model {source.name}: found no weight of a {type(model.base_model).__name__}, which "
            "its config.json names; expected a model saved as one"
        )


def _set_dropout(config: PreTrainedConfig, fine_tuning: FineTuningSpec, source: Source) -> None:
    if fine_tuning.dropout is not None:
        fields = [name for name in _DROPOUT_FIELDS if hasattr(config, name)]
        if not fields:
            raise ModelError(
                f"dropout: the model {source.name} ({config.model_type}) has no dropout that "
                "hpo knows; leave it out"
            )
        for name in fields:
            setattr(config, name, fine_tuning.dropout)
    if fine_tuning.classifier_dropout is not None:
        for name in _CLASSIFIER_DROPOUT_FIELDS:
            if hasattr(config, name):
                setattr(config, name, fine_tuning.classifier_dropout)


def _set_classifier_dropout(model: PreTrainedModel, p: float | None) -> None:
    if p is None:
        return
    head = list(_head(model))
    layers = [module for module in head if isinstance(module, nn.Dropout)]
    for layer in layers:
        layer.p = p
    if not layers:  # GPT's and GPT-2's sequence classifiers have none before their last layer
        last = [module for module in head if isinstance(module, nn.Linear)][-1]
        last.register_forward_pre_hook(
            lambda module, inputs: (nn.functional.dropout(inputs[0], p, module.training),)
        )


def _head(model: PreTrainedModel) -> Iterator[nn.Module]:
    inside = set(model.base_model.modules())
    return (module for module in model.modules() if module not in inside and module is not model)


@contextmanager
def _told(source: Source) -> Iterator[None]:
    """Turn whatever loading a model raises into one message that says what to do."""
    try:
        yield
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # hub, tokenizers and safetensors each have their own
        raise ModelError(_explain(source, str(error).strip())) from error


def _explain(source: Source, text: str) -> str:
    where = f"model {source.name}"
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
    if "gated" in text.lower():
        return f"{where}: is gated; ask for access on its hub page and log in with `hf auth login`"
    return (
        f"{where}: found neither a folder of that name nor a model that the hub (or its local "
        f"cache) gives out: {_first(text)}"
    )


def _first(text: str) -> str:
    line = text.splitlines()[0] if text else "no reason given"
    return line if len(line) <= 200 else f"{line[:197]}…"
