"""Parts of a space that exist only with one value of a parameter, such as an optimizer's own.

A model that has seen one look at a branch, with a poor learning rate, writes it off: on landscapes
with three optimizers, 95 of 100 trials went to the one that was settled on first.
"""

import numpy as np
from numpy.random import Generator

from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.encoding import Space

Branch = tuple[int, float]  # a dimension that others depend on, and a coordinate of it


def least_tried(space: Space, rows: Array) -> Branch | None:
    """Return the branch that the fewest of the rows (n, P) are in; None in a space without any."""
    branches = [
        (int((rows[:, column] == coordinate).sum()), column, float(coordinate))
        for column in sorted({other for each in space.dimensions for other, _ in each.when})
        if np.isfinite(space.dimensions[column].size)
        for coordinate in space.dimensions[column].levels()
    ]
    return min(branches)[1:] if branches else None


def moved_to(branch: Branch, space: Space, rows: Array, rng: Generator) -> Array:
    """Return the same configurations in a branch; what exists there alone is drawn; (n, P)."""
    column, coordinate = branch
    fresh = space.all_existing(rng.random(rows.shape))
    moved = np.where(space.exists(rows), rows, fresh)
    moved[:, column] = coordinate
    return space.settle(moved)
