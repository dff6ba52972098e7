"""A pretrained model becomes a task model: tokenizer, padding, head, dropout, length, errors."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    MambaConfig,
    PreTrainedModel,
    pipeline,
)

from hpo import models, pretrained, tokenization
from hpo.data import StudyData
from hpo.errors import ModelError
from hpo.inputs import Inputs, prepare
from hpo.pretrained import Source
from hpo.spec import FineTuningSpec
from hpo.tasks import load_task
from hpo.tokenization import PAD_TOKEN

GPTS = ("gpt2", "openai-gpt")
WORDS = ["Anna", "Berg", "isn't", "in", "Zzq"]
SEQUENCE = AutoModelForSequenceClassification
CLASSES = ["bad", "good", "so-so"]
TASKS = ("ner", "sentiment")


def text_model(source: Source, tuning: FineTuningSpec | None = None) -> tuple[Any, Any]:
    """Return tokenizer and model for classifying texts, in evaluation mode."""
    tokenizer = tokenization.load_tokenizer(source, words=False, causal_classifier=True)
    model = models.build(SEQUENCE, source, tokenizer, CLASSES, tuning or FineTuningSpec())
    return tokenizer, model.eval()


def change(path: Path, **values: Any) -> None:
    """Change some keys of a JSON file."""
    document = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**document, **values}))


@pytest.fixture
def copy(source: Source, tmp_path: Path) -> Source:
    """A copy of the family's model, to break."""
    shutil.copytree(source.path, tmp_path / "model")
    return Source("copy", str(tmp_path / "model"))


# ── every family, both tasks ─────────────────────────────────────────────────────────────────────


def batch_of(inputs: Inputs, task: str, rows: int) -> dict[str, torch.Tensor]:
    """Return a batch of the first training inputs, as the Trainer would."""
    columns = {"input_ids", "attention_mask", "token_type_ids", "labels"}
    kept = [name for name in inputs.train.column_names if name in columns]
    collator = load_task(task).collator(inputs.tokenizer, multiple_of=None)
    batch: dict[str, torch.Tensor] = dict(
        collator(list(inputs.train.select_columns(kept).select(range(rows))))
    )
    return batch


@pytest.mark.parametrize("task", TASKS)
def test_trains_saves_and_runs(
    family: str, source: Source, study_data: dict[str, StudyData], task: str, tmp_path: Path
) -> None:
    """A few steps lower the loss; the saved folder runs in transformers' pipeline."""
    tuning = FineTuningSpec(max_length=32)
    inputs = prepare(load_task(task), study_data[task], source, tuning, tmp_path / "cache")
    labels = list(inputs.encoding.labels)
    torch.manual_seed(0)
    model = models.build(load_task(task).auto_model(), source, inputs.tokenizer, labels, tuning)
    batch = batch_of(inputs, task, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(16):
        loss = model.train()(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert model.config.id2label == dict(enumerate(labels))
    assert model.config.label2id == {label: index for index, label in enumerate(labels)}
    model.save_pretrained(tmp_path / "saved")
    inputs.tokenizer.save_pretrained(tmp_path / "saved")
    kind: Any = {"ner": "token-classification", "sentiment": "text-classification"}[task]
    options: Any = {"ignore_labels": []} if task == "ner" else {"top_k": None}
    (answers,) = pipeline(kind, model=str(tmp_path / "saved"), **options)(["Anna was good"])
    found = {answer["entity" if task == "ner" else "label"] for answer in answers}
    assert found
    assert found <= set(labels)
    assert task == "ner" or found == set(labels)


# ── words ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", ["roberta", "gpt2"])
def test_each_word_begins_with_a_space(source: Source, tmp_path: Path) -> None:
    """Byte-level BPE marks the start of each word, the first one too; also once it is saved."""
    tokenizer = tokenization.load_tokenizer(source, words=True, causal_classifier=False)
    tokenizer.save_pretrained(tmp_path)
    Path(tmp_path, "config.json").write_text(Path(source.path, "config.json").read_text())
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        encoded = each(WORDS, is_split_into_words=True)
        places = encoded.word_ids()
        for word in range(len(WORDS)):
            own = [encoded.tokens()[at] for at, place in enumerate(places) if place == word]
            assert own[0].startswith("Ġ")
            assert not any(token.startswith("Ġ") for token in own[1:])


@pytest.mark.parametrize("family", ["gpt2"])
def test_the_generic_tokenizer_class(copy: Source) -> None:
    """Tripwire: the class that ModernBERT has ignores `add_prefix_space`; ours has the space."""
    change(Path(copy.path) / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    change(Path(copy.path) / "config.json", model_type="modernbert")
    upstream: Any = AutoTokenizer.from_pretrained(copy.path, add_prefix_space=True)
    assert not upstream.tokenize(["Anna"], is_split_into_words=True)[0].startswith("Ġ")
    tokenizer = tokenization.load_tokenizer(copy, words=True, causal_classifier=False)
    assert tokenizer.tokenize(["Anna"], is_split_into_words=True)[0].startswith("Ġ")
    tokenizer.save_pretrained(copy.path)
    again: Any = AutoTokenizer.from_pretrained(copy.path)
    assert again.tokenize(["Anna"], is_split_into_words=True)[0].startswith("Ġ")


@pytest.mark.parametrize("family", ["gpt2"])
def test_words_read_otherwise_are_refused(copy: Source) -> None:
    """A tokenizer that reads words otherwise than their text is an error that shows both."""
    change(Path(copy.path) / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    change(Path(copy.path) / "config.json", model_type="modernbert")
    path = Path(copy.path) / "tokenizer.json"
    splitter = json.loads(path.read_text())["pre_tokenizer"]
    change(path, pre_tokenizer={"type": "Sequence", "pretokenizers": [splitter]})
    with pytest.raises(ModelError, match=r"model copy: its tokenizer reads .* as \['The', 'a.*'Ġ"):
        tokenization.load_tokenizer(copy, words=True, causal_classifier=False)
    tokenization.load_tokenizer(copy, words=False, causal_classifier=False)


def test_causal(family: str, source: Source) -> None:
    """The GPTs are causal, the BERTs are not."""
    assert pretrained.is_causal(pretrained.load_config(source)) == (family in GPTS)


# ── padding ──────────────────────────────────────────────────────────────────────────────────────


def no_pad(folder: Path) -> None:
    """Leave the tokenizer as it is: without a pad token."""


def pad_is_unk_or_eos(folder: Path) -> None:
    """Set the pad token as most recipes do."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.save_pretrained(folder)


def pad_is_a_word(folder: Path) -> None:
    """Set the pad token to one of the vocabulary that any text may hold."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = "!" if "!" in tokenizer.get_vocab() else "!</w>"
    tokenizer.save_pretrained(folder)
    change(folder / "config.json", pad_token_id=tokenizer.pad_token_id)


def pad_is_special(folder: Path) -> None:
    """Add a pad token, and leave the embeddings as they are."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)


PADS = [no_pad, pad_is_unk_or_eos, pad_is_a_word, pad_is_special]
ENDS = [PAD_TOKEN, "<|endoftext|>", "<unk>", "[PAD]", "!", "!</w>", " " + PAD_TOKEN, "zzz \u4e00"]


def alone(model: PreTrainedModel, tokenizer: Any, text: str) -> torch.Tensor:
    """Classify a text at its last token, without padding and without upstream's search for it."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    hidden = model.base_model(ids).last_hidden_state[:, -1]
    logits: torch.Tensor = model.get_submodule("score")(hidden)[0]
    return logits


def together(model: PreTrainedModel, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """Classify texts in one batch, padded to the longest."""
    collator = load_task("sentiment").collator(tokenizer, multiple_of=8)
    batch = collator([tokenizer(text) for text in texts])
    assert (batch["input_ids"][:, -1] == tokenizer.pad_token_id).any()
    logits: torch.Tensor = model(**batch).logits
    return logits


@pytest.mark.parametrize("family", GPTS)
@pytest.mark.parametrize("prepared", PADS)
@torch.no_grad()
def test_scored_at_the_last_token(
    copy: Source, prepared: Callable[[Path], None], tmp_path: Path
) -> None:
    """Whatever a text ends in, and however it is padded, it is scored at its own last token."""
    prepared(Path(copy.path))
    tokenizer, model = text_model(copy)
    texts = [f"not good{end}" for end in ENDS] + [end for end in ENDS if end.strip()]
    assert all(tokenizer.pad_token_id not in tokenizer(text)["input_ids"] for text in texts)
    expected = torch.stack([alone(model, tokenizer, text) for text in texts])
    torch.testing.assert_close(together(model, tokenizer, texts), expected)
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    loaded = SEQUENCE.from_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert loaded.config.pad_token_id == again.pad_token_id == tokenizer.pad_token_id
    torch.testing.assert_close(together(loaded, again, texts), expected)


@pytest.mark.parametrize("family", ["gpt2"])
@torch.no_grad()
def test_upstream_misreads_pad_is_eos(copy: Source) -> None:
    """Tripwire: with pad = eos, a text that ends in eos is scored before its end."""
    pad_is_unk_or_eos(Path(copy.path))
    tokenizer = AutoTokenizer.from_pretrained(copy.path)
    model = SEQUENCE.from_pretrained(copy.path, pad_token_id=tokenizer.pad_token_id)
    text = "not good<|endoftext|>"
    logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
    assert not torch.allclose(logits, alone(model, tokenizer, text))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", GPTS)
def test_new_pad_token(source: Source, task: str) -> None:
    """The tokenizer gets a pad token, the model a row for it and its id."""
    words = task == "ner"
    tokenizer = tokenization.load_tokenizer(source, words=words, causal_classifier=not words)
    model: Any = models.build(
        load_task(task).auto_model(), source, tokenizer, ["O", "B-x"], FineTuningSpec()
    )
    before = load_file(Path(source.path) / "model.safetensors")
    (name,) = (name for name in before if name in {"wte.weight", "tokens_embed.weight"})
    assert tokenizer.pad_token == PAD_TOKEN
    assert tokenizer.pad_token_id == len(before[name]) == len(tokenizer) - 1
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.config.vocab_size == len(tokenizer)
    embeddings = model.get_input_embeddings().weight
    assert len(embeddings) == len(tokenizer)
    assert torch.equal(embeddings[:-1], before[name])


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_own_pad_token_is_kept(source: Source) -> None:
    """A model that has a pad token keeps it, and its vocabulary."""
    tokenizer = tokenization.load_tokenizer(source, words=False, causal_classifier=False)
    own = AutoTokenizer.from_pretrained(source.path)
    assert (tokenizer.pad_token, len(tokenizer)) == (own.pad_token, len(own))


# ── dropout ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_dropout(source: Source, p: float) -> None:
    """It applies to every dropout layer of the base model, in training mode."""
    tokenizer, model = text_model(source, FineTuningSpec(dropout=p, classifier_dropout=0.0))
    layers = [each for each in model.base_model.modules() if isinstance(each, torch.nn.Dropout)]
    assert len(layers) > 4
    assert {layer.p for layer in layers} == {p}
    batch = tokenizer("not good at all", return_tensors="pt")
    first, second = (model.train()(**batch).logits for _ in range(2))
    assert torch.equal(first, second) == (p == 0)


@pytest.mark.parametrize("task", TASKS)
def test_classifier_dropout(source: Source, task: str) -> None:
    """It blanks its share of what the last layer reads, in training mode only."""
    tokenizer = tokenization.load_tokenizer(source, words=False, causal_classifier=True)
    tuning = FineTuningSpec(dropout=0.0, classifier_dropout=0.4)
    auto_model = load_task(task).auto_model()
    model = models.build(auto_model, source, tokenizer, CLASSES, tuning)
    last = [
        each
        for each in model.modules()
        if isinstance(each, torch.nn.Linear) and each.out_features == len(CLASSES)
    ][-1]
    read: list[torch.Tensor] = []
    last.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    batch = tokenizer(["not good at all"] * 64, return_tensors="pt")
    model.train()(**batch)
    model.eval()(**batch)
    blank = [float((values == 0).float().mean()) for values in read]
    assert blank[0] == pytest.approx(0.4, abs=0.05)
    assert blank[1] == 0


@pytest.mark.parametrize("family", ["bert"])
def test_a_model_without_dropout(copy: Source) -> None:
    """A dropout that could have no effect is told."""
    tokenizer = tokenization.load_tokenizer(copy, words=False, causal_classifier=False)
    MambaConfig().save_pretrained(copy.path)
    with pytest.raises(ModelError, match=r"dropout: the model copy \(mamba\) has no dropout"):
        models.build(SEQUENCE, copy, tokenizer, CLASSES, FineTuningSpec(dropout=0.1))


# ── length ───────────────────────────────────────────────────────────────────────────────────────


def test_default_length(copy: Source) -> None:
    """256 sub-tokens, or what the model takes if that is less."""
    tokenizer = tokenization.load_tokenizer(copy, words=False, causal_classifier=False)
    config = pretrained.load_config(copy)
    assert (
        tokenization.resolve_max_length(FineTuningSpec().max_length, copy, config, tokenizer) == 256
    )
    tokenizer.model_max_length = 100
    assert tokenization.resolve_max_length(None, copy, config, tokenizer) == 100
    assert tokenization.resolve_max_length(100, copy, config, tokenizer) == 100
    with pytest.raises(ModelError, match=r"max_length: found 101; .* takes 100 at most"):
        tokenization.resolve_max_length(101, copy, config, tokenizer)


@torch.no_grad()
def test_the_limit_is_the_models(source: Source) -> None:
    """An input as long as the limit goes through, a longer one fails: positions are used up."""
    tokenizer, model = text_model(source)
    tokenizer.model_max_length = 10**30  # what a tokenizer says that knows none
    limit = tokenization.max_length_of(model.config, tokenizer)
    assert limit == 256
    ids = torch.full((1, limit), 40)
    assert torch.isfinite(model(input_ids=ids).logits).all()
    longer = torch.full((1, limit + 1), 40)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=longer)


# ── errors ───────────────────────────────────────────────────────────────────────────────────────


def cut(folder: Path) -> None:
    """Cut the weights in the middle."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def pickle(folder: Path) -> None:
    """Save the weights as a pickle instead."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def rename(folder: Path) -> None:
    """Give the weights the names of another family."""
    renamed = {
        f"other.{name}": value for name, value in load_file(folder / "model.safetensors").items()
    }
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})


FAULTS: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON file"),
    (
        lambda folder: (folder / "config.json").unlink(),
        "cannot be loaded from its folder: .*config",
    ),
    (lambda folder: change(folder / "config.json", model_type="nonsense"), "`nonsense`"),
    (lambda folder: change(folder / "config.json", vocab_size=7), "in another shape than its conf"),
    (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot be loaded from its fold"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "no vocabulary; expected its tokenizer"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "from its folder: "),
    (
        lambda folder: (folder / "model.safetensors").unlink(),
        "found no model.safetensors; expected",
    ),
    (cut, "cannot be loaded from its folder: "),
    (pickle, "found no model.safetensors; expected one .*trust_remote_code = true"),
    (rename, "found no weight of a BertModel, which its config.json names"),
    (
        lambda folder: change(
            folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Config"}
        ),
        "needs code of its own to run; if you trust it, say trust_remote_code = true",
    ),
]


@pytest.mark.parametrize("family", ["bert"])
@pytest.mark.parametrize(("breaking", "problem"), FAULTS)
def test_broken_folders(copy: Source, breaking: Callable[[Path], object], problem: str) -> None:
    """What cannot be loaded is one line that names the model and the reason."""
    breaking(Path(copy.path))
    with pytest.raises(ModelError, match=problem) as error:
        text_model(copy)
    (line,) = error.value.problems
    assert line.startswith("model copy: ")
    assert "\n" not in line


@pytest.mark.parametrize("family", ["bert"])
def test_trusted_pickle(copy: Source) -> None:
    """With `trust_remote_code` a pickle is loaded, to the same weights."""
    _, expected = text_model(copy)
    pickle(Path(copy.path))
    _, model = text_model(Source("copy", copy.path, trust_remote_code=True))
    for name, parameter in expected.bert.named_parameters():
        assert torch.equal(parameter, model.bert.get_parameter(name))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "missing-model",
            "the hub cannot be reached nor does its cache have it; check the network",
        ),
        ("./missing", r"found no folder \./missing"),
        ("/no/such/folder", "found no folder /no/such/folder"),
        ("a b", "found neither a folder of that name nor a model"),
        ("a/b/c", "found neither a folder of that name nor a model"),
    ],
)
def test_missing(name: str, message: str) -> None:
    """What is neither a folder nor in the hub's cache is told as such."""
    with pytest.raises(ModelError, match=message):
        pretrained.load_config(Source(name, name))
