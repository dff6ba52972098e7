"""To delete a study: its rows and those of its confirmation, and its files if they are to go too.

Rows go in one transaction. Whoever still works for the study finds it gone with their next write:
the tickets go with it, and what a worker writes names its ticket (`hpo.leases`).
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages._rdb import models
from sqlalchemy import Connection, Table, delete, func, select

from hpo import confirmation, leases, orders, presence, storage, study_folder
from hpo.binding import BindingStorage
from hpo.errors import BadInput, StorageError
from hpo.outages import persisting
from hpo.pool_view import WorkerView, read_workers
from hpo.study import slug
from hpo.trials import TrialResult

_LOOK_AGAIN = 0.5  # seconds between two looks whether workers have left
_LEAVING = 60.0  # seconds, or a lease: so long workers may take to hear of it and save their trials
_STUDIES = models.StudyModel.__table__
_TRIALS = models.TrialModel.__table__


@dataclass(frozen=True)
class Found:
    """What there is of a study.

    Args:
        names: its own, and that of its confirmation if there is one.
        ids: theirs (`hpo:id`).
        trials: how many they have.
        busy: the workers that hold trials of them, and are not known to be gone.
        folders: of their files, below the output folder.
        foreign: folders of their names there that are not known to be theirs -> why not.
        elsewhere: other folders in which their trials left weights, here or on another machine.
        staying: what lies in their folders and is not hpo's: it stays, whatever is asked for.
    """

    names: list[str]
    ids: list[str]
    trials: int
    busy: list[WorkerView] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    foreign: dict[Path, str] = field(default_factory=dict)
    elsewhere: list[Path] = field(default_factory=list)
    staying: dict[Path, list[Path]] = field(default_factory=dict)


def look(opened: BindingStorage, name: str, output: Path) -> Found:
    """Look what there is of a study.

    Args:
        opened: the storage that it is in.
        name: of the study.
        output: the folder below which its files lie.

    Raises:
        BadInput: there is no such study, or it is the confirmation of another one.
        StorageError: the storage cannot be read.
    """
    study = storage.load(opened, name)
    with storage.told(opened.engine.url):
        searched = study.user_attrs.get(confirmation.CONFIRMS)
        if searched is not None and confirmation.find(opened, searched) is not None:
            raise BadInput(
                f"study {name!r}: is the confirmation of {searched!r}; expected that one, whose "
                "deletion takes its confirmation along"
            )
        confirms = confirmation.find(opened, name)
        studies = [study, *([] if confirms is None else [confirms])]
        ids = [each.user_attrs[storage.ID] for each in studies]
        trials = [trial for each in studies for trial in each.get_trials(deepcopy=False)]
    names = [each.study_name for each in studies]
    found = Found(names, ids, len(trials), list(_at_work(opened, names)))
    for each, number in zip(names, ids, strict=True):
        folder = output.resolve() / slug(each)
        why = _not_its_own(folder, each, number)
        if why is None:
            found.folders.append(folder)
            _note_what_stays(found, folder, study_folder.foreign(folder, ids))
        elif why:
            found.foreign[folder] = why
    found.elsewhere.extend(_left_elsewhere(trials, {*found.folders, *found.foreign}))
    return found


def _at_work(opened: BindingStorage, names: Sequence[str]) -> Iterator[WorkerView]:
    for each in read_workers(opened):
        if each.doing == "at work" and each.study in names:
            yield each


def _not_its_own(folder: Path, name: str, number: str) -> str | None:
    """Return why a folder is not known to be a study's; empty where there is none."""
    if folder.is_symlink():
        return "is a link"
    if not folder.is_dir():
        return ""
    owner = study_folder.owner(folder)
    if owner is None:
        return "has no study.json that says whose it is"
    return None if owner == {"study": name, "id": number} else "is another study's"


def _note_what_stays(found: Found, folder: Path, left: list[Path]) -> None:
    if left:
        found.staying[folder] = left
    else:
        found.staying.pop(folder, None)


def _left_elsewhere(
    trials: Sequence[optuna.trial.FrozenTrial], known: Collection[Path]
) -> list[Path]:
    weights = (TrialResult.of(trial).checkpoint for trial in trials)
    left = {Path(each).parents[1] for each in weights if each and len(Path(each).parents) > 1}
    return sorted(left - set(known))


def recall(opened: BindingStorage, name: str, say: Callable[[list[WorkerView]], None]) -> None:
    """Send the workers of a study away, and wait until they have saved their trials and left.

    One that does not answer is not waited for for ever: it learns later that the study is gone.

    Args:
        opened: the storage that the study is in.
        name: of the study.
        say: is told of whom is waited for, whenever those are others than before.

    Raises:
        StorageError: the storage failed.
    """
    orders.give(opened, name, "recalled")
    names = (name, confirmation.name_of(name))
    told: list[str] = []
    end = time.monotonic() + _LEAVING
    while True:
        there = [each for each in read_workers(opened) if each.doing != "lost"
                 and (each.study in names or each.serves in names)]  # fmt: skip
        if not there or time.monotonic() > end:
            return
        if told != [each.worker for each in there]:
            told = [each.worker for each in there]
            say(there)
            longest = max((each.lease or 0.0) for each in there)
            end = max(end, time.monotonic() + longest)
        time.sleep(_LOOK_AGAIN)


def delete_rows(opened: BindingStorage, found: Found) -> None:
    """Delete a study and its confirmation: trials, tickets, and what workers noted of them.

    Raises:
        StorageError: the role may not delete, or the storage failed.
    """

    def attempt() -> None:
        with opened.engine.begin() as connection:
            _check_rights(connection, storage.shown(opened.engine.url))
            _delete(connection, found)

    with storage.told(opened.engine.url):
        opened.remove_session()
        persisting(attempt)


def _tables() -> Iterator[Table]:
    """Yield Optuna's tables that tell of a study, whoever refers to others first."""
    for table in reversed(models.BaseModel.metadata.sorted_tables):
        if {"study_id", "trial_id"} & set(table.c.keys()):
            yield table


def _check_rights(connection: Connection, url: str) -> None:
    if connection.dialect.name != "postgresql":
        return
    for name in (*(table.name for table in _tables()), leases.TABLE):
        if not connection.scalar(select(func.has_table_privilege(name, "DELETE"))):
            role = connection.scalar(select(func.current_user()))
            raise StorageError(
                f"storage {url}: the role {role!r} may not delete studies; expected that of the "
                "owner of the database (--storage postgresql://OWNER@host/database)"
            )


def _delete(connection: Connection, found: Found) -> None:
    # Only those that were looked at: one of the same name may have been made since.
    numbers = list(connection.scalars(
        select(models.StudyUserAttributeModel.study_id)
        .where(models.StudyUserAttributeModel.key == storage.ID)
        .where(models.StudyUserAttributeModel.value_json.in_(map(json.dumps, found.ids)))
    ))  # fmt: skip
    # Behind this, no trial can be made of them (PostgreSQL; SQLite has one writer at a time).
    of_studies = _STUDIES.c.study_id.in_(numbers)
    connection.execute(select(_STUDIES.c.study_id).where(of_studies).with_for_update())
    trials = select(_TRIALS.c.trial_id).where(_TRIALS.c.study_id.in_(numbers))
    for table in _tables():
        by_study = "study_id" in table.c
        which: Any = table.c.study_id.in_(numbers) if by_study else table.c.trial_id.in_(trials)
        connection.execute(delete(table).where(which))
    connection.execute(delete(leases.TICKETS).where(leases.TICKETS.c.study.in_(found.ids)))
    presence.forget(connection, found.names)


def delete_files(found: Found) -> None:
    """Delete what is hpo's in the folders of a study, and note what stays there.

    Raises:
        BadInput: a file cannot be deleted.
    """
    for folder in found.folders:
        try:
            _note_what_stays(found, folder, study_folder.delete(folder, found.ids))
        except OSError as error:
            raise BadInput(
                f"--files: {error.filename or folder} cannot be deleted: {error.strerror}; the "
                "study is deleted, its files are not"
            ) from None
