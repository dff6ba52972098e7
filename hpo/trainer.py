"""The Trainer of one trial: transformers' own, with what a search needs otherwise."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler, SequentialSampler
from transformers import EvalPrediction, PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_pt_utils import LengthGroupedSampler
from typing_extensions import override

from hpo import manifest
from hpo.errors import Diverged
from hpo.freezing import depths
from hpo.inputs import Inputs
from hpo.mistakes import Answers
from hpo.watch import Watch

MISTAKES = "hpo_mistakes"  # in the log, with an evaluation that was the best so far


class FineTuner(Trainer):
    """The Trainer of one trial."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        inputs: Inputs,
        collator: Any,
        watch: Watch,
        layerwise_lr_decay: float = 1.0,
    ) -> None:
        self.task_model = model
        self.reading = replace(inputs.reading, batch_size=args.per_device_eval_batch_size)
        self.decay = layerwise_lr_decay

        self._inputs, self._watch = inputs, watch
        self._answers: Answers | None = None

        def score(prediction: EvalPrediction) -> dict[str, float]:
            self._answers = Answers(*map(np.asarray, prediction.predictions))
            return inputs.score(self._answers.predicted)

        super().__init__(
            model=model,
            args=args,
            train_dataset=inputs.train,
            eval_dataset=inputs.validation,
            processing_class=inputs.tokenizer,
            data_collator=collator,
            compute_metrics=score,
            preprocess_logits_for_metrics=_answers,  # type: ignore[arg-type]  # a tuple will do
            callbacks=[watch],
        )
        self.remove_callback(PrinterCallback)  # standard output is the command's
        self._worst_loss = torch.zeros((), device=args.device)

    @override
    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        # `group_by_length` would permute the evaluation too, and predictions would come back in
        # another order than the rows. The inputs are sorted by length already.
        return SequentialSampler(eval_dataset)

    @override
    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        sampler = super()._get_train_sampler(train_dataset)
        if type(sampler) is not LengthGroupedSampler:
            return sampler
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return _ReplayedSampler(sampler, seed)

    @override
    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Create transformers' optimizer; with `layerwise_lr_decay`, split its groups by depth."""
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if fresh and self.decay < 1:
            depth = depths(self.task_model)
            groups = list(optimizer.param_groups)
            optimizer.param_groups.clear()
            for group in groups:
                for level in sorted({depth[parameter] for parameter in group["params"]}):
                    inside = [each for each in group["params"] if depth[each] == level]
                    rate = group["lr"] * self.decay**level
                    optimizer.add_param_group({**group, "params": inside, "lr": rate})
        return optimizer

    @override
    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Train on a batch, and notice a loss that is not finite."""
        loss = super().training_step(*args, **kwargs)
        # transformers replaces such a loss by the average of the others, in silence.
        self._worst_loss = torch.maximum(self._worst_loss, loss.detach())
        if self.args.device.type == "cpu" or self.state.global_step % 10 == 0:  # a GPU must wait
            self.check_loss()
        return loss

    @override
    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        super()._save(output_dir, state_dict)
        manifest.write(Path(output_dir or str(self.args.output_dir)), self.reading)

    def try_batch(self, batch: dict[str, Any]) -> float:
        """Take one batch forward and backward outside of a training, and return its loss."""
        self.current_gradient_accumulation_steps = 1  # upstream sets it as it reads the batches
        return float(self.training_step(self.model, batch))

    def check_loss(self) -> None:
        """Raise Diverged if a training loss was not finite."""
        if not math.isfinite(self._worst_loss.item()):
            raise Diverged(f"the training loss was not finite by step {self.state.global_step + 1}")

    @override
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate in full precision, which is how the saved model will be used.

        What was wrong is kept in the log, and with it in each checkpoint, for the best so far.
        """
        self.check_loss()
        with _full_precision(self.model):
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        answers, self._answers = self._answers, None
        if answers is not None and self._watch.is_best_now():
            self.state.log_history[-1][MISTAKES] = self._inputs.mistakes(answers).to_record()  # type: ignore[assignment]
        return metrics


class _ReplayedSampler(LengthGroupedSampler):
    """Length-grouped batches, in an order that depends on seed and epoch only.

    Upstream draws it from the global random state, which a resume in mid-epoch cannot restore
    before the order is drawn: some examples would be seen twice and others never. And it leaves the
    batches of each fifty sorted, so that an epoch of a small data set goes from its longest texts
    to its shortest; here they are shuffled, but for the very first, which needs the most memory.
    """

    def __init__(self, drawn: LengthGroupedSampler, seed: int) -> None:
        super().__init__(drawn.batch_size, lengths=drawn.lengths, generator=torch.Generator())
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator.manual_seed(self.seed * 1_000_003 + self.epoch)
        grouped = list(super().__iter__())  # type: ignore[no-untyped-call]
        whole = len(grouped) // self.batch_size
        shuffled = torch.randperm(max(0, whole - 1), generator=self.generator).tolist()
        for batch in dict.fromkeys([0, *(number + 1 for number in shuffled), whole]):
            yield from grouped[batch * self.batch_size : (batch + 1) * self.batch_size]


def _answers(logits: Any, labels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the fields of `Answers`: a few numbers in place of one for each class."""
    # GPT-2 returns its cached keys beside the logits.
    scores: torch.Tensor = logits[0] if isinstance(logits, tuple) else logits
    predicted = scores.argmax(dim=-1)
    chances = scores.float().log_softmax(dim=-1)
    sure, right = (
        chances.gather(-1, each.unsqueeze(-1)).squeeze(-1)
        for each in (predicted, labels.clamp(min=0))
    )
    return predicted, sure.exp(), -right


@contextmanager
def _full_precision(model: Any) -> Iterator[None]:
    # accelerate puts autocast into `forward` and keeps what was there before.
    before = model.__dict__.get("_original_forward")
    if before is None:
        yield
        return
    autocast = model.forward
    model.forward = before
    try:
        yield
    finally:
        model.forward = autocast
