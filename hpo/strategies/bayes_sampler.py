"""The default strategy as an Optuna sampler: what the storage holds in, one configuration out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits
from typing_extensions import override

from hpo.space import SearchSpace
from hpo.strategies.axes import Axes
from hpo.strategies.earlier import taught
from hpo.strategies.gp.proposal import History, propose
from hpo.strategies.losses import losses_of
from hpo.strategies.whole_space import WholeSpaceSampler
from hpo.trials import params_of, run_of
from hpo.warm_start import EarlierStudy

AHEAD = 16  # of the trials that choose at the same moment, the latest


class BayesSampler(WholeSpaceSampler):
    """Proposes by a Gaussian process; see `hpo.strategies.gp`.

    Args:
        space: the whole space; without one, the parameters that all finished trials share, as
            Optuna's samplers do, and random draws of the others.
        seed: the study's: with the same trials in the storage it proposes the same.
        index: the trial's place in the study; by default its number.
        earlier: the studies to learn from; with the whole space only.
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        *,
        seed: int | None = None,
        index: int | None = None,
        earlier: Sequence[EarlierStudy] = (),
    ) -> None:
        super().__init__(space, seed)
        self._seed = int(np.random.default_rng(seed).integers(2**31)) if seed is None else seed
        self._index = index
        self._earlier = earlier

    @override
    def reseed_rng(self) -> None:
        super().reseed_rng()
        self._seed = int(np.random.default_rng().integers(2**31))

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        if not search_space or self._is_drawn(params_of(trial), search_space):
            return {}
        axes = Axes(search_space, self._space)
        others = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        ended = [
            (row, loss)
            for each, loss in losses_of(others, maximize=_maximizes(study), failure=np.nan)
            if (row := axes.row(params_of(each))) is not None
        ]
        pending = [
            row
            for each in others
            if not each.state.is_finished()
            and self._is_drawn(params_of(each), search_space)
            and (row := axes.row(params_of(each))) is not None
        ]
        rows, values = axes.stacked([row for row, _ in ended]), -np.array([x for _, x in ended])
        history, prior = History(rows, values, axes.stacked(pending)), axes.prior()
        if self._earlier:
            history, prior = taught(history, prior, axes, self._earlier)
        index = trial.number if self._index is None else self._index
        with threadpool_limits(1):  # small matrices: threads wait for each other for most of it
            for each in self._choosing(trial, others, search_space):
                theirs = propose(axes.space, history, prior, self._seed, _index_of(each))
                if theirs is not None:
                    history = replace(history, pending=np.vstack([history.pending, theirs]))
            row = propose(axes.space, history, prior, self._seed, index)
        if row is None:  # every configuration was tried: any may be tried again
            shares = np.random.default_rng([self._seed, index]).random((1, len(axes.names)))
            (row,) = axes.space.spread(shares)
        return axes.params(row)

    def _choosing(
        self,
        trial: FrozenTrial,
        others: Sequence[FrozenTrial],
        search_space: Mapping[str, BaseDistribution],
    ) -> list[FrozenTrial]:
        """Return the trials begun before this one whose parameters are not all written yet.

        Whoever began later looks ahead for them: else both would choose the same.
        """
        found = [
            each
            for each in others
            if each.state == TrialState.RUNNING
            and each.number < trial.number
            and not self._is_drawn(params_of(each), search_space)
        ]
        return sorted(found, key=lambda each: each.number)[-AHEAD:]


def _index_of(trial: FrozenTrial) -> int:
    return int(run_of(trial).get("ticket", trial.number))


def _maximizes(study: Study) -> bool:
    return bool(study.direction == StudyDirection.MAXIMIZE)
