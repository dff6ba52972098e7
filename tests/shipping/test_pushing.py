"""`--push`: a model goes to a hub, in place of nothing but an earlier export of its study."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.shipping.model_hub import TOKEN, Hub, serve

PUSH = """
import sys
from pathlib import Path
from hpo import pushing
from hpo.errors import HpoError
folder, what, answer, *public = sys.argv[1:]
pushing._ANSWER = float(answer)
owner = {"what": "export", "study": "mine"}
try:
    if "check" in what:
        pushing.check("me/model", owner, public=bool(public))
    if "push" in what:
        print(pushing.push(Path(folder), "me/model", public=bool(public)))
except HpoError as error:
    print(error)
"""


def run(
    url: str, folder: Path, *public: str, what: str = "check push", token: str | None = TOKEN,
    answer: float = 30,
) -> str:  # fmt: skip
    """Push a folder in a process of its own, and return the line that it says."""
    env = {
        **os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": url,
        "HF_HOME": str(folder.parent / "home"), "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    env = {**env, "HF_TOKEN": token} if token else {k: v for k, v in env.items() if k != "HF_TOKEN"}
    line = [sys.executable, "-c", PUSH, str(folder), what, str(answer), *public]
    ended = subprocess.run(line, env=env, capture_output=True, text=True, check=True, timeout=120)
    assert (token or "hf_") not in ended.stdout + ended.stderr
    (said,) = ended.stdout.splitlines()
    return said


def claim(folder: Path, study: str = "mine") -> None:
    """Write a manifest that says whose a folder is, and what it has."""
    names = [path.name for path in folder.iterdir() if path.name != "hpo.json"]
    made = {"made_by": {"what": "export", "study": study}, "files": names}
    (folder / "hpo.json").write_text(json.dumps(made), encoding="utf-8")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with weights, a card and a manifest."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights" * 100)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n", encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    claim(folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Return what a folder has."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def has(hub: Hub, folder: Path, **more: bytes) -> None:
    """Give a hub a private repository."""
    hub.repositories["me/model"] = {**content(folder), ".gitattributes": b"", **more}
    hub.visible["me/model"] = "private"


@pytest.mark.parametrize(
    ("token", "message"), [("hf_secret", "the hub cannot be asked"), (None, "found no token")]
)
def test_a_hub_that_cannot_be_reached(model: Path, token: str | None, message: str) -> None:
    """It is told before anything is done, and the token never."""
    assert message in run("http://127.0.0.1:9", model, token=token)


@pytest.mark.parametrize("what", ["check", "push"])
def test_a_hub_that_hangs(model: Path, what: str) -> None:
    """It is not waited for: with its default, huggingface_hub would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = run(f"http://127.0.0.1:{silent.getsockname()[1]}", model, what=what, answer=0.3)
    assert "timed out" in said
    assert (f"hf upload me/model {model}" in said) == (what == "push")


def test_a_hub_has_what_the_folder_has(model: Path) -> None:
    """Pushed twice, it is what it was the second time, and private; what others added stays."""
    with serve() as hub:
        assert run(hub.url, model) == f"{hub.url}/me/model"
        assert hub.visible == {"me/model": "private"}
        hub.repositories["me/model"]["LICENSE"] = b"theirs"
        (model / "config.json").rename(model / "new.json")
        claim(model)
        assert run(hub.url, model) == f"{hub.url}/me/model"
    (files,) = hub.repositories.values()
    files.pop(".gitattributes", None)
    assert files == {**content(model), "LICENSE": b"theirs"}


@pytest.mark.parametrize("what", ["check", "push"])
@pytest.mark.parametrize(
    "change",
    [{"hpo.json": b'{"made_by": {"what": "export", "study": "other"}}'}, {"hpo.json": b"["}, {}],
)
def test_a_repository_of_somebody_else(model: Path, change: dict[str, bytes], what: str) -> None:
    """Not one of its files is touched: before training, and after it."""
    with serve() as hub:
        has(hub, model, **change)
        if not change:
            del hub.repositories["me/model"]["hpo.json"]
        before = dict(hub.repositories["me/model"])
        said = run(hub.url, model, what=what)
        assert "found something else in me/model than an earlier export of this study" in said
        assert hub.repositories["me/model"] == before
        assert all(each.startswith("GET") for each in hub.asked)


@pytest.mark.parametrize("what", ["check", "push"])
@pytest.mark.parametrize(
    ("visible", "public", "message"),
    [
        ("public", [], "me/model is public; expected --public"),
        ("private", ["public"], "me/model is private; make it public"),
    ],
)
def test_seen_by_whom_it_was_said(
    model: Path, visible: str, public: list[str], message: str, what: str
) -> None:
    """Nothing goes where others, or fewer, see it; an empty repository is no other."""
    with serve() as hub:
        hub.repositories["me/model"] = {}
        hub.visible["me/model"] = visible
        assert message in run(hub.url, model, *public, what=what)
        assert hub.repositories == {"me/model": {}}


def test_public(model: Path) -> None:
    """Where it is said, everybody sees it."""
    with serve() as hub:
        assert run(hub.url, model, "public") == f"{hub.url}/me/model"
    assert hub.visible == {"me/model": "public"}
    assert set(content(model)) <= set(hub.repositories["me/model"])


@pytest.mark.parametrize(
    ("token", "refuses", "told", "pushed"),
    [
        ("hf_wrong", {}, "it does not know the token", False),
        (TOKEN, {"repos/create": 403}, "may not write there", True),
        (TOKEN, {"/preupload/": 403}, "the token may not write there", True),
        (TOKEN, {"/commit/": 400}, "the hub did not take it: ", True),
    ],
)
def test_a_hub_that_refuses(
    model: Path, token: str, refuses: dict[str, Any], told: str, *, pushed: bool
) -> None:
    """It is told in one line why, and what to do; the token is in none."""
    with serve() as hub:
        hub.refuses.update(refuses)
        said = run(hub.url, model, token=token)
    assert re.search(told, said)
    assert (f"hf upload me/model {model}" in said) == pushed
    assert not any(hub.repositories.values())
