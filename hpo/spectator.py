"""A study that others work on, as `hpo watch` follows it: read now and then, and never written to.

A look costs a handful of statements: of the trials only those that had not ended are read again.
The longer a look takes, the longer it is until the next one.
"""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from hpo import confirmation, storage
from hpo.ending import Ending, Standing, ending
from hpo.errors import StorageError
from hpo.leases import view_tickets
from hpo.outages import is_outage
from hpo.patience import patience
from hpo.progress import Progress
from hpo.study import StudyView, view
from hpo.watching import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

_WAIT = 5.0  # seconds that a look waits for a server
_PAUSE = 1.0  # seconds between two looks, at least
_SHARE = 10  # of the time that a look takes


class Spectator:
    """A study and its confirmation, as their storage has them.

    Args:
        name: of the study.
        storage_url: where it is stored.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage cannot be read.
    """

    def __init__(self, name: str, storage_url: str) -> None:
        self.name = name
        self._opened = storage.open_storage(storage_url, create=False, wait=_WAIT)
        self._study = storage.load(self._opened, name)
        self._confirming: optuna.Study | None = None

    def search(self) -> StudyView:
        """Return the study as it is now."""
        return self._read(self._study)

    def confirming(self) -> StudyView | None:
        """Return its confirmation as it is now, if there is one."""
        if self._confirming is None:
            self._confirming = confirmation.find(self._opened, self.name)
        return None if self._confirming is None else self._read(self._confirming)

    def _read(self, study: "optuna.Study") -> StudyView:
        tickets = view_tickets(self._opened.engine, study.user_attrs[storage.ID])
        return view(study, tickets)

    def confirmed(self, search: StudyView) -> StudyView:
        """Return the study with what its confirmation came to."""
        if self._confirming is None:
            return search
        return replace(search, confirmation=confirmation.compared(self._confirming, self._study))

    def is_over(self, search: StudyView, confirming: StudyView | None) -> bool:
        """Say whether nothing more is to come, unless somebody raises the budget."""
        if search.running or not (search.condition == "done" or self.ending(search)):
            return False
        if search.spec.confirm is None or search.best is None or search.state != "open":
            return True
        if confirming is None or self._confirming is None or confirming.running:
            return False
        covers = confirmation.covers(self._confirming.user_attrs, len(search.tickets))
        return covers and (confirming.condition == "done" or self._failed(confirming))

    def ending(self, search: StudyView) -> Ending | None:
        """Say why the search is over although its budget is not spent, as its workers would."""
        return self._ending(search, self._study)

    @staticmethod
    def _ending(found: StudyView, study: "optuna.Study") -> Ending | None:
        standing = Standing(
            found.state, lambda: study.get_trials(deepcopy=False), lambda: found.seconds,
            found.maximize,
        )  # fmt: skip
        return ending(standing, found.spec.budget, found.spec.stop)

    def _failed(self, confirming: StudyView) -> bool:
        if self._confirming is None:
            return False
        over = self._ending(confirming, self._confirming)
        return over is not None and over.kind in {"failures", "stopped"}

    @contextmanager
    def asking(self) -> "Iterator[None]":
        """Say `Away` where the storage does not answer, and may before long.

        Raises:
            Away: it is to be asked again.
            StorageError: that would not help.
        """
        try:
            with patience(_WAIT):
                yield
        except (SQLAlchemyError, StorageInternalError) as error:
            if not (is_outage(error) or _is_busy(error)):
                with storage.told(self._opened.engine.url):
                    raise
            raise Away from error
        except KeyError as error:
            # Optuna raises it for what is no longer there; so may a fault of ours.
            if self._is_there():
                raise
            raise StorageError(f"study {self.name!r}: was deleted") from error

    def _is_there(self) -> bool:
        """Say whether the study still is, and is not another one of its name."""
        try:
            with patience(_WAIT):
                id_ = self._opened.get_study_id_from_name(self.name)
        except KeyError:
            return False
        except (SQLAlchemyError, StorageInternalError):
            return True  # nobody can tell
        return bool(id_ == self._study._study_id)  # noqa: SLF001 - Optuna has no name for it

    def close(self) -> None:
        """Let go of the storage."""
        self._opened.engine.dispose()


class Away(Exception):
    """A storage does not answer."""


def _is_busy(error: BaseException) -> bool:
    """Say whether somebody holds an SQLite file for longer than one waits."""
    while not isinstance(error, OperationalError) and error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, OperationalError) and "locked" in str(error.orig)


def follow(
    spectator: Spectator,
    progress: Progress,
    seen: Callable[[StudyView, StudyView | None], object] = lambda _search, _confirming: None,
) -> StudyView:
    """Tell what happens to a study until nothing more is to come, and return it.

    An outage of the storage is told, and waited out however long it is.

    Args:
        spectator: of the study.
        progress: is told what happens.
        seen: is given the study and its confirmation at each look.

    Raises:
        StorageError: the study was deleted, or its storage is unusable.
    """
    shown: list[Watched] = []  # the search, then its confirmation
    while True:
        began = time.monotonic()
        try:
            with spectator.asking():
                search = spectator.search()
                confirming = spectator.confirming() if search.spec.confirm is not None else None
                is_over = spectator.is_over(search, confirming)
                if is_over:
                    search = spectator.confirmed(search)
            progress.away(since=None)
            seen(search, confirming)
            _show(shown, progress, search, confirming)
            if is_over:
                progress.end(search if confirming is None else confirming)
                return search
        except Away:
            progress.away(since=began)
        time.sleep(max(_PAUSE, _SHARE * (time.monotonic() - began)) if shown else _PAUSE)


def _show(
    shown: list[Watched], progress: Progress, search: StudyView, confirming: StudyView | None
) -> None:
    """Tell what is new of the search, and of its confirmation from where that begins."""
    studies = [search] if confirming is None else [search, confirming]
    for place, study in enumerate(studies[max(0, len(shown) - 1) :], max(0, len(shown) - 1)):
        if place == len(shown):
            if shown:
                progress.end(search)
            shown.append(Watched(progress, study))
        shown[place].tell(study, study.tickets)


def snapshot(search: StudyView, confirming: StudyView | None) -> dict[str, Any]:
    """Return what `hpo watch --json` prints at a change."""
    return {
        **search.to_json(),
        "at_work": search.running,
        "seconds_left": search.seconds_left(),
        "running": _running(search),
        "confirming": None
        if confirming is None
        else {**confirming.to_json(), "running": _running(confirming)},
    }


def _running(study: StudyView) -> list[dict[str, Any]]:
    return [
        {
            "number": trial.number, "params": trial.params, "reported": trial.reported,
            "worker": ticket.worker, "device": ticket.device, "evaluations": [
                {"epoch": each["epoch"], study.metric: each["metrics"].get(study.metric)}
                for each in trial.evaluations
            ],
        }
        for ticket, trial in study.running_trials()
        if trial is not None
    ]  # fmt: skip


def unchanging(found: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot without what goes on by itself, such as the time."""
    still = {key: value for key, value in found.items() if key not in {"seconds", "seconds_left"}}
    inner = still.get("confirming")
    return {**still, "confirming": unchanging(inner)} if isinstance(inner, dict) else still
