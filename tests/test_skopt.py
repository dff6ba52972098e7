"""scikit-optimize as a sampler: what it is told of a study, and what it makes of it."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from skopt import Optimizer

from hpo.space import SearchSpace
from hpo.strategies.distributions import distributions_of
from hpo.strategies.losses import best_and_latest, losses_of
from hpo.strategies.skopt_gp import SkoptOptions, SkoptSampler
from hpo.trials import ABANDONED, HANDED_BACK, REASON


def trial(state: TrialState, *values: float, reason: str | None = None) -> FrozenTrial:
    """Return a trial that reported some values, the last of them its own."""
    complete = state == TrialState.COMPLETE
    return optuna.create_trial(
        state=state,
        value=values[-1] if complete else None,
        intermediate_values=dict(enumerate(values)),
        user_attrs={} if reason is None else {REASON: reason},
    )


@pytest.mark.parametrize(
    ("one", "loss"),
    [
        (trial(TrialState.COMPLETE, 9.0, 0.5), -0.5),
        (trial(TrialState.COMPLETE, math.inf), -0.9),
        (trial(TrialState.COMPLETE, -math.inf), -0.1),
        (trial(TrialState.PRUNED, 0.7, 0.2), -0.7),
        (trial(TrialState.PRUNED, math.nan, 0.2), -0.2),
        (trial(TrialState.PRUNED, math.nan), -0.1),
        (trial(TrialState.PRUNED), None),
        (trial(TrialState.FAIL, reason="diverged"), -0.1),
        (trial(TrialState.FAIL, 0.8, reason="out of memory"), -0.1),
        (trial(TrialState.FAIL, 0.8, reason=ABANDONED), None),
        (trial(TrialState.FAIL, 0.8, reason=HANDED_BACK), None),
        (trial(TrialState.FAIL, 0.8), None),
        (trial(TrialState.RUNNING, 0.8), None),
        (trial(TrialState.WAITING), None),
    ],
)
def test_what_a_trial_is_worth(one: FrozenTrial, loss: float | None) -> None:
    """Beside trials of 0.1 and 0.9, to be maximised, and the mirror image to be minimised."""
    others = [trial(TrialState.COMPLETE, 0.1), trial(TrialState.COMPLETE, 0.9)]
    found = losses_of([*others, one], maximize=True)
    assert [each for _, each in found] == [-0.1, -0.9] + ([] if loss is None else [loss])


def test_minimising_takes_values_as_they_are() -> None:
    """The best report of a pruned trial is its smallest, and the worst loss the largest."""
    trials = [trial(TrialState.COMPLETE, 0.1), trial(TrialState.PRUNED, 0.3, 0.7),
              trial(TrialState.FAIL, reason="diverged")]  # fmt: skip
    assert [loss for _, loss in losses_of(trials, maximize=False)] == [0.1, 0.3, 0.3]


def test_failures_alone_are_all_the_same() -> None:
    """There is no worst value then, but they are known to have been tried."""
    trials = [trial(TrialState.FAIL, reason="diverged"), trial(TrialState.COMPLETE, math.inf)]
    assert losses_of(trials, maximize=True) == [(each, 0.0) for each in trials]


def test_the_best_and_the_latest_are_kept() -> None:
    """Two of the best, then the latest, in the order of the study."""
    examples = list(zip("abcdef", [3.0, 1.0, 2.0, 9.0, 8.0, 7.0], strict=True))
    assert [name for name, _ in best_and_latest(examples, 4)] == ["b", "c", "e", "f"]
    assert best_and_latest(examples, 6) == examples


SPACE = SearchSpace.model_validate({"rate": {"type": "float", "low": 0.0, "high": 1.0}})
SOON = SkoptOptions(startup_trials=3, acquisition="EI")


def proposed(study: optuna.Study, **options: Any) -> float:
    """Return the rate that is proposed next."""
    settings = SOON.model_copy(update=options)
    study.sampler = SkoptSampler(SPACE, seed=1, options=settings)
    return float(SPACE.suggest(study.ask())["rate"])


def study_of(values: Mapping[float, float | TrialState], reason: str | None = None) -> optuna.Study:
    """Return a study, to be maximised, with trials of some rates: a value, or a state."""
    study = optuna.create_study(direction="maximize")
    for rate, value in values.items():
        known = isinstance(value, float)
        study.add_trial(
            optuna.create_trial(
                state=TrialState.COMPLETE if isinstance(value, float) else value,
                value=value if isinstance(value, float) else None,
                params={"rate": rate},
                distributions=distributions_of(SPACE),
                user_attrs={} if known or reason is None else {REASON: reason},
            )
        )
    return study


RISING = {0.1: 0.1, 0.2: 0.2, 0.3: 0.3, 0.4: 0.4, 0.5: 0.5}
CLIFF = {0.65: TrialState.FAIL, 0.8: TrialState.FAIL, 0.95: TrialState.FAIL}


@pytest.mark.parametrize("estimator", ["GP", "RF", "ET"])
def test_infeasible_regions_are_learnt(estimator: str) -> None:
    """Where scores rise towards a cliff, it climbs, but not where trials diverged."""
    assert proposed(study_of({**RISING, **CLIFF}, ABANDONED), estimator="GP") > 0.65
    assert proposed(study_of({**RISING, **CLIFF}, "diverged"), estimator=estimator) < 0.65


def test_proposals_are_taken() -> None:
    """Optuna draws at random, without a word, where a proposal does not fit its distribution."""
    space = SearchSpace.model_validate({
        "a": {"type": "float", "low": 0.1, "high": 0.75, "step": 0.1},
        "b": {"type": "float", "low": 1e-6, "high": 1e-2, "log": True},
        "c": {"type": "int", "low": 0, "high": 11, "step": 4},
        "d": {"type": "int", "low": 1, "high": 64, "log": True},
        "e": {"type": "choice", "values": [False, True]},
        "f": {"type": "choice", "values": ["x", "y", "z"]},
    })  # fmt: skip
    study = optuna.create_study(sampler=SkoptSampler(space, seed=1, options=SOON))
    for _ in range(6):
        asked = study.ask()
        proposal = dict(asked.relative_params)
        assert space.suggest(asked) == proposal
        study.tell(asked, proposal["a"])


def test_running_trials_are_avoided() -> None:
    """What a running trial tries is not tried beside it."""
    alone = proposed(study_of(RISING))
    beside = proposed(study_of({**RISING, alone: TrialState.RUNNING}))
    assert abs(alone - beside) > 0.05


def test_values_that_overflow() -> None:
    """Two that cannot be squared are no reason to stop."""
    assert 0 <= proposed(study_of({**RISING, 0.6: 1e308, 0.7: -1e308})) <= 1


@pytest.mark.parametrize("acquisition", ["gp_hedge", "EI", "LCB", "PI"])
@pytest.mark.parametrize("estimator", ["GP", "RF", "ET"])
def test_every_pair_of_options(acquisition: str, estimator: str) -> None:
    """All of them propose a value, and warn of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rate = proposed(study_of(RISING), acquisition=acquisition, estimator=estimator)
    assert 0 <= rate <= 1


def test_no_fit_for_a_trial_that_has_its_parameters() -> None:
    """A trial that continues an earlier attempt is left alone."""
    study = study_of(RISING)
    study.sampler = SkoptSampler(SPACE, seed=1, options=SOON)
    study.enqueue_trial({"rate": 0.25})
    asked = study.ask()
    assert asked.relative_params == {}
    assert SPACE.suggest(asked) == {"rate": 0.25}


def test_upstream_takes_its_gbrt_for_no_regressor() -> None:
    """The estimator that is not offered cannot be used."""
    with pytest.raises(ValueError, match="has to be a regressor"):
        Optimizer([(0.0, 1.0)], base_estimator="GBRT")
