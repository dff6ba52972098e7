"""What decides on a run, as a digest: what a change of code does not touch is not run again."""

import ast
import hashlib
import inspect
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import hpo
from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.problem import Problem

HERE = Path(__file__).parent
PACKAGE = Path(hpo.__file__).parent
ALWAYS = ("simulation.py", "problem.py", "makers.py", "landscape.py")  # of this folder
SPACES = ("space.py", "parameters.py")  # of hpo


def version_of(name: str, problem: Problem) -> str:
    """Return a digest of the code, libraries and recorded data behind a contender's runs."""
    contender = CONTENDERS[name]
    files = [HERE / each for each in (*ALWAYS, contender.adapter)]
    files += [PACKAGE / each for each in (*SPACES, *contender.code)]
    files.append(Path(inspect.getfile(type(problem))))
    parts = [code_of(path) for path in files]
    parts += [_installed(library) for library in (*contender.libraries, "numpy")]
    parts.append(f"{problem.best!r} {problem.typical!r} {problem.incomplete}")
    return digest_of(parts)


def digest_of(parts: Sequence[str]) -> str:
    """Return a short digest of texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@cache
def _installed(library: str) -> str:
    return f"{library} {version(library)}"


@cache
def code_of(path: Path) -> str:
    """Return a file of code, or all below a folder, without comments and docstrings."""
    return "\n".join(_stripped(file) for file in _files(path))


def _files(path: Path) -> Iterator[Path]:
    yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _stripped(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
