"""The Dockerfile and the Compose files as data, with their variables filled in.

Only what these files use is understood of https://github.com/compose-spec/compose-spec.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
GPU = ROOT / "docker-compose.gpu.yml"
DOCKERFILE = ROOT / "Dockerfile"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")
_UNITS = {"s": 1, "m": 60, "h": 3600}


class MissingVariable(Exception):
    """A variable without which Compose refuses to do anything."""


def read(path: Path) -> Any:
    """Read a Compose file as it stands."""
    return YAML(typ="safe").load(path)


def filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    """Return a part of a Compose file with its variables filled in, as Compose does.

    Raises:
        MissingVariable: one has no value, and none to fall back to.
    """

    def replace(found: re.Match[str]) -> str:
        escaped, name, kind, text = found.groups()
        if escaped:
            return "$"
        if variables.get(name):
            return variables[name]
        if kind != "-":
            raise MissingVariable(f"{name}: {text}")
        return str(text)

    if isinstance(value, dict):
        return {key: filled_in(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [filled_in(each, variables) for each in value]
    return _VARIABLE.sub(replace, value) if isinstance(value, str) else value


def merged(below: Any, above: Any) -> Any:
    """Return what two Compose files come to: the second one's values, lists put together."""
    if isinstance(below, dict) and isinstance(above, dict):
        both = {key: merged(below[key], above[key]) for key in below.keys() & above.keys()}
        return {**below, **above, **both}
    if isinstance(below, list) and isinstance(above, list):
        return [*below, *(each for each in above if each not in below)]
    return above


def with_gpus() -> Any:
    """Return what the two files come to, services that extend others included."""
    base, gpu = read(COMPOSE), read(GPU)
    for name, service in gpu["services"].items():
        if "extends" in service:
            said = service.pop("extends")
            extended = read(ROOT / said["file"])["services"][said["service"]]
            gpu["services"][name] = merged(extended, service)
    return merged(base, gpu)


def seconds(text: str) -> int:
    """Return a duration such as `1m30s`."""
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smh])", text))


def instructions() -> list[list[tuple[str, str]]]:
    """Return the Dockerfile's instructions: those before the first stage, then those of each."""
    lines = (line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines())
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    stages: list[list[tuple[str, str]]] = [[]]
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            if name == "FROM":
                stages.append([])
            stages[-1].append((name, rest.strip()))
    return stages


def image_environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    words = [
        word for name, rest in instructions()[-1] if name == "ENV" for word in shlex.split(rest)
    ]
    return dict(word.split("=", 1) for word in words)
