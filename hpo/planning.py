"""What `hpo run` or `hpo worker` was asked to do, with what the user left out filled in."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpo import storage
from hpo.errors import BadInput
from hpo.keeper import Patience
from hpo.leases import LEASE
from hpo.spec import StudyFile
from hpo.study import slug

if TYPE_CHECKING:
    from hpo.binding import BindingStorage


@dataclass(frozen=True)
class Plan:
    """What `hpo run` or `hpo worker` was asked to do.

    Args:
        file: the study.
        name: of the study.
        storage_url: where it is stored.
        output: the folder below which everything lies.
        lease: seconds after which a worker that is gone is noticed.
        patience: how long a worker waits for its trial.
        workers: how many processes to start here; None leaves it to the machine, 0 starts none.
        workers_per_gpu: how many of them share a GPU.
        joins: the specification is the stored one; who merely joins changes none of it.
        alone: the process is there for this, and may be ended with it.
        confirms: the study that this one is the confirmation of.
        priority: that the study is to get; None leaves it as it is.
    """

    file: StudyFile
    name: str
    storage_url: str
    output: Path
    lease: float = LEASE
    patience: Patience = field(default_factory=Patience)
    workers: int | None = None
    workers_per_gpu: int = 1
    joins: bool = False
    alone: bool = False
    confirms: str | None = None
    priority: int | None = None

    @property
    def folder(self) -> Path:
        """The study's own folder."""
        return self.output.resolve() / slug(self.name)


def plan(file: StudyFile, *, name: str | None, storage_url: str | None, output: Path) -> Plan:
    """Fill in what the user left out; the arguments are those of `run_study`."""
    if name is not None and not name.strip():
        raise BadInput("--name: found an empty name; expected one, or no --name")
    return Plan(
        file=file,
        name=name or file.study_name,
        storage_url=storage_url or storage.default_url(output),
        output=output,
    )


def plan_from_storage(
    name: str,
    storage_url: str,
    *,
    data: Path | None,
    output: Path,
    opened: "BindingStorage | None" = None,
) -> Plan:
    """Plan to join a study: what it is stands in its storage.

    Args:
        name: of the study.
        storage_url: where it is stored.
        data: where the relative paths of its study file start on this machine; by default where
            they did when it was created, if there is such a folder here, else the current one.
        output: the folder below which everything lies.
        opened: that storage, where it is open already.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage cannot be read, or not be worked on by this role.
    """
    there = opened or storage.open_for_work(storage_url, create=False)
    with storage.told(there.engine.url):
        study = storage.load(there, name)
        stored = Path(str(study.user_attrs.get(storage.DATA, "")))
        found = storage.spec_of(name, study.user_attrs)
    if opened is None:
        there.engine.dispose()
    folder = data or (stored if stored.is_absolute() and stored.is_dir() else Path())
    file = StudyFile(folder / f"study {name}", found)
    return Plan(file, name, storage_url, output, workers=0, joins=True)
