"""The default: published configurations first, then a Gaussian process that may overrule them.

See `hpo.strategies.gp` for the method and its sources.
"""

from collections.abc import Iterator, Sequence

from optuna.samplers import BaseSampler
from typing_extensions import override

from hpo.space import SearchSpace
from hpo.strategies import Situation, Strategy
from hpo.strategies.bayes_sampler import BayesSampler
from hpo.strategies.earlier import observations
from hpo.strategies.published import expectations, starts
from hpo.warm_start import EarlierStudy


class Bayes(Strategy):
    """Tries what is published, spreads a few trials, then models the space."""

    learns_from_others = True
    heeds_priors = True

    @override
    def told(self, space: SearchSpace, earlier: Sequence[EarlierStudy] = ()) -> list[str]:
        expected = expectations(space)
        words = [f"{name} near {prior.center}" for name, prior in expected.items()]
        lines = [f"expected until trials say otherwise: {', '.join(words)}"] if words else []
        first = [f"learning_rate {params['learning_rate']:g}" for params in starts(space)]
        if first:
            lines.append(f"published, tried before all others: that with {', then '.join(first)}")
        return [*lines, *_learnt(space, earlier)]

    @override
    def sampler(self, situation: Situation) -> BaseSampler:
        return BayesSampler(
            situation.space, seed=situation.seed, index=situation.index, earlier=situation.earlier
        )


def _learnt(space: SearchSpace, earlier: Sequence[EarlierStudy]) -> Iterator[str]:
    for study in earlier:
        count = observations(study, space, len(earlier))
        if count:
            yield f"learnt from {study.name}: {count} observations; their best is tried before all"
        else:
            yield f"learnt from {study.name}: nothing, for its trials lie outside of this space"
