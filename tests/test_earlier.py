"""What the default strategy learns from earlier studies, and what it does not let them teach."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import create_trial

from hpo.space import SearchSpace
from hpo.strategies import Situation
from hpo.strategies.axes import Axes
from hpo.strategies.bayes import Bayes
from hpo.strategies.distributions import distributions_of
from hpo.strategies.earlier import TRIALS, extra_noise, taught
from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.proposal import History
from hpo.warm_start import EarlierStudy

Params = dict[str, Any]
RATE = {"type": "float", "low": 1e-6, "high": 1e-2, "log": True}
BATCH = {"type": "choice", "values": [8, 16, 32]}
EPOCHS = {"type": "int", "low": 1, "high": 5}
OPTIM = {"type": "choice", "values": ["adafactor", "adamw_torch"]}
SWITCH = {"type": "choice", "values": [False, True]}
SPACE = {"learning_rate": RATE, "num_train_epochs": EPOCHS, "adam_beta1": {
    "type": "float", "low": 0.8, "high": 0.95}}  # fmt: skip


def space_of(table: Any) -> SearchSpace:
    """Return the search space of a table."""
    return SearchSpace.model_validate(table)


def axes_of(space: SearchSpace) -> Axes:
    """Return the dimensions of a space."""
    return Axes(distributions_of(space), space)


def earlier(
    table: Any, *trials: tuple[Params, float], maximize: bool = True, **constants: Any
) -> EarlierStudy:
    """Return a study of some trials."""
    space = space_of(table)
    found = [
        create_trial(
            params=params, value=value,
            distributions={name: distributions_of(space)[name] for name in params},
        )
        for params, value in trials
    ]  # fmt: skip
    return EarlierStudy("earlier", space, maximize, found, constants)


def told(study: EarlierStudy, table: Any, own: History | None = None) -> tuple[History, Array]:
    """Return what is known with an earlier study, and the configurations that are tried first."""
    axes = axes_of(space_of(table))
    nothing = History(axes.stacked([]), np.zeros(0), axes.stacked([]))
    history, prior = taught(own or nothing, axes.prior(), axes, [study])
    return history, prior.starts


def configurations(table: Any, rows: Array) -> list[Params]:
    """Return the configurations of rows."""
    return [axes_of(space_of(table)).params(row) for row in rows]


def test_observations_are_of_another_source() -> None:
    """The study's own come first; the others' are warped apart from them, and are uncertain."""
    trials = [({"learning_rate": 10**-power}, 0.1 * power) for power in (3, 4, 5)]
    axes = axes_of(space_of({"learning_rate": RATE}))
    own = History(
        axes.space.spread(np.array([[0.1], [0.7]])), np.array([2.0, 1.0]), axes.stacked([])
    )
    history, starts = told(earlier({"learning_rate": RATE}, *trials), {"learning_rate": RATE}, own)
    assert history.values == pytest.approx([2.0, 1.0, 0.3, 0.4, 0.5])
    assert history.source is not None
    assert history.source.tolist() == [0, 0, 1, 1, 1]
    assert history.extra_noise is not None
    assert (history.extra_noise > 0).tolist() == [False, False, True, True, True]
    first, *_ = configurations({"learning_rate": RATE}, starts)
    assert first["learning_rate"] == pytest.approx(1e-5)


def test_a_smaller_loss_is_the_better_one() -> None:
    """Scores of a study that minimizes are negated, and the smallest is tried first."""
    trials = [({"learning_rate": 10**-power}, 0.1 * power) for power in (3, 4, 5)]
    study = earlier({"learning_rate": RATE}, *trials, maximize=False)
    history, starts = told(study, {"learning_rate": RATE})
    assert history.values == pytest.approx([-0.3, -0.4, -0.5])
    assert configurations({"learning_rate": RATE}, starts)[0]["learning_rate"] == pytest.approx(
        1e-3
    )


@pytest.mark.parametrize(
    ("parameter", "theirs", "value", "ours"),
    [
        (RATE, RATE, 1e-4, 1e-4),
        (RATE, {**RATE, "high": 1.0}, 1.5e-2, 1e-2),  # a twentieth of the range outside
        (RATE, {**RATE, "high": 1.0}, 0.5, None),
        (RATE, {"type": "float", "low": 0.0, "high": 1.0}, 0.0, None),  # no logarithm
        (EPOCHS, {"type": "float", "low": 1.0, "high": 5.0}, 2.6, 3),
        (EPOCHS, {"type": "int", "low": 1, "high": 50}, 50, None),
        (BATCH, {"type": "int", "low": 1, "high": 64}, 12, 16),
        (BATCH, {"type": "choice", "values": [16, 64]}, 64, None),
        (OPTIM, {"type": "choice", "values": ["sgd", "adamw_torch"]}, "adamw_torch", "adamw_torch"),
        (OPTIM, {"type": "choice", "values": ["sgd", "adamw_torch"]}, "sgd", None),
        (SWITCH, {"type": "int", "low": 0, "high": 2}, 1, None),
    ],
)  # fmt: skip
def test_a_value_has_a_place_in_the_new_space(
    parameter: Any, theirs: Any, value: Any, ours: Any
) -> None:
    """The nearest value; a trial that is far off, or has no neighbour, tells nothing."""
    history, _ = told(earlier({"p": theirs}, ({"p": value}, 0.5)), {"p": parameter})
    found = [each["p"] for each in configurations({"p": parameter}, history.rows)]
    assert found == ([] if ours is None else [pytest.approx(ours)])


@pytest.mark.parametrize(
    ("parameter", "constants", "ours"),
    [
        (EPOCHS, {"p": 3}, 3),
        (EPOCHS, {"p": 20}, 5),  # all trials alike: they are no worse for it
        (EPOCHS, {}, 3),  # nobody knows: the middle
        (OPTIM, {"p": "adafactor"}, "adafactor"),
        ({**OPTIM, "prior": {"center": "adafactor", "spread": 1.0}}, {"p": "sgd"}, "adafactor"),
        (OPTIM, {}, "adamw_torch"),
        ({**RATE, "prior": {"center": 1e-5, "spread": 2.0}}, {}, 1e-5),
    ],
)
def test_what_was_not_searched_is_constant(parameter: Any, constants: Params, ours: Any) -> None:
    """The value that its trials ran with; else what is expected, else the middle."""
    table = {"learning_rate": RATE, "p": parameter}
    study = earlier({"learning_rate": RATE}, ({"learning_rate": 1e-3}, 0.5), **constants)
    history, _ = told(study, table)
    (found,) = configurations(table, history.rows)
    assert found == pytest.approx({"learning_rate": 1e-3, "p": ours})


@pytest.mark.parametrize(
    ("low", "said"),
    [
        (1e-6, "learnt from earlier: 2 observations; their best is tried before all"),
        (5e-3, "learnt from earlier: nothing, for its trials lie outside of this space"),
    ],
)
def test_what_is_learnt_is_told(low: float, said: str) -> None:
    """How many trials count, and what is done with them."""
    trials = [({"learning_rate": rate}, 0.1) for rate in (1e-5, 1e-4)]
    space = space_of({"learning_rate": {**RATE, "low": low}, "p": {**EPOCHS, "high": 1}})
    assert Bayes().told(space, [earlier({"learning_rate": RATE}, *trials)])[-1] == said


def test_conditions_hold_for_what_others_ran() -> None:
    """A parameter that does not exist beside the others has no value, whatever they ran with."""
    beta = {"type": "float", "low": 0.9, "high": 0.999, "when": {"optim": "adamw_torch"}}
    table = {"optim": OPTIM, "adam_beta2": beta}
    study = earlier(
        {"optim": OPTIM}, ({"optim": "adafactor"}, 0.1), ({"optim": "adamw_torch"}, 0.2),
        adam_beta2=0.95,
    )  # fmt: skip
    history, _ = told(study, table)
    assert configurations(table, history.rows) == [
        {"optim": "adafactor"}, {"optim": "adamw_torch", "adam_beta2": pytest.approx(0.95)},
    ]  # fmt: skip
    assert history.rows[0] == pytest.approx(axes_of(space_of(table)).row({"optim": "adafactor"}))


def test_what_only_others_search_makes_them_less_certain() -> None:
    """Its effect is noise here."""
    trials = [({"learning_rate": 10**-power, "p": 1}, 0.1 * power) for power in (3, 4, 5)]
    table = {"learning_rate": RATE}
    wide, _ = told(earlier({**table, "p": EPOCHS}, *trials), table)
    same, _ = told(
        earlier(table, *(({"learning_rate": p["learning_rate"]}, v) for p, v in trials)), table
    )
    assert wide.rows == pytest.approx(same.rows)
    assert wide.extra_noise is not None
    assert same.extra_noise is not None
    assert (wide.extra_noise > same.extra_noise).all()


def test_a_long_study_is_thinned_and_its_best_stay() -> None:
    """As many observations as the model can take beside the study's own."""
    trials = [({"learning_rate": 10 ** -(2 + k / 500)}, float(-(abs(k - 30)))) for k in range(1500)]
    history, starts = told(earlier({"learning_rate": RATE}, *trials), {"learning_rate": RATE})
    assert len(history.values) == TRIALS
    assert 0.0 in history.values
    best = configurations({"learning_rate": RATE}, starts)[0]["learning_rate"]
    assert math.log10(best) == pytest.approx(-2.06, abs=0.1)


@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_the_better_they_agree_the_more_certain(count: int, seed: int) -> None:
    """From the same order to the reverse, in any monotone scale; one score for all says nothing."""
    rng = np.random.default_rng(seed)
    scores, other = (np.array(rng.permutation(count), dtype=float) for _ in range(2))
    same, drawn = extra_noise(scores, scores**3), extra_noise(scores, other)
    assert extra_noise(np.zeros(count), scores) == TRUSTED
    assert same is not None
    assert same < TRUSTED
    assert drawn is None or drawn >= same
    if count >= 4:
        assert extra_noise(scores, -scores) is None


def score_near(rate: float, epochs: int) -> Callable[[Params], float]:
    """Return a score with its best value, 0, at a rate and a number of epochs."""
    return lambda params: (
        -float(
            math.log10(params["learning_rate"] / rate) ** 2
            + 0.1 * (params["num_train_epochs"] - epochs) ** 2
            + 4 * (params["adam_beta1"] - 0.9) ** 2
        )
    )


def search(
    score: Callable[[Params], float], count: int, seed: int, *others: EarlierStudy
) -> list[tuple[Params, float]]:
    """Run so many trials, and return their parameters with their scores."""
    study = optuna.create_study(direction="maximize")
    space, strategy = space_of(SPACE), Bayes()
    for index in range(count):
        study.sampler = strategy.sampler(Situation(space, seed, index, others))
        trial = study.ask()
        study.tell(trial, score(dict(space.suggest(trial))))
    return [(trial.params, float(trial.value or 0.0)) for trial in study.trials]


def trials_needed(found: list[tuple[Params, float]], score: float) -> int:
    """Return after how many trials a score was reached; more than there are if it never was."""
    return next((k for k, (_, value) in enumerate(found, 1) if value >= score), len(found) + 1)


GOOD = -0.05
TRUSTED = extra_noise(np.zeros(0), np.zeros(0)) or math.inf  # before the first trial
SEEDS = range(4)


def test_a_related_study_saves_trials() -> None:
    """With another scale and an optimum nearby, it takes less than half the trials."""
    alone, helped = [], []
    for seed in SEEDS:
        before = search(lambda params: 7 + 3 * score_near(1.5e-3, 4)(params), 25, seed + 50)
        other = earlier(SPACE, *before)
        alone.append(trials_needed(search(score_near(1e-3, 4), 20, seed), GOOD))
        helped.append(trials_needed(search(score_near(1e-3, 4), 20, seed, other), GOOD))
    assert sum(helped) < sum(alone) / 2


def test_a_misleading_study_is_overruled() -> None:
    """One that is right about nothing costs hardly a trial, and is believed less and less."""
    alone, misled = [], []
    for seed in SEEDS:
        other = earlier(SPACE, *search(score_near(3e-6, 1), 25, seed + 50))
        alone.append(trials_needed(search(score_near(1e-3, 4), 30, seed), GOOD))
        found = search(score_near(1e-3, 4), 30, seed, other)
        misled.append(trials_needed(found, GOOD))
        axes = axes_of(space_of(SPACE))
        rows = [axes.row(params) for params, _ in found]
        own = History(
            axes.stacked([row for row in rows if row is not None]),
            np.array([value for _, value in found]), axes.stacked([]),
        )  # fmt: skip
        noise = told(other, SPACE, own)[0].extra_noise
        assert noise is not None
        assert noise.max() > 3 * TRUSTED or len(noise) == len(found)
    assert sum(misled) <= sum(alone) + 2 * len(SEEDS)
