"""What is frozen stays as it was, bit for bit, and in evaluation mode; all the rest is trained."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, BertForMaskedLM, ElectraConfig, PreTrainedModel

from hpo import models, tokenization
from hpo.errors import ModelError
from hpo.freezing import depths, parts
from hpo.pretrained import Source
from hpo.spec import FineTuningSpec
from hpo.tasks import load_task

EMBEDDINGS = {
    "bert": ("bert.embeddings.",),
    "roberta": ("roberta.embeddings.",),
    "gpt2": ("transformer.wte.", "transformer.wpe."),
    "openai-gpt": ("transformer.tokens_embed.", "transformer.positions_embed."),
}
LAYER = {
    "bert": "bert.encoder.layer.{}.",
    "roberta": "roberta.encoder.layer.{}.",
    "gpt2": "transformer.h.{}.",
    "openai-gpt": "transformer.h.{}.",
}
BASE = {"bert": "bert.", "roberta": "roberta."}
HOW = ("none", "embeddings", "layers:1", "layers:2", "encoder")
LABELS = ["no", "perhaps", "yes"]


def prefixes(family: str, how: str) -> tuple[str, ...]:
    """Return what the names of the frozen parameters begin with."""
    if how == "none":
        return ()
    if how == "embeddings":
        return EMBEDDINGS[family]
    if how == "encoder":
        return (BASE.get(family, "transformer."),)
    count = int(how.removeprefix("layers:"))
    return (*EMBEDDINGS[family], *(LAYER[family].format(at) for at in range(count)))


def build(source: Source, task: str, how: str) -> PreTrainedModel:
    """Build a task model with dropout."""
    tokenizer = tokenization.load_tokenizer(source, words=False, causal_classifier=True)
    tuning = FineTuningSpec(freeze=how, dropout=0.1)
    return models.build(load_task(task).auto_model(), source, tokenizer, LABELS, tuning)


def train(model: PreTrainedModel, labels: torch.Tensor) -> None:
    """Take a few steps, as the Trainer does, with a weight decay that would show."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    for seed in range(3):
        model.train()
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(5, 40, (3, 6), generator=generator)
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(
    ("task", "how"), [("ner", "layers:1"), *(("sentiment", how) for how in HOW)]
)
def test_frozen_is_untouched(family: str, source: Source, task: str, how: str) -> None:
    """After training, exactly the frozen parameters have the bits that they had before."""
    model = build(source, task, how)
    names = [name for name, _ in model.named_parameters()]
    frozen = {name for name in names if name.startswith(prefixes(family, how))}
    assert {name for name, each in model.named_parameters() if not each.requires_grad} == frozen
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, torch.arange(3) if task == "sentiment" else torch.arange(18).reshape(3, 6) % 3)
    same = {name for name, each in model.named_parameters() if torch.equal(each, before[name])}
    assert same == frozen
    assert all(each.grad is None for name, each in model.named_parameters() if name in frozen)


@pytest.mark.parametrize("how", HOW)
def test_frozen_stays_in_evaluation_mode(family: str, source: Source, how: str) -> None:
    """Dropout is off in what is frozen, however often the Trainer asks for training mode."""
    model = build(source, "sentiment", how)
    model.eval()
    model.train()
    starts = prefixes(family, how)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) or list(module.parameters(recurse=False)):
            below = name.endswith(".drop") and how != "none"  # BERT's is inside its embeddings
            assert module.training != (f"{name}.".startswith(starts) or below), name


@pytest.mark.parametrize("how", HOW[1:])
def test_frozen_features_do_not_change(source: Source, how: str) -> None:
    """In training mode, what the frozen part computes is the same each time."""
    model = build(source, "sentiment", how).train()
    layers = parts(model).layers
    top = {"embeddings": 0, "layers:1": 1, "layers:2": 2, "encoder": 2}[how]
    seen: list[torch.Tensor] = []
    if top < len(layers):
        layers[top].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    else:
        layers[-1].register_forward_hook(
            lambda _, __, output: seen.append(
                (output[0] if isinstance(output, tuple | list) else output).detach()
            )
        )
    ids = torch.arange(5, 11)[None]
    for _ in range(2):
        model(input_ids=ids)
    assert torch.equal(*seen)


def test_fresh_weights_are_trained(model_folders: dict[str, Path], tmp_path: Path) -> None:
    """A pooler that the checkpoint lacks is new, and trained even if the encoder is frozen."""
    folder = tmp_path / "masked"
    shutil.copytree(model_folders["bert"], folder)
    BertForMaskedLM(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    model = build(Source("masked", str(folder)), "sentiment", "encoder")
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    pooler = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert trained == {*pooler, "classifier.weight", "classifier.bias"}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, torch.arange(3))
    changed = {
        name for name, each in model.state_dict().items() if not torch.equal(each, before[name])
    }
    assert changed == trained


def test_more_layers_than_there_are(source: Source) -> None:
    """The error says how many the model has."""
    with pytest.raises(ModelError, match=r"freeze: found 'layers:3'; the model .* has 2 layers"):
        build(source, "ner", "layers:3")


def test_depths(family: str, source: Source) -> None:
    """The head is at the top, then layer by layer down to the embeddings; nothing is left out."""
    model = build(source, "sentiment", "none")
    depth = depths(model)
    named = dict(model.named_parameters())
    assert set(depth) == set(named.values())
    for name, parameter in named.items():
        if name.startswith(EMBEDDINGS[family]):
            expected = 3
        elif name.startswith(LAYER[family].format(0)):
            expected = 2
        elif name.startswith(LAYER[family].format(1)):
            expected = 1
        else:
            expected = 0
        assert depth[parameter] == expected, name


def test_projection_below_the_layers() -> None:
    """ELECTRA's small embeddings are widened by a projection; it freezes with them."""
    model = AutoModel.from_config(
        ElectraConfig(
            vocab_size=64,
            embedding_size=8,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
        )
    )
    below = [name for name, child in model.named_children() if child in parts(model).embeddings]
    assert below == ["embeddings", "embeddings_project"]
