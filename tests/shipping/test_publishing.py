"""A folder that is published is whole, whatever happens meanwhile, and harms no other."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo import manifest, publishing
from hpo.errors import BadInput
from hpo.manifest import Reading
from hpo.tasks import Encoding

OWNER = {"what": "export", "study": "x"}
READING = Reading("ner", Encoding(["O"], 8))


def publish(target: Path, weights: str, during: Callable[[Path], object] = lambda _: None) -> None:
    """Publish a folder of two files."""
    with publishing.unfinished(target, OWNER) as new:
        during(new)
        (new / "weights").write_text(weights, encoding="utf-8")
        manifest.write(new, READING, {publishing.OWNER: OWNER})


def names(folder: Path) -> list[str]:
    """Return what is in a folder, at any depth."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def read(target: Path) -> str:
    """Return the weights of what was published."""
    return (target / "weights").read_text(encoding="utf-8")


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.shipping.test_publishing import publish
moved = Path.rename
left = int(sys.argv[2])
def rename(self, to):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return moved(self, to)
Path.rename = rename
publish(Path(sys.argv[1]), "killed")
"""


def killed(target: Path, renames: int) -> None:
    """Publish in a process that is killed before a rename, the n-th from 0."""
    line = [sys.executable, "-c", KILLED, str(target), str(renames)]
    ended = subprocess.run(
        line, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert ended.returncode == -signal.SIGKILL


def test_killed_in_its_midst(tmp_path: Path) -> None:
    """Nothing stands at the name; what is left beside it, the next one deletes."""
    place = tmp_path / "model"
    killed(place, 0)
    assert not place.exists()
    assert names(tmp_path)
    publish(place, "1")
    assert names(tmp_path) == ["model", "model/hpo.json", "model/weights"]


def test_killed_between_two_versions(tmp_path: Path) -> None:
    """The old one is put back by the next to write there, whatever becomes of that."""
    place = tmp_path / "model"
    publish(place, "old")
    killed(place, 1)
    assert not place.exists()
    with pytest.raises(ZeroDivisionError), publishing.unfinished(place, OWNER):
        raise ZeroDivisionError
    assert (read(place), names(tmp_path)) == ("old", ["model", "model/hpo.json", "model/weights"])
    publish(place, "new")
    assert read(place) == "new"


def test_half_deleted_is_not_put_back(tmp_path: Path) -> None:
    """An old version of which something is missing is none."""
    place = tmp_path / "model"
    publish(place, "old")
    (place / "weights").unlink()
    place.rename(tmp_path / ".model.hpo-old")
    with pytest.raises(ZeroDivisionError), publishing.unfinished(place, OWNER):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_swap_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old version stays at its name."""
    place = tmp_path / "model"
    publish(place, "old")
    move = Path.rename

    def rename(path: Path, to: Path) -> Path:
        if path.name == ".model.hpo-new":
            raise OSError(28, "No space left on device")
        return move(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(BadInput, match="cannot be written: No space left"):
        publish(place, "new")
    assert (read(place), names(tmp_path)) == ("old", ["model", "model/hpo.json", "model/weights"])


@pytest.mark.parametrize(("name", "other"), [("ner", "ner.v2"), ("n*", "ner"), ("[n]er", "ner")])
def test_neighbours(tmp_path: Path, name: str, other: str) -> None:
    """What is being written at another name is left alone."""
    with publishing.unfinished(tmp_path / other, OWNER) as new:
        (new / "weights").write_text("other", encoding="utf-8")
        publish(tmp_path / name, "1")
    assert (read(tmp_path / other), read(tmp_path / name)) == ("other", "1")


def test_one_at_a_time(tmp_path: Path) -> None:
    """A second one is refused, and the first one's work stays; then the name is free again."""
    place = tmp_path / "model"
    with publishing.unfinished(place, OWNER) as new:
        (new / "weights").write_text("first", encoding="utf-8")
        with pytest.raises(BadInput, match="another process is writing"):
            publish(place, "second")
        manifest.write(new, READING, {publishing.OWNER: OWNER})
    assert read(place) == "first"
    publish(place, "third")
    assert (read(place), len(names(tmp_path))) == ("third", 3)


def test_what_was_added_stays(tmp_path: Path) -> None:
    """A file that was not written there is named; also one that came while another was written."""
    place = tmp_path / "model"
    publish(place, "old")

    def add(_: Path) -> None:
        (place / "mine").mkdir()
        for name in "abcd":
            (place / "mine" / name).touch()

    with pytest.raises(BadInput, match=r"found mine/a, mine/b, mine/c, … in "):
        publish(place, "new", add)
    assert (read(place), len(names(place))) == ("old", 7)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk(tmp_path: Path) -> None:
    """It is one message, and nothing is left."""
    with pytest.raises(BadInput) as told:
        publish(tmp_path / "model", "much", lambda new: (new / "weights").symlink_to("/dev/full"))
    (line,) = told.value.problems
    assert f"{tmp_path}/model cannot be written: No space left on device" in line
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="found no /proc, where nobody makes files")
def test_a_place_where_no_file_can_be_made() -> None:
    """Is refused in a line, whoever asks: permissions do not bind root."""
    with pytest.raises(BadInput, match=r"--output: /proc/x cannot be written"):
        publish(Path("/proc/x"), "one")
