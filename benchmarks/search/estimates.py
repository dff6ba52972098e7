"""Means and ratios of means with bootstrap intervals."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap

RESAMPLES = 5000


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 per cent interval; without one where there is too little to tell."""

    value: float
    low: float | None
    high: float | None
    count: int


def mean(values: Sequence[float]) -> Estimate:
    """Return the mean of observations (percentile bootstrap over them).

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("found no values; expected one at least")
    found = np.asarray(values, float)
    if len(found) == 1:
        return Estimate(float(found[0]), None, None, 1)
    interval = bootstrap(
        (found,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=default_rng(0)
    ).confidence_interval
    return Estimate(float(found.mean()), float(interval.low), float(interval.high), len(found))


def ratio(ours: Sequence[float], others: Sequence[float]) -> Estimate:
    """Return the ratio of two means over the same problems, which are drawn in pairs.

    Raises:
        ValueError: there are none, or the others' mean is 0.
    """
    one, other = np.asarray(ours, float), np.asarray(others, float)
    if len(one) == 0 or other.mean() == 0:
        raise ValueError("found nothing to divide by")
    value = float(one.mean() / other.mean())
    if len(one) == 1:
        return Estimate(value, None, None, 1)
    # a resample of the others may be all zeros
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        interval = bootstrap(
            (one, other), _ratio, n_resamples=RESAMPLES, method="percentile", paired=True,
            vectorized=True, rng=default_rng(0),
        ).confidence_interval  # fmt: skip
    if not np.isfinite([interval.low, interval.high]).all():
        return Estimate(value, None, None, len(one))
    return Estimate(value, float(interval.low), float(interval.high), len(one))


def _ratio(
    one: NDArray[np.float64], other: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    return np.asarray(one.mean(axis=axis) / other.mean(axis=axis))
