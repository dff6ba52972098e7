"""Whose a study's folder is, while several workers begin in it."""

from pathlib import Path
from typing import Any

import pytest

from hpo import study_folder
from hpo.errors import BadInput

MINE = {"study": "field", "id": "0123"}


def test_taken_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another worker takes while this one looks is no stranger's."""
    look = study_folder.owner

    def look_and_take(folder: Path) -> dict[str, Any] | None:
        found = look(folder)
        study_folder.take(folder, MINE)
        return found

    monkeypatch.setattr(study_folder, "owner", look_and_take)
    study_folder.check_free(tmp_path)
    assert look(tmp_path) == MINE


@pytest.mark.parametrize("text", ["", "[]", "{", '"field"'])
def test_not_ours(tmp_path: Path, text: str) -> None:
    """A study.json that says nothing of a study is somebody else's file."""
    (tmp_path / study_folder.OWNER).write_text(text)
    with pytest.raises(BadInput, match=r"found study\.json in "):
        study_folder.check_free(tmp_path)
