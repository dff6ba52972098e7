"""What a disk does to a file of a checkpoint that was marked complete."""

from pathlib import Path


def truncate(file: Path) -> None:
    """Lose its last byte."""
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    """Lose all it holds."""
    file.write_bytes(b"")


def flip(file: Path) -> None:
    """Change one bit."""
    first, *rest = file.read_bytes()
    file.write_bytes(bytes([first ^ 1, *rest]))


def delete(file: Path) -> None:
    """Lose the file."""
    file.unlink()


def cut_mark(file: Path) -> None:
    """Lose the end of the mark."""
    (file.parent / "hpo-complete").write_text("{")


def garble_mark(file: Path) -> None:
    """Make the mark no text."""
    (file.parent / "hpo-complete").write_bytes(b"\xff\xfe")


DAMAGE = [truncate, empty, flip, delete, cut_mark, garble_mark]
