"""The study's clock: time in which a trial ran, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.report.clock import Clock, Span, span_of
from hpo.trials import ENDED, RUN, TrialResult
from tests.report.studies import BEGAN, trial

SPANS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 60)).map(
        lambda pair: Span(float(pair[0]), float(pair[0] + pair[1]))
    ),
    max_size=12,
)


def test_pauses_are_left_out() -> None:
    """Two trials of ten seconds with a night between them: the second ends after twenty."""
    clock = Clock([Span(100, 110), Span(40_000, 40_010)])
    assert (clock.first, clock.total) == (100, 20)
    assert [clock.at(moment) for moment in (99, 105, 110, 9_000, 40_000, 40_004, 50_000)] == [
        0, 5, 10, 10, 10, 14, 20
    ]  # fmt: skip


def test_trials_at_the_same_time_count_once() -> None:
    """Two workers side by side spend no more wall clock than one."""
    assert Clock([Span(0, 10), Span(5, 12), Span(2, 3)]).total == 12
    assert Clock([]).total == 0
    assert Clock([]).first is None


@given(SPANS)
def test_the_clock_counts_covered_seconds(spans: list[Span]) -> None:
    """At any moment it reads the number of covered seconds before it."""
    clock = Clock(spans)
    covered = {second for span in spans for second in range(int(span.start), int(span.end))}
    assert clock.total == len(covered)
    for moment in range(0, 600, 37):
        assert clock.at(moment) == len({each for each in covered if each < moment})


@pytest.mark.parametrize(
    ("state", "attrs", "expected"),
    [
        ("COMPLETE", {}, Span(BEGAN, BEGAN + 60)),
        ("RUNNING", {}, Span(BEGAN, BEGAN + 500)),
        ("FAIL", {ENDED: BEGAN + 7}, Span(BEGAN, BEGAN + 7)),
        ("COMPLETE", {RUN: {}}, None),
        ("WAITING", {}, None),
    ],
)
def test_when_a_trial_ran(state: str, attrs: dict[str, object], expected: Span | None) -> None:
    """From its stored start for as long as it took; of a dead worker's, to its last progress."""
    made = trial(0, 0.5 if state == "COMPLETE" else None, state=state, attrs=attrs)
    assert span_of(TrialResult.of(made), BEGAN + 500) == expected


def test_a_trial_that_was_left_behind() -> None:
    """Of one that Optuna has running though its worker is gone: up to its last progress."""
    made = TrialResult.of(trial(0, state="RUNNING"), BEGAN + 30)
    assert span_of(made, BEGAN + 500) == Span(BEGAN, BEGAN + 30)
