"""Is the best trial the best configuration? The best few are trained again, with new seeds.

The best of many noisy scores is partly luck, and the more trials a search has, the more it is: Liu
and Wang 2021 (https://aclanthology.org/2021.acl-long.178) found that searches for fine-tuning lose
to a grid where they overfit the validation set. So behind the search the `top` configurations, and
the default one of the field, are trained again with `seeds` new seeds, the same ones for all; the
winner is the best mean, or what is as good and cheaper (see `hpo.candidates`).

A confirmation is a study of its own beside the search, with its own tickets: workers share it as
they share any other, and the search's budget and trials stay what they are.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from optuna import Study
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from hpo import storage
from hpo.candidates import SEED, Confirmation, compare, key_of, seedless
from hpo.errors import BadInput, StudyMismatch
from hpo.evaluations import range_of
from hpo.parameters import Int, Scalar
from hpo.space import SearchSpace
from hpo.spec import BudgetSpec, PruneSpec, StudySpec
from hpo.trials import best_of, params_of

STRATEGY = "points"
CONFIRMS = "hpo:confirms"  # the name of the study that a confirmation is of
CONFIRMS_ID = "hpo:confirms-id"  # its id: a later study of the name is another one
BASELINE = "hpo:baseline"  # of a study: its default configuration
COVERS = "hpo:covers"  # how many tickets the search had; with more of them there is more to confirm
_SEEDS = 2**31


def name_of(study: str) -> str:
    """Return what the confirmation of a study is called."""
    return f"{study}-confirm"


def specification(
    spec: StudySpec,
    trials: Sequence[FrozenTrial],
    *,
    maximize: bool,
    default: Mapping[str, Scalar] | None = None,
    stored: StudySpec | None = None,
) -> StudySpec | None:
    """Return what the confirmation of a study is; None where there is nothing to confirm.

    Args:
        spec: of the study, with `confirm`.
        trials: of the study.
        maximize: whether larger objectives are better.
        default: the default configuration, which is confirmed too if it has completed.
        stored: of the confirmation, if there is one already: its points stay.
    """
    if spec.confirm is None:
        return None
    ranked = _distinct(best_of(trials, maximize=maximize))
    chosen = ranked[: spec.confirm.top]
    chosen += [each for each in ranked[spec.confirm.top :] if each == default]
    if not chosen:
        return None
    seeds = np.random.SeedSequence([spec.seed, 0x636F6E66]).generate_state(spec.confirm.seeds)
    points = [
        {**params, SEED: int(seed % _SEEDS)} for seed in seeds for params in chosen
    ]  # seed by seed: whoever stops early has compared something
    before = [] if stored is None else _points(stored)
    added = [point for point in points if point not in before]
    root = {**spec.search_space().root, SEED: Int(type="int", low=0, high=_SEEDS - 1)}
    training = {name: value for name, value in spec.training.items() if name != SEED}
    return spec.model_copy(
        update={
            "strategy": STRATEGY,
            "strategy_options": {"points": [*before, *added]},
            "space": SearchSpace(root),
            "model": spec.model[:1],  # a list of models is a parameter of the space now
            "training": training,
            "budget": BudgetSpec(max_attempts=spec.budget.max_attempts),
            "start": (), "warm_start": (), "prune": PruneSpec(), "stop": None, "confirm": None,
            "baseline": False,
        }
    )  # fmt: skip


def extends(stored: StudySpec, new: StudySpec) -> bool:
    """Say whether a confirmation merely has more points than before."""
    changed = {text.partition(":")[0].split(".")[0] for text in new.differences(stored)}
    now = _points(new)
    grown = {"strategy_options", "space", "model"}  # a grid may have been extended before
    return changed <= grown and all(each in now for each in _points(stored))


def covers(attrs: Mapping[str, Any] | None, issued: int) -> bool:
    """Say whether a confirmation is of a whole search.

    Args:
        attrs: of the confirmation; None where there is none.
        issued: how many tickets the search has.
    """
    return attrs is not None and attrs.get(COVERS) == issued


def belongs(attrs: Mapping[str, Any], search: Mapping[str, Any] | None, name: str) -> bool:
    """Say whether a study is the confirmation of another one.

    Args:
        attrs: of the one.
        search: of the other; None where there is none.
        name: of the other.
    """
    if search is None or attrs.get(CONFIRMS) != name:
        return False
    return attrs.get(CONFIRMS_ID) in {None, search.get(storage.ID)}  # none in earlier versions


def find(opened: RDBStorage, study: str) -> Study | None:
    """Return the confirmation of a study; None where there is none yet."""
    try:
        found = storage.load(opened, name_of(study))
        search = storage.load(opened, study)
    except BadInput:
        return None
    return found if belongs(found.user_attrs, search.user_attrs, study) else None


def check_name(opened: RDBStorage, study: str) -> None:
    """Refuse a study whose confirmation would have the name of something else.

    Raises:
        StudyMismatch: there is such a thing.
        StorageError: the storage failed.
    """
    name = name_of(study)
    with storage.told(opened.engine.url):
        has_trials = _has_trials(opened, name)  # first: they come behind what makes it ours
        attrs = _attributes(opened, name)
        if attrs is None or belongs(attrs, _attributes(opened, study), study):
            return
        if storage.SPEC not in attrs and not has_trials:
            return  # somebody makes it, or was killed over that: whoever comes next goes on
    what = f"exists, and is not the confirmation of {study!r}, which is called so"
    if attrs.get(CONFIRMS) == study:
        what = f"is the confirmation of an earlier study {study!r}, which is gone"
    raise StudyMismatch(
        f"study {name!r}: {what}; expected none of this name: `hpo delete {name}`, or give the "
        "search another --name"
    )


def _attributes(opened: RDBStorage, name: str) -> dict[str, Any] | None:
    try:
        return opened.get_study_user_attrs(opened.get_study_id_from_name(name))
    except KeyError:
        return None


def _has_trials(opened: RDBStorage, name: str) -> bool:
    with suppress(KeyError):
        return opened.get_n_trials(opened.get_study_id_from_name(name)) > 0
    return False


def read(opened: RDBStorage, study: str) -> Confirmation | None:
    """Read how far the confirmation of a study is; None where there is none yet."""
    found = find(opened, study)
    return None if found is None else compared(found, storage.load(opened, study))


def compared(found: Study, searched: Study) -> Confirmation:
    """Return what a confirmation came to so far, given the study that it is of."""
    attrs = found.user_attrs
    return compare(
        found.study_name,
        _points(storage.spec_of(found.study_name, attrs)),
        found.get_trials(deepcopy=False),
        best_of(searched.get_trials(deepcopy=False), maximize=_maximizes(found)),
        maximize=_maximizes(found),
        default=searched.user_attrs.get(BASELINE),
        bounds=range_of(attrs.get(storage.METRIC, "")),
    )


def _distinct(ranked: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    """Return the configurations of trials, each once, without the seed."""
    found = {key_of(params): params for params in (seedless(params_of(each)) for each in ranked)}
    return list(found.values())


def _points(spec: StudySpec) -> list[dict[str, Any]]:
    found: Any = spec.strategy_options.get("points", [])
    return list(found)


def _maximizes(study: Study) -> bool:
    return bool(study.direction.name == "MAXIMIZE")
