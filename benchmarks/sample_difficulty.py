"""How much the embedded samples reward a search: score and seconds over a plausible space.

Trains the tiny models on the samples with plain PyTorch, one trial a configuration, in the way of
the Trainer's defaults (AdamW, linear decay, gradients clipped at 1), and prints a table a task:

    python benchmarks/sample_difficulty.py
    python benchmarks/sample_difficulty.py --families bert gpt2 --epochs 2 4 --seeds 0 1

The scores depend on nothing but the seed (and the version of PyTorch); the seconds on the machine.
"""

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

from hpo import samples
from hpo.samples import models
from hpo.samples.grammar import Split

CAUSAL = ("gpt2", "openai-gpt")
IGNORED = -100


@dataclass(frozen=True)
class Row:
    """One row: its ids, and a label for each of them (NER) or a single one (sentiment)."""

    ids: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Trial:
    """What one trial is given."""

    learning_rate: float
    batch_size: int
    epochs: int
    seed: int


class Tagger(torch.nn.Module):
    """A linear layer on the hidden states; transformers has none for openai-gpt."""

    def __init__(self, folder: Path, classes: int) -> None:
        super().__init__()
        self.body = AutoModel.from_pretrained(folder)
        self.head = torch.nn.Linear(self.body.config.hidden_size, classes)
        torch.nn.init.normal_(self.head.weight, std=self.body.config.initializer_range)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits, of shape (rows, sub-tokens, classes)."""
        hidden = self.body(input_ids, attention_mask=attention_mask).last_hidden_state
        logits: torch.Tensor = self.head(hidden)
        return logits


class Task:
    """A sample, tokenised for one family: rows by split, a new model, a score."""

    metric: str

    def __init__(self, family: str, folder: Path, train_rows: int) -> None:
        self.family = family
        self.folder = models.build(family, self.texts(), folder / f"{self.metric}-{family}")
        self.tokenizer = AutoTokenizer.from_pretrained(
            self.folder, add_prefix_space=self.metric == "f1"
        )
        self.train = self.rows("train")[:train_rows]
        self.validation = self.rows("validation")

    def texts(self) -> list[str]:
        """Return what the tokenizer learns from."""
        raise NotImplementedError

    def rows(self, split: Split) -> list[Row]:
        """Return the rows of a split."""
        raise NotImplementedError

    def model(self) -> torch.nn.Module:
        """Return an untrained model."""
        raise NotImplementedError

    def score(self, predictions: Sequence[torch.Tensor]) -> float:
        """Return the metric of what was predicted for each row of the validation split."""
        raise NotImplementedError

    def logits(self, model: torch.nn.Module, rows: Sequence[Row]) -> torch.Tensor:
        """Return the logits of a padded batch."""
        ids = pad_sequence([row.ids for row in rows], batch_first=True)
        lengths = torch.tensor([len(row.ids) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        if self.family == "roberta":
            ids = ids.masked_fill(mask == 0, self.tokenizer.pad_token_id)
        output = model(input_ids=ids, attention_mask=mask)
        return output if isinstance(output, torch.Tensor) else output.logits


class Ner(Task):
    """Entity F1, strict, on the NER sample."""

    metric = "f1"

    def texts(self) -> list[str]:
        """Return the words of each row, joined by spaces."""
        return [" ".join(row["tokens"]) for row in samples.ner("train")]

    def rows(self, split: Split) -> list[Row]:
        """Return rows with a label at one sub-token of each word."""
        self.tags = sorted({tag for row in samples.ner("train") for tag in row["tags"]})
        self.gold = [row["tags"] for row in samples.ner(split)]
        return [self._row(row["tokens"], row["tags"]) for row in samples.ner(split)]

    def model(self) -> torch.nn.Module:
        """Return a tagger; transformers has none for openai-gpt."""
        return Tagger(self.folder, len(self.tags))

    def score(self, predictions: Sequence[torch.Tensor]) -> float:
        """Return strict entity F1."""
        guesses = [
            [self.tags[tag] for tag in prediction[row.labels != IGNORED].tolist()]
            for prediction, row in zip(predictions, self.validation, strict=True)
        ]
        return float(f1_score(self.gold, guesses, mode="strict", scheme=IOB2, zero_division=0))

    def _row(self, words: Sequence[str], tags: Sequence[str]) -> Row:
        encoded = self.tokenizer(list(words), is_split_into_words=True)
        places = encoded.word_ids()
        labels = torch.full((len(places),), IGNORED)
        for position, place in enumerate(places):
            # a causal model has seen the whole word at its last sub-token only
            neighbour = position + 1 if self.family in CAUSAL else position - 1
            beside = places[neighbour] if 0 <= neighbour < len(places) else None
            if place is not None and place != beside:
                labels[position] = self.tags.index(tags[place])
        return Row(torch.tensor(encoded["input_ids"]), labels)


class Sentiment(Task):
    """Accuracy on the sentiment sample."""

    metric = "accuracy"

    def texts(self) -> list[str]:
        """Return the texts of train."""
        return [row["text"] for row in samples.sentiment("train")]

    def rows(self, split: Split) -> list[Row]:
        """Return rows with one label."""
        return [
            Row(
                torch.tensor(self.tokenizer(row["text"])["input_ids"]),
                torch.tensor([int(row["label"] == "positive")]),
            )
            for row in samples.sentiment(split)
        ]

    def model(self) -> torch.nn.Module:
        """Return the sequence classifier of transformers."""
        model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(
            self.folder, num_labels=2, pad_token_id=self.tokenizer.pad_token_id or 0
        )
        return model

    def score(self, predictions: Sequence[torch.Tensor]) -> float:
        """Return the accuracy."""
        right = sum(
            int(prediction == row.labels)
            for prediction, row in zip(predictions, self.validation, strict=True)
        )
        return right / len(predictions)


def batches(rows: Sequence[Row], size: int, order: random.Random) -> Iterator[list[Row]]:
    """Yield every row once, in batches of rows of about the same length."""
    shuffled = order.sample(list(rows), len(rows))
    for start in range(0, len(shuffled), 50 * size):
        block = sorted(shuffled[start : start + 50 * size], key=lambda row: len(row.ids))
        starts = range(0, len(block), size)
        for first in order.sample(starts, len(starts)):
            yield block[first : first + size]


def train(task: Task, trial: Trial) -> tuple[float, float]:
    """Train and score one configuration; return its best score at the end of an epoch, seconds."""
    began = time.perf_counter()
    torch.manual_seed(trial.seed)
    order = random.Random(trial.seed)
    model = task.model()
    optimizer = torch.optim.AdamW(model.parameters(), trial.learning_rate, weight_decay=0.0)
    steps = trial.epochs * -(-len(task.train) // trial.batch_size)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    best = 0.0
    for _ in range(trial.epochs):
        model.train()
        for batch in batches(task.train, trial.batch_size, order):
            logits = task.logits(model, batch)
            labels = pad_sequence([row.labels for row in batch], True, IGNORED)  # noqa: FBT003
            loss = cross_entropy(logits.reshape(labels.numel(), -1), labels.reshape(-1))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            decay.step()
        best = max(best, task.score(predict(task, model)))
    return best, time.perf_counter() - began


@torch.no_grad()
def predict(task: Task, model: torch.nn.Module) -> list[torch.Tensor]:
    """Return the classes predicted for each row of the validation split, in its order."""
    model.eval()
    by_length = sorted(range(len(task.validation)), key=lambda i: len(task.validation[i].ids))
    predictions = [torch.empty(0)] * len(by_length)
    for start in range(0, len(by_length), 64):
        batch = by_length[start : start + 64]
        classes = task.logits(model, [task.validation[i] for i in batch]).argmax(-1)
        for i, row in zip(batch, classes, strict=True):
            predictions[i] = row[: len(task.validation[i].ids)] if row.ndim else row
    return predictions


def show(task: Task, trials: Sequence[Trial]) -> None:
    """Run the trials and print the table."""
    print(f"\n{type(task).__name__.lower()}, sample:{task.family}, {len(task.train)} rows")
    print("learning_rate  batch_size  epochs  seed  " + f"{task.metric:>8}  seconds")
    scores = []
    for trial in trials:
        score, seconds = train(task, trial)
        scores.append(score)
        print(
            f"{trial.learning_rate:13.0e}  {trial.batch_size:10}  {trial.epochs:6}  "
            f"{trial.seed:4}  {score:8.3f}  {seconds:7.1f}",
            flush=True,
        )
    print(f"worst {min(scores):.3f}, best {max(scores):.3f}, swing {max(scores) - min(scores):.3f}")


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=("ner", "sentiment"))
    parser.add_argument("--families", nargs="+", choices=models.FAMILIES, default=["bert"])
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-5, 1e-4, 1e-3, 3e-3, 1e-2])
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 64])
    parser.add_argument("--epochs", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--train-rows", type=int, default=4000, help="at most")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    trials = [
        Trial(*values)
        for values in itertools.product(
            arguments.rates, arguments.batches, arguments.epochs, arguments.seeds
        )
    ]
    kinds = {"ner": Ner, "sentiment": Sentiment}
    with tempfile.TemporaryDirectory() as folder:
        for name, family in itertools.product(arguments.tasks or kinds, arguments.families):
            show(kinds[name](family, Path(folder), arguments.train_rows), trials)


if __name__ == "__main__":
    main()
