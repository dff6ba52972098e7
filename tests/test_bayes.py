"""The default strategy between Optuna and its numerical core; the core: `tests/gp`."""

import math
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from threadpoolctl import threadpool_info, threadpool_limits

from hpo.parameters import Prior
from hpo.space import SearchSpace
from hpo.strategies import Situation, bayes_sampler
from hpo.strategies.axes import Axes
from hpo.strategies.bayes import Bayes
from hpo.strategies.bayes_sampler import BayesSampler
from hpo.strategies.distributions import distributions_of
from hpo.strategies.published import expectations, expecting, starts
from hpo.tasks import load_task
from hpo.trials import REASON
from tests.test_space import CONDITIONAL, exists

RATE = {"type": "float", "low": 1e-6, "high": 1e-3, "log": True}
BATCH = {"type": "choice", "values": [8, 16, 32]}
EPOCHS = {"type": "int", "low": 1, "high": 6}
FINE_TUNING = {
    "learning_rate": RATE,
    "per_device_train_batch_size": BATCH,
    "num_train_epochs": EPOCHS,
    "lr_scheduler_type": {"type": "choice", "values": ["cosine", "linear"]},
    "adam_beta1": {"type": "float", "low": 0.8, "high": 0.95},
}


def space_of(**changes: Any) -> SearchSpace:
    """Return a space of fine-tuning, with some parameters changed."""
    return SearchSpace.model_validate({**FINE_TUNING, **changes})


def ask(study: optuna.Study, space: SearchSpace, index: int, seed: int = 1) -> dict[str, Any]:
    """Draw one trial as a worker does."""
    study.sampler = Bayes().sampler(Situation(space, seed, index))
    return dict(space.suggest(study.ask()))


@pytest.mark.parametrize(
    ("changes", "name", "center", "spread"),
    [
        ({}, "learning_rate", 3e-5, 2.8),
        ({"learning_rate": {**RATE, "prior": {"center": 4e-4, "spread": 3.0}}}, "learning_rate",
         4e-4, 3.0),
        ({"learning_rate": {"type": "float", "low": 0.0, "high": 1e-3}}, "learning_rate",
         3e-5, 5.4e-5),
        ({"learning_rate": {"type": "choice", "values": [1e-5, 3e-5]}}, "learning_rate", 3e-5, 1.0),
        ({}, "per_device_train_batch_size", 16, 1.0),
        ({}, "num_train_epochs", 3, 1.0),
        ({}, "lr_scheduler_type", "linear", 1.0),
        ({"weight_decay": {"type": "float", "low": 1e-4, "high": 0.1, "log": True}},
         "weight_decay", 0.01, 6.0),
    ],
)  # fmt: skip
def test_what_is_expected(changes: Any, name: str, center: Any, spread: float) -> None:
    """What the study says, else what is published, in the units of the parameter."""
    expected = expectations(space_of(**changes))[name]
    assert expected.center == center
    assert expected.spread == pytest.approx(spread)


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": {**RATE, "low": 1e-4}},
        {"learning_rate": {"type": "choice", "values": [1e-4, 1e-3]}},
        {"learning_rate": {"type": "choice", "values": [True]}},
    ],
)
def test_what_is_published_elsewhere_is_not_expected(changes: Any) -> None:
    """Nothing is made up for a range that does not hold it; and then nothing is tried first."""
    space = space_of(**changes)
    assert "learning_rate" not in expectations(space)
    assert "adam_beta1" not in expectations(space)
    assert starts(space) == []


@pytest.mark.parametrize(
    ("rate", "second"),
    [
        (RATE, 1e-4),
        ({**RATE, "high": 5e-5}, 5e-5),
        ({**RATE, "high": 3e-5}, None),
        ({"type": "choice", "values": [1e-5, 3e-5, 2e-4, 9e-5]}, 9e-5),
        ({"type": "choice", "values": [1e-5, 3e-5]}, None),
    ],
)
def test_a_higher_rate_is_tried_second(rate: Any, second: float | None) -> None:
    """As much higher as the space holds; where it holds none, there is no second one."""
    rates = [params["learning_rate"] for params in starts(space_of(learning_rate=rate))]
    assert rates == pytest.approx([3e-5] if second is None else [3e-5, second])


def test_the_best_rate_is_expected_to_move_with_batch_and_epochs() -> None:
    """Up with the batch, down with the epochs, in coordinates; nothing without a logarithm."""
    trade = Axes(distributions_of(space_of()), space_of()).prior().trade
    assert trade is not None
    decades = {1: 0.7 * math.log10(32 / 8), 2: -0.5 * math.log10(6)}
    assert {other: slope for other, (slope,) in trade.slopes.items()} == pytest.approx(
        {other: each / 3 for other, each in decades.items()}
    )
    linear = space_of(learning_rate={"type": "float", "low": 0.0, "high": 1e-3})
    assert Axes(distributions_of(linear), linear).prior().trade is None
    alone = SearchSpace.model_validate({"learning_rate": RATE})
    assert Axes(distributions_of(alone), alone).prior().trade is None
    assert Axes(distributions_of(alone), alone).prior().lead == 0


def test_optimizers_have_rates_of_their_own() -> None:
    """Lion's is a fifth of AdamW's, with a doubt that is wider than that about the batch size."""
    names = ["adamw_torch", "lion_32bit", "sgd"]
    space = space_of(optim={"type": "choice", "values": names})
    prior = Axes(distributions_of(space), space).prior()
    assert prior.trade is not None
    column = space.in_order().index("optim")
    assert prior.trade.slopes[column] == pytest.approx((0, math.log10(0.2) / 3, 0))
    assert prior.trade.doubts[column] == pytest.approx(math.log10(5) / 3)
    assert prior.trade.doubts[1] == pytest.approx(math.log10(2) / 3)


@pytest.mark.parametrize("task", ["ner", "sentiment"])
def test_a_task_has_a_field_of_its_own(task: str) -> None:
    """What is published for it stands before what is published for all, and behind the study's."""
    published = load_task(task).published
    space = expecting(space_of(num_train_epochs={"type": "int", "low": 1, "high": 3}), published)
    rate = {"ner": 3e-5, "sentiment": 2e-5}[task]
    assert expectations(space)["learning_rate"].center == rate
    assert expectations(space)["num_train_epochs"].center == 3  # it cannot be 4
    assert starts(space)[0]["learning_rate"] == rate
    own = space_of(learning_rate={**RATE, "prior": {"center": 4e-4, "spread": 3.0}})
    assert expectations(expecting(own, published))["learning_rate"].center == 4e-4
    assert expecting(space_of(), {"adam_beta1": 0.9}) == space_of()


def test_published_configurations_come_first() -> None:
    """In the order of the tickets, whoever holds them and whatever has ended meanwhile."""
    study = optuna.create_study(direction="maximize")
    published = {
        "learning_rate": 3e-5, "per_device_train_batch_size": 16, "num_train_epochs": 3,
        "lr_scheduler_type": "linear",
    }  # fmt: skip
    second = ask(study, space_of(), 1)
    first = ask(study, space_of(), 0)
    assert first.pop("adam_beta1") != second.pop("adam_beta1")
    assert first == pytest.approx(published)
    assert second == pytest.approx({**published, "learning_rate": 1e-4})
    third = ask(study, space_of(), 2)
    assert third["learning_rate"] not in {1e-4, 3e-5}


def test_conditions_hold() -> None:
    """What is proposed exists; the model reads configurations that lack different parameters."""
    study = optuna.create_study(direction="maximize")
    drawn = []
    for index in range(10):
        study.sampler = Bayes().sampler(Situation(CONDITIONAL, 3, index))
        trial = study.ask()
        params = CONDITIONAL.suggest(trial)
        assert set(params) == exists(params)
        study.tell(trial, float(params["optimizer"] == "sgd"))
        drawn.append(tuple(sorted(params.items(), key=str)))
    assert len(set(drawn)) == 10  # all there are, none twice


def test_what_failed_is_not_tried_again() -> None:
    """Not before the first success either."""
    space = space_of(
        learning_rate={"type": "choice", "values": [1e-5, 3e-5]},
        num_train_epochs={"type": "choice", "values": [2, 3]},
        adam_beta1={"type": "choice", "values": [0.9]},
        per_device_train_batch_size={"type": "choice", "values": [16]},
    )
    study = optuna.create_study(direction="maximize")
    for index in range(8):
        study.sampler = Bayes().sampler(Situation(space, 1, index))
        trial = study.ask()
        space.suggest(trial)
        if index < 6:
            trial.set_user_attr(REASON, "diverged")
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, 0.5)
    drawn = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(drawn)) == len(drawn) == 8


def test_what_others_queued_is_no_hindrance() -> None:
    """A value that is none of the space's, or a part of a configuration, queued through Optuna."""
    study = optuna.create_study(direction="maximize")
    space = space_of()
    other = distributions_of(
        space_of(lr_scheduler_type={"type": "choice", "values": ["constant", "linear"]})
    )
    params = ask(study, space, 0)
    alien = {**params, "lr_scheduler_type": "constant"}
    study.add_trial(create_trial(params=alien, distributions=other, value=1.0))
    study.enqueue_trial({"learning_rate": 1e-4})
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"reason": "diverged"}))
    study.tell(0, 0.5)
    for index in range(3, 9):
        study.sampler = Bayes().sampler(Situation(space, 1, index))
        trial = study.ask()
        assert not list(space.misfits(space.suggest(trial)))
        study.tell(trial, 0.1 * index)


def test_a_prior_that_is_wrong_is_overruled() -> None:
    """The optimum lies three deviations off what is expected, and is found all the same."""
    prior = Prior(center=3e-6, spread=2.8)
    space = space_of(learning_rate={**RATE, "prior": prior.model_dump()})
    study = optuna.create_study(direction="maximize")

    def score(params: dict[str, Any]) -> float:
        return -abs(float(params["learning_rate"]) - 2e-4) / 2e-4

    for index in range(25):
        study.sampler = Bayes().sampler(Situation(space, 1, index))
        trial = study.ask()
        study.tell(trial, score(dict(space.suggest(trial))))
    assert study.best_value > -0.2


def test_who_chooses_at_the_same_moment_chooses_something_else() -> None:
    """Trials that exist and have no parameters yet are looked ahead for, by whoever began later."""
    study = optuna.create_study(direction="maximize")
    rates = {"type": "choice", "values": [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4]}
    space = SearchSpace.model_validate({"learning_rate": rates, "num_train_epochs": EPOCHS})
    for index in range(12):
        ask(study, space, index)
        study.tell(index, index / 20)
    for _ in range(6):
        study.ask()
    chosen = [
        BayesSampler(space, seed=1, index=each.number).sample_relative(
            study, each, distributions_of(space)
        )
        for each in study.get_trials(deepcopy=False)[-6:]
    ]
    assert len({tuple(sorted(params.items())) for params in chosen}) == 6


def test_a_choice_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several would wait for each other; a search space is small."""
    seen: list[int] = []

    def propose(*_args: Any) -> None:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    monkeypatch.setattr(bayes_sampler, "propose", propose)
    study = optuna.create_study()
    with threadpool_limits(2):
        study.ask()
        BayesSampler(space_of(), seed=1).sample_relative(
            study, study.get_trials()[0], distributions_of(space_of())
        )
    assert set(seen) == {1}


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ({"type": "float", "low": 0.0, "high": 0.2}, True),
        ({"type": "int", "low": 0, "high": 1000}, False),
        ({"type": "float", "low": 0.0, "high": 500.0}, False),
    ],
)
def test_warm_up_is_expected_as_a_share(parameter: Any, expected: bool) -> None:
    """Nothing is expected of a number of steps."""
    assert ("warmup_steps" in expectations(space_of(warmup_steps=parameter))) is expected


def test_published_values_are_tried_as_they_are_written() -> None:
    """3e-05, and not 2.9999999999999977e-05."""
    study = optuna.create_study()
    study.ask()
    space = space_of()
    first = BayesSampler(space, seed=1, index=0).sample_relative(
        study, study.get_trials()[0], distributions_of(space)
    )
    assert first["learning_rate"] == 3e-5
