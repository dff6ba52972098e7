"""The report as JSON, for scripts."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hpo import strict_json
from hpo.report.blocks import Undrawable
from hpo.report.cautions import cautions
from hpo.report.comparison import best_at, equal_seconds, equal_trials
from hpo.report.importance import importances
from hpo.report.subject import Subject
from hpo.report.summary import snippets


def as_json(subjects: Sequence[Subject]) -> str:
    """Return everything that the page says in numbers; NaN and infinity are null."""
    found: dict[str, Any] = {"studies": [_study(subject) for subject in subjects]}
    if len(subjects) > 1:
        trials, seconds = equal_trials(subjects), equal_seconds(subjects)
        found["comparison"] = {
            "trials": trials,
            "seconds": seconds,
            "best_at_equal_trials": {each.name: best_at(each, trials=trials) for each in subjects},
            "best_at_equal_time": {each.name: best_at(each, seconds=seconds) for each in subjects},
        }
    return strict_json.text(found, indent=2) + "\n"


def _study(subject: Subject) -> dict[str, Any]:
    winner, gain, spent = subject.winner, subject.gain, subject.spent
    in_toml, in_python = snippets(subject) or (None, None)
    try:
        shares = {
            name: dict(zip(("low", "median", "high"), values, strict=True))
            for name, values in importances(subject).items()
        }
    except Undrawable:
        shares = {}
    return {
        **subject.view.to_json(),
        "metric": subject.view.metric,
        "maximize": subject.view.maximize,
        "winner": None if winner is None else asdict(winner),
        "gain": None if gain is None else asdict(gain),
        "spent": {**asdict(spent), "gpu_seconds": spent.gpu_seconds},
        "toml": in_toml,
        "python": in_python,
        "test": subject.view.looks,
        "cautions": [asdict(each) for each in cautions(subject)],
        "importance": shares,
        "details": subject.view.details(),
    }
