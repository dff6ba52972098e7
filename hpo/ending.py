"""Why a study is over although tickets are left; who works on it and who watches judge alike."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hpo import failures, plateau
from hpo.orders import State
from hpo.spec import BudgetSpec, StopSpec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Ending:
    """Why a study is over.

    Args:
        kind: in a word.
        why: in a sentence; empty where the word says it all.
    """

    kind: Literal["stopped", "failures", "plateau", "hours"]
    why: str = ""


@dataclass(frozen=True)
class Standing:
    """How a study stands; what takes time to find out is asked for only if it matters.

    Args:
        state: what people said is to become of it.
        trials: returns all of them.
        seconds: returns the wall clock that they took.
        maximize: whether larger scores are better.
        before: the numbers of trials whose failures were forgiven: somebody ran the study again.
    """

    state: State
    trials: Callable[[], "Sequence[FrozenTrial]"]
    seconds: Callable[[], float]
    maximize: bool
    before: Container[int] = ()


def ending(
    standing: Standing, budget: BudgetSpec, stop: StopSpec | None, *, failed: bool = True
) -> Ending | None:
    """Say why no further ticket of a study is taken; None where they are.

    Args:
        standing: how the study stands.
        budget: what may be spent.
        stop: when it has plateaued.
        failed: whether any trial can have failed since it was last asked.
    """
    if standing.state in {"stopped", "recalled"}:
        return Ending("stopped")
    if failed or budget.max_failures is not None:
        why = failures.hopeless(standing.trials(), standing.before, budget.max_failures)
        if why is not None:
            return Ending("failures", why)
    if stop is not None:
        why = plateau.told(standing.trials(), stop, maximize=standing.maximize)
        if why is not None:
            return Ending("plateau", why)
    if budget.hours is not None and standing.seconds() >= budget.hours * 3600:
        return Ending("hours")
    return None
