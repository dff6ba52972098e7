"""What can be learned: a task reads rows, encodes them, and scores predictions over full gold.

A new task is a module with an object that satisfies `Task`, and a line in the table below (or an
entry point in the group `hpo.tasks`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hpo.mistakes import Answers, Mistakes
from hpo.plugins import Plugins
from hpo.tallies import Tally

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from hpo.data import Layout

Direction = Literal["maximize", "minimize"]
Metrics = dict[str, float]

TASKS = Plugins(
    "task",
    {"ner": "hpo.tasks.ner:NER_TASK", "sentiment": "hpo.tasks.sentiment:SENTIMENT"},
    "hpo.tasks",
)


@dataclass(frozen=True)
class Encoding:
    """How rows become model inputs.

    Args:
        labels: the names of the outputs, in their order.
        max_length: the longest input, in sub-tokens, special tokens included.
        truncation_side: the side from which a longer text is cut; NER cuts nothing.
        causal: a token sees only those before it.
    """

    labels: Sequence[str]
    max_length: int
    truncation_side: Literal["left", "right"] = "right"
    causal: bool = False


class Task(Protocol):
    """A kind of problem.

    Attributes:
        name: as the study file writes it.
        layout: which columns its rows have (see `hpo.data`).
        metrics: the scalar metrics an objective may name, and the better direction of each.
        metric: the objective where the study file names none.
        takes_words: the rows are lists of words.
        published: parameter -> the value that is published for the task, where that is another one
            than `hpo.strategies.published` has for fine-tuning in general.
    """

    name: str
    layout: "Layout"
    metrics: Mapping[str, Direction]
    metric: str
    takes_words: bool
    published: Mapping[str, float]

    def auto_model(self) -> Any:
        """Return transformers' Auto class of the task."""
        ...

    def encode(
        self, rows: "Dataset", tokenizer: "PreTrainedTokenizerBase", encoding: Encoding
    ) -> "Dataset":
        """Return one input a row (or several, for a long one).

        Columns: `input_ids`, `attention_mask`, `labels` (the loss ignores -100), `length` and
        what `scorer` needs; whatever the model's `forward` does not take stays out of its batch.
        """
        ...

    def collator(self, tokenizer: "PreTrainedTokenizerBase", *, multiple_of: int | None) -> Any:
        """Return the collator that pads a batch to its longest input."""
        ...

    def scorer(
        self, rows: "Dataset", inputs: "Dataset", labels: Sequence[str]
    ) -> "Callable[[np.ndarray], Metrics]":
        """Return a function from predicted classes to metrics over the full gold of `rows`.

        Its argument holds the argmax of the logits, one line for each of `inputs`, in their
        order: (inputs,) for one class a text, (inputs, padded length) for one a sub-token.
        """
        ...

    def tally(
        self, rows: "Dataset", inputs: "Dataset", labels: Sequence[str], predicted: "np.ndarray"
    ) -> Tally:
        """Return what is right in each of `rows`; the arguments are those of `scorer`."""
        ...

    def mistakes(
        self, rows: "Dataset", inputs: "Dataset", labels: Sequence[str], answers: Answers
    ) -> Mistakes:
        """Return what is wrong in `rows`, and which of them are the worst."""
        ...


def load_task(name: str) -> Task:
    """Return a task by name.

    Raises:
        BadInput: there is no such task.
    """
    task: Task = TASKS.load(name)
    return task
