"""The test split, scored once at the end: for the winner, and for the default configuration.

Each look is stored with the study. Whoever looks again and again, and goes on searching in between,
fits the test split: so the second look is the first one's result, unless another is asked for, and
says how often the split was seen.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from hpo import storage, tallies
from hpo.concluded import Concluded, Finalist
from hpo.data import Split, load_test, overlap, split_fingerprint
from hpo.errors import BadInput, DataError
from hpo.inference import Scored
from hpo.study import LOOKS, StudyView, looks_of

_BLOCK = 2**20


@dataclass(frozen=True)
class Look:
    """What the test split showed.

    Args:
        study: the name of the study.
        record: of this look, as it is stored; see `_look`.
        earlier: when it was looked at before, in ISO 8601.
        stored: whether nothing was scored: it is what the last look showed.
        notes: sentences about it.
    """

    study: str
    record: dict[str, Any]
    earlier: list[str]
    stored: bool
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "study": self.study, **self.record, "stored": self.stored,
            "seen_before": self.earlier, "notes": [*self.record["notes"], *self.notes],
        }  # fmt: skip


def look_at(
    concluded: Concluded,
    say: Callable[[str], None],
    *,
    again: bool = False,
    unfinished: bool = False,
) -> Look:
    """Score the test split, or return what it showed before.

    Args:
        concluded: the study.
        say: is told what takes a while.
        again: score it although it was seen.
        unfinished: score it although the winner may still change.

    Raises:
        BadInput: there is no test split with labels, the winner's weights are not here, or the
            study goes on.
        StudyFailed: there is no winner.
    """
    name = concluded.view.name
    _check(concluded.view, unfinished=unfinished)
    winner = concluded.winner()
    looks = concluded.view.looks
    times = [str(each["at"]) for each in looks]
    if looks and not again:
        last = looks[-1]
        return Look(name, last, times, stored=True, notes=_moved_on(last, winner))
    winner.weights()  # before anything is read
    record = _look(concluded, winner, say)
    notes = []
    looks = _stored(concluded, record)  # somebody else may have looked meanwhile
    times = [str(each["at"]) for each in looks]
    if looks and looks[-1]["split"] != record["split"]:
        notes.append("Warning: the test split is another one than the last time.")
    return Look(name, record, times, stored=False, notes=notes)


def _check(view: StudyView, *, unfinished: bool) -> None:
    """Refuse to show the split to a study that goes on, or to count looks apart from its search."""
    if view.confirms is not None:
        raise BadInput(
            f"study {view.name!r}: found the confirmation of {view.confirms!r}; expected the study "
            f"itself, `hpo test {view.confirms}`"
        )
    if unfinished or view.state != "open":
        return
    found, left = view.confirmation, ""
    if view.running:
        left = f"trials at work ({view.running})"
    elif view.spec.confirm is not None and (found is None or not found.complete):
        left = "a confirmation that has not begun" if found is None else (
            f"{found.done} of {found.planned} runs of its confirmation"
        )  # fmt: skip
    if left:
        raise BadInput(
            f"study {view.name!r}: found {left}, so that the winner may still change; expected all "
            "to be done (`hpo watch` follows it), or --unfinished"
        )


def _stored(concluded: Concluded, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Store a look as an attribute of its own, and return those that were stored before."""
    key = f"{LOOKS}:{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"  # in the order of time
    with storage.told(concluded.opened.engine.url):
        looks = looks_of(concluded.study.user_attrs)
        concluded.study.set_user_attr(key, record)
    return looks


def result_of(concluded: Concluded, finalist: Finalist) -> dict[str, Any] | None:
    """Return what the last look says about the weights of a run; None where it says nothing."""
    digest = digest_of(finalist.weights())
    for look in reversed(concluded.view.looks):
        for each in look["results"]:
            if each["digest"] == digest:
                return {**look, "results": [each], "looks": len(concluded.view.looks)}
    return None


def digest_of(folder: Path) -> str:
    """Return 16 hexadecimal digits of SHA-256 over the weights in a folder."""
    digest = sha256()
    for path in sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")):
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]


def _moved_on(last: dict[str, Any], winner: Finalist) -> list[str]:
    was = last["results"][0]
    if (was["study"], was["trial"]) == (winner.study, winner.trial.number):
        return []
    return [
        f"Warning: the winner is trial {winner.trial.number} of {winner.study} now; the result is "
        f"that of trial {was['trial']} of {was['study']}."
    ]


def _look(concluded: Concluded, winner: Finalist, say: Callable[[str], None]) -> dict[str, Any]:
    workspace = concluded.workspace
    say("reading the data")
    split = load_test(
        workspace.spec.data, layout=workspace.task.layout, folder=workspace.data_folder
    )
    if split is None:
        raise DataError("data.test: found no test split with labels; expected one")
    notes = [*concluded.data_notes(), *_oddities(concluded, split), *_elsewhere(concluded, split)]
    default = concluded.default()
    finalists = {"winner": winner}
    if default is not None and _is_same(default, winner):
        notes.append("The winner is the default configuration.")
    elif default is not None:
        if default.trial.checkpoint is None or not Path(default.trial.checkpoint).is_dir():
            again = f"`hpo retrain {default.study} --trial {default.trial.number}`"
            notes.append(f"The default configuration's weights were not kept ({again}).")
        else:
            finalists["default"] = default
    results, scored = [], []
    for role, finalist in finalists.items():
        say(f"scoring trial {finalist.trial.number} of {finalist.study} ({role})")
        found = concluded.model(finalist).score(split.rows)
        scored.append(found)
        results.append(_result(role, finalist, found, workspace.objective.metric))
    intervals = _intervals(scored, workspace.objective.metric, results)
    if scored[0].unknown:
        notes.append(
            f"Warning: the test split has {', '.join(scored[0].unknown)}, which training had not: "
            "no model can find it."
        )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "metric": workspace.objective.metric,
        "split": split_fingerprint(split),
        "rows": len(split.rows),
        **intervals,
        "notes": notes,
    }


def _result(role: str, finalist: Finalist, found: Scored, metric: str) -> dict[str, Any]:
    return {
        "role": role,
        "study": finalist.study,
        "trial": finalist.trial.number,
        "digest": digest_of(finalist.weights()),
        "validation": finalist.trial.value,
        "value": found.metrics.get(metric),
        "metrics": found.metrics,
    }


def _intervals(
    scored: Sequence[Scored], metric: str, results: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the results with their intervals, and by how much the first is better."""
    bootstrap = {
        "method": "percentile bootstrap over rows", "level": tallies.LEVEL,
        "resamples": tallies.RESAMPLES, "seed": tallies.SEED,
    }  # fmt: skip
    if not all(tallies.is_known(each.tally, metric) for each in scored):
        return {"results": [{**each, "interval": None} for each in results], "gain": None}
    drawn = tallies.resampled([each.tally for each in scored], metric)
    told = [
        {**each, "interval": list(tallies.interval(values))}
        for each, values in zip(results, drawn, strict=True)
    ]
    gain = None
    if len(drawn) > 1:
        better = results[0]["value"] - results[1]["value"]
        gain = {"value": better, "interval": list(tallies.interval(np.subtract(*drawn)))}
    return {"results": told, "gain": gain, "bootstrap": bootstrap}


def _oddities(concluded: Concluded, split: Split) -> list[str]:
    data = concluded.workspace.data
    rows = len(split.rows)
    return [
        f"Warning: {shared} of the {rows} rows of the test split have a text that {name} has too; "
        "the score over them is too good."
        for name, part in (("train", data.train), ("validation", data.validation))
        if (shared := overlap(part, split))
    ]


def _elsewhere(concluded: Concluded, split: Split) -> Iterator[str]:
    """Tell which other studies of the storage have looked at the same rows."""
    digest = split_fingerprint(split)
    with storage.told(concluded.opened.engine.url):
        studies = storage.study_attributes(concluded.opened)
    for name, attrs in studies.items():
        if name != concluded.view.name and any(e["split"] == digest for e in looks_of(attrs)):
            yield (
                f"Warning: study {name} has looked at this test split before: whoever takes the "
                "better of several studies by it fits it."
            )


def _is_same(one: Finalist, other: Finalist) -> bool:
    return (one.study, one.trial.number) == (other.study, other.trial.number)


def written(look: Look, view: StudyView) -> str:
    """Return what the test split showed, for a person."""
    record = look.record
    lines = [f"study {look.study}: the test split, {record['rows']} rows, scored {record['at']}"]
    for each in record["results"]:
        value = "none" if each["value"] is None else f"{each['value']:.4f}"
        if each["interval"] is not None:
            value += "  95% interval {:.4f} to {:.4f}".format(*each["interval"])
        had = "" if each["validation"] is None else f", validation {each['validation']:.4f}"
        where = f"trial {each['trial']} of {each['study']}"
        lines.append(f"  {each['role']:<8}{record['metric']} {value}  ({where}{had})")
    if gain := record["gain"]:
        within = gain["interval"][0] <= 0 <= gain["interval"][1]
        doubt = "; that is within the noise" if within else ""
        between = "{:+.4f} to {:+.4f}".format(*gain["interval"])
        lines.append(f"  gain    {gain['value']:+.4f}  95% interval {between}{doubt}")
    if bootstrap := record.get("bootstrap"):
        lines.append(f"  intervals: {bootstrap['method']}, {bootstrap['resamples']} resamples")
    lines += [f"  {note}" for note in (*record["notes"], *look.notes)]
    if look.earlier:
        often = "once" if len(look.earlier) == 1 else f"{len(look.earlier)} times"
        shown = "; shown is what it showed then, --again scores it again" if look.stored else ""
        before = "was seen" if look.stored else "was seen before"
        lines.append(f"  the test split {before} {often}, last at {look.earlier[-1]}{shown}")
    if view.confirmation is not None and not view.confirmation.complete:
        lines.append("  the confirmation is not complete yet")
    return "\n".join(lines)
