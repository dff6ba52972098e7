"""One fine-tuning: repeatable, resumable to the last digit, and clear about how it failed."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertForSequenceClassification

from hpo import check, checkpoints, inference
from hpo.entities import entities
from hpo.errors import DiskFull, Diverged, HandedBack, OutOfMemory
from hpo.fine_tuning import Job, Outcome, build_model, fine_tune
from hpo.mistakes import Mistakes
from hpo.observer import Observer
from hpo.trainer import FineTuner
from hpo.workspace import Workspace
from tests.studies_made import NER, STEPS, TRAIN_ROWS, elsewhere, make_job, make_workspace

EPOCHS = 2


class Stopper(Observer):
    """Asks to stop from some step on, and takes note of all steps."""

    def __init__(self, step: int | None = None) -> None:
        self.step = step
        self.steps: list[int] = []
        self.damaged: list[str] = []

    def began(self, step: int, checkpoint: Path | None, damaged: Sequence[Path] = ()) -> None:
        """Take note of what was passed over."""
        self.damaged = [each.name for each in damaged]

    def stepped(self, step: int, steps: int) -> None:
        """Take note of an optimizer step."""
        self.steps.append(step)

    def asked_to_stop(self) -> bool:
        """Say whether the step was reached."""
        return self.step is not None and self.steps[-1] >= self.step


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A small study."""
    return make_workspace(tmp_path)


@pytest.fixture
def batches(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of each batch that is trained on, in order."""
    rows = [tuple(ids) for ids in make_job(workspace).inputs.train["input_ids"]]
    assert len(set(rows)) == TRAIN_ROWS
    seen: list[list[int]] = []
    step = FineTuner.training_step

    def noting(self: FineTuner, model: Any, inputs: Any, *rest: Any) -> torch.Tensor:
        lengths = inputs["attention_mask"].sum(1).tolist()
        batch = zip(inputs["input_ids"].tolist(), lengths, strict=True)
        seen.append([rows.index(tuple(ids[:length])) for ids, length in batch])
        return step(self, model, inputs, *rest)

    monkeypatch.setattr(FineTuner, "training_step", noting)
    return seen


def scores(outcome: Outcome) -> list[dict[str, float]]:
    """Return the metrics of all evaluations, to be compared to the last digit."""
    return [each.metrics for each in outcome.evaluations]


def finish(job: Job, *stops: int) -> tuple[Outcome, list[int]]:
    """Interrupt a fine-tuning at some steps, then let it end; return the first step of each go."""
    begun = []
    for stop in stops:
        observer = Stopper(stop)
        with pytest.raises(HandedBack):
            fine_tune(job, observer)
        begun.append(observer.steps[0])
    observer = Stopper()
    outcome = fine_tune(job, observer)
    return outcome, [*begun, observer.steps[0]]


@pytest.mark.parametrize("sampling", ["group_by_length", "random"])
@pytest.mark.parametrize(
    "stops", [(3,), (STEPS,), (2, STEPS + 3)], ids=["mid-epoch", "end of epoch", "twice"]
)
def test_interrupted_training_ends_as_if_it_were_not(
    workspace: Workspace, batches: list[list[int]], stops: tuple[int, ...], sampling: str
) -> None:
    """The same batches in the same order, the same scores; nothing is seen twice in an epoch."""
    job = make_job(workspace, train_sampling_strategy=sampling)
    undisturbed = fine_tune(job, Observer())
    expected = [*batches]
    batches.clear()
    outcome, begun = finish(elsewhere(job, job.folder.with_name("trial-0001")), *stops)
    assert begun == [0, *stops]
    assert batches == expected
    for epoch in (batches[:STEPS], batches[STEPS:]):
        assert sorted(row for batch in epoch for row in batch) == list(range(TRAIN_ROWS))
    assert batches[:STEPS] != batches[STEPS:]
    assert scores(outcome) == scores(undisturbed)
    assert outcome.best.step == undisturbed.best.step
    assert outcome.mistakes == undisturbed.mistakes


def test_accumulated_steps_resume_exactly(workspace: Workspace, batches: list[list[int]]) -> None:
    """A step of two batches, the last one of an epoch a single batch, is interrupted like any."""
    job = make_job(workspace, gradient_accumulation_steps=2)
    undisturbed = fine_tune(job, Observer())
    expected = [*batches]
    batches.clear()
    outcome, begun = finish(elsewhere(job, job.folder.with_name("trial-0001")), 2, 4)
    assert (begun, batches) == ([0, 2, 4], expected)
    assert scores(outcome) == scores(undisturbed)


def test_killed_behind_the_last_step(workspace: Workspace, batches: list[list[int]]) -> None:
    """What was trained to the end, but never recorded, is not trained again."""
    job = make_job(workspace)
    first = fine_tune(job, Observer())
    batches.clear()
    second, begun = finish(job)
    assert (begun, batches) == ([EPOCHS * STEPS], [])
    assert scores(second) == scores(first)
    assert second.best == first.best


def _without_mark(checkpoint: Path) -> None:
    (checkpoint / "hpo-complete").unlink()


def _with_half_of_the_weights(checkpoint: Path) -> None:
    weights = checkpoint / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)


def _without_optimizer(checkpoint: Path) -> None:
    (checkpoint / "optimizer.pt").unlink()


@pytest.mark.parametrize("harm", [_without_mark, _with_half_of_the_weights, _without_optimizer])
def test_broken_checkpoint_is_ignored(workspace: Workspace, harm: Callable[[Path], None]) -> None:
    """A checkpoint that is not whole is not resumed from; the trial starts again, and ends."""
    job = make_job(workspace)
    with pytest.raises(HandedBack):
        fine_tune(job, Stopper(3))
    harm(job.folder / "checkpoint-3")
    outcome, begun = finish(job)
    assert begun == [0]
    assert [each.step for each in outcome.evaluations] == [STEPS, 2 * STEPS]


@pytest.mark.parametrize("harm", [_with_half_of_the_weights, _without_optimizer])
def test_the_one_before_a_broken_checkpoint(
    workspace: Workspace, harm: Callable[[Path], None]
) -> None:
    """It is resumed from instead, says so, and gives the same scores and the same best weights."""
    job = make_job(workspace, num_train_epochs=3)
    undisturbed = fine_tune(elsewhere(job, job.folder.with_name("trial-0001")), Observer())
    with pytest.raises(HandedBack):
        fine_tune(job, Stopper(2 * STEPS + 2))
    harm(job.folder / f"checkpoint-{2 * STEPS + 2}")
    retry = elsewhere(job, job.folder.with_name("trial-0002"))
    observer = Stopper()
    outcome = fine_tune(replace(retry, earlier=[job.folder]), observer)
    assert observer.steps[0] == 2 * STEPS
    assert observer.damaged == [f"checkpoint-{2 * STEPS + 2}"]
    assert scores(outcome) == scores(undisturbed)
    best = [each.checkpoint / "model.safetensors" for each in (outcome, undisturbed)]
    assert best[0].read_bytes() == best[1].read_bytes()


def test_disk_that_a_trial_needs(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its peak it is what the preflight says, and not much less."""
    job = make_job(workspace, num_train_epochs=4, learning_rate=0.0)  # the first is the best
    complete = checkpoints.complete
    used: list[int] = []

    def noting(folder: Path, step: int) -> None:
        files = (*folder.rglob("model.safetensors"), *folder.rglob("optimizer.pt"))
        used.append(sum({path.stat().st_ino: path.stat().st_size for path in files}.values()))
        complete(folder, step)

    monkeypatch.setattr(checkpoints, "complete", noting)
    fine_tune(job, Observer())
    said = build_model(job).num_parameters() * 4 * check._COPIES_OF_A_TRIAL
    assert 0.95 * said < max(used) < 1.05 * said


def test_seed_decides(workspace: Workspace) -> None:
    """The same configuration gives the same scores twice, another seed or data seed others."""
    job = make_job(workspace)
    runs = [
        scores(fine_tune(elsewhere(job, job.folder / str(index)), Observer())) for index in (0, 1)
    ]
    assert runs[0] == runs[1]
    for name in ("seed", "data_seed"):
        other = make_job(workspace, name=name, **{name: 8})
        assert scores(fine_tune(other, Observer())) != runs[0], name


@pytest.mark.parametrize(
    "arguments",
    [{"eval_strategy": "steps", "eval_steps": 1000}, {"eval_delay": 50.0}],
    ids=["steps", "delay"],
)
def test_evaluated_at_least_once(workspace: Workspace, arguments: dict[str, Any]) -> None:
    """Where no evaluation falls into the training, its end is evaluated, and kept."""
    outcome = fine_tune(make_job(workspace, **arguments), Observer())
    assert [each.step for each in outcome.evaluations] == [EPOCHS * STEPS]
    assert (outcome.checkpoint / "model.safetensors").is_file()


def test_a_share_of_a_training_is_its_beginning(workspace: Workspace) -> None:
    """It ends on the way, with the rates of the whole, and what it has then is kept."""
    whole = fine_tune(make_job(workspace, "whole"), Observer())
    job = make_job(workspace, "half", eval_strategy="no", save_strategy="no")
    half = fine_tune(replace(job, share=1 / EPOCHS), Observer())
    assert [each.step for each in half.evaluations] == [STEPS]
    assert half.best.metrics == whole.evaluations[0].metrics
    assert (half.checkpoint / "model.safetensors").is_file()


@pytest.mark.parametrize("changes", [{}, NER], ids=["sentiment", "ner"])
@pytest.mark.parametrize("evaluations", ["epoch", "steps"])
def test_outcome_tells_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], evaluations: str
) -> None:
    """Of the best evaluation: the very mistakes that the kept weights make, text by text."""
    workspace = make_workspace(tmp_path, changes)
    job = make_job(workspace, learning_rate=3e-3, eval_strategy=evaluations, eval_steps=3)
    outcome = fine_tune(job, Observer())
    found = Mistakes.from_record(outcome.mistakes or {})
    assert found is not None
    rows, model = workspace.data.validation.rows, inference.load(outcome.checkpoint)
    labels = list(model.encoding.labels)
    losses: list[float] = []
    said: dict[int, Any] = {}
    wrong = set()
    for number, row in enumerate(rows):
        (chances,) = model.probabilities([row["tokens"] if changes else row["text"]])
        gold = [labels.index(each) for each in (row["tags"] if changes else [row["label"]])]
        chances = chances.reshape(len(gold), -1)
        losses.append(
            -sum(math.log(each[right]) for each, right in zip(chances, gold, strict=True))
        )
        tags = [labels[place] for place in chances.argmax(-1)]
        if changes:
            is_right = entities(tags) == entities(row["tags"])
            said[number] = [(found.labels.index(name), *span) for name, *span in entities(tags)]
        else:
            is_right, said[number] = tags == [row["label"]], labels.index(tags[0])
        wrong |= set() if is_right else {number}
    assert found.rows == len(rows)
    assert wrong
    assert found.wrong == len(wrong)
    ranked = sorted(wrong, key=lambda row: -losses[row])[: len(found.worst)]
    assert sorted(each.row for each in found.worst) == sorted(ranked)
    for each in found.worst:
        assert each.said == said[each.row]
        assert each.loss == pytest.approx(losses[each.row], abs=2e-3)


def test_outcome_tells_what_it_cost(workspace: Workspace) -> None:
    """Speed, memory, device and unusual arguments are part of the result."""
    outcome = fine_tune(make_job(workspace), Observer())
    assert outcome.peak_memory > 10**7
    assert outcome.samples_per_second > 0
    assert 0 < outcome.evaluations[0].seconds < outcome.evaluations[1].seconds < outcome.seconds
    assert outcome.device
    assert outcome.training_arguments["learning_rate"] == 1e-3
    assert "output_dir" not in outcome.training_arguments


def test_diverging_training_is_told(workspace: Workspace) -> None:
    """A loss that is not a number ends the trial at once."""
    with pytest.raises(Diverged, match="training loss was not finite by step"):
        fine_tune(make_job(workspace, learning_rate=1e9), Observer())


@pytest.mark.parametrize(
    ("loss", "message"),
    [(float("nan"), "evaluation was not finite"), (1e6, "guessing has 0.693")],
)
def test_diverged_evaluation_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, loss: float, message: str
) -> None:
    """An evaluation that is not finite, or a thousandfold worse than guessing, ends the trial."""
    forward = BertForSequenceClassification.forward

    @wraps(forward)  # Trainer reads the names of the inputs there
    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = forward(self, *args, **kwargs)
        if not self.training:
            output.loss = output.loss * 0 + loss
        return output

    monkeypatch.setattr(BertForSequenceClassification, "forward", broken)
    with pytest.raises(Diverged, match=message):
        fine_tune(make_job(workspace), Observer())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
    ids=["CUDA", "CPU", "host"],
)
def test_out_of_memory_is_told(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever word the device has for it, the trial is out of memory."""

    @wraps(BertForSequenceClassification.forward)
    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(BertForSequenceClassification, "forward", broken)
    with pytest.raises(OutOfMemory):
        fine_tune(make_job(workspace), Observer())


@pytest.mark.parametrize(
    ("room", "step"),
    [("100k", 0), ("800k", 0), ("2m", STEPS), ("4m", 2 * STEPS)],
    ids=["weights", "optimizer", "second", "third"],
)
def test_full_disk_is_told(
    workspace: Workspace, small_disk: Callable[[str], Path], room: str, step: int
) -> None:
    """No room for the weights, the optimizer or another checkpoint: the trial says so."""
    job = make_job(workspace, num_train_epochs=3)
    job = elsewhere(job, small_disk(room) / "trial-0000")
    with pytest.raises(DiskFull):
        fine_tune(job, Observer())
    found = checkpoints.find(job.folder, [])
    assert (found.step, found.damaged) == (step, ())
