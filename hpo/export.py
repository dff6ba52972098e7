"""The winner of a study as a folder that transformers loads: weights, tokenizer, card, manifest."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Literal

from hpo import held_out, manifest, model_card, publishing, recipe, storage
from hpo.concluded import Concluded, Finalist
from hpo.device import Device
from hpo.manifest import Reading
from hpo.retraining import best_epoch, refit
from hpo.trials import RUN, TrialResult

Refit = Literal["train", "train+validation"]
_GIT = 5.0  # seconds that git may take
_OF_THE_MACHINE = {"output", "worker"}  # what a run notes about where it ran, paths and names


@dataclass(frozen=True)
class Exported:
    """A model that was written.

    Args:
        folder: where it is.
        study, trial: the run that it is of.
        value: what the study has for that run.
        refit: what it was trained on anew.
        test: its score on the test split, as far as it was looked at.
        pushed: where it was uploaded to.
    """

    folder: Path
    study: str
    trial: int
    value: float | None
    refit: Refit | None
    test: float | None
    pushed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {**vars(self), "folder": str(self.folder)}


def owner_of(concluded: Concluded) -> dict[str, Any]:
    """Return what an export says of itself, and no other study's does."""
    return {"what": "export", "study": concluded.owner}


def export(
    concluded: Concluded, target: Path, again: Refit | None, say: Callable[[str], None]
) -> Exported:
    """Write the winner's model.

    Args:
        concluded: the study.
        target: the folder; an earlier export of the study is replaced.
        again: what the winner's configuration is trained on anew; None takes the weights of its
            run.
        say: is told what takes a while.

    Raises:
        BadInput: `target` is somebody else's, or the weights are not here.
        StudyFailed: there is no winner.
    """
    winner = concluded.winner()
    owner = owner_of(concluded)
    publishing.check(target, owner)
    if again is None:
        winner.weights()
    with publishing.unfinished(target, owner) as new:
        validation: Mapping[str, float] = winner.trial.metrics
        test = None
        if again is None:
            source = winner.weights()
            say(f"copying the weights of trial {winner.trial.number} of {winner.study}")
            for path in source.iterdir():
                if path.is_file():
                    shutil.copyfile(path, new / path.name)
            test = held_out.result_of(concluded, winner)
        else:
            both = again == "train+validation"
            outcome = refit(concluded, winner.trial, new, both=both, say=say)
            validation = {} if both else outcome.best.metrics
        facts = _facts(concluded, winner, new, again, validation, test)
        (new / "README.md").write_text(model_card.card(facts), encoding="utf-8")
        more = without_folders(_record(concluded, winner, again, validation, test))
        digest = held_out.digest_of(new)
        manifest.write(new, facts.reading, {publishing.OWNER: owner, "weights": digest, **more})
    value = None if test is None else test["results"][0]["value"]
    return Exported(
        target.absolute(), winner.study, winner.trial.number, winner.trial.value, again, value
    )


def without_folders(value: Any) -> Any:
    """Return JSON in which a path of this machine is a name: it may be published."""
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    if isinstance(value, str) and (value.startswith("/") or ("/" in value and value[0] == "~")):
        return PurePath(value).name or value
    return value


def _without_folders(notices: Sequence[str], concluded: Concluded) -> list[str]:
    given = [
        each
        for value in concluded.view.spec.data.model_dump().values()
        for each in (value if isinstance(value, list | tuple) else [value])
    ]
    named = [each for each in given if isinstance(each, str) and without_folders(each) != each]
    folder = f"{concluded.workspace.data_folder}/"
    found = []
    for notice in notices:
        for each in named:
            notice = notice.replace(each, without_folders(each))  # noqa: PLW2901
        found.append(notice.replace(folder, "") if folder.startswith("/") else notice)
    return found


def _reading(concluded: Concluded, finalist: Finalist) -> Reading:
    return concluded.workspace.inputs(concluded.recipe(finalist.trial)).reading


def _facts(
    concluded: Concluded,
    winner: Finalist,
    folder: Path,
    again: Refit | None,
    validation: Mapping[str, float],
    test: Mapping[str, Any] | None,
) -> model_card.Facts:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    resolved = concluded.recipe(winner.trial)
    base = resolved.model
    local_data = concluded.workspace.data_folder / (concluded.view.spec.data.path or "")
    notices = _without_folders(concluded.view.notices, concluded)
    return model_card.Facts(
        view=replace(concluded.view, notices=notices), trial=winner.trial, study=winner.study,
        recipe=replace(resolved, model=without_folders(base)),
        architectures=config.get("architectures") or [],
        base=concluded.workspace.hub_id(base), hub_data=not local_data.exists(),
        reading=manifest.reading_of(folder) or _reading(concluded, winner),
        fingerprint=str(concluded.attrs.get(storage.FINGERPRINT, "")),
        refit=again, validation=validation, test=test,
        until=best_epoch(concluded, winner.trial) if again == "train+validation" else None,
    )  # fmt: skip


def _record(
    concluded: Concluded,
    winner: Finalist,
    again: Refit | None,
    validation: Mapping[str, float],
    test: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what the manifest says beside how the model reads: enough to make it again."""
    view, trial = concluded.view, winner.trial
    resolved = concluded.recipe(trial)
    training = resolved.training
    return {
        "study": view.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "refit": again,
        "validation": dict(validation),
        "test": test,
        "specification": view.spec.to_json(),
        "trial": {"study": winner.study, **_trial(trial)},
        "recipe": recipe.as_record(resolved),
        "seeds": {
            "study": view.spec.seed,
            **{name: training[name] for name in ("seed", "data_seed") if name in training},
        },
        "data": {"fingerprint": concluded.attrs.get(storage.FINGERPRINT)},
        "search": {
            "trials": view.counts, "seconds": round(view.seconds, 3), "metric": view.metric,
        },
        "confirmation": None if view.confirmation is None else view.confirmation.to_json(),
        "versions": {
            **concluded.attrs.get(storage.VERSIONS, {}),
            **trial.record.get(RUN, {}).get("versions", {}),
        },
        "git": commit_of(concluded.workspace.data_folder),
        "hardware": {
            "trained_on": trial.record.get(RUN, {}).get("device"),
            "exported_on": Device.here().name,
            "machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count(),
        },
    }  # fmt: skip


def _trial(trial: TrialResult) -> dict[str, Any]:
    record = {name: value for name, value in trial.record.items() if name != "recipe"}
    run = record.get(RUN, {})
    record[RUN] = {name: run[name] for name in run if name not in _OF_THE_MACHINE}
    return {
        "number": trial.number, "state": trial.state, "params": trial.params, "value": trial.value,
        "metrics": trial.metrics, "evaluations": trial.evaluations, "seconds": trial.seconds,
        "record": record,
    }  # fmt: skip


def commit_of(folder: Path) -> dict[str, Any] | None:
    """Return the git commit that a folder is at, and whether it was changed since; None without."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*arguments: str) -> str | None:
        line = [git, "-C", str(folder), *arguments]
        try:
            done = subprocess.run(  # noqa: S603 - git, and words of ours
                line, capture_output=True, text=True, timeout=_GIT, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = ask("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "changed": bool(ask("status", "--porcelain"))}


def written(found: Exported, metric: str) -> str:
    """Return what was exported, for a person."""
    value = "" if found.value is None else f", {metric} {found.value:.4f} on validation"
    anew = {None: "", "train": ", trained anew", "train+validation": ", trained anew on both"}
    lines = [
        f"model    {found.folder}",
        f"of       trial {found.trial} of {found.study}{value}{anew[found.refit]}",
    ]
    if found.test is not None:
        lines.append(f"test     {metric} {found.test:.4f}")
    if found.pushed is not None:
        lines.append(f"hub      {found.pushed}")
    return "\n".join(lines)
