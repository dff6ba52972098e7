"""What earlier studies teach about a space: what its configurations scored, and which to try first.

The best configuration of each is tried first (Feurer, Springenberg & Hutter 2015,
https://doi.org/10.1609/aaai.v29i1.9354), and their scores enter the model with a variance that says
how far they hold here. It follows from how well an earlier study ranks the trials of this one (as
in Feurer, Letham & Bakshy 2018, https://arxiv.org/abs/1802.02219): one that contradicts them is
ignored.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np

from hpo.parameters import Choice, Parameter
from hpo.space import SearchSpace
from hpo.strategies.axes import Axes
from hpo.strategies.distributions import distributions_of
from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.encoding import Space, key_of
from hpo.strategies.gp.prior import BELIEF, DOUBT, Prior
from hpo.strategies.gp.proposal import History
from hpo.strategies.gp.surrogate import Belief, Inputs, Sample, Surrogate, fit
from hpo.strategies.gp.warping import warp
from hpo.strategies.losses import best_and_latest, losses_of
from hpo.strategies.published import expectations
from hpo.trials import params_of
from hpo.warm_start import EarlierStudy

TRIALS = 100  # of all earlier studies together; of each one half the best, half the latest
FAR = 0.1  # of a range: a trial with a value so far outside tells nothing about its end
TRUST = (0.7, 4.0)  # the agreement of ranks that is expected, and as if seen in so many trials
LEAST = 0.05  # of the agreement: below it an earlier study is ignored
VARIANCE = 0.1  # of an earlier score, times the share of variance that the agreement leaves open
UNSEEN = 0.2  # variance of an earlier score for each parameter that only the earlier study searched


def taught(
    history: History, prior: Prior, axes: Axes, earlier: Sequence[EarlierStudy]
) -> tuple[History, Prior]:
    """Return what is known and what is expected, with what earlier studies teach.

    Args:
        history: what this study has tried.
        prior: what is expected of it; the best of the earlier studies are tried before its starts.
        axes: the parameters of this study.
        earlier: the others; their observations have the sources 1, 2, … in this order.
    """
    parts, starts = [_Part(history.rows, history.values, 0, 0.0)], []
    for source, study in enumerate(earlier, start=1):
        rows, values = _observed(study, axes, len(earlier))
        if len(rows) == 0:
            continue
        teacher = _Teacher(axes.space, prior, rows, values)
        starts.append(rows[int(np.argmax(teacher.scores(rows)))])
        variance = extra_noise(teacher.scores(history.rows), warp(history.values))
        if variance is not None:
            unseen = len(study.space.root.keys() - _space(axes).root.keys())
            parts.append(_Part(rows, values, source, variance + UNSEEN * unseen))
    sizes = [len(part.values) for part in parts]
    distinct = {key_of(row): row for row in starts}
    return (
        History(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.values for part in parts]),
            history.pending,
            np.repeat([float(part.source) for part in parts], sizes),
            np.repeat([part.extra_noise for part in parts], sizes),
        ),
        replace(prior, starts=axes.stacked([*distinct.values(), *prior.starts])),
    )


def observations(study: EarlierStudy, space: SearchSpace, studies: int) -> int:
    """Return how many trials of an earlier study, one of so many, are learnt from."""
    distributions = distributions_of(space)
    searched = {name: each for name, each in distributions.items() if not each.single()}
    return len(_observed(study, Axes(searched, space), studies)[1])


@dataclass(frozen=True)
class _Part:
    """Observations (n, P), (n,) of one source, and the variance that they have all alike."""

    rows: Array
    values: Array
    source: int
    extra_noise: float


def extra_noise(expected: Array, scores: Array) -> float | None:
    """Return how uncertain the scores of an earlier study are here, in their variances.

    With a correlation r, they leave (1 - r^2) / r^2 of their variance open.

    Args:
        expected: what the earlier study would have expected of the trials of this one (m,).
        scores: what these scored (m,).

    Returns:
        None where the earlier study contradicts them, or says nothing about them.
    """
    agreement, weight = TRUST
    one, other = (np.unique(each, return_inverse=True)[1] for each in (expected, scores))
    if one.any() and other.any():  # else they are all alike, or there are none
        seen = float(np.corrcoef(one, other)[0, 1])
        agreement = (weight * agreement + len(scores) * seen) / (weight + len(scores))
    if agreement < LEAST:
        return None
    return VARIANCE * (1 - agreement**2) / agreement**2


class _Teacher:
    """A model of an earlier study's scores; a Gaussian process as that of the study itself."""

    def __init__(self, space: Space, prior: Prior, rows: Array, values: Array) -> None:
        self._space, self._prior = space, prior
        belief = Belief(space.owners, prior.lengths(space), (BELIEF, DOUBT))
        sample = Sample(self._inputs(rows), warp(values), np.zeros(len(rows)))
        self._model = Surrogate(sample, fit(sample, belief), belief)

    def scores(self, rows: Array) -> Array:
        """Return the scores that it would expect; (m, P) to (m,)."""
        return self._model.mean(self._inputs(rows))

    def _inputs(self, rows: Array) -> Inputs:
        terms = self._prior.terms(rows)
        return Inputs(self._space.features(rows), terms, np.zeros((len(rows), 0)))


def _observed(study: EarlierStudy, axes: Axes, studies: int) -> tuple[Array, Array]:
    """Return the configurations of an earlier study (n, P), and what they scored (n,).

    Args:
        study: one of …
        axes: the parameters of this study.
        studies: … so many, which share what is learnt from at most.
    """
    constants = _fixed(study.constants, axes)
    placed = [
        (row, loss)
        for trial, loss in losses_of(study.trials, maximize=study.maximize)
        if not (params := params_of(trial)).keys().isdisjoint(axes.names)
        and (row := _placed(params, constants, axes)) is not None
    ]
    kept = best_and_latest(placed, TRIALS // studies)
    return axes.stacked([row for row, _ in kept]), np.array([-loss for _, loss in kept])


def _fixed(constants: Mapping[str, Any], axes: Axes) -> dict[str, Any]:
    """Return what the trials of an earlier study have alike, in values of this space.

    Where nobody knows it, it is what is expected, else the middle. It says nothing about the
    parameter, since all trials of the study share it; what they say about others holds as far as
    that does not depend on it.
    """
    space = _space(axes)
    expected = expectations(space)
    fixed: dict[str, Any] = {}
    for name in axes.names:
        parameter = space.root[name]
        value, _ = _nearest(parameter, constants.get(name))
        if value is None and name in expected:
            value = expected[name].center
        if value is None and isinstance(parameter, Choice):
            value = parameter.values[len(parameter.values) // 2]
        if value is not None:  # else it rests in the middle
            fixed[name] = value
    return fixed


def _placed(params: Mapping[str, Any], fixed: Mapping[str, Any], axes: Axes) -> Array | None:
    """Return the configuration (P,) that is nearest to a trial; None if it is far from the space.

    What lies beyond an end is moved there only from nearby: a rate that is far too high would give
    the end a bad name.
    """
    space = _space(axes)
    values = dict(fixed)
    for name in params.keys() & set(axes.names):
        values[name], off = _nearest(space.root[name], params[name])
        if off > FAR:
            return None
    row = axes.row(values)
    return None if row is None else np.asarray(axes.space.settle(row[None])[0])


def _space(axes: Axes) -> SearchSpace:
    if axes.searched is None:
        raise ValueError("found no whole space; earlier studies are compared with one")
    return axes.searched


def _nearest(parameter: Parameter, value: Any) -> tuple[Any, float]:
    """Return the value of a parameter that is nearest to another one, and how far off that is.

    Nothing where there is none: one text is as far from another as from any. The distance is that
    from the range, and a share of it.
    """
    if value is None or parameter.holds(value):
        return value, 0.0
    known = parameter.values if isinstance(parameter, Choice) else parameter.bounds()
    numbers = [each for each in known if _is_number(each)]
    if len(numbers) < len(known) or not _is_number(value):
        return None, math.inf
    low, high = min(numbers), max(numbers)
    inside = min(max(value, low), high)
    by_factors = low > 0 if isinstance(parameter, Choice) else parameter.log
    if by_factors and value <= 0:
        return low, math.inf
    scale: Callable[[float], float] = math.log if by_factors else float
    off = abs(scale(value) - scale(inside)) / ((scale(high) - scale(low)) or 1.0)
    if isinstance(parameter, Choice):
        inside = min(numbers, key=lambda each: abs(scale(each) - scale(value)))
    return inside, off


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
