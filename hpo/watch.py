"""Beside a training: evaluations and weights are kept, and requests to stop are heard."""

import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from typing_extensions import override

from hpo import checkpoints
from hpo.errors import Diverged, HandedBack
from hpo.evaluations import LOSS, Evaluation, Objective, read_entry
from hpo.observer import Observer

HOPELESS = 100  # an evaluation loss this many times that of guessing has diverged


class Watch(TrainerCallback):
    """Keeps the evaluations, the best weights and the last checkpoints; hears requests to stop."""

    def __init__(
        self,
        objective: Objective,
        folder: Path,
        observer: Observer,
        *,
        classes: int,
        share: float = 1.0,
    ) -> None:
        self.share = share
        self.objective = objective
        self.folder = folder
        self.observer = observer
        self.guessing = math.log(max(2, classes))  # the loss of a uniform guess, in nats
        self.evaluations: list[Evaluation] = []
        self.before = 0.0  # seconds of the attempts before this one, up to their last evaluation
        self.started = time.perf_counter()

    @override
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.evaluations = [read_entry(entry) for entry in state.log_history if LOSS in entry]
        self.before = self.evaluations[-1].seconds if self.evaluations else 0.0
        self.observer.stepped(state.global_step, state.max_steps)

    @override
    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.observer.stepped(state.global_step, state.max_steps)

    @override
    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.observer.stepped(state.global_step, state.max_steps)
        if self.share < 1 and state.global_step >= max(1, round(self.share * state.max_steps)):
            control.should_evaluate = control.should_training_stop = True
        # At the end of an epoch the evaluation comes first: a resume would never make up for it.
        if self.observer.asked_to_stop() and not _at_end_of_epoch(state):
            control.should_save = True

    @override
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # The first evaluation after `eval_steps` or `eval_delay` may lie behind the last step.
        if state.global_step >= state.max_steps and not self.evaluations:
            control.should_evaluate = True

    @override
    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if LOSS in state.log_history[-1]:
            elapsed = self.before + time.perf_counter() - self.started
            state.log_history[-1]["hpo_seconds"] = elapsed

    @override
    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        latest = read_entry(state.log_history[-1])
        self._check(latest)
        self.evaluations.append(latest)
        if self.is_best_now():
            control.should_save = True
        self.observer.evaluated(self.evaluations)

    def is_best_now(self) -> bool:
        """Say whether the latest evaluation is the best so far."""
        latest = self.evaluations[-1:]
        return bool(latest) and self.objective.best(self.evaluations) is latest[0]

    def _check(self, latest: Evaluation) -> None:
        if any(not math.isfinite(value) for value in latest.metrics.values()):
            raise Diverged(f"the evaluation was not finite at step {latest.step}")
        if latest.metrics["loss"] > HOPELESS * self.guessing:
            raise Diverged(
                f"the evaluation loss was {latest.metrics['loss']:.3g} at step {latest.step}; "
                f"guessing has {self.guessing:.3g}"
            )

    @override
    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.evaluations:
            best = self.objective.best(self.evaluations)
            if best.step == state.global_step:
                checkpoints.keep_as_best(self.folder, state.global_step)
        checkpoints.complete(self.folder, state.global_step)
        if self.observer.asked_to_stop() and state.global_step < state.max_steps:
            raise HandedBack(f"stopped at step {state.global_step} of {state.max_steps}")


def _at_end_of_epoch(state: TrainerState) -> bool:
    epoch = state.epoch or 0.0
    return abs(epoch - round(epoch)) < 1e-9
