"""The tokenizer of a model, made fit for a task: words, padding, length."""

import re
from typing import Any, Literal

from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from hpo.errors import ModelError
from hpo.pretrained import Source, told

DEFAULT_MAX_LENGTH = 256  # sub-tokens; where the study file does not say and the model allows it
PAD_TOKEN = "<|pad|>"  # noqa: S105 - a token of text, no secret
_NO_LIMIT = 1_000_000  # a tokenizer without a limit says 1e30


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
    with told(source):
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
    wanted: int | None,
    source: Source,
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
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
            f"max_length: found {wanted}; the model {source.name} takes {limit} at most"
        )
    return wanted
