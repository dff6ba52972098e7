"""Models of the hub: which commit is loaded, and that a study stays with the one it began with."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub import ModelCard, constants
from sqlalchemy import URL, text

from hpo import manifest, preparation, run_study, search, storage
from hpo.binding import BindingStorage
from hpo.cli import main
from hpo.errors import ModelError
from hpo.spec import StudyFile
from hpo.workspace import Workspace
from tests import hub_cache
from tests.studies_made import make_spec, make_workspace, write_study

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


def workspace_of(folder: Path, model: str = MODEL) -> Workspace:
    """Return the workspace of a study of the model."""
    return make_workspace(folder / "study", {"model": model})


@pytest.mark.parametrize(
    ("name", "commit"), [(MODEL, NEW), (f"{MODEL}@v1", OLD), (f"{MODEL}@{OLD}", OLD)]
)
def test_revisions(hub: Path, tmp_path: Path, name: str, commit: str) -> None:
    """What follows an @ is a revision; without one it is the main branch, as it is at first."""
    workspace = workspace_of(tmp_path, name)
    assert workspace.source(name).revision == commit
    hub_cache.point(hub, MODEL, "main", "d" * 40)
    assert workspace.source(name).revision == commit
    assert workspace.source(name, "c" * 40).revision == "c" * 40
    assert workspace.hub_id(name) == MODEL
    workspace.check_model(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{MODEL}@v9", f"model {MODEL}@v9: found no folder of that name, and the hub cannot be"),
        (f"{MODEL}@", f"model {MODEL}@: expected a hub id before the @, and a branch, tag or com"),
        ("@v1", "model @v1: expected a hub id before the @, and a branch"),
        ("./no@v1", r"model \./no@v1: found no folder"),
    ],
)
def test_no_such_revision(hub: Path, tmp_path: Path, name: str, message: str) -> None:
    """Whoever names a revision that is not there is told so, with its name."""
    assert hub.is_dir()
    with pytest.raises(ModelError, match=message):
        workspace_of(tmp_path, name).check_model(name)


def test_folders_have_no_commit(hub: Path, tmp_path: Path) -> None:
    """A folder is none of the hub's, not even one of its cache or one that is called like it."""
    snapshot = hub / "models--owner--tiny" / "snapshots" / OLD
    workspace = workspace_of(tmp_path, str(snapshot))
    (tmp_path / "study" / "owner").mkdir()
    (tmp_path / "study" / MODEL).symlink_to(snapshot)
    workspace.commits = {MODEL: NEW}  # as another machine found it
    for name in (str(snapshot), MODEL):
        assert workspace.source(name).revision is None
        assert workspace.hub_id(name) is None
        assert search.TrainerRunner(workspace).resolved({"model": name}).commit is None


def test_a_commit_that_is_gone(hub: Path, tmp_path: Path) -> None:
    """A machine that lacks the study's commit is told which one that is."""
    assert hub.is_dir()
    workspace = workspace_of(tmp_path)
    workspace.commits = {MODEL: "c" * 40}
    with pytest.raises(ModelError, match=f"model {MODEL} at revision {'c' * 40}: found no"):
        workspace.check_model(MODEL)


@pytest.mark.parametrize("trusted", [False, True])
def test_weights_of_the_hubs_bot(hub: Path, tmp_path: Path, trusted: bool) -> None:
    """They are on no commit of the main branch: it is not pinned, and whoever trains says so."""
    (snapshot,) = hub.glob(f"*/snapshots/{NEW}")
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    file = StudyFile(
        write_study(tmp_path / "s.toml"), make_spec({"model": MODEL, "trust_remote_code": trusted})
    )
    prepared = preparation.prepare(file, tmp_path / "runs", tmp_path / "cache")
    assert prepared.load({}).commits == ({MODEL: NEW} if trusted else {})
    told = [each for each in prepared.remarks_here() if "has no model.safetensors" in each]
    assert len(told) == (0 if trusted else 1)


def test_a_model_that_depends_on_a_parameter() -> None:
    """Where it is not searched, it is the study's: that one is checked and pinned, too."""
    when = {"freeze": "none"}
    spec = make_spec(
        {
            "model": "usual",
            "space": {
                "freeze": {"type": "choice", "values": ["none", "embeddings"]},
                "model": {"type": "choice", "values": ["a", "b"], "when": when},
            },
        }
    )
    assert spec.models() == ["a", "b", "usual"]


def test_who_adds_a_commit_first(opened: BindingStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of workers that add the commit of a model at once, all take that of one of them."""
    study = storage.create_or_attach(
        opened, "s", make_spec({"model": MODEL}), direction="maximize", facts={}
    )
    assert storage.agree_on_commits(opened, study, {}) == {}
    assert storage.COMMITS not in study.user_attrs
    alone, others = storage._one_at_a_time, []

    def behind_another(url: URL) -> AbstractContextManager[None]:
        monkeypatch.setattr(storage, "_one_at_a_time", alone)
        others.append(storage.agree_on_commits(opened, study, {MODEL: OLD}))
        return alone(url)

    monkeypatch.setattr(storage, "_one_at_a_time", behind_another)
    mine = storage.agree_on_commits(opened, study, {MODEL: NEW, "other": NEW})
    assert others == [{MODEL: OLD}]
    assert mine == {MODEL: OLD, "other": NEW} == study.user_attrs[storage.COMMITS]


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
    assert (told["recipe"]["model"], told["recipe"]["commit"]) == (MODEL, OLD)
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.base_model == MODEL
    assert f"(commit <code>{OLD}</code>)" in card.text
    assert f'model = "{MODEL}@{OLD}"' in card.text


def test_a_trial_of_before(hub: Path, tmp_path: Path) -> None:
    """Where no commit was stored, none is claimed, and who trains it again is told."""
    assert hub.is_dir()
    path = write_study(
        tmp_path / "study.toml", {"model": MODEL, "training": {"num_train_epochs": 1}}
    )
    url, runs = f"sqlite:///{tmp_path}/hpo.db", tmp_path / "runs"
    name = run_study(path, trials=1, storage_url=url, output=runs).name
    opened = storage.open_storage(url, create=False)
    (trial,) = storage.load(opened, name).get_trials()
    stored = {**trial.user_attrs["recipe"]}
    assert stored.pop("commit") == NEW
    opened.remove_session()
    with opened.engine.begin() as connection:
        connection.execute(
            text("UPDATE trial_user_attributes SET value_json = :new WHERE key = 'recipe'"),
            {"new": json.dumps(stored)},
        )
    opened.engine.dispose()
    there = ["--storage", url, "--runs", str(runs)]
    ended = CliRunner().invoke(main, ["retrain", name, "--trial", "0", *there])
    assert ended.exit_code == 0, ended.output
    assert f"the model {MODEL} is commit {NEW}; the commit that the trial began with is not" in (
        ended.output
    )
    ended = CliRunner().invoke(main, ["export", name, "--output", str(tmp_path / "model"), *there])
    assert ended.exit_code == 0, ended.output
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.base_model == MODEL
    assert NEW not in card.content


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
