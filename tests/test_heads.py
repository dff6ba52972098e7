"""openai-gpt has a token-classification head as soon as `hpo` is imported, and not before."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification

import hpo
from hpo import models, tokenization
from hpo.heads import OpenAIGPTForTokenClassification
from hpo.pretrained import Source
from hpo.spec import FineTuningSpec

ROOT = Path(hpo.__file__).parents[1]
LABELS = ["O", "B-PER", "I-PER"]


def python(script: str, *arguments: str) -> str:
    """Run a script in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not supported" not in done.stderr  # what `pipeline` logs about a class it cannot name
    return done.stdout


@pytest.fixture(scope="module")
def saved(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an openai-gpt that was trained for a few steps, and its tokenizer."""
    source = Source("sample:openai-gpt", str(model_folders["openai-gpt"]))
    tokenizer = tokenization.load_tokenizer(source, words=True, causal_classifier=False)
    model = models.build(
        AutoModelForTokenClassification, source, tokenizer, LABELS, FineTuningSpec()
    )
    assert type(model) is OpenAIGPTForTokenClassification
    batch = tokenizer(["Anna", "Berg", "sang"], is_split_into_words=True, return_tensors="pt")
    words = batch.word_ids()
    labels = torch.tensor([[0 if word == 2 else 2 for word in words]])
    labels[0, 0] = 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_saves_and_loads(saved: Path) -> None:
    """The Auto class finds the head and all of its weights."""
    model, info = AutoModelForTokenClassification.from_pretrained(saved, output_loading_info=True)
    assert type(model) is OpenAIGPTForTokenClassification
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.architectures == ["OpenAIGPTForTokenClassification"]
    assert model.config.id2label == dict(enumerate(LABELS))


RECOGNISE = """
recognise = pipeline("token-classification", model=sys.argv[1], aggregation_strategy="simple")
print([(entity["entity_group"], entity["word"].split()) for entity in recognise("Anna Berg sang")])
"""


def test_pipeline_in_a_fresh_process(saved: Path) -> None:
    """After `import hpo`, and nothing else of it, transformers' pipeline runs the saved folder."""
    script = "import sys, hpo\nfrom transformers import pipeline" + RECOGNISE
    assert python(script, str(saved)).strip() == "[('PER', ['anna', 'berg'])]"


@pytest.mark.parametrize(
    "line",
    [
        "from transformers import BertForSequenceClassification",
        "import transformers.modeling_layers",
        "from transformers import OpenAIGPTModel",
        "import transformers.models.auto.modeling_auto",
        "from transformers import AutoModelForTokenClassification, Trainer",
    ],
)
def test_whatever_is_imported_first(line: str) -> None:
    """Modules of transformers that import each other can be imported in any order."""
    script = f"""
import hpo
{line}
from transformers import AutoModelForTokenClassification, OpenAIGPTConfig
print(AutoModelForTokenClassification._model_mapping[OpenAIGPTConfig].__module__)
"""
    assert python(script).split() == ["hpo.heads"]


def test_upstream_has_no_such_head(saved: Path) -> None:
    """Tripwire: transformers alone refuses the folder; `import hpo` helps afterwards too."""
    script = """
import sys
from transformers import AutoModelForTokenClassification, pipeline
try:
    AutoModelForTokenClassification.from_pretrained(sys.argv[1])
except ValueError as error:
    assert "OpenAIGPTConfig" in str(error), error
else:
    sys.exit("upstream has a head for openai-gpt now: hpo/heads.py may go")
import hpo
"""
    printed = python(script + RECOGNISE, str(saved))
    assert printed.strip() == "[('PER', ['anna', 'berg'])]"


def test_import_is_light() -> None:
    """`import hpo` waits for transformers, it does not import it."""
    slow = "torch transformers datasets optuna plotly sklearn"
    script = f"import hpo, sys; print([name for name in {slow.split()} if name in sys.modules])"
    assert python(script).strip() == "[]"
