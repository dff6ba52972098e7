"""One model of scikit-optimize: it is fitted once and asked for the next point."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from skopt import Optimizer
from skopt.acquisition import gaussian_ei
from skopt.space import Categorical, Real
from threadpoolctl import threadpool_limits

from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.encoding import Space


class SkoptModel:
    """Models the losses of configurations.

    Args:
        space: what is searched; P dimensions.
        estimator, acquisition: by scikit-optimize's names.
        seed: of the fit and of the search for the next point.
    """

    def __init__(self, space: Space, estimator: str, acquisition: str, seed: int) -> None:
        self._space = space
        self._optimizer = Optimizer(
            [
                Categorical(each.levels().tolist()) if each.kind == "category" else Real(0.0, 1.0)
                for each in space.dimensions
            ],
            base_estimator=estimator,
            n_initial_points=0,
            acq_func=acquisition,
            random_state=seed,
            avoid_duplicates=False,  # it would take any other point instead
        )

    def fit(self, examples: Sequence[tuple[Array, float]]) -> None:
        """Fit the model to rows (P,) and their losses, and search for the next one."""
        rows = [_known(row) for row, _ in examples]
        with _quiet_in_one_thread():
            self._optimizer.tell(rows, [loss for _, loss in examples])

    def next(self) -> Array:
        """Return the row (P,) that the acquisition function prefers; it may be an example."""
        with _quiet_in_one_thread():
            row = np.array(self._optimizer.ask(), float)
        return np.asarray(self._space.settle(row[None])[0])

    def best_of(self, rows: Array) -> Array:
        """Return the row (P,) with the largest expected improvement, of (n, P)."""
        optimizer = self._optimizer
        with _quiet_in_one_thread():
            inputs = optimizer.space.transform([_known(row) for row in rows])
            gains = gaussian_ei(inputs, optimizer.models[-1], min(optimizer.yi))
        return np.asarray(rows[int(np.argmax(gains))])


def _known(row: Array) -> list[float]:
    """Return a row as scikit-optimize takes it: a category that does not exist is the first."""
    return list(np.maximum(row, 0.0).tolist())


@contextmanager
def _quiet_in_one_thread() -> Iterator[None]:
    # The matrices are small: with a thread for each core, a fit took ten times as long where
    # other workers had the cores. Upstream warns of each point that it proposes again.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
