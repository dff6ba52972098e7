"""The note that Optuna's dashboard shows with a study, and with its winner: what came of it.

It stands in the study's system attributes, as `optuna_dashboard.save_note` would write it
(https://github.com/optuna/optuna-dashboard/blob/v0.21.0/optuna_dashboard/_note.py), so that any
dashboard of the storage shows it. A note that somebody wrote or changed is left alone.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

from sqlalchemy.exc import ProgrammingError

from hpo import confirmation, storage
from hpo.binding import BindingStorage
from hpo.display import count, duration, judged
from hpo.errors import BadInput
from hpo.study import StudyView, view

OURS = "hpo:notes"
"""Of the notes that hpo wrote: whose ("study", or the id of a trial) -> digest of the text."""

_STUDY = "study"
_PART = 2045  # characters of an attribute
_TICKS = re.compile(r"`+")


def conclude(opened: BindingStorage, name: str) -> None:
    """Write what came of a study, or of the one whose confirmation this is.

    A role that may not write it (`hpo storage roles` of an earlier version) does without.
    """
    study = storage.load(opened, name)
    searched = study.user_attrs.get(confirmation.CONFIRMS)
    if searched is not None:
        try:
            study = storage.load(opened, str(searched))
        except BadInput:  # it was deleted
            return
    found = replace(view(study), confirmation=confirmation.read(opened, study.study_name))
    with suppress(ProgrammingError):
        _write(opened, study._study_id, _texts(opened, study._study_id, found))  # noqa: SLF001


def _texts(opened: BindingStorage, study_id: int, study: StudyView) -> dict[str, str]:
    """Return what is to be said, by whose note it is."""
    if study.best is None:
        return {}
    texts = {_STUDY: "\n".join(of_study(study))}
    number, why = _winner(study)
    if number >= 0:
        trial_id = opened.get_trial_id_from_study_id_trial_number(study_id, number)
        texts[str(trial_id)] = f"**The winner** of this study{why}."
    return texts


def _winner(study: StudyView) -> tuple[int, str]:
    found = study.confirmation
    if found is not None and found.winner is not None:
        return found.winner.trial, ", confirmed with new seeds"
    return (-1 if study.best is None else study.best.number), ", trained once"


def of_study(study: StudyView) -> Iterator[str]:
    """Return the note of a study with a best trial, in lines of Markdown."""
    best, found = study.best, study.confirmation
    if best is None:
        return
    winner = None if found is None else found.winner
    params = best.params if winner is None else winner.params
    metric = code(study.metric)
    if winner is None or winner.mean is None:
        yield f"## {metric} {best.value:.4f}"
        yield f"\nThe best of {count(study.done, 'trial')} is trial {best.number}, trained once."
    else:
        yield f"## {metric} {winner.mean:.4f}"
        between = ""
        if winner.interval is not None:
            low, high = winner.interval
            between = f", 95% interval {low:.4f} to {high:.4f}"
        yield f"\nThe mean of {count(len(winner.values), 'new seed')} of {winner.name}{between}."
    yield ""
    yield from (f"- {code(name)} = {code(value)}" for name, value in params.items())
    if found is not None:
        yield ""
        yield from (f"- {sentence}" for sentence in judged(found))
    yield f"\n{_spent(study)}\n"
    yield f"The model: {code(f'hpo export {study.name}')}"


def _spent(study: StudyView) -> str:
    outcomes = study.outcomes()
    pruned = sum(trial.state == "PRUNED" for trial in outcomes)
    failed = Counter(str(trial.reason) for trial in outcomes if trial.state == "FAIL")
    reasons = ", ".join(f"{code(reason)} {number}" for reason, number in failed.items())
    parts = [f"{count(study.done, 'trial')} in {duration(study.seconds)}"]
    parts += [f"{pruned} pruned"] if pruned else []
    parts += [f"{failed.total()} failed ({reasons})"] if failed else []
    return "; ".join(parts) + "."


def code(text: object) -> str:
    """Return a text as Markdown that shows it and reads nothing into it."""
    line = " ".join(str(text).split()) or " "
    ticks = "`" * (1 + max(map(len, _TICKS.findall(line)), default=0))
    space = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{ticks}{space}{line}{space}{ticks}"


def _write(opened: BindingStorage, study_id: int, texts: Mapping[str, str]) -> None:
    """Write notes; those of ours that are not named are taken away."""
    stored = opened.get_study_system_attrs(study_id)
    before: dict[str, str] = stored.get(OURS) or {}
    after = {}
    for whose in {**before, **texts}:
        there, text = read(stored, whose), texts.get(whose, "")
        if there and _digest(there) != before.get(whose):
            continue  # somebody else's
        if text:
            after[whose] = _digest(text)
        if there != text:
            for key, value in _parts(stored, whose, text).items():
                opened.set_study_system_attr(study_id, key, value)
    if after != before:
        opened.set_study_system_attr(study_id, OURS, after)


def read(stored: Mapping[str, Any], whose: str = _STUDY) -> str:
    """Return a note from the system attributes of its study; "" where there is none."""
    version, part = _keys(whose)
    if version not in stored:
        return ""
    found = {key: value for key, value in stored.items() if key.startswith(part)}
    return "".join(str(found.get(f"{part}{index}", "")) for index in range(len(found)))


def _parts(stored: Mapping[str, Any], whose: str, text: str) -> dict[str, Any]:
    """Return the attributes that a note is stored in; the text comes first, then its version."""
    version, part = _keys(whose)
    pieces = [text[at : at + _PART] for at in range(0, len(text), _PART)]
    found: dict[str, Any] = {key: "" for key in stored if key.startswith(part)}
    found |= {f"{part}{index}": piece for index, piece in enumerate(pieces)}
    return {**found, version: int(stored.get(version, 0)) + 1}


def _keys(whose: str) -> tuple[str, str]:
    prefix = "dashboard:" if whose == _STUDY else f"dashboard:{whose}:"
    return f"{prefix}note_ver", f"{prefix}note_str:"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
