"""What hpo stores with trials and studies, as rows that a person reads: no JSON, no machinery.

Optuna's dashboard lists each attribute, offers the numbers among them as axes, and cuts JSON off.
What is not hpo's is left as it is.
"""

from collections.abc import Mapping
from time import time
from typing import Any

from optuna.trial import FrozenTrial

from hpo import refusals, storage
from hpo.confirmation import BASELINE, CONFIRMS
from hpo.dashboard.inert import inert
from hpo.display import written
from hpo.errors import StorageError
from hpo.orders import priority_of, state_of
from hpo.trials import CHECKPOINT, FIRST_STEP, MISTAKES, REASON, active_seconds, run_of
from hpo.workers import shown

_OURS = "hpo:"
_BLOBS = {"evaluations", "metrics", MISTAKES, "recipe", "training_arguments"}
_PLACED = {"epoch", "epochs", "seconds", "peak_memory_bytes", REASON, "error", CHECKPOINT,
           FIRST_STEP}  # fmt: skip


def of_trial(trial: FrozenTrial) -> dict[str, Any]:
    """Return the attributes of a trial of ours, in the order in which they matter."""
    attrs, run = trial.user_attrs, run_of(trial)
    found = {
        REASON: attrs.get(REASON),
        "error": attrs.get("error"),
        **_scores(attrs.get("metrics", {})),
        "best epoch": attrs.get("epoch"),
        "epochs": attrs.get("epochs"),
        "attempt": run.get("epoch"),
        "earlier attempts": ", ".join(f"trial {each}" for each in run.get("earlier", [])),
        "resumed from step": attrs.get(FIRST_STEP) or None,
        "minutes": round(active_seconds(trial) / 60, 2) if trial.state.is_finished() else None,
        "peak memory in GB": _giga(attrs.get("peak_memory_bytes")),
        "device": run.get("device"),
        "worker": shown(run["worker"]) if run.get("worker") else None,
        "ticket": run.get("ticket"),
        "weights": attrs.get(CHECKPOINT),
        "other versions": written(run.get("versions") or {}),
    }
    hidden = _BLOBS | _PLACED
    rest = {key: value for key, value in attrs.items()
            if key not in hidden and not key.startswith(_OURS)}  # fmt: skip
    return {**{key: value for key, value in found.items() if value not in (None, "")}, **rest}


def _scores(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return all metrics; of those of a class or an entity type, F1 alone."""
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in metrics.items()
        if "." not in name or name.endswith(".f1")
    }


def _giga(value: object) -> float | None:
    return round(value / 1e9, 3) if isinstance(value, int | float) and value else None


def of_study(name: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a study; those of one that is not ours as they are."""
    if storage.SPEC not in attrs:
        return dict(attrs)
    rest = {key: value for key, value in attrs.items() if not key.startswith(_OURS)}
    try:
        spec = storage.spec_of(name, attrs)
    except StorageError as error:  # of another version of hpo
        return {"specification": str(error), **rest}
    budget = spec.budget.model_dump(exclude_none=True)
    found = {
        "task": spec.task,
        "model": ", ".join(spec.models()),
        "strategy": spec.strategy,
        "metric": attrs.get(storage.METRIC),
        "budget": written(budget),
        "state": state_of(attrs),
        "priority": priority_of(attrs) or None,
        "data": written(spec.data.model_dump(exclude_defaults=True)),
        "commits of the models": written(attrs.get(storage.COMMITS) or {}),
        "data fingerprint": attrs.get(storage.FINGERPRINT),
        "default configuration": written(attrs.get(BASELINE) or {}),
        "confirms": attrs.get(CONFIRMS),
        "pruning": None if spec.prune.strategy == "none" else spec.prune.strategy,
        "seed": spec.seed,
        "notices": "; ".join(attrs.get(storage.NOTICES) or []),
        # this machine's clock, for a refusal of an hour ago
        "left to others": "; ".join(
            f"{at}: {it.why}" for at, it in refusals.read(attrs, time()).items()
        ),
        "versions": written(attrs.get(storage.VERSIONS) or {}),
    }
    return {**{key: value for key, value in found.items() if value not in (None, "")}, **rest}


def with_metric_name(attrs: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    """Return the system attributes of a study; its objective has the name of the metric."""
    metric = attrs.get(storage.METRIC)
    return {**system, **({} if metric is None else {storage.METRIC_NAMES: [inert(metric)]})}
