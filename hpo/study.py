"""A study as those who read it see it: its trials, its best, its progress; without torch."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any

import optuna

from hpo import confirmation, refusals, storage
from hpo.binding import BindingStorage
from hpo.candidates import Confirmation
from hpo.errors import BadInput, StorageError
from hpo.leases import HELD, TicketView, now, supplies, view_tickets
from hpo.orders import State, priority_of, state_of
from hpo.refusals import Refusal
from hpo.spec import StudySpec
from hpo.trials import (
    RUN,
    TrialResult,
    best_of,
    has_outcome,
    latest_attempts,
    left_behind,
    wall_seconds,
)
from hpo.workers import is_gone

DEFAULT_OUTPUT = Path("runs")
LOOKS = "hpo:test"  # of a study: beginning of the names of what looks at the test split showed
_LOOK = 5.0  # seconds that whoever reads waits for a server
Where = str | BindingStorage | None
"""A storage: its URL, itself where it is open already; by default `HPO_STORAGE`, or a file."""
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
        maximize: whether larger values of the metric are better.
        baseline: the default configuration of the field, if it is among the trials to be.
        fingerprint: of the data; None where it is not stored.
        data: where the relative paths of its study file started, on the machine it came from.
        looks: what each look at the test split showed, the first one first; see `hpo.held_out`.
        at: the moment, in seconds since 1970 by the database's clock.
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
    refusals: dict[str, Refusal] = field(default_factory=dict)
    points: int | None = None
    confirmation: Confirmation | None = None
    confirms: str | None = None
    at_work: int | None = None
    maximize: bool = True
    baseline: dict[str, Any] | None = None
    fingerprint: str | None = None
    data: str | None = None
    looks: list[dict[str, Any]] = field(default_factory=list, repr=False)
    at: float = field(default_factory=time)

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

    def running_trials(self) -> list[tuple[TicketView, TrialResult | None]]:
        """Return the tickets that are held, each with its trial; None before that is drawn."""
        drawn = {
            trial.record.get(RUN, {}).get("ticket"): trial
            for trial in self.trials
            if trial.state == "RUNNING"
        }
        return [(each, drawn.get(each.number)) for each in self.tickets if each.state == HELD]

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
            **(
                {"refused": {where: asdict(each) for where, each in self.refusals.items()}}
                if self.refusals
                else {}
            ),
        }


def load_study(name: str, storage_url: Where = None) -> StudyView:
    """Read a study.

    Args:
        name: what it is called.
        storage_url: where it is stored, or the storage itself; by default `HPO_STORAGE`, else
            `runs/hpo.db`.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage cannot be read.
    """
    opened = _open(storage_url)
    with storage.told(opened.engine.url):
        study = storage.load(opened, name)
        tickets = view_tickets(opened.engine, study.user_attrs[storage.ID])
        confirmed = confirmation.read(opened, name)
        return replace(view(study, tickets), confirmation=confirmed)


def list_studies(storage_url: Where = None) -> tuple[list[StudyView], list[str]]:
    """Read all studies of a storage, oldest first.

    Returns:
        The studies, and a sentence for each that this version of hpo cannot read.

    Raises:
        StorageError: the storage cannot be read.
    """
    opened = _open(storage_url)
    studies: dict[str, StudyView] = {}
    unreadable, loaded = [], {}
    with storage.told(opened.engine.url):
        there = supplies(opened.engine)
        for name in storage.study_names(opened):
            study = loaded[name] = storage.load(opened, name)
            supply = there.get(study.user_attrs[storage.ID])
            try:
                studies[name] = replace(view(study, supply.held if supply else []), tickets=[])
            except StorageError as error:
                unreadable.append(str(error))
        for name, of in [(each.name, each.confirms) for each in studies.values()]:
            if of in studies and name == confirmation.name_of(of):
                found = confirmation.compared(loaded[name], loaded[of])
                studies[of] = replace(studies[of], confirmation=found)
    return list(studies.values()), unreadable


def only_study(storage_url: Where = None) -> str:
    """Return the name of the study that is meant where none is said: the only one.

    Confirmations go with their searches, and count where those were deleted; studies that this
    version of hpo cannot read do not.

    Raises:
        BadInput: there is none, or more than one.
        StorageError: the storage cannot be read.
    """
    opened = _open(storage_url)
    searched: dict[str, str | None] = {}
    with storage.told(opened.engine.url):
        for name in storage.study_names(opened):
            attrs = storage.load(opened, name).user_attrs
            with suppress(StorageError):
                storage.spec_of(name, attrs)
                searched[name] = attrs.get(confirmation.CONFIRMS)
    names = [name for name, of in searched.items() if of not in searched]
    if len(names) != 1:
        known = ", ".join(sorted(names)) or "none"
        raise BadInput(f"NAME: found none given; expected one of the storage's studies: {known}")
    return names[0]


def at_work(tickets: Sequence[TicketView]) -> int:
    """Return how many tickets are held by workers that are not known to be gone."""
    held = [each for each in tickets if each.state == HELD]
    return sum((each.lease or 0.0) >= 0 and not is_gone(each.worker or "") for each in held)


def _open(storage_url: Where) -> BindingStorage:
    if isinstance(storage_url, BindingStorage):
        return storage_url
    url = storage_url or storage.default_url(DEFAULT_OUTPUT)
    return storage.open_storage(url, create=False, wait=_LOOK)


def view(study: optuna.Study, tickets: Sequence[TicketView] | None = None) -> StudyView:
    """Look at an Optuna study of ours.

    Args:
        study: the study.
        tickets: its own, or those of them that are held; None where only Optuna is asked, for which
            the trial of a dead worker goes on.
    """
    trials = study.get_trials(deepcopy=False)
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    best = best_of(trials, maximize=maximize)
    latest = latest_attempts(trials)
    current = [trial for trial in latest if has_outcome(trial) or not trial.state.is_finished()]
    attrs = study.user_attrs  # read once: each time is a question to the database
    at = now(storage.engine_of(study))
    until = {} if tickets is None else left_behind(trials, tickets, at)
    return StudyView(
        name=study.study_name,
        spec=storage.spec_of(study.study_name, attrs),
        metric=attrs.get(storage.METRIC, "objective"),
        trials=[TrialResult.of(trial, until.get(trial.number)) for trial in trials],
        best=TrialResult.of(best[0]) if best else None,
        counts=dict(sorted(Counter(trial.state.name for trial in current).items())),
        seconds=wall_seconds(trials, at, until),
        notices=attrs.get(storage.NOTICES, []),
        state=state_of(attrs),
        priority=priority_of(attrs),
        refusals=refusals.read(attrs, at),
        points=attrs.get(storage.POINTS),
        confirms=attrs.get(confirmation.CONFIRMS),
        maximize=maximize,
        baseline=attrs.get(confirmation.BASELINE),
        fingerprint=attrs.get(storage.FINGERPRINT),
        data=attrs.get(storage.DATA),
        looks=looks_of(attrs),
        tickets=list(tickets or ()),
        at_work=None if tickets is None else at_work(tickets),
        at=at,
    )


def looks_of(attrs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what looks at the test split showed, the first one first."""
    later = sorted(key for key in attrs if key.startswith(f"{LOOKS}:"))
    return [*attrs.get(LOOKS, []), *(attrs[key] for key in later)]


def slug(name: str) -> str:
    """Return a folder's name for a study's: plain characters, and distinct names stay distinct."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    if plain == name and not _TAKEN.match(name):
        return plain
    return f"{plain or 'study'}-{sha256(name.encode()).hexdigest()[:8]}"
