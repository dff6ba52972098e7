"""When a trial is given up before its end: rules over learning curves, as a pruner of Optuna's.

Optuna's own pruners compare what was reported at one and the same step. Trials of other batch sizes
are evaluated at other ones, so that its median compares a trial with few of them or none, and its
rungs compare whatever was reported first behind them. They keep the rungs in trials that a retry
leaves behind, and draw brackets by trial number, which a retry changes. And they know nothing of
schedules, so that they prune whoever learns slowly at first. The rules here are theirs, which a
test holds them to where all trials are evaluated at the same steps. What differs:

- trials are compared by their best score so far at equal progress (`hpo.curves`);
- a ticket counts once, with its latest attempt, and failures do not count;
- nobody is pruned for its first epochs alone, before enough trials have completed, or behind its
  last evaluation, when nothing is left to save;
- nobody is pruned who is ahead of every completed trial, or would catch up with the best of them by
  the end of its schedule: a trial that was pruned can never be a study's best.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from zlib import crc32

import numpy as np
from optuna import Study
from optuna.pruners import BasePruner, NopPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from hpo.curves import PROGRESS, Curve
from hpo.spec import PruneSpec
from hpo.trials import attempts_of, latest_attempts, run_of, was_cut_short

EPOCHS = "epochs"
"""The attribute of a trial that says how many epochs its schedule has, if that is known."""

_WARMUP_SHARE = {"median": 1 / 3, "patience": 1 / 3}


@dataclass(frozen=True)
class Entrant:
    """A trial that takes part in the comparison.

    Args:
        curve: of its latest attempt.
        lot: a number drawn for its ticket, which chooses its bracket.
        completed: whether it was trained to its end.
    """

    curve: Curve
    lot: int
    completed: bool


@dataclass(frozen=True)
class Contest:
    """A running trial, and those it is compared with.

    Args:
        curve: its own.
        lot: its own.
        passed: the progress at which it last won.
        end: of its schedule, in thousandths of an epoch.
        others: all other trials that have not failed.
    """

    curve: Curve
    lot: int
    passed: float
    end: float
    others: Sequence[Entrant]

    def completed(self) -> list[Curve]:
        """Return the curves of the trials that were trained to their end."""
        return [each.curve for each in self.others if each.completed]

    def score(self) -> float:
        """Return the trial's best score so far."""
        return self.curve.final

    def scores(self, curves: Sequence[Curve]) -> list[float]:
        """Return the best scores of others at the trial's progress, of those that have any."""
        scores = [curve.at(self.curve.last) for curve in curves]
        return [score for score in scores if math.isfinite(score)]


def below_percentile(spec: PruneSpec, contest: Contest) -> bool:
    """Compare with the median of the completed trials (after Golovin et al. 2017, Google Vizier).

    As in Optuna with their best so far, which is a running average in Vizier; or with another
    percentile, counted from the best as in Optuna's `PercentilePruner`.
    """
    scores = contest.scores(contest.completed())
    return bool(scores) and contest.score() < float(np.percentile(scores, 100 - spec.percentile))


def halved(spec: PruneSpec, contest: Contest) -> bool:
    """Let one of `reduction_factor` trials go on at each rung (Li et al. 2020, ASHA)."""
    return _falls_at_a_rung(spec, contest, contest.others, spec.min_epochs * PROGRESS)


def halved_in_bracket(spec: PruneSpec, contest: Contest) -> bool:
    """Halve in brackets whose first rungs lie further and further out (Li et al. 2018, Hyperband).

    As in Optuna, which bracket a trial is in is drawn in proportion to the bracket's trials.
    """
    first = spec.min_epochs * PROGRESS
    brackets = 1 + sum(1 for _ in _rungs(first * spec.reduction_factor, spec, contest.end))
    mine = bracket_of(contest.lot, brackets, spec.reduction_factor)
    others = [
        each
        for each in contest.others
        if bracket_of(each.lot, brackets, spec.reduction_factor) == mine
    ]
    return _falls_at_a_rung(spec, contest, others, first * spec.reduction_factor**mine)


def stalled(spec: PruneSpec, contest: Contest) -> bool:
    """Look for an improvement in the latest `patience` epochs."""
    before = contest.curve.at(contest.curve.last - spec.patience * PROGRESS)
    return math.isfinite(before) and contest.score() <= before + spec.min_delta


RULES: dict[str, Callable[[PruneSpec, Contest], bool]] = {
    "median": below_percentile,
    "asha": halved,
    "hyperband": halved_in_bracket,
    "patience": stalled,
}
"""Name -> whether the trial loses the contest."""


def bracket_of(lot: int, brackets: int, factor: int) -> int:
    """Return the bracket of a trial: 0 is the one whose first rung is the lowest."""
    sizes = [
        math.ceil(brackets * factor**further / (further + 1))
        for further in range(brackets - 1, -1, -1)
    ]
    return bisect_right(list(accumulate(sizes)), lot % sum(sizes))


def _rungs(first: float, spec: PruneSpec, last: float) -> Iterator[float]:
    while first <= last:
        yield first
        first *= spec.reduction_factor


def _falls_at_a_rung(
    spec: PruneSpec, contest: Contest, others: Sequence[Entrant], first: float
) -> bool:
    for rung in _rungs(first, spec, contest.curve.last):
        if rung <= contest.passed:
            continue
        there = [each.curve for each in others if each.curve.last >= rung]
        scores = sorted([*contest.scores(there), contest.score()], reverse=True)
        places = max(1, len(scores) // spec.reduction_factor)
        if contest.score() < scores[places - 1]:
            return True
    return False


class Pruner(BasePruner):
    """Prunes one trial; like a sampler, it is made anew for each.

    Args:
        spec: the rule, and when it applies.
    """

    def __init__(self, spec: PruneSpec) -> None:
        self.spec = spec
        self.loses = RULES[spec.strategy]
        self.passed: float | None = None

    @override
    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        maximize = study.direction == StudyDirection.MAXIMIZE
        curve = Curve.of(trial.intermediate_values, maximize=maximize)
        if not curve.steps:
            return False
        if self.passed is None:  # an attempt before this one was asked about what it reported
            self.passed = curve.steps[-2] if len(curve.steps) > 1 else 0
        others = _others(study, trial, maximize=maximize)
        completed = [each.curve for each in others if each.completed]
        if len(completed) < self.spec.n_startup_trials:
            return False
        epochs = trial.user_attrs.get(EPOCHS)
        end = max(each.last for each in completed) if epochs is None else epochs * PROGRESS
        if curve.last <= max(self.spec.warmup_epochs * PROGRESS, _warmup_share(self.spec) * end):
            return False
        contest = Contest(curve, _lot(study, trial), self.passed, end, others)
        if math.isfinite(curve.final) and not self.loses(self.spec, contest):
            self.passed = curve.last
            return False
        # Who is spared has won nothing: it is asked again at its next evaluation.
        haste = 0 if self.spec.strategy == "patience" else self.spec.catch_up
        return curve.forecast(end, haste) < max(each.final for each in completed)


def make_pruner(spec: PruneSpec) -> BasePruner:
    """Return the pruner of one trial."""
    return NopPruner() if spec.strategy == "none" else Pruner(spec)


def can_prune(spec: PruneSpec, epochs: float, *, by_epoch: bool) -> bool:
    """Say whether a trial could be pruned before its end, if enough others have completed.

    Args:
        spec: the rule.
        epochs: of the longest schedule.
        by_epoch: trials are evaluated after each epoch; else as often as one likes.
    """
    late = math.ceil(epochs) - 1 if by_epoch else epochs  # behind the last one nothing is left
    rung = spec.min_epochs if spec.strategy in {"asha", "hyperband"} else 0.0
    wait = spec.patience if spec.strategy == "patience" else 0.0
    if by_epoch and wait:
        wait = 1 + math.ceil(wait)  # it is compared with an evaluation so long before
    spared = max(spec.warmup_epochs, _warmup_share(spec) * epochs)
    return late > spared and late >= rung and late >= wait and late > 0


def described(spec: PruneSpec) -> str:
    """Return in words when trials are pruned."""
    if spec.strategy == "none":
        return "none"
    share = _warmup_share(spec)
    first = f"epoch {spec.warmup_epochs:g}" + (f" or {share:.0%} of its schedule" if share else "")
    startup = f"none before {spec.n_startup_trials} have completed"
    best = f", best {spec.percentile:g}% go on" if spec.percentile != 50 else ""
    return f"{spec.strategy}{best}; no trial up to {first}, {startup}"


def _warmup_share(spec: PruneSpec) -> float:
    if spec.warmup_share is not None:
        return spec.warmup_share
    return _WARMUP_SHARE.get(spec.strategy, 0.0)


def _others(study: Study, trial: FrozenTrial, *, maximize: bool) -> list[Entrant]:
    mine = set(attempts_of(trial))
    return [
        Entrant(
            Curve.of(each.intermediate_values, maximize=maximize),
            _lot(study, each),
            each.state == TrialState.COMPLETE,
        )
        for each in latest_attempts(study.get_trials(deepcopy=False))
        if each.number not in mine and (each.state != TrialState.FAIL or was_cut_short(each))
    ]


def _lot(study: Study, trial: FrozenTrial) -> int:
    number = run_of(trial).get("ticket", trial.number)
    return crc32(f"{study.study_name}_{number}".encode())
