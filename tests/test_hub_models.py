"""Models of the hub: which commit is loaded, and that a study stays with the one it began with."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub import ModelCard, constants

from hpo import manifest, pretrained, run_study, storage
from hpo.cli import main
from hpo.errors import ModelError
from tests import hub_cache
from tests.studies_made import make_workspace, write_study

MODEL = "owner/tiny"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path: Path, model_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two commits of a model, of which the first is the tag `v1`, too."""
    cache = tmp_path / "hub"
    for commit in (OLD, NEW):
        hub_cache.put(cache, MODEL, commit, model_folders["bert"])
    hub_cache.point(cache, MODEL, "v1", OLD)
    hub_cache.point(cache, MODEL, "main", NEW)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.mark.parametrize(
    ("name", "commit"), [(MODEL, NEW), (f"{MODEL}@v1", OLD), (f"{MODEL}@{OLD}", OLD)]
)
def test_revisions(hub: Path, tmp_path: Path, name: str, commit: str) -> None:
    """What follows an @ is a revision; without one it is the main branch."""
    assert hub.is_dir()
    workspace = make_workspace(tmp_path / "study", {"model": name})
    assert workspace.check_model(name) == commit
    assert workspace.source(name).hub_id == MODEL
    workspace.commits = {name: NEW}
    assert workspace.check_model(name) == NEW


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{MODEL}@v9", f"model {MODEL}@v9: found no folder of that name, and the hub cannot be"),
        (f"{MODEL}@", f"model {MODEL}@: found nothing after @; expected a branch, tag or commit"),
        ("./no@v1", "model ./no@v1: found no folder"),
    ],
)
def test_no_such_revision(hub: Path, tmp_path: Path, name: str, message: str) -> None:
    """Whoever names a revision that is not there is told so, with its name."""
    assert hub.is_dir()
    workspace = make_workspace(tmp_path / "study", {"model": name})
    with pytest.raises(ModelError, match=message):
        workspace.check_model(name)


def test_folders_have_no_commit(hub: Path, tmp_path: Path) -> None:
    """A folder is none of the hub's, not even one of its cache or one that is called like it."""
    snapshot = hub / "models--owner--tiny" / "snapshots" / OLD
    workspace = make_workspace(tmp_path / "study", {"model": str(snapshot)})
    assert workspace.check_model(str(snapshot)) is None
    assert workspace.source(str(snapshot)).hub_id is None
    (tmp_path / "study" / "owner").mkdir()
    (tmp_path / "study" / MODEL).symlink_to(snapshot)
    workspace.commits = {MODEL: NEW}
    assert workspace.check_model(MODEL) is None


def test_a_commit_that_is_gone(hub: Path, tmp_path: Path) -> None:
    """A machine that lacks the study's commit is told which one that is."""
    assert hub.is_dir()
    workspace = make_workspace(tmp_path / "study", {"model": MODEL})
    workspace.commits = {MODEL: "c" * 40}
    with pytest.raises(ModelError, match=f"model {MODEL} at revision {'c' * 40}: found no"):
        pretrained.load_config(workspace.source(MODEL))


def test_a_study_stays_with_its_commit(hub: Path, tmp_path: Path) -> None:
    """The main branch moves on; trials, confirmation, retraining and export do not."""
    hub_cache.point(hub, MODEL, "main", OLD)
    folder = tmp_path / "study"
    path = write_study(
        folder / "study.toml",
        {
            "model": MODEL, "training": {"num_train_epochs": 1},
            "confirm": {"top": 1, "seeds": 2},
        },
    )  # fmt: skip
    url, runs = f"sqlite:///{folder}/hpo.db", folder / "runs"
    name = run_study(path, trials=1, storage_url=url, output=runs).name
    hub_cache.point(hub, MODEL, "main", NEW)
    (new,) = hub.glob(f"*/snapshots/{NEW}")
    new.rename(hub / "away")  # whoever loads it fails
    found = run_study(path, trials=2, storage_url=url, output=runs)
    assert found.counts == {"COMPLETE": 2}
    opened = storage.open_storage(url, create=False)
    for each in (name, f"{name}-confirm"):
        assert storage.load(opened, each).user_attrs[storage.COMMITS] == {MODEL: OLD}
    opened.engine.dispose()

    there = ["--storage", url, "--runs", str(runs)]
    for line in (
        ["retrain", name, "--trial", "0", *there],
        ["export", name, "--refit", "train", "--output", str(tmp_path / "model"), *there],
    ):
        ended = CliRunner().invoke(main, line)
        assert ended.exit_code == 0, ended.output
    told = manifest.load(tmp_path / "model")
    assert told is not None
    assert told["model"] == {"name": MODEL, "commit": OLD}
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.base_model == MODEL
    assert f"(commit <code>{OLD}</code>)" in card.text


def test_another_worker_was_first(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that create a study at once, the second one takes the first one's commit."""
    folder = tmp_path / "study"
    path = write_study(folder / "study.toml", {"model": MODEL, "training": {"num_train_epochs": 1}})
    url = f"sqlite:///{folder}/hpo.db"
    create = storage.create_or_attach

    def create_after_another(opened: Any, name: str, spec: Any, **facts: Any) -> Any:
        monkeypatch.setattr(storage, "create_or_attach", create)
        theirs = {**facts["first"], storage.COMMITS: {MODEL: OLD}}
        create(opened, name, spec, **{**facts, "first": theirs})
        (new,) = hub.glob(f"*/snapshots/{NEW}")
        new.rename(hub / "away")
        return create(opened, name, spec, **facts)

    monkeypatch.setattr(storage, "create_or_attach", create_after_another)
    found = run_study(path, trials=1, storage_url=url, output=folder / "runs")
    assert found.counts == {"COMPLETE": 1}
    opened = storage.open_storage(url, create=False)
    assert storage.load(opened, found.name).user_attrs[storage.COMMITS] == {MODEL: OLD}
    opened.engine.dispose()
