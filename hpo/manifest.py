"""`hpo.json` beside a model's weights: what it takes to read a text as it was read in scoring.

    {"format": 1, "hpo": "0.1.0", "reading": {"task": "ner", "labels": ["O", …], "max_length": 256,
     "truncation_side": "right", "causal": false, "batch_size": 32}}

It is written with each checkpoint; what `hpo export` writes has further keys.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hpo import strict_json
from hpo.errors import ModelError
from hpo.tasks import Encoding

FILE = "hpo.json"
_FORMAT = 1


@dataclass(frozen=True)
class Reading:
    """How a model reads.

    Args:
        task: its name.
        encoding: how rows become inputs.
        batch_size: inputs read at once in scoring; another one differs in the last digits.
    """

    task: str
    encoding: Encoding
    batch_size: int = 32


def write(folder: Path, reading: Reading, more: Mapping[str, Any] | None = None) -> None:
    """Write the manifest of a model folder.

    Raises:
        OSError: it cannot be written.
    """
    encoding = asdict(reading.encoding)
    encoding["labels"] = list(encoding["labels"])
    content = {
        "format": _FORMAT, "hpo": version("hpo"), "reading": {
            "task": reading.task, "batch_size": reading.batch_size, **encoding,
        },
        **(more or {}),
    }  # fmt: skip
    _write(folder, content)


def extend(folder: Path, more: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Write a manifest once more, with further keys.

    Args:
        folder: of the model.
        more: the keys.
        found: the manifest as it is; see `load`.

    Raises:
        OSError: it cannot be written.
    """
    _write(folder, {**found, **more})


def _write(folder: Path, content: Mapping[str, Any]) -> None:
    text = strict_json.text(content, indent=2)
    (folder / FILE).write_text(text + "\n", encoding="utf-8", errors="replace")


def load(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a model folder, all of it; None where there is none.

    Raises:
        ModelError: it is damaged, or of a newer format.
    """
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        form = found.get("format") if isinstance(found, dict) else found
        raise ModelError(f"{path}: found format {form!r}; expected {_FORMAT}, of this hpo")
    return found


def reading_of(folder: Path) -> Reading | None:
    """Return how the model in a folder reads; None where no manifest says so.

    Raises:
        ModelError: the manifest is damaged.
    """
    found = load(folder)
    if found is None:
        return None
    told = found.get("reading")
    if not isinstance(told, dict):
        raise ModelError(f"{folder / FILE}: reading: found {told!r}; expected how the model reads")
    values = {"batch_size": 32, "truncation_side": "right", "causal": False, **told}
    for name, (fits, expected) in _KEYS.items():
        if name not in values or not fits(values[name]):
            value = repr(values[name]) if name in values else "nothing"
            raise ModelError(f"{folder / FILE}: reading.{name}: found {value}; expected {expected}")
    encoding = {each.name: values[each.name] for each in fields(Encoding)}
    return Reading(values["task"], Encoding(**encoding), values["batch_size"])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "task": (lambda value: isinstance(value, str), "the name of a task"),
    "labels": (_are_names, "a list of names"),
    "max_length": (_is_count, "a number of sub-tokens"),
    "truncation_side": (lambda value: value in ("left", "right"), "left or right"),
    "causal": (lambda value: isinstance(value, bool), "true or false"),
    "batch_size": (_is_count, "a number of inputs"),
}
