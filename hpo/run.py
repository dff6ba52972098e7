"""Run a study: create it or attach to it, run trials until the budget is spent, conclude."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from hpo import spec, storage
from hpo.errors import BadInput, StudyMismatch
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.spec import StudyFile
from hpo.study import StudyView, slug

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Plan:
    """What `hpo run` was asked to do.

    Args:
        file: the study.
        name: of the study.
        storage_url: where it is stored.
        output: the folder below which everything lies.
    """

    file: StudyFile
    name: str
    storage_url: str
    output: Path

    @property
    def folder(self) -> Path:
        """The study's own folder."""
        return self.output.resolve() / slug(self.name)


def run_study(
    study: str | Path,
    strategy: str | None = None,
    *,
    trials: int | None = None,
    storage_url: str | None = None,
    name: str | None = None,
    output: str | Path = "runs",
) -> StudyView:
    """Run a study file until its budget is spent, or continue where it stopped.

    Args:
        study: the TOML file.
        strategy: instead of the file's.
        trials: the budget instead of the file's, in all and not on top.
        storage_url: `sqlite:///path` or `postgresql://…`; by default `HPO_STORAGE`, else
            `hpo.db` in the output folder.
        name: of the study; by default the file's stem and the strategy.
        output: the folder below which everything lies.

    Raises:
        HpoError: see `hpo.errors`; each mistake of the user's is told in one message.
    """
    file = spec.load(Path(study), spec.overrides(strategy=strategy, trials=trials))
    return execute(plan(file, name=name, storage_url=storage_url, output=Path(output)), Progress())


def plan(file: StudyFile, *, name: str | None, storage_url: str | None, output: Path) -> Plan:
    """Fill in what the user left out; the arguments are those of `run_study`."""
    if name is not None and not name.strip():
        raise BadInput("--name: found an empty name; expected one, or no --name")
    return Plan(
        file=file,
        name=name or f"{file.path.stem}-{file.spec.strategy}",
        storage_url=storage_url or storage.default_url(output),
        output=output,
    )


def execute(plan: Plan, progress: Progress) -> StudyView:
    """Run a study as planned.

    Raises:
        HpoError: see `hpo.errors`.
        KeyboardInterrupt: Ctrl-C; the running trial was saved and is continued next time.
    """
    # What a person sees first should not wait for torch.
    progress.preparing("checking the study")
    from hpo.check import check_names
    from hpo.quiet import quieten
    from hpo.worker import Worker
    from hpo.workspace import Workspace

    quieten()
    cache = plan.output.resolve() / "cache"
    workspace = Workspace(plan.file.spec, plan.file.folder, plan.folder, cache)
    strategy = check_names(plan.file, workspace)
    with Stop() as stop, _only_runner(plan):
        opened = storage.open_storage(plan.storage_url)
        progress.preparing("reading the data")
        data = workspace.data
        workspace.check_class_metric()
        for model in plan.file.spec.models():
            workspace.check_model(model)
        study = storage.create_or_attach(
            opened,
            plan.name,
            plan.file.spec,
            direction=workspace.direction,
            facts={
                storage.METRIC: workspace.objective.metric,
                storage.FINGERPRINT: data.fingerprint,
            },
        )
        with storage.told(opened.engine.url):
            _take_folder(plan.folder, study)
            study.set_user_attr(storage.NOTICES, data.notices)
            return Worker(study, opened, strategy, workspace, progress, stop).work()


@contextmanager
def _only_runner(plan: Plan) -> Iterator[None]:
    """Hold the study's folder, so that no other process of this machine uses it."""
    lock = FileLock(plan.folder / ".lock", timeout=0)
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise BadInput(
            f"study {plan.name!r}: is being run by another process, in {plan.folder}"
        ) from None
    except OSError as error:
        raise BadInput(f"--output: {plan.folder} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def _take_folder(folder: Path, study: "optuna.Study") -> None:
    """Write whose the folder is, so that no study takes another one's trials for its own.

    Raises:
        StudyMismatch: it is another study's, of this name, in another database.
    """
    owner = folder / "study.json"
    mine = {"study": study.study_name, "id": study.user_attrs[storage.ID]}
    try:
        theirs = json.loads(owner.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        theirs = mine
    if theirs != mine:
        raise StudyMismatch(
            f"{folder}: found the trials of another study of this name, from another database; "
            "delete the folder, or give another --name or --output"
        )
    owner.write_text(json.dumps(mine), encoding="utf-8")
    study.set_user_attr(storage.FOLDER, str(folder))
