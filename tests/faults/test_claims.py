"""Processes that do nothing but claim, as fast as they can: each thing is one process's."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from hpo import storage
from hpo.leases import Ticket, Tickets
from tests.faults.field import NAME, Field
from tests.faults.processes import PATIENCE
from tests.forks import FORKS

PROCESSES = 4
THINGS = 120


def claim_tickets(url: str, barrier: Any, place: Path) -> None:
    """Claim until there is nothing; write down what was got."""
    opened = storage.open_storage(url)
    study = storage.load(opened, NAME)
    tickets = Tickets(opened.engine, study.user_attrs[storage.ID], worker=place.name)
    got: list[int] = []
    done: Ticket | None = None
    barrier.wait()
    while (done := tickets.claim(None, done)) is not None:
        got.append(done.number)
    place.write_text(json.dumps(got))


def take_queued(url: str, barrier: Any, place: Path) -> None:
    """Take every trial of Optuna's queue that nobody else takes first."""
    opened = storage.open_storage(url)
    trials = storage.load(opened, NAME).get_trials()
    barrier.wait()
    got = [
        trial.number
        for trial in trials
        if opened.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    ]
    place.write_text(json.dumps(got))


@pytest.mark.parametrize("take", [claim_tickets, take_queued], ids=lambda each: each.__name__)
def test_each_is_one_process_s(field: Field, take: Callable[..., None]) -> None:
    """No ticket is claimed twice, none is left; and so with the trials of Optuna's queue."""
    field.create(2)
    opened = storage.open_storage(field.url)
    study = storage.load(opened, NAME)
    Tickets(opened.engine, study.user_attrs[storage.ID], worker="").issue([None] * THINGS)
    if take is take_queued:
        trials = [optuna.trial.create_trial(state=TrialState.WAITING)] * THINGS
        study.add_trials(trials)
    opened.engine.dispose()
    barrier = FORKS.Barrier(PROCESSES)
    places = [field.folder / f"got-{number}" for number in range(PROCESSES)]
    processes = [FORKS.Process(target=take, args=(field.url, barrier, p)) for p in places]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
        assert process.exitcode == 0
    got = Counter(number for place in places for number in json.loads(place.read_text()))
    assert got == Counter(range(THINGS))
