"""A trial trained again, outside of its study: from its stored recipe, to the same score."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import concatenate_datasets
from typing_extensions import override

from hpo import manifest, publishing, storage
from hpo.concluded import Concluded
from hpo.device import Device
from hpo.errors import BadInput, DiskFull, TrialFailed
from hpo.evaluations import Evaluation, as_record
from hpo.fine_tuning import Job, Outcome, fine_tune
from hpo.observer import Observer
from hpo.pruning import EPOCHS
from hpo.recipe import Recipe
from hpo.trials import RUN, TrialResult

_OFTEN = 10.0  # seconds between two lines about steps
_WORK = "training"


@dataclass(frozen=True)
class Retrained:
    """What training again gave.

    Args:
        study, trial: which one.
        folder: where the weights are; None if it failed.
        value: the score at its best evaluation; None if it failed.
        stored: what the study has; None where the trial did not end with a score.
        reason: why it failed, in a word or two.
        agrees: all evaluations that are stored came out the same, to the last digit; of a trial
            that failed without any, the reason. None where there is nothing to compare.
        notes: what differs from the machine and the data of then.
    """

    study: str
    trial: int
    folder: Path | None
    value: float | None
    stored: float | None
    reason: str | None
    agrees: bool | None
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        folder = None if self.folder is None else str(self.folder)
        return {**vars(self), "folder": folder}


class _Told(Observer):
    """Tells evaluations, and now and then how far training is."""

    def __init__(self, metric: str, say: Callable[[str], None]) -> None:
        self._metric, self._say = metric, say
        self._last = time.monotonic()

    @override
    def stepped(self, step: int, steps: int) -> None:
        if time.monotonic() - self._last > _OFTEN:
            self._last = time.monotonic()
            self._say(f"  step {step} of {steps}")

    @override
    def evaluated(self, evaluations: list[Evaluation]) -> None:
        latest = evaluations[-1]
        self._say(f"  epoch {latest.epoch:g}: {self._metric} {latest.metrics[self._metric]:.4f}")


def trial_of(concluded: Concluded, number: int) -> TrialResult:
    """Return a trial by its number.

    Raises:
        BadInput: there is none.
    """
    trials = {trial.number: trial for trial in concluded.view.trials}
    if number not in trials:
        known = f"0 to {max(trials)}" if trials else "none"
        raise BadInput(f"--trial: found {number}; study {concluded.view.name!r} has {known}")
    if not trials[number].params and "recipe" not in trials[number].record:
        raise BadInput(f"--trial: trial {number} has no parameters yet; expected one that began")
    return trials[number]


def retrain(
    concluded: Concluded, number: int, target: Path, say: Callable[[str], None]
) -> Retrained:
    """Train a trial again, and compare it with what is stored.

    Args:
        concluded: the study that it is of.
        number: of the trial; a failed one, or a confirmation's, is as good as any.
        target: where the weights go.
        say: is told how it goes.

    Raises:
        BadInput: there is no such trial, the data is not here, or `target` is somebody else's.
    """
    trial = trial_of(concluded, number)
    owner = {"what": "retraining", "study": concluded.owner, "trial": number}
    publishing.check(target, owner)
    say("reading the data")
    notes = differences(concluded, trial)
    say(f"training trial {number} of {concluded.view.name}")
    try:
        with publishing.unfinished(target, owner) as new:
            job = concluded.workspace.job(concluded.recipe(trial), new / _WORK)
            outcome = fine_tune(job, _Told(concluded.view.metric, say))
            take_weights(outcome, job, new)
            more = {publishing.OWNER: owner, "study": concluded.view.name}
            manifest.write(new, manifest.reading_of(new) or job.inputs.reading, more)
    except DiskFull as full:  # that is this machine's, and says nothing of the trial
        raise BadInput(f"--output: {target} cannot be written: {full}") from full
    except TrialFailed as failed:
        return _failed(concluded, trial, failed, notes)
    value = outcome.best.metrics[concluded.view.metric]
    agrees = _agree(trial, outcome)
    return Retrained(concluded.view.name, number, target, value, trial.value, None, agrees, notes)


def refit(
    concluded: Concluded,
    trial: TrialResult,
    folder: Path,
    *,
    both: bool,
    say: Callable[[str], None],
) -> Outcome:
    """Train a configuration anew, on train or on train and validation.

    With both, nothing is left to choose an epoch by: training ends where the trial scored best, on
    the same schedule, and the weights are those of its last step.

    Args:
        concluded: the study.
        trial: has the configuration.
        folder: where the weights go.
        both: train on validation, too.
        say: is told how it goes.

    Raises:
        BadInput: it failed this time.
    """
    job = concluded.workspace.job(concluded.recipe(trial), folder / _WORK)
    if both:
        whole = concatenate_datasets([job.inputs.train, job.inputs.validation])
        training = {
            name: value for name, value in job.recipe.training.items()
            if name not in {"eval_steps", "eval_delay"}
        }  # fmt: skip
        training |= {"eval_strategy": "no", "save_strategy": "no"}
        job = replace(
            job,
            inputs=replace(job.inputs, train=whole),
            recipe=replace(job.recipe, training=training),
        )
    rows, until = len(job.inputs.train), ""
    if both and (ended := best_epoch(concluded, trial)):
        job = replace(job, share=ended[0] / ended[1])
        until = " to epoch {:g} of {:g}, its best".format(*ended)
    say(f"training trial {trial.number} anew on {rows} inputs{until}")
    try:
        outcome = fine_tune(job, _Told(concluded.view.metric, (lambda _: None) if both else say))
    except TrialFailed as failed:
        raise BadInput(f"--refit: training failed, {failed.reason}: {failed}") from failed
    take_weights(outcome, job, folder)
    return outcome


def best_epoch(concluded: Concluded, trial: TrialResult) -> tuple[float, float] | None:
    """Return after which epoch a trial scored best, and of how many; None if at its end."""
    metric, maximize = concluded.view.metric, concluded.view.maximize
    known = [each for each in trial.evaluations if metric in each["metrics"]]
    if not known:
        return None
    sign = 1 if maximize else -1
    best = max(known, key=lambda each: sign * each["metrics"][metric])  # the first one of equals
    whole = float(trial.record.get(EPOCHS) or known[-1]["epoch"])
    return None if best is known[-1] or best["epoch"] >= whole else (best["epoch"], whole)


def take_weights(outcome: Outcome, job: Job, folder: Path) -> None:
    """Move the best weights of a training into a folder, and delete the rest of it."""
    for path in outcome.checkpoint.iterdir():
        shutil.move(path, folder / path.name)
    shutil.rmtree(job.folder)


def differences(concluded: Concluded, trial: TrialResult) -> list[str]:
    """Return in sentences how data, versions and device differ from those of a trial."""
    run: Mapping[str, Any] = trial.record.get(RUN, {})
    versions = {**concluded.attrs.get(storage.VERSIONS, {}), **run.get("versions", {})}
    notes = concluded.data_notes()
    notes += [
        f"{name} is {mine}; the trial had {versions[name]}"
        for name, mine in storage.own_versions({storage.VERSIONS: versions}).items()
    ]
    notes += _about_commit(concluded, concluded.recipe(trial))
    device = Device.here(cpu=bool(concluded.recipe(trial).training.get("use_cpu"))).name
    if run.get("device") not in {None, device}:
        notes.append(f"the device is {device}; the trial had {run['device']}")
    return notes


def _about_commit(concluded: Concluded, known: Recipe) -> Iterator[str]:
    """Yield that a model may be another one than the trial's; of a folder nobody knows."""
    found = concluded.workspace.source(known.model, known.commit).revision
    if found != known.commit:
        before = "is not known" if known.commit is None else f"was {known.commit}"
        now = "a folder" if found is None else f"commit {found}"
        yield f"the model {known.model} is {now}; the commit that the trial began with {before}"


def _agree(trial: TrialResult, outcome: Outcome) -> bool | None:
    mine = [(each["step"], each["metrics"]) for each in as_record(outcome.evaluations)]
    theirs = [(each["step"], each["metrics"]) for each in trial.evaluations]
    if not theirs:
        return None if trial.reason is None else False
    return mine[: len(theirs)] == theirs


def _failed(
    concluded: Concluded, trial: TrialResult, failed: TrialFailed, notes: list[str]
) -> Retrained:
    notes = [*notes, str(failed)]
    agrees = trial.reason == failed.reason
    return Retrained(
        concluded.view.name, trial.number, None, None, trial.value, failed.reason, agrees, notes
    )


def written(found: Retrained, metric: str) -> str:
    """Return what training again gave, for a person."""
    name = f"trial {found.trial} of {found.study}"
    if found.value is None:
        lines = [f"{name}: failed{' again' * bool(found.agrees)}, {found.reason}"]
    else:
        stored = "no score" if found.stored is None else f"{found.stored:.4f}"
        told = {
            True: "as stored" if found.stored is not None else "the same as far as it was trained",
            False: f"stored is {stored}: not the same",
            None: "nothing is stored to compare it with",
        }
        lines = [f"{name}: {metric} {found.value:.4f}, {told[found.agrees]}"]
    lines += [f"  {note}" for note in found.notes]
    if found.folder is not None:
        lines.append(f"weights  {found.folder}")
    return "\n".join(lines)
