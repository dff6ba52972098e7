"""How much each parameter matters for a good score, and how sure that is.

PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255) as Optuna has it: it takes
milliseconds, asks what sets the best quarter of the trials apart, and knows parameters that exist
only with certain values of others. The bars' ends come from trials drawn again with replacement
(Efron 1979): with few trials they are wide, which is the truth.
"""

import copy
import math
import random
import warnings
from collections.abc import Container, Iterator, Sequence
from functools import lru_cache
from statistics import median

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from typing_extensions import override

from hpo.parameters import Choice, Float, Parameter
from hpo.report.blocks import Block, Figure, Section, Undrawable
from hpo.report.plotting import ACCENT, axis, label
from hpo.report.subject import Subject

_FEWEST = 8  # trials: a quarter of them are two
_QUANTILE = 0.25
_RESAMPLES = 30
_MOST = 5000  # trials in a resample, which takes a fifth of a second then
_LEVEL = 0.8  # of the intervals: 30 resamples say little about 95%


def importance(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Draw a bar for each parameter."""
    (subject,) = subjects
    found = importances(subject)
    names = sorted(found, key=lambda name: found[name][1])
    mid = [found[name][1] for name in names]
    yield Figure(
        "",
        [
            {
                "type": "bar",
                "orientation": "h",
                "x": mid,
                "y": list(range(len(names))),
                "hoverinfo": "text",
                "marker": {"color": ACCENT},
                "width": 0.5,
                "showlegend": False,
                "hovertext": [_told(name, *found[name]) for name in names],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "color": "var(--ink)",
                    "thickness": 1.25,
                    "width": 4,
                    "array": [found[name][2] - found[name][1] for name in names],
                    "arrayminus": [found[name][1] - found[name][0] for name in names],
                },
            }
        ],
        {
            "xaxis": axis("share of the importance", tickformat=".0%", rangemode="tozero"),
            "yaxis": {
                "tickvals": list(range(len(names))),
                "ticktext": [label(name, 28) for name in names],
                "showgrid": False,
            },
        },
        height=100 + 38 * len(names),
        note=f"PED-ANOVA: what sets the best quarter of {len(_usable(subject)):,} trials apart. "
        f"Bars are medians over {_RESAMPLES} resamples of {_drawn(len(_usable(subject)))}, lines "
        f"hold {_LEVEL:.0%} of them: where lines overlap, the order is not certain.",
    )


def _drawn(count: int) -> str:
    if count <= _MOST:
        return "the trials"
    return f"{_MOST:,} trials each (lines are shortened to what all {count:,} would give)"


def _told(name: str, low: float, mid: float, high: float) -> str:
    return label(f"{name}: {mid:.0%} ({low:.0%} to {high:.0%})", 99)


@lru_cache(maxsize=8)
def _usable(subject: Subject) -> list[FrozenTrial]:
    """Return the trials that say what matters.

    Raises:
        Undrawable: there are too few, or all scored the same.
    """
    trials = [trial for trial in subject.completed if trial.value is not None]
    if len(trials) < _FEWEST:
        raise Undrawable(
            f"What matters cannot be told from {len(trials)} completed "
            f"{'trial' if len(trials) == 1 else 'trials'}; it takes {_FEWEST} at least."
        )
    if len({trial.value for trial in trials}) == 1:
        raise Undrawable("What matters cannot be told: all trials scored the same.")
    space = subject.view.spec.search_space().root
    known = _distributions(subject)
    if all(each.single() for each in known.values()):
        raise Undrawable("What matters cannot be told: no parameter has more than one value.")
    frozen = [
        create_trial(
            value=subject.sign * (trial.value or 0.0),
            params={name: trial.params[name] for name in known if name in trial.params},
            distributions={name: known[name] for name in known if name in trial.params},
        )
        for trial in trials
        if all(space[name].holds(value) for name, value in trial.params.items() if name in space)
    ]
    if len(frozen) < _FEWEST:
        raise Undrawable("What matters cannot be told: too few trials are within today's space.")
    return frozen


def _distributions(subject: Subject) -> dict[str, BaseDistribution]:
    space = subject.view.spec.search_space().root
    return {name: distribution(parameter) for name, parameter in space.items()}


@lru_cache(maxsize=8)
def importances(subject: Subject) -> dict[str, tuple[float, float, float]]:
    """Return name -> lower end, median and upper end of its share over the resamples.

    Beyond 5,000 trials a resample has fewer than there are. What it deviates by is scaled by the
    root of that ratio (Bickel, Götze and van Zwet 1997, "Resampling fewer than n observations").

    Raises:
        Undrawable: there are too few trials, or all scored the same.
    """
    frozen, known = _usable(subject), _distributions(subject)
    draw = random.Random(0)
    size = min(len(frozen), _MOST)
    scale = math.sqrt(size / len(frozen))
    shares = [_shares(draw.choices(frozen, k=size), list(known)) for _ in range(_RESAMPLES)]
    found = {}
    for name in known:
        values = sorted(each[name] for each in shares)
        cut = round((1 - _LEVEL) / 2 * (len(values) - 1))
        mid = median(values)
        found[name] = (
            mid - (mid - values[cut]) * scale,
            mid,
            mid + (values[-1 - cut] - mid) * scale,
        )
    return found


class _Resample(InMemoryStorage):
    """Has trials that were drawn, some of them several times.

    To add them to a study would take ten times as long as all that is asked of them.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._drawn = [copy.copy(trial) for trial in trials]
        for number, trial in enumerate(self._drawn):
            trial._trial_id = number  # noqa: SLF001 - by which they are told apart

    @override
    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        return list(self._drawn)


def _shares(trials: Sequence[FrozenTrial], names: list[str]) -> dict[str, float]:
    """Return each parameter's share of the whole, which is nothing where no trial stands out."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", storage=_Resample(trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a resample may hold one value of a parameter only
        evaluator = PedAnovaImportanceEvaluator(target_quantile=_QUANTILE)
        found = evaluator.evaluate(study, names)
    whole = sum(found.values())
    return {name: found[name] / whole if whole > 0 else 0.0 for name in names}


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return Optuna's distribution of a parameter."""
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.values)
    if isinstance(parameter, Float):
        return FloatDistribution(
            parameter.low, parameter.top(), log=parameter.log, step=parameter.step
        )
    return IntDistribution(parameter.low, parameter.top(), log=parameter.log, step=parameter.step)


SECTION = Section("What matters", importance)
