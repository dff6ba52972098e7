"""Parameters and configurations as numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from hpo.strategies.gp.dimensions import Dimension, choice
from hpo.strategies.gp.encoding import Space, key_of
from tests.gp.spaces import FINE_TUNING, SMALL, dimensions


@given(dimensions(), st.floats(0, 1))
def test_drawn_value_survives_the_way_there_and_back(dimension: Dimension, share: float) -> None:
    """A value that is drawn decodes, encodes to its own coordinate and decodes to itself."""
    coordinate = dimension.spread(np.array([share]))[0]
    value = dimension.decode(coordinate)
    again = dimension.encode(value)
    width = abs(dimension.high - dimension.low) or 1.0
    lost = np.finfo(float).eps * max(abs(dimension.high), abs(dimension.low)) / width
    assert again == pytest.approx(coordinate, abs=max(1e-6, 4 * lost))  # as floats are
    if isinstance(value, float):
        assert dimension.decode(again) == pytest.approx(value, rel=1e-9)
    else:
        assert dimension.decode(again) == value


@given(dimensions(), st.floats(0, 1))
def test_range_is_kept(dimension: Dimension, share: float) -> None:
    """A decoded number is between the bounds and on a step, a choice is one of the choices."""
    value = dimension.decode(dimension.spread(np.array([share]))[0])
    if dimension.values:
        assert value in dimension.values
        return
    assert isinstance(value, int if dimension.kind == "int" else float)
    assert dimension.low <= value <= dimension.high
    if dimension.step is not None:
        steps = (value - dimension.low) / dimension.step
        assert steps == pytest.approx(round(steps), abs=1e-6)


@settings(max_examples=30)
@given(dimensions().filter(lambda dimension: dimension.size < 500))
def test_levels_are_all_values_once(dimension: Dimension) -> None:
    """The levels of a finite dimension decode to as many distinct values as it has."""
    decoded = {dimension.decode(level) for level in dimension.levels()}
    assert len(decoded) == dimension.size == len(dimension.levels())


def test_an_even_draw_prefers_no_value() -> None:
    """Each value of a discrete dimension has an equal share of the draw."""
    shares = (np.arange(1200) + 0.5) / 1200
    for dimension in (choice([8, 16, 32]), Dimension("int", 1, 6), choice(["a", "b", "c"])):
        counts = np.unique(dimension.spread(shares), return_counts=True)[1]
        assert set(counts) == {1200 // int(dimension.size)}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(bad: float) -> None:
    """No coordinate is made up for NaN and infinity."""
    with pytest.raises(ValueError, match="finite"):
        Dimension("float", 0.0, 1.0).encode(bad)


def test_numeric_choices_are_ordered_and_booleans_are_not() -> None:
    """Batch sizes have ranks whatever their order; true and false are categories."""
    assert [choice([64, 8, 16]).encode(value) for value in (8, 16, 64)] == [0, 0.5, 1]
    assert choice([False, True]).kind == "category"


def test_a_parameter_that_does_not_exist_has_one_coordinate_and_no_value() -> None:
    """Two rows that differ only in a parameter that does not exist are one configuration."""
    rows = FINE_TUNING.spread(default_rng(0).random((200, len(FINE_TUNING))))
    off = rows[:, 5] == 0
    assert set(rows[off, 6]) == {0.5}
    assert FINE_TUNING.decode(rows[off][0])[6] is None
    assert FINE_TUNING.decode(rows[~off][0])[6] is not None
    other = rows[off][:1].copy()
    other[0, 6] = 0.9
    assert key_of(FINE_TUNING.settle(other)[0]) == key_of(rows[off][0])


def test_a_child_of_a_child_that_does_not_exist_does_not_exist() -> None:
    """Existence is passed on through chains of conditions."""
    space = Space(
        (
            choice(["no", "yes"]),
            choice(["no", "yes"], when=((0, (1.0,)),)),
            Dimension("float", when=((1, (1.0,)),)),
        )
    )
    assert not space.exists(np.array([[0.0, 1.0, 0.3]]))[0, 1:].any()
    assert space.decode(space.settle(np.array([[0.0, 1.0, 0.3]]))[0]) == ["no", None, None]
    assert space.decode(space.settle(np.array([[1.0, 1.0, 0.3]]))[0]) == ["yes", "yes", 0.3]


def test_a_table_holds_only_what_exists() -> None:
    """Of 2 x 3 x 2 points, those that differ in what does not exist are one."""
    table = SMALL.table()
    assert len(table) == 3 + 3 * 2
    assert {key_of(row) for row in table} == {key_of(row) for row in SMALL.rows()}


def test_configurations_survive_the_way_there_and_back() -> None:
    """Encoding what was decoded gives the same row, absent parameters included."""
    rows = FINE_TUNING.spread(default_rng(1).random((50, len(FINE_TUNING))))
    for row in rows:
        assert FINE_TUNING.encode(FINE_TUNING.decode(row)) == pytest.approx(row, abs=1e-9)


def test_different_categories_are_at_distance_one() -> None:
    """One-hot features are scaled so that a mismatch counts like the whole range of a number."""
    features = Space((choice(["a", "b", "c"]),)).features(np.array([[0.0], [1.0], [2.0]]))
    gaps = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
    assert gaps == pytest.approx(1 - np.eye(3))
