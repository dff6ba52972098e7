"""Parts of a space that exist with some values only: counted, visited, used up."""

import numpy as np
from numpy.random import default_rng

from hpo.strategies.gp.branches import Branch, branches_of, least_tried, moved_to
from hpo.strategies.gp.dimensions import Dimension, choice
from hpo.strategies.gp.encoding import Space, key_of
from hpo.strategies.gp.prior import Prior
from hpo.strategies.gp.proposal import History, propose
from tests.gp.spaces import score

NESTED = Space(
    (
        choice(["none", "layers"]),
        choice(["few", "many"], when=((0, (1.0,)),)),
        Dimension("float", when=((1, (1.0,)),)),
        Dimension("float"),
    )
)


def test_a_space_of_many_conditions_is_used_up_in_no_time() -> None:
    """What cannot exist is not gone through: 48 configurations, of 13 million combinations."""
    children = [choice(list("uvwxyz"), when=((0, (float(index),)),)) for index in range(8)]
    space = Space((choice(list("abcdefgh")), *children))
    assert space.size == 48
    rows = np.zeros((0, 9))
    for index in range(48):
        row = propose(space, History(rows, score(rows), np.zeros((0, 9))), Prior(), 0, index)
        assert row is not None
        rows = np.concatenate([rows, row[None]])
    assert len({key_of(row) for row in rows}) == 48
    assert propose(space, History(rows, score(rows), np.zeros((0, 9))), Prior(), 0, 48) is None


def test_rows_are_those_that_exist() -> None:
    """Each once, at rest where a parameter does not exist, nested conditions included."""
    space = Space((*NESTED.dimensions[:2], choice([1, 2, 3], when=((1, (1.0,)),))))
    drawn = space.spread(default_rng(0).random((500, 3)))
    assert {key_of(row) for row in space.rows()} == {key_of(row) for row in drawn}
    assert len(list(space.rows())) == space.size == 1 + 1 + 3


def test_values_that_do_the_same_are_one_branch() -> None:
    """Of a hundred numbers, one switches a parameter on; categories are told apart."""
    space = Space((Dimension("int", 1, 100), Dimension("float", when=((0, (0.0,)),))))
    on, off = branches_of(space)
    assert on == Branch(0, (0.0,))
    assert len(off.coordinates) == 99
    optimizers = Space((choice(["a", "b", "c"]), Dimension("float", when=((0, (1.0,)),))))
    assert [each.coordinates for each in branches_of(optimizers)] == [(0.0,), (1.0,), (2.0,)]
    assert branches_of(Space((Dimension("float"),))) == []


def test_the_branch_that_was_tried_least() -> None:
    """Fewest rows; none in a space without conditions."""
    space = Space((choice(["a", "b"]), Dimension("float", when=((0, (1.0,)),))))
    rows = space.settle(np.array([[0, 0.1], [1, 0.2], [1, 0.3]]))
    assert least_tried(space, rows) == Branch(0, (0.0,))
    assert least_tried(Space((Dimension("float"),)), np.zeros((1, 1))) is None


def test_to_move_to_a_branch_is_to_be_there() -> None:
    """With the parents that it needs; what exists elsewhere stays as it is."""
    rows = NESTED.spread(default_rng(1).random((200, 4)))
    for branch in branches_of(NESTED):
        moved = moved_to(branch, NESTED, rows, default_rng(2))
        assert branch.holds(moved).all()
        assert (moved[:, 3] == rows[:, 3]).all()
        assert (NESTED.settle(moved) == moved).all()
