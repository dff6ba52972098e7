"""A study as one worker sees it through a proxy that loses answers, and as it is.

Also which methods of ours are repeated through outages: for each of them such an answer matters.
"""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hpo
from hpo import storage
from hpo.binding import Binding
from hpo.leases import Ticket, Tickets
from hpo.outages import persistent
from hpo.trials import RUN
from tests.proxies import Proxy


def persistent_methods() -> list[str]:
    """Return the names of all methods and functions of ours that are repeated."""
    code = persistent(len).__code__
    found = []
    folder = Path(inspect.getfile(hpo)).parent
    for path in sorted(folder.rglob("*.py")):
        if "persistent" not in path.read_text(encoding="utf-8"):
            continue
        name = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        module = importlib.import_module(name)
        for owner in [module, *vars(module).values()]:
            if inspect.ismodule(owner) or (inspect.isclass(owner) and owner.__module__ == name):
                place = "" if inspect.ismodule(owner) else f"{owner.__name__}."
                for each, value in vars(owner).items():
                    inner = getattr(value, "__wrapped__", None)
                    is_here = place or getattr(inner, "__module__", "") == name
                    if getattr(value, "__code__", None) is code and is_here:
                        found.append(place + each)
    return sorted(set(found))


class There:
    """A study on a server, as it is, and as it is seen through a proxy.

    Args:
        url: of its database.
        between: the proxy before it.
    """

    def __init__(self, url: str, between: Proxy) -> None:
        self.direct = storage.open_storage(url)
        self.mine = storage.open_storage(between.url)
        self.between = between
        study = storage.load(self.direct, "study")
        self.study = study._study_id
        self.id = study.user_attrs[storage.ID]
        self.tickets = Tickets(self.mine.engine, self.id, worker="me")

    def lost(self, work: Callable[[], Any]) -> Any:
        """Do something by which one transaction is done, and its answer lost."""
        self.between.lose()
        done = work()
        assert self.between.lost == 1
        return done

    def others(self, name: str = "other", lease: float = 60.0) -> Tickets:
        """Return the tickets as another worker has them."""
        return Tickets(self.direct.engine, self.id, worker=name, lease=lease)

    def states(self) -> list[str]:
        """Return the states of all tickets."""
        return [each.state for each in self.others().view()]

    def is_mine(self, ticket: Ticket) -> bool:
        """Say whether a ticket is the only one that I hold, and that I can prove it."""
        held = [each.number for each in self.others().view() if each.worker == "me"]
        return held == [ticket.number] and self.others().renew(ticket) is not None

    def trials(self) -> list[Any]:
        """Return the trials that there are."""
        return self.direct.get_all_trials(self.study)

    def bound(self) -> tuple[Ticket, Binding]:
        """Claim a ticket, and return what a trial of it is created with."""
        ticket = claimed(self.tickets)
        run = {RUN: {"ticket": ticket.number, "epoch": ticket.epoch}}
        return ticket, Binding(self.tickets, ticket, {}, run)

    def close(self) -> None:
        """Leave no connection."""
        for opened in (self.direct, self.mine):
            opened.remove_session()
            opened.engine.dispose()


def claimed(tickets: Tickets) -> Ticket:
    """Claim a ticket that must be there."""
    ticket = tickets.claim(None)
    assert ticket is not None
    return ticket
