"""Optuna's samplers, and those of ours, asked and told as a worker of `hpo` does."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from hpo.space import SearchSpace
from hpo.strategies.distributions import distributions_of
from hpo.trials import REASON


class OptunaSearcher:
    """A study in memory.

    Args:
        space: what is searched.
        sampler: returns the sampler for a trial, given how many were begun before it.
        queue: configurations, or parts of some, that are tried first.
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: Callable[[int], BaseSampler],
        queue: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._space, self._sampler, self._queue = space, sampler, queue
        self._asked = 0
        self._study = optuna.create_study(direction="maximize")

    def remember(self, trials: Sequence[tuple[Mapping[str, Any], float]]) -> None:
        """Take trials that have ended, each a configuration and its score."""
        distributions = distributions_of(self._space)
        for params, value in trials:
            own = {name: distributions[name] for name in params}
            self._study.add_trial(
                optuna.create_trial(params=dict(params), distributions=own, value=value)
            )
        self._asked += len(trials)

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """Begin a trial."""
        if self._asked < len(self._queue):
            self._study.enqueue_trial(dict(self._queue[self._asked]))
        self._study.sampler = self._sampler(self._asked)
        self._asked += 1
        trial = self._study.ask()
        return trial, dict(self._space.suggest(trial))

    def tell(self, ticket: Trial, value: float) -> None:
        """End a trial, as a failed one where its score is NaN."""
        if math.isnan(value):
            ticket.set_user_attr(REASON, "diverged")
            self._study.tell(ticket, state=TrialState.FAIL)
        else:
            self._study.tell(ticket, value)
