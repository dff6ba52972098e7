"""What `hpo run` shows while other processes work: a study as its storage has it, now and then."""

import time
from collections.abc import Callable

from hpo.leases import TicketView
from hpo.progress import Progress
from hpo.study import StudyView

_PAUSE = 1.0  # seconds between two readings of the storage


class Watched:
    """A study that others work on, told to a `Progress`.

    Args:
        progress: is told what happens.
        study: as it is when somebody begins to watch.
    """

    def __init__(self, progress: Progress, study: StudyView) -> None:
        self.progress = progress
        self.ended = {trial.number for trial in study.outcomes()}
        self.started = {trial.number for trial in study.trials}
        progress.begin(study)

    def tell(self, study: StudyView, tickets: list[TicketView]) -> None:
        """Tell what is new in the study as it is now."""
        for trial in study.trials:
            drawn = study.spec.search_space().is_drawn(trial.params)  # not all at once
            if trial.number not in self.started and (drawn or trial.counts):
                self.started.add(trial.number)
                self.progress.started(trial.number, trial.params)
        for trial in study.outcomes():
            if trial.number not in self.ended:
                self.ended.add(trial.number)
                self.progress.ended(study, trial)
        self.progress.watched(study, tickets)


class Looking:
    """Reads a study that others work on, and tells what is new.

    Args:
        progress: is told what happens.
        view: reads the study.
        tickets: reads its tickets.
    """

    def __init__(
        self,
        progress: Progress,
        view: Callable[[], StudyView],
        tickets: Callable[[], list[TicketView]],
    ) -> None:
        self.progress = progress
        self.view = view
        self.tickets = tickets
        self.watched = Watched(progress, view())
        self.next = 0.0

    def look(self) -> None:
        """Tell what is new, if it is time to look again."""
        if time.monotonic() >= self.next:
            self.watched.tell(self.view(), self.tickets())
            self.next = time.monotonic() + _PAUSE

    def end(self) -> StudyView:
        """Tell the rest, and return the study as it is now."""
        self.next = 0.0
        self.look()
        final = self.view()
        self.progress.end(final)
        return final
