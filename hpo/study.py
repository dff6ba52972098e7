"""A study as those who read it see it: its trials, its best, its progress; without torch."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import optuna

from hpo import confirmation, storage
from hpo.binding import BindingStorage
from hpo.candidates import Confirmation
from hpo.errors import StorageError
from hpo.leases import HELD, TicketView, now, supplies, view_tickets
from hpo.orders import State, priority_of, refusals_of, state_of
from hpo.spec import StudySpec
from hpo.trials import TrialResult, best_of, has_outcome, latest_attempts, wall_seconds
from hpo.workers import is_gone

DEFAULT_OUTPUT = Path("runs")
_LOOK = 5.0  # seconds that whoever reads waits for a server
_TAKEN = re.compile(r"(cache|check)$|hpo\.db", re.IGNORECASE)  # by what lies beside the studies


@dataclass(frozen=True)
class StudyView:
    """A study at one moment.

    Args:
        name: what it is called.
        spec: what it is.
        metric: what it optimises.
        trials: every attempt at a trial; `counts` and `done` count a retried trial once.
        best: the best completed trial.
        counts: Optuna's name of a state -> number of trials; a trial that was handed back counts
            once, as what became of it.
        seconds: of wall clock, without the time in which no trial ran.
        notices: what was found when its data was read.
        tickets: its budget; see `hpo.leases`.
        state: what people said is to become of it.
        priority: which they gave it.
        refusals: machine -> why its pool of workers leaves the study to others.
        points: how many a grid has; None where the strategy samples.
        confirmation: what became of the best configurations with other seeds.
        confirms: the study that this one is the confirmation of.
        at_work: how many of its trials are held by workers that are not known to be gone; None
            where only Optuna's states are known, in which the trial of a dead one still runs.
    """

    name: str
    spec: StudySpec
    metric: str
    trials: list[TrialResult] = field(repr=False)
    best: TrialResult | None
    counts: dict[str, int]
    seconds: float
    notices: list[str]
    tickets: list[TicketView] = field(default_factory=list, repr=False)
    state: State = "open"
    priority: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    points: int | None = None
    confirmation: Confirmation | None = None
    confirms: str | None = None
    at_work: int | None = None

    @property
    def done(self) -> int:
        """The number of trials that count against the budget."""
        return sum(self.counts.get(state, 0) for state in ("COMPLETE", "PRUNED", "FAIL"))

    @property
    def budget(self) -> int | None:
        """The number of trials in all, or None where only hours end the study."""
        limits = (self.spec.budget.trials, self.points)
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def condition(self) -> str:
        """How it is: done, paused, stopped, running, or waiting for workers."""
        if self.budget is not None and self.done >= self.budget:
            return "done"
        if self.state != "open":
            return "paused" if self.state == "paused" else "stopped"
        return "running" if self.running else "waiting"

    @property
    def running(self) -> int:
        """The number of trials that run now."""
        return self.counts.get("RUNNING", 0) if self.at_work is None else self.at_work

    def seconds_left(self) -> float | None:
        """Return about how long it takes with the workers it has; None where that is not known."""
        lasted = [trial.seconds for trial in self.outcomes() if trial.seconds is not None]
        if self.budget is None or not lasted or not self.running:
            return None
        return max(0, self.budget - self.done) * sum(lasted) / len(lasted) / self.running

    def outcomes(self) -> list[TrialResult]:
        """Return the trials that count against the budget."""
        return [trial for trial in self.trials if trial.counts]

    def details(self) -> list[dict[str, Any]]:
        """Return every attempt, as `hpo status --json` prints them."""
        names = (
            "number", "state", "params", "value", "reported", "metrics", "seconds", "reason",
            "error", "checkpoint",
        )  # fmt: skip
        return [{name: getattr(trial, name) for name in names} for trial in self.trials]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        best = self.best
        return {
            "study": self.name,
            "strategy": self.spec.strategy,
            "state": self.condition,
            "priority": self.priority,
            "budget": self.spec.budget.model_dump(exclude_none=True),
            "trials": self.counts,
            "best": None
            if best is None
            else {
                "number": best.number,
                "value": best.value,
                "params": best.params,
                "metrics": best.metrics,
                "checkpoint": best.checkpoint,
            },
            "seconds": round(self.seconds, 3),
            **({} if self.confirmation is None else {"confirmation": self.confirmation.to_json()}),
            **({"refused": self.refusals} if self.refusals else {}),
        }


def load_study(name: str, storage_url: str | None = None) -> StudyView:
    """Read a study.

    Args:
        name: what it is called.
        storage_url: where it is stored; by default `HPO_STORAGE`, else `runs/hpo.db`.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage cannot be read.
    """
    opened = _open(storage_url)
    with storage.told(opened.engine.url):
        study = storage.load(opened, name)
        tickets = view_tickets(opened.engine, study.user_attrs[storage.ID])
        confirmed = confirmation.read(opened, name)
        held = [each for each in tickets if each.state == HELD]
        found = replace(view(study), tickets=tickets, confirmation=confirmed)
        return replace(found, at_work=_at_work(held))


def list_studies(storage_url: str | None = None) -> tuple[list[StudyView], list[str]]:
    """Read all studies of a storage, oldest first.

    Returns:
        The studies, and a sentence for each that this version of hpo cannot read.

    Raises:
        StorageError: the storage cannot be read.
    """
    opened = _open(storage_url)
    studies, unreadable = [], []
    with storage.told(opened.engine.url):
        there = supplies(opened.engine)
        for name in storage.study_names(opened):
            study = storage.load(opened, name)
            supply = there.get(study.user_attrs[storage.ID])
            try:
                studies.append(
                    replace(view(study), at_work=_at_work(supply.held if supply else []))
                )
            except StorageError as error:
                unreadable.append(str(error))
    return studies, unreadable


def _at_work(held: Sequence[TicketView]) -> int:
    """Return how many tickets are held by workers that are not known to be gone."""
    return sum((each.lease or 0.0) >= 0 and not is_gone(each.worker or "") for each in held)


def _open(storage_url: str | None) -> BindingStorage:
    url = storage_url or storage.default_url(DEFAULT_OUTPUT)
    return storage.open_storage(url, create=False, wait=_LOOK)


def view(study: optuna.Study) -> StudyView:
    """Look at an Optuna study of ours."""
    trials = study.get_trials(deepcopy=False)
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    best = best_of(trials, maximize=maximize)
    latest = latest_attempts(trials)
    current = [trial for trial in latest if has_outcome(trial) or not trial.state.is_finished()]
    attrs = study.user_attrs  # read once: each time is a question to the database
    return StudyView(
        name=study.study_name,
        spec=storage.spec_of(study.study_name, attrs),
        metric=attrs.get(storage.METRIC, "objective"),
        trials=[TrialResult.of(trial) for trial in trials],
        best=TrialResult.of(best[0]) if best else None,
        counts=dict(sorted(Counter(trial.state.name for trial in current).items())),
        seconds=wall_seconds(trials, now(storage.engine_of(study))),
        notices=attrs.get(storage.NOTICES, []),
        state=state_of(attrs),
        priority=priority_of(attrs),
        refusals=refusals_of(attrs),
        points=attrs.get(storage.POINTS),
        confirms=attrs.get(confirmation.CONFIRMS),
    )


def slug(name: str) -> str:
    """Return a folder's name for a study's: plain characters, and distinct names stay distinct."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    if plain == name and not _TAKEN.match(name):
        return plain
    return f"{plain or 'study'}-{sha256(name.encode()).hexdigest()[:8]}"
