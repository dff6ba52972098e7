"""What a worker does about the others of its study: who is gone, whom to wait for, what is left."""

import time
from collections.abc import Sequence
from contextlib import suppress

from hpo import workers
from hpo.errors import LeaseLost
from hpo.leases import HELD, TicketView
from hpo.trials import has_outcome
from hpo.turn import Turn, Work

_POLL = 2.0  # seconds between two looks


def end_leases_of_the_dead(work: Work, held: Sequence[TicketView]) -> bool:
    """End the leases of workers that this machine knows to be gone; say if there were any."""
    holders = {ticket.worker for ticket in held if ticket.state == HELD}
    return bool(work.tickets.end_leases(filter(workers.is_gone, filter(None, holders))))


def end_trials_of_the_dead(work: Work) -> None:
    """End the trials that run although nobody holds their tickets; nobody may claim those again."""
    for left in work.tickets.open(None):
        free = left.lease is None or left.lease < 0
        if left.trial_id is None or not free:
            continue
        if work.cached.get_trial(left.trial_id).state.is_finished():
            continue
        asked = time.monotonic()
        ticket = work.tickets.take(left.number)
        if ticket is None:
            continue  # somebody was faster
        with suppress(LeaseLost):
            trial = Turn(work, ticket, asked).conclude()
            if trial is not None and has_outcome(trial):
                work.tickets.settle(ticket)
        work.tickets.hand_back(ticket)  # which changes nothing, once it is settled


def wait_for_leases(work: Work) -> None:
    """Wait until whoever still holds a ticket is known to be alive, or gone, or its lease is over.

    Alive is whoever runs on this machine, or has renewed the lease since.
    """
    began = time.monotonic()
    first: dict[tuple[int, int], float] = {}  # ticket and claim -> when its lease was to end
    while True:
        left = work.tickets.open(None)
        end_leases_of_the_dead(work, left)
        passed = time.monotonic() - began
        doubtful = []
        for ticket in left:
            if not ticket.lease or ticket.lease < 0 or workers.is_alive(ticket.worker or ""):
                continue
            seen = first.setdefault((ticket.number, ticket.epoch), ticket.lease + passed)
            if ticket.lease + passed < seen + 1:  # it was not renewed
                doubtful.append(ticket.lease)
        if not doubtful:
            return
        time.sleep(min(_POLL, *doubtful) + 0.05)
