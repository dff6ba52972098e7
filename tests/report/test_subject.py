"""What a report says of a study, against numbers computed by hand."""

import time
from pathlib import Path

import optuna
import pytest
from sqlalchemy import update

from hpo import storage
from hpo.confirmation import BASELINE, CONFIRMS_ID
from hpo.leases import HELD, TICKETS, Tickets
from hpo.report.cautions import cautions
from hpo.report.comparison import best_at, equal_seconds, equal_trials
from hpo.report.subject import Subject
from tests.report.studies import (
    DEFAULT,
    MINUTE,
    confirm,
    make_study,
    params_of,
    subject_of,
    trial,
    url_of,
)

FACTS = {BASELINE: DEFAULT}


def kinds(subject: Subject) -> list[str]:
    """Return what there is to mind."""
    return [each.kind for each in cautions(subject)]


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """A study of six trials: the default, better and worse ones, one pruned, one failed."""
    make_study(
        tmp_path,
        [
            trial(0, 0.70, params=DEFAULT),
            trial(1, 0.60, params=params_of(1e-4)),
            trial(2, 0.80, params=params_of(2e-4)),
            trial(3, 0.10, state="PRUNED", params=params_of(9e-4)),
            trial(4, state="FAIL", params=params_of(8e-4), attrs={"reason": "diverged"}),
            trial(10, 0.78, params=params_of(1.5e-4), at=None, device="NVIDIA H200"),
        ],
        facts=FACTS,
    )
    return tmp_path


def test_a_new_study_has_nothing_of_a_deleted_one(searched: Path) -> None:
    """What confirmed another study of its name is not its confirmation."""
    confirm(searched, {(2e-4, 16, 3): [0.75, 0.70, 0.85]})
    assert subject_of(searched).found is not None
    optuna.delete_study(study_name="films", storage=storage.open_storage(url_of(searched)))
    make_study(searched, [trial(0, 0.3)])
    assert subject_of(searched).found is None


def test_a_confirmation_of_an_earlier_version_is_known_by_name(searched: Path) -> None:
    """It stores no id."""
    confirm(searched, {(2e-4, 16, 3): [0.75, 0.70, 0.85]})
    found = storage.load(storage.open_storage(url_of(searched)), "films-confirm")
    found.set_user_attr(CONFIRMS_ID, None)
    assert subject_of(searched).found is not None


def test_failed_runs_are_told(searched: Path) -> None:
    """By their numbers, with why, and what follows; the lucky run beside them does not win."""
    confirm(searched, {(2e-4, 16, 3): [0.95, None, None], (1.5e-4, 16, 3): [0.94, 0.93, 0.94]})
    subject = subject_of(searched)
    (told,) = [each for each in cautions(subject) if each.kind == "failed seeds"]
    assert told.text == (
        "Trial 2 failed with 2 of 3 seeds (runs 1 and 2 of films-confirm: diverged); it is not "
        "taken, since another one has more runs."
    )
    assert "films-confirm" in told.advice
    assert subject.winner is not None
    assert subject.winner.trial == 5


def test_without_a_confirmation(searched: Path) -> None:
    """The best trial is the winner, the gain is a difference of two scores, and both say so."""
    subject = subject_of(searched)
    winner, gain = subject.winner, subject.gain
    assert winner is not None
    assert gain is not None
    assert (winner.trial, winner.score, winner.runs, winner.confirmed) == (2, 0.80, 1, False)
    assert winner.interval is None
    assert (round(gain.mean, 9), gain.interval, gain.default) == (0.10, None, 0.70)
    assert "one seed" in kinds(subject)


@pytest.mark.parametrize(
    ("lease", "epoch", "runs"),
    [
        (60.0, 1, 600.0),  # at work: until now
        (-300.0, 1, 240.0),  # its worker is gone: until its last progress
        (60.0, 2, 20.0),  # somebody took it over: until its last evaluation
        (None, 1, 20.0),  # nobody holds it
    ],
)
def test_a_dead_workers_trial_costs_nothing_more(
    tmp_path: Path, lease: float | None, epoch: int, runs: float
) -> None:
    """By the database's clock: of a trial that began ten minutes ago, as long as it was at work."""
    now = time.time()
    evaluations = [{"epoch": 1.0, "step": 1, "seconds": 20.0, "metrics": {"accuracy": 0.5}}]
    left = trial(0, state="RUNNING", at=now - 600, device="GPU", attrs={"evaluations": evaluations})
    study = make_study(tmp_path, [left])
    opened = storage.open_storage(url_of(tmp_path))
    tickets = Tickets(opened.engine, study.user_attrs[storage.ID], worker="elsewhere:1:m:1")
    tickets.issue([None])
    if lease is not None:
        with opened.engine.begin() as connection:
            connection.execute(
                update(TICKETS).values(
                    state=HELD, epoch=epoch, lease_until=now + lease, progress_at=now - 360,
                    worker="elsewhere:1:m:1",
                )
            )  # fmt: skip
    spent = subject_of(tmp_path).spent
    assert spent.gpu_seconds == pytest.approx(runs, abs=15)
    assert spent.seconds == pytest.approx(runs, abs=15)


def test_what_was_spent(searched: Path) -> None:
    """Six minutes on two devices; the pause before the last trial is nobody's."""
    spent = subject_of(searched).spent
    assert (spent.trials, spent.runs) == (6, 0)
    assert spent.seconds == pytest.approx(6 * MINUTE)
    assert spent.devices == {"CPU (x86_64)": 5 * MINUTE, "NVIDIA H200": MINUTE}
    assert spent.gpu_seconds == MINUTE


def test_best_so_far(searched: Path) -> None:
    """By outcome and by time without the pause; what did not complete changes nothing."""
    history = subject_of(searched).history
    assert [moment.count for moment in history] == [1, 2, 3, 4, 5, 6]
    assert [moment.best for moment in history] == [0.7, 0.7, 0.8, 0.8, 0.8, 0.8]
    seconds = [moment.seconds for moment in history]
    assert seconds == [pytest.approx(MINUTE * count) for count in (1, 2, 3, 4, 5, 6)]


def test_a_confirmation_decides(searched: Path) -> None:
    """The best mean wins with its t interval; the gain is paired by seed.

    Of .80, .82, .81 the mean is .81, the deviation .01 and t(.975, 2) = 4.302653. Against .70, .72,
    .71 every difference is .10; the residuals of all three, by configuration and seed, have the sum
    of squares .0004 at 4 degrees of freedom, and t(.975, 4) = 2.776445.
    """
    confirm(
        searched,
        {
            (1.5e-4, 16, 3): [0.80, 0.82, 0.81],
            (2e-4, 16, 3): [0.75, 0.74, 0.73],
            (3e-5, 16, 3): [0.70, 0.72, 0.71],
        },
    )
    subject = subject_of(searched)
    winner, gain = subject.winner, subject.gain
    assert winner is not None
    assert gain is not None
    half = 4.302653 * 0.01 / 3**0.5
    assert (winner.trial, winner.runs, winner.confirmed) == (5, 3, True)
    assert winner.score == pytest.approx(0.81)
    assert list(winner.interval or ()) == pytest.approx([0.81 - half, 0.81 + half])
    assert gain.mean == pytest.approx(0.10)
    half = 2.776445 * (2 * 0.0001 / 3) ** 0.5
    assert list(gain.interval or ()) == pytest.approx([0.10 - half, 0.10 + half], abs=1e-6)
    assert winner.metrics["accuracy"] == pytest.approx(0.81)
    assert subject.spent.runs == 9
    assert subject.spent.confirming == pytest.approx(9 * MINUTE)
    assert not {"one seed", "noise", "tied"} & set(kinds(subject))


def test_a_gain_within_the_noise_is_told(searched: Path) -> None:
    """An interval of the gain that holds zero is a caution."""
    confirm(searched, {(2e-4, 16, 3): [0.75, 0.70, 0.85], (3e-5, 16, 3): [0.74, 0.76, 0.70]})
    subject = subject_of(searched)
    assert "noise" in kinds(subject) or "tied" in kinds(subject)
    if subject.gain is not None:
        assert subject.gain.is_noise


def test_smaller_may_be_better(tmp_path: Path) -> None:
    """With a loss the smallest wins, and a gain is positive all the same."""
    trials = [trial(0, 0.9, params=DEFAULT), trial(1, 0.5), trial(2, 0.7, params=params_of(1e-4))]
    make_study(tmp_path, trials, direction="minimize", facts=FACTS)
    subject = subject_of(tmp_path)
    assert subject.winner is not None
    assert subject.gain is not None
    assert (subject.winner.trial, round(subject.gain.mean, 9)) == (1, 0.4)
    assert [moment.best for moment in subject.history] == [0.9, 0.5, 0.5]


def test_a_score_that_is_no_number_never_wins(tmp_path: Path) -> None:
    """Infinity is stored by others; it is no best score."""
    make_study(tmp_path, [trial(0, float("inf")), trial(1, 0.5)])
    subject = subject_of(tmp_path)
    assert subject.winner is not None
    assert subject.winner.trial == 1


def test_default_that_wins_has_no_gain(tmp_path: Path) -> None:
    """Where the default is the best, no gain over itself is claimed."""
    make_study(tmp_path, [trial(0, 0.9, params=DEFAULT), trial(1, 0.5)], facts=FACTS)
    subject = subject_of(tmp_path)
    assert (subject.gain, subject.is_default) == (None, True)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (params_of(9.9e-4), ["learning_rate upwards"]),
        (params_of(1e-5), ["learning_rate downwards"]),
        (params_of(1e-4, batch=32), ["per_device_train_batch_size upwards"]),
        (params_of(1e-4, batch=8), ["per_device_train_batch_size downwards"]),
        (params_of(1e-4, epochs=4), ["num_train_epochs upwards"]),
        (params_of(1e-4, epochs=1), []),  # there is no training below one epoch
        (params_of(1e-4), []),
    ],
)
def test_edges(tmp_path: Path, params: dict[str, object], expected: list[str]) -> None:
    """A best value at an end of its range asks for a wider one, where there is one."""
    make_study(tmp_path, [trial(0, 0.9, params=params), trial(1, 0.5), trial(2, 0.4)])
    found = [each.advice for each in cautions(subject_of(tmp_path)) if each.kind == "edge"]
    assert found == [f"Widen {each}." for each in expected]


def test_few_and_failed_and_notices(tmp_path: Path) -> None:
    """Too few trials, many failures and what was found in the data are told."""
    from hpo import storage

    failed = [trial(n, state="FAIL", attrs={"reason": "diverged"}) for n in (1, 2)]
    facts = {storage.NOTICES: ["3 texts of validation are in train, too"]}
    make_study(tmp_path, [trial(0, 0.5), *failed], facts=facts)
    found = cautions(subject_of(tmp_path))
    assert {"few trials", "failures", "data"} <= {each.kind for each in found}
    assert "3 texts of validation are in train, too" in [each.text for each in found]
    assert "2 of 3 trials failed (67%)." in [each.text for each in found]


def test_equal_trials_and_equal_time(tmp_path: Path) -> None:
    """Studies are compared as far as both have got: here two trials, and 100 seconds."""
    slow = [trial(0, 0.5, seconds=60), trial(1, 0.8, seconds=60)]
    fast = [trial(n, 0.4 + n / 10, at=1e9 + 25 * n, seconds=25) for n in range(4)]
    make_study(tmp_path, slow, name="slow")
    make_study(tmp_path, fast, name="fast")
    pair = [subject_of(tmp_path, name) for name in ("slow", "fast")]
    assert equal_trials(pair) == 2
    assert equal_seconds(pair) == pytest.approx(100)
    assert [best_at(each, trials=2) for each in pair] == [0.8, 0.5]
    assert [best_at(each, seconds=100) for each in pair] == [0.5, pytest.approx(0.7)]
    assert best_at(pair[0], seconds=10) is None


def test_equal_seeds_are_doubted(tmp_path: Path) -> None:
    """Two runs of the same score give an interval of no width, which is no certainty."""
    make_study(tmp_path, [trial(0, 0.9)])
    confirm(tmp_path, {(3e-4, 16, 3): [0.7, 0.7]})
    assert "equal seeds" in kinds(subject_of(tmp_path))


@pytest.mark.parametrize(
    ("again", "told"), [([0.70, 0.72, 0.68], True), ([0.90, 0.88, 0.95], False)]
)
def test_luck_is_told_at_the_top(tmp_path: Path, again: list[float], told: bool) -> None:
    """Where the search's best score is further from its mean than its runs from each other."""
    make_study(tmp_path, [trial(0, 0.92), trial(1, 0.8, params=params_of(1e-4))])
    confirm(tmp_path, {(3e-4, 16, 3): again, (1e-4, 16, 3): [0.8, 0.79, 0.81]})
    found = cautions(subject_of(tmp_path))
    lucky = [each for each in found if each.kind == "luck"]
    assert [each.text for each in lucky] == (
        ["The search's best score was luck by 0.2200: trial 0 had accuracy 0.9200 in the search, "
         "and 0.7000 with new seeds."] if told else []
    )  # fmt: skip
    if told:
        assert lucky == found[:1]
        assert lucky[0].advice == "Another configuration is taken."
