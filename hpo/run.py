"""Run a study: create it or attach to it, run trials until the budget is spent, conclude."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hpo import models, spec, storage, training_arguments
from hpo.errors import BadInput, StudyMismatch
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.spec import StudyFile
from hpo.strategies import load_strategy
from hpo.study import DEFAULT_STORAGE, StudyView, slug


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
    file = spec.load(Path(study))
    overrides = {} if strategy is None else {"strategy": strategy}
    made = plan(file, overrides, name=name, storage_url=storage_url, output=Path(output))
    if trials is not None:
        made = replace(made, file=with_budget(made.file, trials))
    return execute(made, Progress())


def plan(
    file: StudyFile,
    changes: dict[str, Any],
    *,
    name: str | None,
    storage_url: str | None,
    output: Path,
) -> Plan:
    """Fill in what the user left out.

    Args:
        file: the study.
        changes: top-level keys to set instead of the file's.
        name: as in `run_study`.
        storage_url: likewise.
        output: likewise.
    """
    file = replace(file, spec=file.spec.model_copy(update=changes))
    default = f"sqlite:///{output / 'hpo.db'}" if str(output) != "runs" else DEFAULT_STORAGE
    return Plan(
        file=file,
        name=name or f"{file.path.stem}-{file.spec.strategy}",
        storage_url=storage_url or os.environ.get("HPO_STORAGE") or default,
        output=output,
    )


def with_budget(file: StudyFile, trials: int) -> StudyFile:
    """Return the study with another number of trials."""
    budget = file.spec.budget.model_copy(update={"trials": trials})
    return replace(file, spec=file.spec.model_copy(update={"budget": budget}))


def execute(plan: Plan, progress: Progress) -> StudyView:
    """Run a study as planned.

    Raises:
        HpoError: see `hpo.errors`.
        KeyboardInterrupt: Ctrl-C; the running trial was saved and is continued next time.
    """
    from hpo.worker import Worker  # torch and transformers come with it
    from hpo.workspace import Workspace

    study_spec = plan.file.spec
    strategy = load_strategy(study_spec.strategy)
    progress.preparing("checking the study")
    training_arguments.check(study_spec, str(plan.file.path))
    workspace = Workspace(
        study_spec, plan.file.folder, plan.folder, plan.output.resolve() / "cache"
    )
    objective = workspace.objective  # a wrong metric is told before the data is read
    with Stop() as stop, _only_runner(plan):
        progress.preparing("reading the data")
        data = workspace.data
        for model in study_spec.models():
            models.load_config(workspace.source(model))
        opened = storage.open_storage(plan.storage_url)
        study = storage.create_or_attach(
            opened,
            plan.name,
            study_spec,
            direction=workspace.direction,
            facts={"metric": objective.metric, "fingerprint": data.fingerprint},
        )
        study.set_user_attr("hpo:notices", data.notices)
        return Worker(study, opened, strategy, workspace, progress, stop).work()


@contextmanager
def _only_runner(plan: Plan) -> Iterator[None]:
    """Hold the study's folder: what another process left running is then known to be dead."""
    lock = FileLock(plan.folder / ".lock", timeout=0)
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise StudyMismatch(
            f"study {plan.name!r} is being run by another process, in {plan.folder}"
        ) from None
    except OSError as error:
        raise BadInput(f"--output: {plan.folder} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
