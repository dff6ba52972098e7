"""Configurations that were trained with several seeds: which one to take, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import t as student

from hpo.trials import TrialResult, params_of

SEED = "seed"
LEVEL = 0.95  # of intervals


@dataclass(frozen=True)
class Candidate:
    """One configuration that was trained again.

    Args:
        trial: the number of the trial of the search that had it.
        params: name -> value, without the seed.
        searched: what it scored in the search.
        runs: its trials in the confirmation that completed.
        planned: how many there are to be.
        mean, deviation: of their scores; the sample's deviation, and None below two runs.
        interval: of the mean, by Student's t at 95%; None below two runs.
        seconds: a run took, in the mean.
        baseline: it is the default configuration of the field.
    """

    trial: int
    params: dict[str, Any]
    searched: float | None
    runs: list[TrialResult] = field(repr=False)
    planned: int
    mean: float | None = None
    deviation: float | None = None
    interval: tuple[float, float] | None = None
    seconds: float | None = None
    baseline: bool = False

    def checkpoint(self, sign: int) -> str | None:
        """Return where the weights of its best run are; `sign` is -1 where smaller is better."""
        kept = [run for run in self.runs if run.checkpoint is not None and run.value is not None]
        best = max(kept, key=lambda run: sign * (run.value or 0.0), default=None)
        return None if best is None else best.checkpoint

    @property
    def values(self) -> list[float]:
        """The scores of its runs."""
        return [run.value for run in self.runs if run.value is not None]


@dataclass(frozen=True)
class Confirmation:
    """What became of the best configurations.

    Args:
        study: the name of the confirmation.
        candidates: the best mean first.
        winner: the one to take; None before any has run.
        tied: those whose difference from the best mean is within the noise, the best among them.
        done, planned: runs.
        maximize: whether larger scores are better.
    """

    study: str
    candidates: list[Candidate]
    winner: Candidate | None
    tied: list[Candidate]
    done: int
    planned: int
    maximize: bool

    @property
    def sign(self) -> int:
        """1 where larger scores are better, else -1."""
        return 1 if self.maximize else -1

    @property
    def complete(self) -> bool:
        """Whether every run has an outcome."""
        return self.done >= self.planned

    @property
    def luck(self) -> float | None:
        """How much better than its mean the search's best trial scored."""
        searched = [each for each in self.candidates if each.searched is not None and each.values]
        if not searched:
            return None
        best = max(searched, key=lambda each: self.sign * (each.searched or 0.0))
        return (
            None
            if best.mean is None or best.searched is None
            else self.sign * (best.searched - best.mean)
        )

    def gain(self) -> tuple[float, tuple[float, float] | None] | None:
        """Return by how much the winner is better than the default, and the interval of that."""
        default = next((each for each in self.candidates if each.baseline), None)
        if default is None or self.winner is None or default.mean is None:
            return None
        better = _differences(self.winner, default, self.sign)
        return (float(np.mean(better)), interval(better)) if better else None

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        gain = self.gain()
        return {
            "study": self.study,
            "done": self.done,
            "planned": self.planned,
            "winner": None if self.winner is None else self.winner.trial,
            "tied": [each.trial for each in self.tied],
            "luck": self.luck,
            "gain": None if gain is None else {"mean": gain[0], "interval": gain[1]},
            "candidates": [
                {
                    "trial": each.trial, "params": each.params, "searched": each.searched,
                    "values": each.values, "mean": each.mean, "deviation": each.deviation,
                    "interval": each.interval, "seconds": each.seconds, "baseline": each.baseline,
                }
                for each in self.candidates
            ],
        }  # fmt: skip


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95% interval of a mean by Student's t; None below two values."""
    if len(values) < 2:
        return None
    numbers = np.asarray(values, float)
    half = (
        student.ppf((1 + LEVEL) / 2, len(numbers) - 1) * numbers.std(ddof=1) / len(numbers) ** 0.5
    )
    return float(numbers.mean() - half), float(numbers.mean() + half)


def compare(
    name: str,
    points: Sequence[Mapping[str, Any]],
    runs: Sequence[FrozenTrial],
    searched: Sequence[FrozenTrial],
    *,
    maximize: bool,
    default: Mapping[str, Any] | None = None,
) -> Confirmation:
    """Compare the configurations of a confirmation.

    Args:
        name: of the confirmation.
        points: what it is made of.
        runs: its trials.
        searched: the completed trials of the search, the best first.
        maximize: whether larger scores are better.
        default: the default configuration, if the search had it.
    """
    ended = [trial for trial in runs if trial.state.is_finished()]
    completed = [TrialResult.of(each) for each in ended if each.state == TrialState.COMPLETE]
    first = {key_of(params_of(trial)): trial for trial in reversed(searched)}
    planned: dict[Any, int] = {}
    for point in points:
        key = key_of(seedless(point))
        planned[key] = planned.get(key, 0) + 1
    candidates = []
    for key, count in planned.items():
        trial = first.get(key)
        mine = [run for run in completed if key_of(seedless(run.params)) == key]
        candidates.append(
            _candidate(trial, dict(key), mine, count, is_default=key == key_of(default or {}))
        )
    sign = 1 if maximize else -1
    candidates.sort(
        key=lambda each: -np.inf if each.mean is None else sign * each.mean, reverse=True
    )
    known = [each for each in candidates if each.mean is not None]
    tied = [each for each in known if _is_tied(each, known[0], sign)]
    winner = min(tied, key=lambda each: each.seconds or 0.0, default=None)
    outcomes = sum(trial.state.is_finished() and TrialResult.of(trial).counts for trial in runs)
    return Confirmation(name, candidates, winner, tied, outcomes, len(points), maximize)


def _candidate(
    trial: FrozenTrial | None,
    params: dict[str, Any],
    runs: list[TrialResult],
    planned: int,
    *,
    is_default: bool,
) -> Candidate:
    values = [run.value for run in runs if run.value is not None]
    seconds = [run.seconds for run in runs if run.seconds is not None]
    return Candidate(
        trial=-1 if trial is None else trial.number,
        params=params if trial is None else params_of(trial),
        searched=None if trial is None else trial.value,
        runs=runs,
        planned=planned,
        mean=float(np.mean(values)) if values else None,
        deviation=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        interval=interval(values),
        seconds=float(np.mean(seconds)) if seconds else None,
        baseline=is_default,
    )


def _is_tied(one: Candidate, best: Candidate, sign: int) -> bool:
    """Say whether a configuration may be as good as the best mean: their runs differ by noise."""
    if one is best:
        return True
    between = interval(_differences(best, one, sign))
    return between is not None and between[0] <= 0


def _differences(one: Candidate, other: Candidate, sign: int) -> list[float]:
    """Return by how much one was better at each seed that both were run with."""
    theirs = {run.params.get(SEED): run.value for run in other.runs}
    return [
        sign * (run.value - value)
        for run in one.runs
        if run.value is not None and (value := theirs.get(run.params.get(SEED))) is not None
    ]


def seedless(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without its seed."""
    return {name: value for name, value in params.items() if name != SEED}


def key_of(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """Return what is equal for configurations that differ in the seed alone."""
    return frozenset(seedless(params).items())
