"""Who watches a training: what it is told, and what it is asked."""

from collections.abc import Sequence
from pathlib import Path

from hpo.evaluations import Evaluation


class Observer:
    """Watches a training; this one looks away. Whatever a method raises ends the training."""

    def began(self, step: int, checkpoint: Path | None, damaged: Sequence[Path] = ()) -> None:
        """Take note of the step that training begins behind.

        Args:
            step: 0 if it begins afresh.
            checkpoint: what it was resumed from.
            damaged: newer checkpoints that it could not be resumed from.
        """

    def stepped(self, step: int, steps: int) -> None:
        """Take note of an optimizer step, or of a batch that was evaluated."""

    def evaluated(self, evaluations: list[Evaluation]) -> None:
        """Take note of an evaluation, the last one of all so far."""

    def asked_to_stop(self) -> bool:
        """Say whether to save a checkpoint and leave."""
        return False
