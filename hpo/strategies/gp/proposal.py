"""The next configuration to try.

Start configurations and an even design first, then whatever promises most: the maximum of the
augmented expected improvement under a Gaussian process. Nothing is kept between calls.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from hpo.strategies.gp.acquisition import log_augmented_improvement
from hpo.strategies.gp.branches import least_tried, moved_to
from hpo.strategies.gp.candidates import (
    DRAWN,
    improved,
    latin_hypercube,
    propose_candidates,
)
from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.encoding import Space, key_of
from hpo.strategies.gp.feasibility import Feasibility
from hpo.strategies.gp.prior import BELIEF, DOUBT, Prior
from hpo.strategies.gp.surrogate import Belief, Inputs, Sample, Surrogate, fit
from hpo.strategies.gp.warping import warp_by_source

DESIGN = 3  # evenly spread trials after the start configurations
DESIGN_TRUST = 0.5  # share of them that is drawn by the prior
SETTLED = 24  # from here on every second trial is spent at the highest mean, which noise hides
CROWD = 4  # or two of three, where so many others are being tried: these explore already
VISIT = 3  # until then every third trial goes to the branch of the space that was tried least
BESIDE = 0.025  # in all coordinates
LISTED = 2048  # a space of so many configurations is searched one by one
MODELLED = 300  # observations in the model at most: half of them the best, half drawn from the rest
FITTED = 150  # of them, in the fit of its parameters


@dataclass(frozen=True)
class History:
    """What is known.

    Args:
        rows: configurations that were tried (n, P).
        values: what they scored, larger is better; not finite where they failed; (n,).
        pending: configurations that are being tried (m, P).
        source: 0 where this study tried it, another number for each other one; (n,) or None.
            Other studies' scores are compared within their study only, and may be tried again.
        extra_noise: of each observation, in variances of the score, beside the noise of all; (n,)
            or None.
    """

    rows: Array
    values: Array
    pending: Array
    source: Array | None = None
    extra_noise: Array | None = None

    def own(self) -> Array:
        """Return which observations are this study's; (n,)."""
        return np.ones(len(self.values), bool) if self.source is None else self.source == 0

    def is_flat(self) -> bool:
        """Say whether no two scores differ that can be compared."""
        source = np.zeros(len(self.values)) if self.source is None else self.source
        fine = np.isfinite(self.values)
        return all(len(np.unique(self.values[fine & (source == one)])) < 2 for one in set(source))


def propose(space: Space, history: History, prior: Prior, seed: int, index: int) -> Array | None:
    """Return the row (P,) of a configuration that is neither tried nor pending.

    Args:
        space: what is searched; P dimensions.
        history: what is known.
        prior: what is expected.
        seed: the study's; the design is drawn with it, so that all workers draw the same.
        index: how many trials were begun before this one. The same arguments give the same row.

    Returns:
        None where every configuration of the space was tried or is pending.
    """
    rng = default_rng([seed, index])
    seen = {key_of(row) for row in (*history.rows[history.own()], *history.pending)}
    planned = plan(space, prior, seed)
    if index < 2 * len(planned):  # start configurations of the user's may have had the first turns
        turns = [*planned[index : index + 1], *planned]
        untried = next((row for row in turns if key_of(row) not in seen), None)
        if untried is not None:
            return np.asarray(untried)
    if history.is_flat():
        return _first(space, _blind(space, history, prior, rng), seen)
    return _first(space, _promising(space, history, prior, (rng, index), seen), seen)


def plan(space: Space, prior: Prior, seed: int) -> Array:
    """Return the configurations that are tried before the model is asked; (k + DESIGN, P).

    What a start configuration leaves open is drawn evenly.
    """
    rng = default_rng(np.random.SeedSequence([seed, 0x6465736967]))
    even = latin_hypercube(DESIGN, len(space), rng)
    design = prior.bend(even, DESIGN_TRUST)
    if prior.lead is not None:  # where what is expected of it is wrong, nothing else matters
        design[:, prior.lead] = even[:, prior.lead]
    rows = space.spread(design)
    if not len(prior.starts):
        return rows
    drawn = space.all_existing(latin_hypercube(len(prior.starts), len(space), rng))
    starts = np.where(np.isnan(prior.starts), drawn, prior.starts)
    return np.concatenate([space.settle(starts), rows])


def _blind(space: Space, history: History, prior: Prior, rng: Generator) -> Iterator[Array]:
    """Yield drawn configurations, those first that close the widest gap between learning rates.

    On small data nothing is learnt far and wide, and beyond some rate every training diverges. A
    model of scores that are all alike would go from corner to corner. Where most failed comes last.
    """
    tried = np.concatenate([history.rows[history.own()], history.pending])
    feasibility = _feasibility(space, history, prior, _belief(space, prior).center(), rng)
    for _ in range(16):
        rows = space.spread(prior.bend(rng.random((DRAWN, len(space))), DESIGN_TRUST))
        if prior.lead is not None:
            known = np.concatenate([tried[:, prior.lead], [0.0, 1.0]])
            gaps = np.abs(rows[:, prior.lead, None] - known).min(axis=1)
            rows = rows[np.argsort(-gaps, kind="stable")]
        hopeless = feasibility.log_chance(_inputs(space, prior, rows)) < math.log(0.5)
        yield from rows[np.argsort(hopeless, kind="stable")]


def _promising(
    space: Space, history: History, prior: Prior, turn: tuple[Generator, int], seen: set[bytes]
) -> Iterator[Array]:
    """Yield configurations, the most promising first."""
    rng, index = turn
    tried = np.concatenate([history.rows[history.own()], history.pending])
    crowded = len(history.pending) >= CROWD
    exploits = index >= SETTLED and (index % 3 > 0 if crowded else index % 2 == 0)
    visits = space.size > LISTED and index < SETTLED and index % VISIT == 0
    branch = least_tried(space, tried) if visits else None
    model, best, tops = _model(space, history, prior, rng)
    feasibility = _feasibility(space, history, prior, model.parameters, rng)

    def promise(rows: Array) -> Array:
        inputs = _inputs(space, prior, rows)
        chance = feasibility.log_chance(inputs)
        if exploits:
            # The mean does not know what is being tried; half a chance costs less than a deviation.
            return np.where(_is_beside(rows, history.pending), -np.inf, model.mean(inputs) + chance)
        mean, deviation = model.predict(inputs)
        promises = log_augmented_improvement(mean, deviation, best, model.noise) + chance
        return promises if branch is None else np.where(branch.holds(rows), promises, -np.inf)

    if space.size <= LISTED:
        rows = np.array([row for row in space.table() if key_of(row) not in seen])
        promises = promise(rows) if len(rows) else np.zeros(0)
    else:
        rows = propose_candidates(space, tops, prior, rng)
        if branch is not None:
            rows = moved_to(branch, space, rows, rng)
        rows, promises = improved(space, rows, promise, rng)
    yield from rows[np.argsort(-promises, kind="stable")]
    if space.size > LISTED:
        yield from space.spread(rng.random((1024, len(space))))


def _model(
    space: Space, history: History, prior: Prior, rng: Generator
) -> tuple[Surrogate, float, Array]:
    """Return the model, the best mean of a configuration tried, and the best configurations."""
    own = history.own()
    source = np.zeros(len(own)) if history.source is None else history.source
    scores = warp_by_source(history.values, source)
    extra = np.zeros(len(own)) if history.extra_noise is None else history.extra_noise
    kept = _thinned(scores, MODELLED, rng)
    rows, own = history.rows[kept], own[kept]
    sample = Sample(_inputs(space, prior, rows), scores[kept], extra[kept])
    belief = _belief(space, prior)
    parameters = fit(sample.part(_thinned(sample.scores, FITTED, rng)), belief)
    model = Surrogate(sample, parameters, belief)
    mean = model.mean(sample.inputs)
    known = own if own.any() else np.ones(len(own), bool)
    order = np.argsort(-np.where(known, mean, -np.inf), kind="stable")
    tops = rows[order[: max(3, int(np.ceil(0.2 * known.sum())))]]
    if len(history.pending):  # at their posterior mean: Ginsbourger et al. 2010, kriging believer
        pending = _inputs(space, prior, history.pending)
        believed = Sample(
            sample.inputs.joined(pending),
            np.concatenate([sample.scores, model.mean(pending)]),
            np.concatenate([sample.extra_noise, np.zeros(len(history.pending))]),
        )
        model = Surrogate(believed, parameters, belief)
    return model, float(mean[known].max()), tops


def _feasibility(
    space: Space, history: History, prior: Prior, parameters: Array, rng: Generator
) -> Feasibility:
    own = history.own()
    failed = ~np.isfinite(history.values[own])
    kept = _thinned(failed * 1.0, MODELLED, rng)
    inputs = _inputs(space, prior, history.rows[own][kept])
    return Feasibility(inputs, failed[kept], _belief(space, prior), parameters)


def _is_beside(rows: Array, others: Array) -> NDArray[np.bool_]:
    """Say which configurations are hardly different from one of some others; (n, P) to (n,)."""
    near = np.zeros(len(rows), bool)
    for other in others:
        near |= np.abs(rows - other).max(axis=1) < BESIDE
    return near


def _inputs(space: Space, prior: Prior, rows: Array) -> Inputs:
    return Inputs(space.features(rows), prior.terms(rows), prior.levers(rows))


def _belief(space: Space, prior: Prior) -> Belief:
    belief = Belief(space.owners, prior.lengths(space), (BELIEF, DOUBT))
    if prior.trade is None:
        return belief
    return replace(
        belief,
        lead=int(np.flatnonzero(space.numeric == prior.lead)[0]),
        slopes=prior.trade.center(),
        doubts=prior.trade.width(),
    )


def _thinned(scores: Array, most: int, rng: Generator) -> NDArray[np.intp]:
    """Return which observations to keep: the best half, the other half drawn from the rest."""
    order = np.argsort(-scores, kind="stable")
    if len(order) <= most:
        return np.arange(len(order))
    drawn = rng.choice(order[most // 2 :], most - most // 2, replace=False)
    return np.sort(np.concatenate([order[: most // 2], drawn]))


def _first(space: Space, rows: Iterator[Array], seen: set[bytes]) -> Array | None:
    """Return the first row that was not seen; None where there is none in the whole space."""
    found = next((row for row in rows if key_of(row) not in seen), None)
    if found is None and np.isfinite(space.size):
        return space.unseen(seen)
    return found
