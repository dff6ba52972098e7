"""`hpo run --workers`: the workers of this machine are started and watched, with all they do."""

from typing import TYPE_CHECKING

from hpo import confirmation, plateau, storage, workers
from hpo.errors import StudyFailed
from hpo.joining import Joined
from hpo.leases import Tickets
from hpo.local_workers import LocalWorkers, raise_complaint, worker_command
from hpo.orders import OrderBook
from hpo.planning import Plan
from hpo.progress import Progress
from hpo.signals import Stop
from hpo.study import StudyView, view
from hpo.trials import RUN
from hpo.watching import Looking

if TYPE_CHECKING:
    import optuna


def watch_workers(
    plan: Plan, joined: Joined, places: list[str | None], progress: Progress, stop: Stop
) -> StudyView:
    """Start the workers of this machine, and show what all workers do until these have gone.

    They go on with the confirmation by themselves, should nobody watch them any more.
    """
    study = joined.study
    watched = _Watch(plan, joined, progress)
    options = [
        f"--output={plan.output}", f"--data={plan.file.folder}", f"--lease={plan.lease}",
        f"--hang={plan.patience.hang}", f"--grace={plan.patience.grace}",
    ]  # fmt: skip
    local = LocalWorkers(
        command=worker_command(plan.name, *options),
        folder=plan.folder / "workers" / workers.machine(),  # the study's may be shared
        places=places,
        env={"HPO_STORAGE": plan.storage_url},
        end_leases=lambda worker: [each.end_leases(worker) for each in watched.tickets],
        hand_back=lambda worker: [each.hand_back_of(worker) for each in watched.tickets],
        outcomes=watched.outcomes,
        left=watched.left,
        say=progress.note,
    )
    local.watch(stop, watched.look)
    final = watched.end()
    trials = study.get_trials(deepcopy=False)
    maximize = study.direction.name == "MAXIMIZE"
    if why := plateau.told(trials, plan.file.spec.stop, maximize=maximize):
        progress.note(why)
    if final.best is None or (final.budget is not None and watched.left()):
        raise_complaint(local.complaints())
    if final.best is None:
        raise StudyFailed(f"study {final.name!r}: no trial succeeded", final.to_json())
    return final


class _Watch:
    """A study that others work on, and its confirmation as soon as there is one.

    Args:
        plan: of the study.
        joined: the study.
        progress: is told what happens.
    """

    def __init__(self, plan: Plan, joined: Joined, progress: Progress) -> None:
        self._plan, self._opened, self._progress = plan, joined.opened, progress
        self._studies: list[optuna.Study] = []
        self._watched: list[Looking] = []
        self.tickets: list[Tickets] = []
        self._add(joined.study)

    def _add(self, study: "optuna.Study") -> None:
        tickets = Tickets(self._opened.engine, study.user_attrs[storage.ID], worker=workers.here())
        self._studies.append(study)
        self.tickets.append(tickets)
        self._watched.append(Looking(self._progress, lambda: view(study), tickets.view))

    def look(self) -> None:
        """Tell what is new."""
        self._watched[-1].look()
        name = confirmation.name_of(self._plan.name)
        confirmed = self._plan.file.spec.confirm is not None
        if confirmed and len(self._studies) == 1 and name in storage.study_names(self._opened):
            self._watched[0].end()
            self._add(storage.load(self._opened, name))

    def outcomes(self, worker: str) -> int:
        """Return how many trials a worker brought to an end."""
        return sum(
            trial.record.get(RUN, {}).get("worker") == worker
            for study in self._studies
            for trial in view(study).outcomes()
        )

    def left(self) -> bool:
        """Say whether there is anything to do."""
        budget = OrderBook(self._opened, self._studies[0]).read().budget.trials  # may have changed
        return bool(self.tickets[0].open(budget)) or any(
            each.open(None) for each in self.tickets[1:]
        )

    def end(self) -> StudyView:
        """Tell the rest, and return the study as it is now."""
        final = self._watched[-1].end()
        return final if len(self._studies) == 1 else view(self._studies[0])
