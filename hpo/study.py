"""A study as those who read it see it: its trials, its best, its progress; without torch."""

import re
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import optuna

from hpo import storage
from hpo.spec import StudySpec
from hpo.trials import TrialResult, best_of, has_outcome

DEFAULT_STORAGE = "sqlite:///runs/hpo.db"


@dataclass(frozen=True)
class StudyView:
    """A study at one moment.

    Args:
        name: what it is called.
        spec: what it is.
        metric: what it optimises.
        trials: every trial, each retried one as often as it was tried.
        best: the best completed trial.
        counts: Optuna's name of a state -> number of trials; a trial that was handed back counts
            once, as what became of it.
        seconds: spent in trials.
        notices: what was found when its data was read.
    """

    name: str
    spec: StudySpec
    metric: str
    trials: list[TrialResult]
    best: TrialResult | None
    counts: dict[str, int]
    seconds: float
    notices: list[str]

    @property
    def done(self) -> int:
        """The number of trials that count against the budget."""
        return sum(self.counts.get(state, 0) for state in ("COMPLETE", "PRUNED", "FAIL"))

    @property
    def budget(self) -> int | None:
        """The number of trials in all, or None where only hours end the study."""
        return self.spec.budget.trials

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        best = self.best
        return {
            "study": self.name,
            "strategy": self.spec.strategy,
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
        }


def load_study(name: str, storage_url: str = DEFAULT_STORAGE) -> StudyView:
    """Read a study.

    Args:
        name: what it is called.
        storage_url: where it is stored.

    Raises:
        StorageError: the storage cannot be read, or has no such study.
    """
    return view(storage.load(storage.open_storage(storage_url, create=False), name))


def list_studies(storage_url: str = DEFAULT_STORAGE) -> list[StudyView]:
    """Read all studies of a storage, oldest first.

    Raises:
        StorageError: the storage cannot be read.
    """
    opened = storage.open_storage(storage_url, create=False)
    return [view(storage.load(opened, name)) for name in storage.study_names(opened)]


def view(study: optuna.Study) -> StudyView:
    """Look at an Optuna study of ours."""
    trials = study.get_trials(deepcopy=False)
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    best = best_of(trials, maximize=maximize)
    current = [trial for trial in trials if has_outcome(trial) or not trial.state.is_finished()]
    durations = [trial.duration.total_seconds() for trial in trials if trial.duration is not None]
    return StudyView(
        name=study.study_name,
        spec=storage.spec_of(study),
        metric=study.user_attrs.get("hpo:metric", "objective"),
        trials=[TrialResult.of(trial) for trial in trials],
        best=TrialResult.of(best[0]) if best else None,
        counts=dict(sorted(Counter(trial.state.name for trial in current).items())),
        seconds=sum(durations),
        notices=study.user_attrs.get("hpo:notices", []),
    )


def slug(name: str) -> str:
    """Return a folder's name for a study's: plain characters, and distinct names stay distinct."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    if plain == name:
        return plain
    return f"{plain or 'study'}-{sha256(name.encode()).hexdigest()[:8]}"
