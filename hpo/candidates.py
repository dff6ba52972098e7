"""Configurations that were trained with several seeds: which one to take, and how sure that is.

Only what has completed with all its seeds is taken, where anything has: one lucky run beside two
that diverged is no configuration to have. Of those the best mean is taken, or one that is cheaper
by enough and, as far as the noise goes, as good; docs/design.md has the figures behind that.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial
from scipy.stats import t as student

from hpo.paired import EQUAL, LEVEL, Blocks, Difference, fit
from hpo.trials import RUN, TrialResult, params_of

SEED = "seed"
CHEAPER = 0.9  # of the time: less than a tenth is what one machine differs by from day to day
AS_GOOD = 0.5  # standard errors of the difference: beyond, too often a worse one is taken


@dataclass(frozen=True)
class Candidate:
    """One configuration that was trained again.

    Args:
        trial: the number of the trial of the search that had it.
        params: name -> value, without the seed.
        searched: what it scored in the search.
        runs: its trials in the confirmation that completed.
        failed: those that failed.
        planned: how many there are to be.
        mean, deviation: of their scores; the sample's deviation, and None below two runs.
        interval: of the mean, by Student's t at 95%, cut to what the metric can be: two runs of
            0.90 and 0.95 have one from 0.61 to 1.24. The part covers the mean as often. None below
            two runs.
        seconds: a run took, in the mean, with all its attempts; None where one is not known.
        device: all runs were on this kind; None where they were not, or it is not known.
        baseline: it is the default configuration of the field.
    """

    trial: int
    params: dict[str, Any]
    searched: float | None
    runs: list[TrialResult] = field(repr=False)
    planned: int
    failed: list[TrialResult] = field(default_factory=list, repr=False)
    mean: float | None = None
    deviation: float | None = None
    interval: tuple[float, float] | None = None
    seconds: float | None = None
    device: str | None = None
    baseline: bool = False

    @property
    def name(self) -> str:
        """What it is called: by its trial in the search, if there is one."""
        return "the default" if self.trial < 0 else f"trial {self.trial}"

    @property
    def reasons(self) -> str:
        """For what its runs failed, in a few words."""
        return ", ".join(Counter(run.reason or "failed" for run in self.failed))

    def is_cheaper(self, other: "Candidate") -> bool:
        """Say whether it is known to train faster by enough, on the same kind of device."""
        if self.seconds is None or other.seconds is None or self.device is None:
            return False
        return self.device == other.device and self.seconds <= CHEAPER * other.seconds

    def checkpoint(self, sign: int) -> str | None:
        """Return where the weights of its best run are; `sign` is -1 where smaller is better."""
        kept = [run for run in self.runs if run.checkpoint is not None and run.value is not None]
        best = max(kept, key=lambda run: sign * (run.value or 0.0), default=None)
        return None if best is None else best.checkpoint

    def best_run(self, sign: int) -> TrialResult:
        """Return the run that stands for it: the best one whose weights are kept, else the best.

        Raises:
            ValueError: none has completed.
        """
        runs = [run for run in self.runs if run.value is not None]
        return max(runs, key=lambda run: (run.checkpoint is not None, sign * (run.value or 0.0)))

    @property
    def values(self) -> list[float]:
        """The scores of its runs."""
        return [run.value for run in self.runs if run.value is not None]


@dataclass(frozen=True)
class Confirmation:
    """What became of the best configurations.

    Args:
        study: the name of the confirmation.
        candidates: the best mean first, those that miss more runs than the best behind.
        winner: the one to take; None before any has run.
        tied: those of as many runs that are not told apart from the best mean, itself the first.
        done, planned: runs.
        maximize: whether larger scores are better.
        over_default: by how much the winner is better than the default; None without one.
        freedom: degrees of freedom that the noise is estimated with; at 0 nothing is known of it.
    """

    study: str
    candidates: list[Candidate]
    winner: Candidate | None
    tied: list[Candidate]
    done: int
    planned: int
    maximize: bool
    over_default: Difference | None = None
    freedom: int = 0

    @property
    def sign(self) -> int:
        """1 where larger scores are better, else -1."""
        return 1 if self.maximize else -1

    @property
    def complete(self) -> bool:
        """Whether every run has an outcome."""
        return self.done >= self.planned

    @property
    def search_best(self) -> Candidate | None:
        """The one that scored best in the search, of those with a run."""
        searched = [each for each in self.candidates if each.searched is not None and each.values]
        return max(searched, key=lambda each: self.sign * (each.searched or 0.0), default=None)

    @property
    def luck(self) -> float | None:
        """How much better than its mean the search's best trial scored."""
        best = self.search_best
        if best is None or best.mean is None or best.searched is None:
            return None
        return self.sign * (best.searched - best.mean)

    def gain(self) -> tuple[float, tuple[float, float] | None] | None:
        """Return by how much the winner is better than the default, and the interval of that."""
        found = self.over_default
        return None if found is None else (found.mean, found.interval)

    @property
    def left_out(self) -> list[Candidate]:
        """Those that are not taken for the runs that failed: another one has more."""
        contenders = _contenders(self.candidates)
        return [each for each in self.candidates if each.failed and not _has(contenders, each)]

    @property
    def paired(self) -> int:
        """The number of seeds that both the winner and the default were run with."""
        default = next((each for each in self.candidates if each.baseline), None)
        return 0 if default is None or self.winner is None else _shared(self.winner, default)

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
                    "interval": each.interval,
                    "seconds": each.seconds, "device": each.device, "baseline": each.baseline,
                    "failed": {str(run.number): run.reason for run in each.failed},
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


def compare(  # noqa: PLR0913 - what is compared, and how
    name: str,
    points: Sequence[Mapping[str, Any]],
    runs: Sequence[FrozenTrial],
    searched: Sequence[FrozenTrial],
    *,
    maximize: bool,
    default: Mapping[str, Any] | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Confirmation:
    """Compare the configurations of a confirmation.

    Args:
        name: of the confirmation.
        points: what it is made of.
        runs: its trials.
        searched: the completed trials of the search, the best first.
        maximize: whether larger scores are better.
        default: the default configuration, if the search had it.
        bounds: between which values scores lie.
    """
    ended = [TrialResult.of(trial) for trial in runs if trial.state.is_finished()]
    outcomes = [run for run in ended if run.counts]
    first = {key_of(params_of(trial)): trial for trial in reversed(searched)}
    planned = Counter(key_of(point) for point in points)
    candidates = [
        _candidate(
            first.get(key), key, [run for run in outcomes if key_of(run.params) == key], count,
            is_default=key == key_of(default or {}), bounds=bounds,
        )
        for key, count in planned.items()
    ]  # fmt: skip
    sign = 1 if maximize else -1
    fitted = _Fitted.of(candidates, sign)
    tied, winner = _chosen(fitted)
    return Confirmation(
        study=name, candidates=_in_order(candidates, fitted), winner=winner, tied=tied,
        done=len(outcomes), planned=len(points), maximize=maximize,
        over_default=_over_default(winner, fitted, sign, bounds), freedom=fitted.blocks.freedom,
    )  # fmt: skip


def _candidate(
    trial: FrozenTrial | None,
    key: frozenset[tuple[str, Any]],
    runs: list[TrialResult],
    planned: int,
    *,
    is_default: bool,
    bounds: tuple[float, float],
) -> Candidate:
    completed = [run for run in runs if run.value is not None]
    values = [run.value for run in completed if run.value is not None]
    seconds = [spent for run in completed if (spent := _seconds(run)) is not None]
    devices = {run.record.get(RUN, {}).get("device") for run in completed}
    between = interval(values)
    return Candidate(
        trial=-1 if trial is None else trial.number,
        params=dict(key) if trial is None else seedless(params_of(trial)),
        searched=None if trial is None else trial.value,
        runs=completed,
        planned=planned,
        failed=[run for run in runs if run.state == "FAIL"],
        mean=float(np.mean(values)) if values else None,
        deviation=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        interval=None if between is None else _cut(between, bounds),
        seconds=float(np.mean(seconds)) if seconds and len(seconds) == len(values) else None,
        device=devices.pop() if len(devices) == 1 else None,
        baseline=is_default,
    )


def _seconds(run: TrialResult) -> float | None:
    """Return how long a run was trained, its earlier attempts included; None if not known."""
    whole = run.record.get("seconds")
    if isinstance(whole, int | float) and not isinstance(whole, bool):
        return float(whole)
    return None if run.record.get(RUN, {}).get("earlier") else run.seconds


def _cut(between: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    return max(bounds[0], between[0]), min(bounds[1], between[1])


@dataclass(frozen=True)
class _Fitted:
    """The configurations that may win, and what their comparison came to.

    Args:
        contenders: the best first.
        blocks: the fit of their scores, in this order; more is better.
        default: the default configuration, if any run of it has completed.
    """

    contenders: list[Candidate]
    blocks: Blocks
    default: Candidate | None

    @classmethod
    def of(cls, candidates: Sequence[Candidate], sign: int) -> "_Fitted":
        """Compare configurations."""
        contenders = _contenders(candidates)
        effects = _fit(contenders, sign).effects
        ranked = [contenders[int(place)] for place in np.argsort(-effects, kind="stable")]
        default = next((each for each in candidates if each.baseline and each.values), None)
        return cls(ranked, _fit(ranked, sign), default)

    def better(self, one: Candidate, other: Candidate) -> Difference:
        """Return by how much one contender is better than another."""
        places = {id(each): place for place, each in enumerate(self.contenders)}
        return self.blocks.difference(places[id(one)], places[id(other)])

    def is_as_good(self, one: Candidate, best: Candidate) -> bool:
        """Say whether one may be taken for the best mean: for the noise, and for the default."""
        behind = self.better(best, one)
        # By their own noise, too: a third configuration that collapses with a seed adds to that of
        # all, and would make everything as good as anything.
        own = _fit([best, one], 1).difference(0, 1).error
        errors = [error for error in (behind.error, own) if error is not None]
        if behind.mean > AS_GOOD * min(errors, default=0.0) + EQUAL:
            return False
        default = self.default
        if default is None or not _has(self.contenders, default):
            return True
        return self.better(default, one).mean <= EQUAL


def _contenders(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return those with all their runs; where there are none, those with the most."""
    whole = [each for each in candidates if each.values and len(each.values) >= each.planned]
    most = max((len(each.values) for each in candidates), default=0)
    return whole or [each for each in candidates if most and len(each.values) == most]


def _chosen(fitted: _Fitted) -> tuple[list[Candidate], Candidate | None]:
    """Return what is not told apart from the best, the best first, and which one to take."""
    if not fitted.contenders:
        return [], None
    best, *others = fitted.contenders
    alike = [each for each in others if fitted.better(best, each).is_noise]
    cheaper = [each for each in alike if each.is_cheaper(best) and fitted.is_as_good(each, best)]
    fastest = min(cheaper, key=lambda each: each.seconds or 0.0, default=best)
    taken = next((each for each in cheaper if not fastest.is_cheaper(each)), best)
    return [best, *alike], taken


def _over_default(
    winner: Candidate | None, fitted: _Fitted, sign: int, bounds: tuple[float, float]
) -> Difference | None:
    default = fitted.default
    if winner is None or default is None or not _shared(winner, default):
        return None
    if _has(fitted.contenders, default):
        found = fitted.better(winner, default)
    else:  # over the seeds that it has
        found = _fit([winner, default], sign).difference(0, 1)
    most = bounds[1] - bounds[0]
    between = None if found.interval is None else _cut(found.interval, (-most, most))
    return replace(found, interval=between)


def _in_order(candidates: Sequence[Candidate], fitted: _Fitted) -> list[Candidate]:
    """Return the contenders, then what has fewer runs, and what has none."""
    rest = [each for each in candidates if not _has(fitted.contenders, each)]
    return [*fitted.contenders, *sorted(rest, key=lambda each: -len(each.values))]


def _fit(candidates: Sequence[Candidate], sign: int) -> Blocks:
    return fit([
        {run.params.get(SEED): sign * run.value for run in each.runs if run.value is not None}
        for each in candidates
    ])  # fmt: skip


def _has(candidates: Sequence[Candidate], one: Candidate) -> bool:
    return any(each is one for each in candidates)


def _shared(one: Candidate, other: Candidate) -> int:
    """Return the number of seeds that both were run with."""
    return len(
        {run.params.get(SEED) for run in one.runs} & {run.params.get(SEED) for run in other.runs}
    )


def seedless(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without its seed."""
    return {name: value for name, value in params.items() if name != SEED}


def key_of(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """Return what is equal for configurations that differ in the seed alone."""
    return frozenset(seedless(params).items())
