"""The studies of a storage, for our own pages: the list, reports and CSV, each kept for seconds."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from hpo import storage
from hpo.binding import BindingStorage
from hpo.dashboard.kept import Kept, Makers
from hpo.errors import BadInput
from hpo.report.csv_rows import as_csv
from hpo.report.make import make
from hpo.report.subject import load_subjects
from hpo.study import StudyView, list_studies

NO_SUCH = "There is no such study."
_KEPT = 8  # reports, of 5 MB each
_LISTED, _REPORTED = 5.0, 15.0  # seconds for which they are kept
_LISTING, _REPORTING = 0.1, 0.5  # of the time at most is spent on the list, and on one report
_MAKERS = 2  # of reports and CSV at a time: they compute, and all of it in one process


@dataclass(frozen=True)
class Listed:
    """A study in the list.

    Args:
        id: Optuna's number of it.
        view: how it stands.
    """

    id: int
    view: StudyView


class Studies:
    """What our pages show of a storage.

    Args:
        opened: the storage.
        clock: seconds, monotonic.
    """

    def __init__(self, opened: BindingStorage, clock: Callable[[], float] = time.monotonic) -> None:
        self.opened = opened
        self._makers = Makers(_MAKERS)
        self._list: Kept[tuple[list[Listed], list[str]]] = Kept(
            1, _LISTED, _LISTING, Makers(1), clock
        )
        self._reports: Kept[str] = Kept(_KEPT, _REPORTED, _REPORTING, self._makers, clock)

    def listed(self) -> tuple[list[Listed], list[str]]:
        """Return all studies, the latest first, and a sentence for each that cannot be read."""
        return self._list.get("", self._read_list)

    def _read_list(self) -> tuple[list[Listed], list[str]]:
        views, unreadable = list_studies(self.opened)
        with storage.told(self.opened.engine.url):
            ids = {each.study_name: each._study_id for each in self.opened.get_all_studies()}  # noqa: SLF001
        found = [Listed(ids[view.name], view) for view in views if view.name in ids]
        return found[::-1], unreadable

    def report(self, names: Sequence[str]) -> str:
        """Return the report of a study, or of several that are compared, as HTML.

        Raises:
            BadInput: there is no such study.
            Busy: too many are in the making.
            StorageError: the storage cannot be read.
        """
        chosen = tuple(dict.fromkeys(names))
        return self._reports.get(
            chosen, lambda: make(chosen, self.opened, "html", lambda _: None, dashboard="/")
        )

    def csv(self, study_id: int, numbers: Collection[int]) -> str:
        """Return the trials of a study as CSV that no spreadsheet computes.

        Args:
            study_id: Optuna's.
            numbers: of the trials; none means all.

        Raises:
            BadInput: there is no such study, or it is not one of ours.
            Busy: too many others are in the making.
        """
        name = self.name_of(study_id)
        return self._makers.make(lambda: self._read_csv(name, numbers))

    def _read_csv(self, name: str, numbers: Collection[int]) -> str:
        (subject,) = load_subjects([name], self.opened, lambda _: None)
        trials = [each for each in subject.view.trials if not numbers or each.number in numbers]
        return as_csv([replace(subject, view=replace(subject.view, trials=trials))])

    def name_of(self, study_id: int) -> str:
        """Return the name of a study.

        Raises:
            BadInput: there is none of that number.
        """
        with storage.told(self.opened.engine.url):
            try:
                name: str = self.opened.get_study_name_from_id(study_id)
            except KeyError:
                raise BadInput(NO_SUCH) from None
            return name

    def check(self) -> None:
        """Ask the storage anything; raises a `StorageError` where it is away."""
        with storage.told(self.opened.engine.url):
            self.opened.get_current_version()
