"""Configurations worth a look: drawn, moved and improved many at a time."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.encoding import Space
from hpo.strategies.gp.prior import Prior

DRAWN = 200  # evenly over the space
NEAR_TOP = 100  # and as many round the best one
EXPECTED = 100  # by the prior alone
ROUNDS = 5
KEPT = 8  # candidates that a round starts from
MOVES = 20  # of each of them in a round


def latin_hypercube(count: int, dimensions: int, rng: Generator) -> Array:
    """Return points (count, dimensions) with one in each of `count` slices of every axis.

    The one of forty draws whose nearest pair is farthest apart (McKay, Beckman & Conover 1979;
    Johnson, Moore & Ylvisaker 1990).
    """
    best, farthest = np.zeros((count, dimensions)), -1.0
    for _ in range(40):
        order = np.argsort(rng.random((count, dimensions)), axis=0)
        points = (order + rng.random((count, dimensions))) / count
        gaps = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
        nearest = float(gaps[np.triu_indices(count, 1)].min(initial=np.inf))
        if nearest > farthest:
            best, farthest = points, nearest
    return best


def propose_candidates(space: Space, tops: Array, prior: Prior, rng: Generator) -> Array:
    """Return configurations from everywhere, and more of them where it is good; (m, P).

    Args:
        space: what is searched.
        tops: the best configurations that are known, best first; (k, P).
        prior: what is expected.
        rng: draws.
    """
    parts = [
        space.spread(rng.random((DRAWN, len(space)))),
        moved(space, tops[rng.integers(len(tops), size=NEAR_TOP)], (0.2, 0.5), rng),
        moved(space, np.repeat(tops[:1], NEAR_TOP, axis=0), (0.1, 0.3), rng),
    ]
    if prior.expectations:
        parts.append(space.spread(prior.bend(rng.random((EXPECTED, len(space))), 1.0)))
    return np.concatenate(parts)


def improved(
    space: Space, rows: Array, promise: Callable[[Array], Array], rng: Generator
) -> tuple[Array, Array]:
    """Return better candidates, and how much they promise: hill climbing in ever smaller steps."""
    promises = promise(rows)
    for turn in range(ROUNDS):
        best = np.argsort(-promises, kind="stable")[:KEPT]
        moves = moved(space, np.repeat(rows[best], MOVES, axis=0), (0.15 * 0.55**turn, 0.3), rng)
        rows = np.concatenate([rows[best], moves])
        promises = np.concatenate([promises[best], promise(moves)])
    return rows, promises


def moved(space: Space, rows: Array, move: tuple[float, float], rng: Generator) -> Array:
    """Return configurations beside others, each moved along one dimension at least; (n, P).

    Args:
        space: what is searched.
        rows: where from; (n, P).
        move: the size of a step, and how likely a dimension is to be moved. Of discrete numbers
            a step is about as long as their distance at least.
        rng: draws.
    """
    size, likely = move
    chosen = rng.random(rows.shape) < likely
    chosen[np.arange(len(rows)), rng.integers(len(space), size=len(rows))] = True
    steps = rng.normal(size=rows.shape)
    fresh = space.all_existing(rng.random(rows.shape))
    result = rows.copy()
    for column, dimension in enumerate(space.dimensions):
        here = chosen[:, column]
        if dimension.kind == "category":
            here &= rng.random(len(rows)) < 0.5
            result[here, column] = fresh[here, column]
            continue
        least = 0.0 if np.isinf(dimension.size) else 0.7 / max(dimension.size - 1, 1)
        place = np.abs(rows[here, column] + steps[here, column] * max(size, least))
        result[here, column] = np.clip(1 - np.abs(1 - place), 0, 1)  # reflected at both ends
    absent = ~space.exists(rows)
    result[absent] = fresh[absent]  # where a parameter comes to exist, it has a value at once
    return space.settle(result)
