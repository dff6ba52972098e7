"""One model of scikit-optimize: it is fitted once and asked for the next point."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from skopt import Optimizer
from skopt.acquisition import gaussian_ei
from skopt.space import Categorical, Real
from threadpoolctl import threadpool_limits

from hpo.strategies.unit_cube import Category, Point, UnitCube

Examples = list[tuple[Point, float]]
"""Points and their losses."""


class SkoptModel:
    """Models the losses at the points of a cube.

    Args:
        cube: where the points are.
        estimator, acquisition: by scikit-optimize's names.
        seed: of the fit and of the search for the next point.
    """

    def __init__(self, cube: UnitCube, estimator: str, acquisition: str, seed: int) -> None:
        self._optimizer = Optimizer(
            [
                Categorical(axis.coordinates()) if isinstance(axis, Category) else Real(0.0, 1.0)
                for axis in cube.axes.values()
            ],
            base_estimator=estimator,
            n_initial_points=0,
            acq_func=acquisition,
            random_state=seed,
            avoid_duplicates=False,  # it would take any other point instead
        )

    def fit(self, examples: Examples) -> None:
        """Fit the model, and search for the next point."""
        with _quiet_in_one_thread():
            self._optimizer.tell([list(point) for point, _ in examples], [y for _, y in examples])

    def next(self) -> Point:
        """Return the point that the acquisition function prefers; it may be an example."""
        with _quiet_in_one_thread():
            return tuple(map(float, self._optimizer.ask()))

    def best_of(self, points: Sequence[Point]) -> Point:
        """Return the point with the largest expected improvement."""
        optimizer = self._optimizer
        with _quiet_in_one_thread():
            rows = optimizer.space.transform([list(point) for point in points])
            gains = gaussian_ei(rows, optimizer.models[-1], min(optimizer.yi))
        return points[int(np.argmax(gains))]


@contextmanager
def _quiet_in_one_thread() -> Iterator[None]:
    # The matrices are small: with a thread for each core, a fit took ten times as long where
    # other workers had the cores. Upstream warns of each point that it proposes again.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
