"""Memory that runs out in a real training: once more with half the batch, then it has failed."""

from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.errors import OutOfMemory
from hpo.observer import Observer
from hpo.search import _within_memory
from tests.studies_made import STEPS, make_job, make_workspace


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let memory hold a batch of so many texts; returns the sizes of those trained on."""
    from transformers import BertForSequenceClassification

    sizes: list[int] = []
    forward = BertForSequenceClassification.forward

    @wraps(forward)
    def narrow(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.training:
            sizes.append(len(kwargs["input_ids"]))
            if sizes[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(BertForSequenceClassification, "forward", narrow)
    return sizes


@pytest.mark.parametrize("most", [4])
def test_half_the_batch(tmp_path: Path, batches: list[int]) -> None:
    """The second try takes as many steps over as many texts each, and says what it did."""
    stored: dict[str, Any] = {}
    outcome = _within_memory(make_job(make_workspace(tmp_path)), Observer(), stored.__setitem__)
    assert batches == [8, *[4] * (2 * 2 * STEPS)]  # two epochs, each step in two halves
    assert [each.step for each in outcome.evaluations] == [STEPS, 2 * STEPS]
    assert "trained with half the batch, accumulated twice" in stored["out_of_memory"]
    training = stored["recipe"]["training"]
    assert training["per_device_train_batch_size"] == 4
    assert training["gradient_accumulation_steps"] == 2


@pytest.mark.parametrize("most", [3])
def test_not_even_half(tmp_path: Path, batches: list[int]) -> None:
    """There is one second try and no third."""
    with pytest.raises(OutOfMemory):
        _within_memory(make_job(make_workspace(tmp_path)), Observer(), lambda key, value: None)
    assert batches == [8, 4]
