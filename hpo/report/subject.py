"""A study as its report sees it: the winner, the gain over the default, what was spent."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hpo.candidates import Confirmation, key_of
from hpo.errors import SpecError
from hpo.recipe import Recipe, resolve
from hpo.report.clock import Clock, Span, span_of
from hpo.report.texts import Texts
from hpo.study import StudyView, Where, load_study
from hpo.trials import RUN, TrialResult

Say = Callable[[str], None]


@dataclass(frozen=True)
class Winner:
    """The configuration to take.

    Args:
        trial: its number in the search; None where the search has none of it.
        params: name -> value.
        score: the mean of its confirmation, or its one score in the search.
        interval: of the mean, at 95%; None where it was trained once.
        runs: the trainings behind the score.
        confirmed: whether it was trained again with new seeds.
        metrics: all of them; means over the runs.
    """

    trial: int | None
    params: dict[str, Any]
    score: float
    interval: tuple[float, float] | None
    runs: int
    confirmed: bool
    metrics: dict[str, float] = field(repr=False)


@dataclass(frozen=True)
class Gain:
    """By how much the winner is better than the default configuration; positive is better.

    Args:
        mean: the difference.
        interval: of it, at 95%, paired by seed; None where each was trained once.
        default: the score of the default.
    """

    mean: float
    interval: tuple[float, float] | None
    default: float

    @property
    def is_noise(self) -> bool:
        """Whether the interval holds zero."""
        return self.interval is not None and self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Spent:
    """What a study cost, its confirmation included.

    Args:
        trials: of the search that have an outcome.
        runs: of the confirmation that have one.
        seconds: wall clock of the search, without the time in which no trial ran.
        confirming: the same of the confirmation.
        devices: device -> seconds of training on it, whatever came of it.
    """

    trials: int
    runs: int
    seconds: float
    confirming: float
    devices: dict[str, float]

    @property
    def gpu_seconds(self) -> float:
        """The seconds of training on devices that are no CPU."""
        return sum(each for name, each in self.devices.items() if not name.startswith("CPU"))


@dataclass(frozen=True)
class Moment:
    """The best score after an outcome.

    Args:
        count: outcomes so far, this one included.
        seconds: on the study's clock, when it ended.
        trial: whose outcome it is.
        best: the best score of completed trials so far; None before there is one.
    """

    count: int
    seconds: float | None
    trial: TrialResult
    best: float | None


@dataclass(frozen=True, eq=False)
class Subject:
    """One study and all that a report says of it.

    Args:
        view: the study.
        confirming: its confirmation as a study, if there is one.
        texts: where the texts of mistakes are looked up.
    """

    view: StudyView
    confirming: StudyView | None = None
    texts: Texts = field(default_factory=Texts)

    @property
    def name(self) -> str:
        """What the study is called."""
        return self.view.name

    @property
    def now(self) -> float:
        """To when trials that run have run: seconds since 1970, by the database's clock."""
        return max(self.view.at, self.confirming.at if self.confirming else 0.0)

    @property
    def sign(self) -> int:
        """1 where larger scores are better, else -1."""
        return 1 if self.view.maximize else -1

    @property
    def found(self) -> Confirmation | None:
        """What the confirmation came to so far."""
        return self.view.confirmation

    @cached_property
    def outcomes(self) -> list[TrialResult]:
        """The trials that count against the budget, in the order of their numbers."""
        return sorted(self.view.outcomes(), key=lambda trial: trial.number)

    @cached_property
    def completed(self) -> list[TrialResult]:
        """The trials with a score, the best first."""
        scored = [trial for trial in self.outcomes if _is_score(trial.value)]
        return sorted(scored, key=lambda trial: (-self.sign * (trial.value or 0.0), trial.number))

    @cached_property
    def failures(self) -> list[TrialResult]:
        """The trials that failed."""
        return [trial for trial in self.outcomes if trial.state == "FAIL"]

    @cached_property
    def pruned(self) -> list[TrialResult]:
        """The trials that were given up."""
        return [trial for trial in self.outcomes if trial.state == "PRUNED"]

    @cached_property
    def spans(self) -> dict[int, Span]:
        """Number of a trial -> when it ran."""
        found = ((trial.number, span_of(trial, self.now)) for trial in self.view.trials)
        return {number: span for number, span in found if span is not None}

    @cached_property
    def clock(self) -> Clock:
        """The study's time."""
        return Clock(self.spans.values())

    @cached_property
    def baseline(self) -> TrialResult | None:
        """The trial of the default configuration, once it has completed."""
        if not self.view.baseline:
            return None
        wanted = key_of(self.view.baseline)
        same = (trial for trial in self.outcomes if key_of(trial.params) == wanted)
        return next((trial for trial in same if _is_score(trial.value)), None)

    @cached_property
    def winner(self) -> Winner | None:
        """The configuration to take; None where no trial has completed."""
        chosen = None if self.found is None else self.found.winner
        if chosen is not None and chosen.mean is not None:
            return Winner(
                chosen.trial if chosen.trial >= 0 else None, chosen.params, chosen.mean,
                chosen.interval, len(chosen.values), confirmed=True, metrics=_means(chosen.runs),
            )  # fmt: skip
        if not self.completed:
            return None
        best = self.completed[0]
        score = best.value or 0.0
        return Winner(
            best.number, best.params, score, None, 1, confirmed=False, metrics=best.metrics
        )

    @property
    def run(self) -> tuple[str, TrialResult] | None:
        """The study and the trial whose weights stand for the winner: what `hpo export` takes."""
        chosen = None if self.found is None else self.found.winner
        if chosen is not None and self.found is not None and chosen.runs:
            return self.found.study, chosen.best_run(self.found.sign)
        return (self.name, self.completed[0]) if self.completed else None

    @property
    def look(self) -> dict[str, Any] | None:
        """What the last look at the test split showed; None where there was none."""
        return self.view.looks[-1] if self.view.looks else None

    @cached_property
    def gain(self) -> Gain | None:
        """The gain over the default; None where the default was not trained, or is the winner."""
        if self.winner is None:
            return None
        if self.winner.confirmed and self.found is not None:
            gain = self.found.gain()
            default = next((each.mean for each in self.found.candidates if each.baseline), None)
            if gain is not None and default is not None and not self.is_default:
                return Gain(*gain, default)
            return None
        if self.baseline is None or self.baseline.value is None or self.is_default:
            return None
        value = self.baseline.value
        return Gain(self.sign * (self.winner.score - value), None, value)

    @property
    def marked(self) -> TrialResult | None:
        """The trial that figures mark: the winner's, or the best where the search has it not."""
        wanted = None if self.winner is None else self.winner.trial
        best = self.completed[0] if self.completed else None
        return next((trial for trial in self.completed if trial.number == wanted), best)

    @property
    def is_default(self) -> bool:
        """Whether the winner is the default configuration itself."""
        if self.winner is None or not self.view.baseline:
            return False
        return key_of(self.winner.params) == key_of(self.view.baseline)

    @cached_property
    def spent(self) -> Spent:
        """What it cost."""
        devices: dict[str, float] = defaultdict(float)
        attempts = [*self.view.trials, *(self.confirming.trials if self.confirming else [])]
        for trial in attempts:
            span = span_of(trial, self.now)
            if span is not None:
                devices[str(trial.record.get(RUN, {}).get("device", "?"))] += span.end - span.start
        other = self.confirming
        return Spent(
            self.view.done, other.done if other else 0, self.view.seconds,
            other.seconds if other else 0.0, dict(devices),
        )  # fmt: skip

    @cached_property
    def history(self) -> list[Moment]:
        """The best score by outcome, in the order in which they ended."""
        ended = sorted(self.outcomes, key=lambda trial: (self._end(trial), trial.number))
        best: float | None = None
        moments = []
        for count, trial in enumerate(ended, 1):
            if _is_score(trial.value) and trial.value is not None:
                better = best is None or self.sign * (trial.value - best) > 0
                best = trial.value if better else best
            span = self.spans.get(trial.number)
            seconds = None if span is None else self.clock.at(span.end)
            moments.append(Moment(count, seconds, trial, best))
        return moments

    def _end(self, trial: TrialResult) -> float:
        span = self.spans.get(trial.number)
        return math.inf if span is None else span.end

    def recipe(self) -> Recipe | None:
        """Return the winner's whole configuration; None without one."""
        if self.winner is None:
            return None
        try:
            return resolve(self.view.spec, self.winner.params)
        except SpecError:  # of an earlier version, or a parameter that a plug-in task gives away
            return Recipe(
                self.view.spec.model[0], self.view.spec.fine_tuning, dict(self.winner.params)
            )


def load_subjects(
    names: Sequence[str], storage_url: Where, say: Say, texts: Texts | None = None
) -> list[Subject]:
    """Read studies, each with its confirmation.

    Args:
        names: of the studies.
        storage_url: where they are stored, or the storage itself.
        say: is told what takes time.
        texts: where the texts of mistakes are looked up; None leaves them out.

    Raises:
        BadInput: there is no such study.
        StorageError: the storage cannot be read.
    """
    subjects = []
    for name in dict.fromkeys(names):
        say(f"reading {name} …")
        view = load_study(name, storage_url)
        found = view.confirmation
        confirming = load_study(found.study, storage_url) if found else None
        subjects.append(Subject(view, confirming, texts=texts or Texts(shown=False)))
    return subjects


def _is_score(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _means(runs: Sequence[TrialResult]) -> dict[str, float]:
    """Return the mean of each metric that all runs have."""
    if not runs:
        return {}
    shared = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    return {name: sum(run.metrics[name] for run in runs) / len(runs) for name in shared}
