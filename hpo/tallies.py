"""Scores from counts: of each row, what is right, predicted and gold; metrics follow from sums.

That is what a bootstrap needs: a resample of the rows is a sum with other weights.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95  # of intervals
RESAMPLES = 5000
SEED = 20031
_AT_ONCE = 2**24  # numbers of one block of resamples


@dataclass(frozen=True)
class Tally:
    """What was right in some rows.

    Args:
        names: the classes, or the entity types.
        counts: (rows, classes, 3) how many of each class are right, predicted and gold.
    """

    names: Sequence[str]
    counts: np.ndarray


def metric(tally: Tally, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from summed counts (…, classes, 3) to a metric (…).

    Known are precision, recall, f1 (micro), accuracy, macro_f1 (over the classes that occur), mcc
    (Gorodkin 2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006) and NAME.precision,
    NAME.recall and NAME.f1 of a class.

    Raises:
        KeyError: it follows from no such counts, as the loss does not.
    """
    if name in _MEASURES:
        return _MEASURES[name]
    of_class, _, figure = name.rpartition(".")
    if of_class not in tally.names or figure not in _RATIOS:
        raise KeyError(name)
    place, ratio = list(tally.names).index(of_class), _RATIOS[figure]
    return lambda sums: ratio(sums[..., place, :])


def resampled(tallies: Sequence[Tally], name: str) -> list[np.ndarray]:
    """Return a metric of several models over resampled rows, the same rows for all of them.

    Args:
        tallies: of the same rows.
        name: see `metric`.

    Returns:
        (RESAMPLES,) for each model.

    Raises:
        KeyError: see `metric`.
    """
    rows = len(tallies[0].counts)
    flat = np.hstack([tally.counts.reshape(rows, -1) for tally in tallies])
    # Rows that are alike in all models may change places: drawn are the kinds, by their shares.
    kinds, occurring = np.unique(flat, axis=0, return_counts=True)
    generator = np.random.default_rng(SEED)
    block = max(1, _AT_ONCE // len(kinds))
    drawn = []
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        weights = generator.multinomial(rows, occurring / rows, size)
        drawn.append(weights.astype(float) @ kinds.astype(float))
    ends = np.cumsum([tally.counts[0].size for tally in tallies])[:-1]
    each_model = np.split(np.concatenate(drawn), ends, axis=1)
    return [
        metric(tally, name)(sums.reshape(RESAMPLES, len(tally.names), 3))
        for tally, sums in zip(tallies, each_model, strict=True)
    ]


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the middle `LEVEL` of resampled values: Efron's percentile interval."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _share(part: Any, whole: Any) -> Any:
    whole = np.asarray(whole, float)
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _precision(sums: np.ndarray) -> Any:
    return _share(sums[..., 0], sums[..., 1])


def _recall(sums: np.ndarray) -> Any:
    return _share(sums[..., 0], sums[..., 2])


def _f1(sums: np.ndarray) -> Any:
    return _share(2.0 * sums[..., 0], sums[..., 1] + sums[..., 2])


def _macro_f1(sums: np.ndarray) -> Any:
    occurring = sums[..., 1] + sums[..., 2] > 0
    return _share(np.where(occurring, _f1(sums), 0.0).sum(-1), occurring.sum(-1))


def _mcc(sums: np.ndarray) -> Any:
    right, predicted, gold = (sums[..., place].astype(float) for place in range(3))
    total = gold.sum(-1)
    covariance = right.sum(-1) * total - (predicted * gold).sum(-1)
    spread = (total**2 - (predicted**2).sum(-1)) * (total**2 - (gold**2).sum(-1))
    return _share(covariance, np.sqrt(np.maximum(spread, 0.0)))


def _over_all(ratio: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], Any]:
    return lambda sums: ratio(sums.sum(-2))


_RATIOS: dict[str, Callable[[np.ndarray], Any]] = {
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
}
_MEASURES: dict[str, Callable[[np.ndarray], Any]] = {
    **{name: _over_all(ratio) for name, ratio in _RATIOS.items()},
    "accuracy": _over_all(_recall),
    "macro_f1": _macro_f1,
    "mcc": _mcc,
}


def is_known(tally: Tally, name: str) -> bool:
    """Say whether a metric follows from counts."""
    try:
        value = metric(tally, name)(tally.counts.sum(0))
    except KeyError:
        return False
    return math.isfinite(float(value))
