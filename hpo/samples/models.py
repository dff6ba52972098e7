"""Tiny models of each family, randomly initialised, with a tokenizer trained on given texts.

They stand in for `bert-base-uncased`, `roberta-base`, `gpt2` and `openai-gpt` where there is no
hub, with the same classes and special tokens: as in the originals, the two GPTs have no padding
token, and openai-gpt has no special token but `<unk>`.
"""

import shutil
import string
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoModel,
    BertConfig,
    BertTokenizer,
    GPT2Config,
    GPT2Tokenizer,
    OpenAIGPTConfig,
    OpenAIGPTTokenizer,
    PreTrainedConfig,
    RobertaConfig,
    RobertaTokenizer,
    TokenizersBackend,
)

from hpo.errors import ModelError
from hpo.plugins import nearest
from hpo.samples.vocabulary import train

WIDTH = 64
LAYERS = 2
HEADS = 4
LONGEST = 256  # sub-tokens, special tokens included
VOCABULARY = 1500  # sub-tokens
TRAINING_CHARACTERS = 1_000_000  # of the texts, from the first on: about a second
# The originals' 0.02 and dropout of 0.1 suit a width of 768. Here, BERT on the samples, 3 epochs of
# batches of 16, mean of two seeds: 0.02, 0.05 and 0.125 gave entity F1 .65, .78 and .75 (learning
# rate 3e-3) and accuracy .85, .86 and .74 (1e-3). Dropout gained nothing and costs time.
INITIALIZER_RANGE = 0.05
DROPOUT = 0.0
SEED = 0
_ASCII = string.ascii_lowercase + string.digits + string.punctuation


def build(family: str, texts: Iterable[str], folder: Path) -> Path:
    """Make a model folder that the Auto classes load without a hub.

    The same texts give the same files. A folder that is there already is returned as it is, so
    its name should depend on the texts. Several processes may build the same folder at once.

    Args:
        family: one of `FAMILIES`.
        texts: what the tokenizer learns its sub-tokens from; for NER the words of a row joined
            by spaces. Only the first `TRAINING_CHARACTERS` are read.
        folder: where the model is to be; its parents are made.

    Returns:
        The folder.

    Raises:
        ModelError: the family is unknown, there is no text, or the folder holds something else.
    """
    if family not in _FAMILIES:
        found, known = f"sample:{family}", [f"sample:{name}" for name in FAMILIES]
        raise ModelError(
            f"model: found {found!r}; known are {', '.join(known)}{nearest(found, known)}"
        )
    if _is_model(folder):
        return folder
    # A name of its own in the same file system, so that renaming it is atomic.
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        partial.mkdir(parents=True)
        _write(family, texts, partial)
        _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _is_model(folder: Path) -> bool:
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    return all((folder / name).is_file() for name in names)


def _publish(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)  # fails on a folder that is not empty
    except OSError as error:
        if not _is_model(folder):  # else another process was faster, with the same files
            raise ModelError(
                f"{folder}: a model cannot be written here: {error.strerror}; expected no such "
                "folder, or a model"
            ) from None


def _write(family: str, texts: Iterable[str], folder: Path) -> None:
    tokenizer, config = _FAMILIES[family](_clip(texts))
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        torch.manual_seed(SEED)
        model = AutoModel.from_config(config)
    # what `save_pretrained` does, without its progress bar
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", {"format": "pt"})


def _clip(texts: Iterable[str]) -> Iterator[str]:
    left = TRAINING_CHARACTERS
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _bert(texts: Iterable[str]) -> tuple[TokenizersBackend, PreTrainedConfig]:
    tokens, _ = train(_words(BertTokenizer(), texts), VOCABULARY, "##", _ASCII)
    ids = _ids(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens])
    return BertTokenizer(vocab=ids, model_max_length=LONGEST), BertConfig(
        vocab_size=len(ids),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=LONGEST,
        initializer_range=INITIALIZER_RANGE,
        hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
        pad_token_id=ids["[PAD]"],
    )


def _roberta(texts: Iterable[str]) -> tuple[TokenizersBackend, PreTrainedConfig]:
    tokens, merges = train(_words(RobertaTokenizer(), texts), VOCABULARY, "", ByteLevel.alphabet())
    ids = _ids(["<s>", "<pad>", "</s>", "<unk>", *tokens, "<mask>"])
    tokenizer = RobertaTokenizer(vocab=ids, merges=merges, model_max_length=LONGEST)
    return tokenizer, RobertaConfig(
        vocab_size=len(ids),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        # positions count from behind the padding's id
        max_position_embeddings=LONGEST + ids["<pad>"] + 1,
        type_vocab_size=1,
        initializer_range=INITIALIZER_RANGE,
        hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
        bos_token_id=ids["<s>"],
        pad_token_id=ids["<pad>"],
        eos_token_id=ids["</s>"],
    )


def _gpt2(texts: Iterable[str]) -> tuple[TokenizersBackend, PreTrainedConfig]:
    tokens, merges = train(_words(GPT2Tokenizer(), texts), VOCABULARY, "", ByteLevel.alphabet())
    ids = _ids([*tokens, "<|endoftext|>"])
    tokenizer = GPT2Tokenizer(vocab=ids, merges=merges, model_max_length=LONGEST)
    return tokenizer, GPT2Config(
        vocab_size=len(ids),
        n_positions=LONGEST,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        initializer_range=INITIALIZER_RANGE,
        resid_pdrop=DROPOUT,
        embd_pdrop=DROPOUT,
        attn_pdrop=DROPOUT,
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
    )


def _openai_gpt(texts: Iterable[str]) -> tuple[TokenizersBackend, PreTrainedConfig]:
    tokens, merges = train(_words(OpenAIGPTTokenizer(), texts), VOCABULARY, "</w>", _ASCII)
    ids = _ids(["<unk>", *tokens])
    tokenizer = OpenAIGPTTokenizer(vocab=ids, merges=merges, model_max_length=LONGEST)
    return tokenizer, OpenAIGPTConfig(
        vocab_size=len(ids),
        n_positions=LONGEST,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        initializer_range=INITIALIZER_RANGE,
        resid_pdrop=DROPOUT,
        embd_pdrop=DROPOUT,
        attn_pdrop=DROPOUT,
    )


_FAMILIES: dict[str, Callable[[Iterable[str]], tuple[TokenizersBackend, PreTrainedConfig]]] = {
    "bert": _bert,
    "roberta": _roberta,
    "gpt2": _gpt2,
    "openai-gpt": _openai_gpt,
}
FAMILIES = tuple(_FAMILIES)


def _words(tokenizer: TokenizersBackend, texts: Iterable[str]) -> list[str]:
    """Cut texts into words as the family does, before any vocabulary comes in."""
    backend = tokenizer.backend_tokenizer
    normalizer = backend.normalizer
    words: list[str] = []
    for text in texts:
        normal = normalizer.normalize_str(text) if normalizer else text
        words += [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]
    if not words:
        raise ModelError("model: found no text to train a tokenizer on; expected some rows")
    return words


def _ids(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}
