"""scikit-optimize's Gaussian process as an Optuna sampler; Optuna's own, `SkoptSampler`, is gone.

https://scikit-optimize.readthedocs.io
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, StrictInt
from typing_extensions import override

from hpo.space import SearchSpace
from hpo.strategies import Situation, Strategy, StrategyOptions
from hpo.strategies.axes import Axes
from hpo.strategies.gp.dimensions import Array
from hpo.strategies.gp.encoding import key_of
from hpo.strategies.losses import Losses, best_and_latest, losses_of
from hpo.strategies.skopt_model import SkoptModel
from hpo.strategies.whole_space import WholeSpaceSampler
from hpo.trials import params_of

MAX_TRIALS = 200
"""How many finished trials are modelled at most: the best and the latest ones.

With nine parameters a fit and the search for the next point took 0.3 s at 10 trials, 1 s at 100,
3 s at 200 and 11 s at 300 (one core of a busy machine).
"""

LISTED = 1000  # a space of at most so many configurations is gone through for what is left of it
DRAWN = 200  # in a larger one, so many are drawn instead


class SkoptOptions(StrategyOptions):
    """What `strategy_options` may say.

    Args:
        acquisition: expected improvement, the lower confidence bound or the probability of
            improvement; `gp_hedge` takes one of the three at random, since its gains (Hoffman et
            al. 2011, https://arxiv.org/abs/1009.5419) would have to outlive the trial.
        estimator: a Gaussian process, a random forest or extra trees (scikit-learn from 1.6 on
            takes upstream's fourth, GBRT, for no regressor).
        startup_trials: those that are drawn at random before the first model.
    """

    acquisition: Literal["gp_hedge", "EI", "LCB", "PI"] = "gp_hedge"
    estimator: Literal["GP", "RF", "ET"] = "GP"
    startup_trials: Annotated[StrictInt, Field(ge=1)] = 10


class Skopt(Strategy):
    """Models the objective with scikit-optimize."""

    Options = SkoptOptions

    def __init__(self, options: SkoptOptions | None = None) -> None:
        self.options = options or SkoptOptions()

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        seed = situation.derived_seed()
        return SkoptSampler(situation.space, seed=seed, options=self.options)


class SkoptSampler(WholeSpaceSampler):
    """Asks scikit-optimize for the next configuration, telling it all that the study holds.

    Nothing outlives a trial: whoever has the storage goes on, with one fit for each trial.

    Running trials are told as if they had ended with the worst loss so far: of the constant liars
    the one that keeps workers furthest apart (Ginsbourger et al. 2010,
    https://hal.science/hal-00732512). In a small comparison with eight workers none of the worst,
    the mean and the best loss, which is scikit-optimize's own lie, was clearly ahead.

    What failed is told as the worst loss; see `hpo.strategies.losses`. No configuration is tried
    twice while there is another one.

    Args:
        space: the whole space; without one, the parameters that all finished trials share, as
            Optuna's samplers do, and random draws of the others.
        seed: of every draw.
        options: which model.
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        *,
        seed: int | None = None,
        options: SkoptOptions | None = None,
    ) -> None:
        super().__init__(space, seed)
        self._options = options or SkoptOptions()
        self._random = np.random.default_rng(seed)

    @override
    def reseed_rng(self) -> None:
        super().reseed_rng()
        self._random = np.random.default_rng()

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        if self._is_drawn(params_of(trial), search_space):
            return {}  # it continues an earlier attempt
        axes = Axes(search_space, self._space)
        others = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        places = (axes.row(params_of(each)) for each in others)
        seen = {key_of(row) for row in places if row is not None}
        model = self._model(study, axes, others)
        (drawn,) = axes.space.spread(self._random.random((1, len(axes.names))))
        row = drawn if model is None else model.next()
        if key_of(row) not in seen:
            return axes.params(row)
        some = (
            axes.space.table()
            if axes.space.size <= LISTED
            else axes.space.spread(self._random.random((DRAWN, len(axes.names))))
        )
        left = np.array([each for each in some if key_of(each) not in seen])
        if not len(left):
            return axes.params(row)
        if model is None:
            return axes.params(self._random.choice(left))
        return axes.params(model.best_of(left))

    def _model(self, study: Study, axes: Axes, others: Sequence[FrozenTrial]) -> SkoptModel | None:
        """Return a model of the other trials, or None before there are enough."""
        losses = losses_of(others, maximize=study.direction == StudyDirection.MAXIMIZE)
        known = _examples(axes, losses)
        if len(known) < self._options.startup_trials:
            return None
        lie = max(loss for _, loss in known)
        running = [(each, lie) for each in others if each.state == TrialState.RUNNING]
        seed = int(self._random.integers(2**31))
        model = SkoptModel(axes.space, self._options.estimator, self._options.acquisition, seed)
        model.fit(best_and_latest(known, MAX_TRIALS) + _examples(axes, running))
        return model


def _examples(axes: Axes, losses: Losses) -> list[tuple[Array, float]]:
    places = ((axes.row(params_of(trial)), loss) for trial, loss in losses)
    return [(row, loss) for row, loss in places if row is not None]
