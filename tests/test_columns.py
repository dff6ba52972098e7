"""Tables fit a terminal of any width: names and cells stay whole, the rest goes in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.columns import Column, lay_out, wrapped

NAMES = ["a-long-name-of-a-study", "b"]
COLUMNS = [
    Column("state", ["running", "done"]),
    Column("best", ["0.9", "0.8"], 2),
    Column("left", ["", ""], 3),
    Column("time", ["2 h 5 min", "3 s"], 1, spared=True),
]


def shown(width: int) -> list[str]:
    """Return the lines of the table."""
    return lay_out(Column("study", NAMES), COLUMNS, width).splitlines()


@pytest.mark.parametrize(
    ("width", "heading", "lines"),
    [
        (10_000, "study                   state    best  left  time", 4),
        (54, "study                   state    best  left  time", 4),
        (53, "study                   state    best  time", 4),  # nothing was in it
        (47, "study                   state    best", 4),
        (36, "study", 7),  # a line for each name, one for the headings behind it, and the rule
    ],
)
def test_what_is_left_out(width: int, heading: str, lines: int) -> None:
    """First what is empty, then what is to be spared, then names get lines of their own."""
    found = shown(width)
    assert (found[0], len(found)) == (heading, lines)


def test_names_in_lines_of_their_own() -> None:
    """The rest of a row stands below its name, with all columns that there is room for."""
    assert shown(36) == [
        "study",
        "  state    best  left  time",
        "  " + "─" * 30,
        "a-long-name-of-a-study",
        "  running  0.9         2 h 5 min",
        "b",
        "  done     0.8         3 s",
    ]
    assert shown(24)[1] == "  state    best"
    assert shown(12)[1] == "  state"
    assert shown(1)[1] == "  state"  # what has no weight is never left out


@given(
    st.lists(st.text("ab-界", min_size=1, max_size=30), min_size=1, max_size=4), st.integers(1, 90)
)
def test_a_name_is_never_cut(names: list[str], width: int) -> None:
    """At any width it stands whole in one line, and nothing else is lost from a line."""
    cells = [f"<{place}>" for place in range(len(names))]
    lines = lay_out(
        Column("study", names), [Column("state", cells), Column("more", cells, 1)], width
    ).splitlines()
    for name, cell in zip(names, cells, strict=True):
        assert any(name in line for line in lines)
        assert any(cell in line for line in lines)


@given(st.lists(st.text("abc=_", min_size=1, max_size=20), max_size=8), st.integers(24, 90))
def test_parameters_are_broken_between_two_of_them(parts: list[str], width: int) -> None:
    """Every part is whole, in its order, and no line is longer than the terminal."""
    lines = wrapped(parts, width)
    assert [part for line in lines for part in line.strip().split(", ")] == parts or [
        part.rstrip(",") for line in lines for part in line.split()
    ] == parts
    assert all(len(line) <= width for line in lines)
