"""A study that has plateaued: the rule, and that all who look at it conclude the same."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo import plateau
from hpo.errors import SpecError
from hpo.spec import StopSpec, StudySpec, parse
from hpo.trials import HANDED_BACK, REASON, RUN

OUTCOMES = st.lists(st.none() | st.integers(0, 5).map(float), max_size=30)
STOPS = st.builds(
    StopSpec, patience=st.integers(1, 6), min_delta=st.sampled_from([0.0, 1.0, 2.5]),
    min_trials=st.integers(1, 12),
)  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "changes", "expected"),
    [
        ([1, 2, 3, 4, 5, 6], {}, None),
        ([1, 5, 4, 3], {}, None),
        ([1, 5, 4, 3, 5], {}, 5),
        ([1, 5, 4, 3, 5, 9], {}, 5),
        ([1, 5, 4, None, None], {}, 5),
        ([None, None, None, None, 1], {}, None),
        ([None] * 9, {}, None),
        ([], {}, None),
        ([5, 4, 4, 4, 4, 4, 4], {"min_trials": 6}, 6),
        ([5, 5.125, 5.25, 5.25], {"min_delta": 0.25}, 4),
        ([5, 5.125, 5.25, 5.5], {"min_delta": 0.25}, None),
    ],
)
def test_rule(outcomes: list[float | None], changes: dict[str, Any], expected: int | None) -> None:
    """Three in a row without an improvement of the best; what has no score improves nothing."""
    stop = StopSpec(**{"patience": 3, "min_trials": 1, **changes})
    assert plateau.plateau(outcomes, stop) == expected


@given(OUTCOMES, STOPS, st.integers(0, 30))
def test_what_comes_later_changes_nothing(
    outcomes: list[float | None], stop: StopSpec, seen: int
) -> None:
    """Whoever saw fewer outcomes concludes the same, or nothing yet."""
    whole = plateau.plateau(outcomes, stop)
    part = plateau.plateau(outcomes[:seen], stop)
    assert part in (None, whole)
    assert whole is None or seen < whole or part == whole


@given(OUTCOMES, STOPS)
def test_as_its_definition(outcomes: list[float | None], stop: StopSpec) -> None:
    """The first moment at which the best is not more than so much better than it was before."""

    def over(count: int) -> bool:
        if count < stop.min_trials:
            return False
        before = [score for score in outcomes[: count - stop.patience] if score is not None]
        now = [score for score in outcomes[:count] if score is not None]
        return count > stop.patience and bool(before) and max(now) - max(before) <= stop.min_delta

    moments = [count for count in range(1, len(outcomes) + 1) if over(count)]
    assert plateau.plateau(outcomes, stop) == (moments[0] if moments else None)


def _trials(*described: tuple[int, TrialState, float | None, dict[str, Any]]) -> list[FrozenTrial]:
    trials = []
    for number, (ticket, state, value, attrs) in enumerate(described):
        run = {RUN: {"ticket": ticket}}
        made = create_trial(state=state, value=value, user_attrs={**run, **attrs})
        made.number = number
        trials.append(made)
    return trials


DONE, CUT = TrialState.COMPLETE, {REASON: HANDED_BACK}


def test_outcomes() -> None:
    """In the order in which tickets were begun, up to the first that is open; none twice."""
    trials = _trials(
        (0, TrialState.FAIL, None, CUT),
        (1, DONE, 0.1, {}),
        (2, TrialState.PRUNED, None, {}),
        (3, TrialState.FAIL, None, {REASON: "diverged"}),
        (0, DONE, 0.0, {}),  # the second attempt at the first one
        (4, DONE, 0.4, {}),
    )
    assert plateau.outcomes(trials, maximize=True) == [0.0, 0.1, None, 0.4]
    assert plateau.outcomes(trials, maximize=False) == [-0.0, -0.1, None, -0.4]
    assert plateau.outcomes(trials[:4], maximize=True) == []  # the first one is open
    running = _trials((0, DONE, 0.2, {}), (1, TrialState.RUNNING, None, {}), (2, DONE, 0.3, {}))
    assert plateau.outcomes(running, maximize=True) == [0.2]


@pytest.mark.parametrize("maximize", [True, False])
def test_why(*, maximize: bool) -> None:
    """The sentence names what ended the study, and what would let it go on."""
    values: Sequence[float] = [0.5, 0.7, 0.7, 0.6] if maximize else [0.5, 0.3, 0.3, 0.4]
    trials = _trials(*((ticket, DONE, value, {}) for ticket, value in enumerate(values)))
    stop = StopSpec(patience=2, min_trials=1, min_delta=0.05)
    assert plateau.told(trials, stop, maximize=maximize) == (
        "the study has plateaued: the last 2 of 4 trials did not improve the best by more than "
        "0.05; a larger stop.patience goes on"
    )
    assert plateau.told(trials, None, maximize=maximize) is None
    assert plateau.told(trials[:3], stop, maximize=maximize) is None


def _study(**changes: Any) -> StudySpec:
    rate = {"type": "float", "low": 0.1, "high": 0.2}
    data = {"path": "sample:ner"}
    return parse(
        {"task": "ner", "model": "m", "data": data, "space": {"learning_rate": rate}, **changes},
        "study.toml",
    )


def test_study_file() -> None:
    """It is off by default, needs its patience, and may change in the midst of a study."""
    assert _study().stop is None
    stopping = _study(stop={"patience": 5})
    assert stopping.stop == StopSpec(patience=5)
    assert stopping.differences(_study()) == []
    assert stopping.digest() == _study().digest()
    with pytest.raises(SpecError, match=r"stop\.patience: found nothing; expected this key"):
        _study(stop={"min_delta": 0.1})
