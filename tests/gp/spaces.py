"""Search spaces of any shape, and histories of them."""

import numpy as np
from hypothesis import strategies as st
from numpy.random import default_rng

from hpo.strategies.gp.dimensions import Array, Dimension, choice
from hpo.strategies.gp.encoding import Space
from hpo.strategies.gp.proposal import History

FINE_TUNING = Space(
    (
        Dimension("float", 1e-6, 1e-3, log=True),
        choice([8, 16, 32, 64]),
        Dimension("int", 1, 6),
        Dimension("float", 0.0, 0.3, step=0.1),
        choice(["linear", "cosine", "constant"]),
        choice([False, True]),
        Dimension("float", 0.1, 0.9, when=((5, (1.0,)),)),  # exists where the sixth is true
    )
)
SMALL = Space((choice(["a", "b"], ()), Dimension("int", 1, 3), choice([1, 2], when=((0, (1.0,)),))))


@st.composite
def dimensions(draw: st.DrawFn) -> Dimension:
    """Build any dimension that does not depend on others."""
    kind = draw(st.sampled_from(["float", "log", "stepped", "int", "int-log", "rank", "category"]))
    if kind == "category":
        return choice(draw(st.lists(st.text(max_size=3), min_size=1, max_size=5, unique=True)))
    if kind == "rank":
        return choice(draw(st.lists(st.integers(-99, 99), min_size=1, max_size=6, unique=True)))
    if kind == "int-log":
        low = draw(st.integers(1, 50))
        return Dimension("int", low, low + draw(st.integers(0, 10**6)), log=True)
    if kind == "int":
        low, step = draw(st.integers(-50, 50)), draw(st.integers(1, 7))
        return Dimension("int", low, low + draw(st.integers(0, 60)), step=step)
    if kind == "stepped":
        start, pace = draw(st.integers(-99, 99)) / 10, draw(st.integers(1, 30)) / 100
        return Dimension("float", start, start + draw(st.integers(0, 300)) / 100, step=pace)
    least, width = draw(st.floats(1e-6, 1e3)), draw(st.floats(0, 1e3))
    return Dimension("float", least, least + width, log=kind == "log")


def history(space: Space, count: int, *, pending: int = 0, seed: int = 0) -> History:
    """Return trials of configurations drawn evenly; the nearer to the origin the better."""
    rows = space.spread(default_rng(seed).random((count + pending, len(space))))
    return History(rows[:count], score(rows[:count]), rows[count:])


def score(rows: Array) -> Array:
    """Return the score of configurations, best at the origin; (n, P) to (n,)."""
    return np.asarray(-((rows - 0.2) ** 2).sum(axis=1))
