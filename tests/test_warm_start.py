"""Earlier studies in a storage: which may be learnt from, what is known of them, those that go."""

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from hpo import storage
from hpo.binding import BindingStorage
from hpo.errors import SpecError
from hpo.space import SearchSpace
from hpo.strategies.distributions import distributions_of
from hpo.warm_start import RECORDED, EarlierStudies, Overlap, find
from tests.studies_made import make_spec

RATE = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
SPACE = {
    "learning_rate": RATE,
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.1},
    "dropout": {"type": "float", "low": 0.0, "high": 0.3},
    "num_train_epochs": {"type": "int", "low": 1, "high": 4},
}
NEW = {"strategy": "bayes", "space": SPACE, "training": None, "fine_tuning": None}


def add(
    opened: BindingStorage, name: str, *, space: Any = None, trials: int = 2, **changes: Any
) -> optuna.Study:
    """Create a study with so many completed trials."""
    changes = {"strategy": "tpe", "space": space or {"learning_rate": RATE}, **changes}
    spec = make_spec(changes)
    study = storage.create_or_attach(opened, name, spec, direction="maximize", facts={})
    for index in range(trials):
        tell(study, spec.search_space(), index / 10)
    return study


def tell(study: optuna.Study, space: SearchSpace, value: float | None, **attrs: Any) -> None:
    """Add a trial with the lowest value of each parameter; it still runs if it has no value."""
    distributions = distributions_of(space)
    params = {
        name: each.to_external_repr(getattr(each, "low", 0)) for name, each in distributions.items()
    }
    study.add_trial(
        create_trial(
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE, value=value,
            params=params, distributions=distributions, user_attrs=attrs,
        )
    )  # fmt: skip


def test_what_cannot_teach_is_refused_at_once(opened: BindingStorage) -> None:
    """The study itself, one that is not there, one without results, one about something else."""
    add(opened, "films")
    empty = add(opened, "empty", trials=0)
    tell(empty, make_spec(NEW).search_space(), None)
    add(opened, "other", space={"freeze": {"type": "choice", "values": ["none", "encoder"]}})
    names = ["films", "new", "flims", "empty", "other"]
    with pytest.raises(SpecError) as raised:
        find(opened, make_spec({**NEW, "warm_start": names}), "new")
    assert raised.value.problems == [
        "warm_start: found 'new', the study itself; expected an earlier one",
        "warm_start: found no study 'flims'; known are films, empty, other; did you mean 'films'?",
        "warm_start: study 'empty' has no completed trial; expected some",
        "warm_start: study 'other' searches freeze; expected a parameter of this study among them: "
        "learning_rate, weight_decay, dropout, num_train_epochs",
    ]


def test_what_is_known_of_an_earlier_study(opened: BindingStorage) -> None:
    """Its constants, what its trials recorded, transformers' own where they recorded nothing."""
    space = {"learning_rate": RATE, "optim": {"type": "choice", "values": ["adamw_torch"]}}
    study = add(opened, "films", space=space, trials=0, fine_tuning={"dropout": 0.2})
    recorded = {"weight_decay": 0.05, "learning_rate": 3e-4, "label_smoothing_factor": 0.1}
    tell(study, SearchSpace.model_validate(space), 0.5, **{RECORDED: recorded})
    spec = make_spec({**NEW, "warm_start": "films"})
    (earlier,) = find(opened, spec, "new")
    assert earlier.constants["num_train_epochs"] == 2  # [training]
    assert earlier.constants["dropout"] == 0.2  # [fine_tuning]
    assert earlier.constants["model"] == "sample:bert"
    assert earlier.constants["weight_decay"] == 0.05
    assert earlier.constants["adam_beta1"] == 0.9
    assert earlier.constants["learning_rate"] != 3e-4  # is that of one trial
    assert Overlap.of(earlier, spec.search_space()) == Overlap(
        "films", 1, ["learning_rate"], ["optim"],
        {"weight_decay": 0.05, "dropout": 0.2, "num_train_epochs": 2}, [],
        "objective of sentiment",
    )  # fmt: skip


def test_where_no_trainer_ran_nothing_is_made_up(opened: BindingStorage) -> None:
    """Without a record of a Trainer's, what nobody wrote down is unknown."""
    add(opened, "films", fine_tuning=None, training=None)
    spec = make_spec({**NEW, "warm_start": "films"})
    (earlier,) = find(opened, spec, "new")
    overlap = Overlap.of(earlier, spec.search_space())
    assert overlap.unknown == ["weight_decay", "dropout", "num_train_epochs"]


def test_one_that_grows_is_read_on(opened: BindingStorage) -> None:
    """What has ended is read once, by whoever reads again; what has ended since is added."""
    study = add(opened, "films")
    earlier = EarlierStudies(opened, ["films"], pytest.fail)
    (before,) = earlier.read()
    tell(study, SearchSpace.model_validate({"learning_rate": RATE}), 0.7)
    (after,) = earlier.read()
    assert [trial.value for trial in after.trials] == [0.0, 0.1, 0.7]
    assert all(one is other for one, other in zip(before.trials, after.trials, strict=False))


@pytest.mark.parametrize("again", [False, True], ids=["gone", "another of its name"])
def test_one_that_is_deleted_is_noted_once(opened: BindingStorage, again: bool) -> None:
    """Whether it was there at first or not; the others are read on."""
    add(opened, "kept")
    add(opened, "films")
    notes: list[str] = []
    earlier = EarlierStudies(opened, ["never", "films", "kept"], notes.append)
    assert [each.name for each in earlier.read()] == ["films", "kept"]
    optuna.delete_study(study_name="films", storage=opened)
    if again:
        add(opened, "films")
    for _ in range(2):
        assert [each.name for each in earlier.read()] == ["kept"]
    assert notes == [
        f"warm start: study {name!r} is no longer there; the search goes on without it"
        for name in ("never", "films")
    ]
