"""The tiny models load as the originals do, repeat byte for byte, and are built atomically."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TokenizersBackend,
)

import hpo
from hpo import samples
from hpo.errors import ModelError
from hpo.samples import models

TEXTS = [
    *(" ".join(row["tokens"]) for row in samples.ner("train")),
    *(row["text"] for row in samples.sentiment("train")),
]
SENTENCES = [
    "Bellford isn't in Keltonville, says J. Stone (43)!",
    "not at all bad: 100% über-good",
    "x",
]
GPTS = ("gpt2", "openai-gpt")
BYTE_LEVEL = ("roberta", "gpt2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build each family once."""
    parent = tmp_path_factory.mktemp("models")
    return {name: models.build(name, TEXTS, parent / "deep" / name) for name in models.FAMILIES}


def load(folder: Path, *, add_prefix_space: bool = False) -> TokenizersBackend:
    """Load the tokenizer as `hpo` does."""
    tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=add_prefix_space)
    assert isinstance(tokenizer, TokenizersBackend)
    return tokenizer


@pytest.mark.parametrize(
    ("family", "tokenizer", "config", "model"),
    [
        ("bert", "BertTokenizer", "BertConfig", "BertModel"),
        ("roberta", "RobertaTokenizer", "RobertaConfig", "RobertaModel"),
        ("gpt2", "GPT2Tokenizer", "GPT2Config", "GPT2Model"),
        ("openai-gpt", "OpenAIGPTTokenizer", "OpenAIGPTConfig", "OpenAIGPTModel"),
    ],
)
def test_classes(
    folders: dict[str, Path], family: str, tokenizer: str, config: str, model: str
) -> None:
    """The Auto classes find the classes of the family, with one id for each embedding."""
    folder = folders[family]
    loaded = AutoModel.from_pretrained(folder)
    assert type(load(folder)).__name__ == tokenizer
    assert type(AutoConfig.from_pretrained(folder)).__name__ == config
    assert type(loaded).__name__ == model
    assert loaded.config.architectures == [model]
    assert loaded.get_input_embeddings().num_embeddings == len(load(folder))


@pytest.mark.parametrize("family", models.FAMILIES)
def test_same_ids_after_loading(folders: dict[str, Path], family: str) -> None:
    """The loaded tokenizer gives the ids of the file, none of them unknown in plain English."""
    tokenizer = load(folders[family])
    raw = Tokenizer.from_file(str(folders[family] / "tokenizer.json"))
    for text in [*SENTENCES, *TEXTS[::500]]:
        ids = tokenizer(text)["input_ids"]
        assert ids == raw.encode(text).ids
        if text.isascii():
            assert tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("family", models.FAMILIES)
def test_round_trip(folders: dict[str, Path], family: str) -> None:
    """Decoding gives the text back: exactly in bytes, else in lower case without accents."""
    tokenizer = load(folders[family])
    for text in SENTENCES:
        decoded = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
        assert isinstance(decoded, str)
        if family in BYTE_LEVEL:
            assert decoded == text
        else:
            expected = text.lower().replace("ü", "u")
            assert decoded.replace(" ", "") == expected.replace(" ", "")


@pytest.mark.parametrize("family", models.FAMILIES)
def test_words(folders: dict[str, Path], family: str) -> None:
    """Pre-split words get the sub-tokens of the sentence, each word its own, in its place."""
    tokenizer = load(folders[family], add_prefix_space=True)
    words = ["Bellford", "was", "great", "in", "Zzq"]
    encoded = tokenizer(words, is_split_into_words=True)
    assert encoded["input_ids"] == tokenizer(" ".join(words))["input_ids"]
    places = encoded.word_ids()
    assert [place for place, _ in itertools.groupby(places) if place is not None] == [0, 1, 2, 3, 4]
    first = [encoded.tokens()[places.index(place)] for place in range(5)]
    last = [encoded.tokens()[len(places) - 1 - places[::-1].index(place)] for place in range(5)]
    marks = {
        "bert": not any(token.startswith("##") for token in first),
        "roberta": all(token.startswith("Ġ") for token in first),
        "gpt2": all(token.startswith("Ġ") for token in first),
        "openai-gpt": all(token.endswith("</w>") for token in last),
    }
    assert marks[family]


def test_special_tokens(folders: dict[str, Path]) -> None:
    """Each family has the special tokens of its original, the GPTs no padding."""
    bert, roberta, gpt2, gpt = (load(folders[name]) for name in models.FAMILIES)
    assert bert.convert_ids_to_tokens([*range(5)]) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert bert.convert_ids_to_tokens(bert("x")["input_ids"])[::2] == ["[CLS]", "[SEP]"]
    assert roberta.convert_ids_to_tokens([*range(4)]) == ["<s>", "<pad>", "</s>", "<unk>"]
    assert roberta.mask_token_id == len(roberta) - 1
    assert gpt2.all_special_tokens == ["<|endoftext|>"]
    assert gpt.all_special_tokens == ["<unk>"]
    for family in GPTS:
        assert load(folders[family]).pad_token is None
        assert AutoConfig.from_pretrained(folders[family]).pad_token_id is None


@pytest.mark.parametrize("family", models.FAMILIES)
def test_forward(folders: dict[str, Path], family: str) -> None:
    """A classifier takes a text of any length, cut at the longest that the tokenizer names."""
    tokenizer = load(folders[family])
    batch = tokenizer(" ".join(TEXTS[:100]), truncation=True, return_tensors="pt")
    assert batch["input_ids"].shape == (1, models.LONGEST)
    model = AutoModelForSequenceClassification.from_pretrained(folders[family], num_labels=3)
    logits = model.eval()(**batch).logits
    assert logits.shape == (1, 3)
    assert torch.isfinite(logits).all()


def test_processes_at_once(folders: dict[str, Path], tmp_path: Path) -> None:
    """Two processes that build the same folder both succeed, with the files of a third one."""
    script = (
        "import sys; from pathlib import Path; from hpo.samples import models\n"
        "texts = sys.stdin.read().split('\\0')\n"
        "for name in models.FAMILIES: models.build(name, texts, Path(sys.argv[1]) / name)"
    )
    root = Path(hpo.__file__).parents[1]
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, text=True) for _ in range(2)
    ]
    inputs = [process.stdin for process in processes if process.stdin]
    for stdin in inputs:  # returns when the process has done its imports and reads
        stdin.write("\0".join(TEXTS))
    for stdin in inputs:  # both are let go at once
        stdin.close()
    for process in processes:
        process.wait()
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(models.FAMILIES)
    for family, folder in folders.items():
        files = sorted(folder.iterdir())
        assert [path.name for path in files] == sorted(
            p.name for p in (tmp_path / family).iterdir()
        )
        for path in files:
            assert path.read_bytes() == (tmp_path / family / path.name).read_bytes(), path


def test_existing_folder_is_kept(folders: dict[str, Path]) -> None:
    """A folder that is there is returned without reading a text."""

    def unread() -> Iterator[str]:
        pytest.fail("read a text")
        yield ""

    before = (folders["bert"] / "config.json").stat().st_mtime_ns
    assert models.build("bert", unread(), folders["bert"]) == folders["bert"]
    assert (folders["bert"] / "config.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("family", models.FAMILIES)
def test_any_text(family: str, tmp_path: Path) -> None:
    """Endless text of many scripts gives a vocabulary of the usual size."""
    texts = ("".join(map(chr, range(start, start + 50))) + " and so on" for start in cycle())
    folder = models.build(family, texts, tmp_path / family)
    assert len(load(folder)) <= models.VOCABULARY + 10


def test_long_text(tmp_path: Path) -> None:
    """What comes after the characters that are read has no part in the vocabulary."""
    text = "some words " * (models.TRAINING_CHARACTERS // 11) + "quokka " * 1000
    vocabulary = load(models.build("bert", [text], tmp_path / "bert")).get_vocab()
    assert "words" in vocabulary
    assert "quokka" not in vocabulary


def cycle() -> Iterator[int]:
    """Yield the starts of many blocks of Unicode, again and again."""
    return itertools.cycle(range(0x4E00, 0x9E00, 50))


def test_random_numbers_are_left_alone(tmp_path: Path) -> None:
    """Building a model does not change the caller's random numbers."""
    before = torch.get_rng_state()
    models.build("bert", ["some words"], tmp_path / "bert")
    assert torch.equal(before, torch.get_rng_state())


def test_mistakes(tmp_path: Path) -> None:
    """An unknown family, no text and a foreign folder are named; nothing is left behind."""
    with pytest.raises(ModelError, match=r"'sample:gpt3'; known are .*mean 'sample:gpt2'"):
        models.build("gpt3", TEXTS, tmp_path / "model")
    with pytest.raises(ModelError, match="no text"):
        models.build("bert", ["", " "], tmp_path / "model")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"foreign: .*expected no such folder"):
        models.build("bert", ["some words"], foreign)
    assert [path.name for path in tmp_path.iterdir()] == ["foreign"]
    assert [path.name for path in foreign.iterdir()] == ["notes.txt"]
