"""Scores as a regression wants them: divergence makes a long lower tail, the top is what counts."""

import numpy as np

from hpo.strategies.gp.dimensions import Array

FLOOR = -3.0  # the lowest score before it is standardised


def warp(values: Array) -> Array:
    """Return scores with mean 0 and variance 1, those below the median drawn together.

    Above the median they are linear; below it, -log(1 + gap), the gap in units of the distance
    from the median to the best, so that a run that diverged is bad, but not by any number of
    deviations. Vizier's warping treats the two halves apart, too (Song et al. 2024,
    https://arxiv.org/abs/2408.11527).

    Args:
        values: larger is better; what is not finite is a failure and counts as the worst; (n,).
    """
    fine = np.isfinite(values)
    if not fine.any():
        return np.zeros(len(values))
    low, top = float(values[fine].min()), float(values[fine].max())
    if low == top:
        return np.where(fine, 0.0, 0.0 if fine.all() else -1.0)
    width = top / 2 - low / 2  # halves: the difference of two huge numbers may be infinite
    places = (np.where(fine, values, low) / 2 - low / 2) / width  # in [0, 1]
    median = float(np.median(places))
    gaps = (places - median) / (1 - median or places.std())
    warped = np.where(gaps < 0, np.maximum(-np.log1p(np.maximum(-gaps, 0)), FLOOR), gaps)
    return np.asarray((warped - warped.mean()) / warped.std())


def warp_by_source(values: Array, source: Array) -> Array:
    """Return scores warped within each source, so that a study's own offset and scale vanish."""
    warped = np.zeros(len(values))
    for one in np.unique(source):
        warped[source == one] = warp(values[source == one])
    return warped
