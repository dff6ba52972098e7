"""What freezing saves: seconds of a training step for each value of `freeze`, as ratios in one run.

Each value takes one step after the other in turn, round by round, so that a drift of the machine
hits all alike; the ratio is that of the medians.

    python -m benchmarks.freezing
    python -m benchmarks.freezing --model FOLDER --data DIR --rounds 20
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from benchmarks import sources
from hpo import spec
from hpo.device import Device
from hpo.fine_tuning import build_model, make_trainer, training_arguments
from hpo.freezing import parts
from hpo.observer import Observer
from hpo.recipe import resolve
from hpo.watch import Watch
from hpo.workspace import Workspace


def main() -> None:
    """Measure, and print a line for each value."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with train.jsonl and validation.jsonl")
    parser.add_argument("--model", help="folder of a pretrained model")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    data, model = sources.folder("wnut17", args.data), args.model or sources.minilm()
    if data is None or model is None:
        sys.exit("freezing: found no WNUT-17 or no model; see benchmarks/README.md")
    with tempfile.TemporaryDirectory() as folder:
        workspace = prepare(data, str(model), Path(folder))
        layers = len(parts(build_model(job(workspace, "none"))).layers)
        values = ["none", "embeddings", *(f"layers:{k}" for k in range(1, layers + 1)), "encoder"]
        steppers = {value: Stepper(workspace, value) for value in values}
        seconds: dict[str, list[float]] = {value: [] for value in values}
        for _ in range(args.rounds):
            for value, stepper in steppers.items():
                seconds[value].append(stepper.step())
    full = statistics.median(seconds["none"])
    print(f"{'freeze':12}{'ms a step':>10}{'none / it':>11}{'trained':>12}")
    for value in values:
        median = statistics.median(seconds[value])
        print(f"{value:12}{median * 1e3:10.0f}{full / median:11.2f}{steppers[value].trained:12,}")


def prepare(data: Path, model: str, folder: Path) -> Workspace:
    """Return a workspace over the first rows of the data."""
    for split, count in (("train", 512), ("validation", 32)):
        sources.first_rows(data / f"{split}.jsonl", count, folder / f"{split}.jsonl")
    document: dict[str, Any] = {
        "task": "ner",
        "model": model,
        "data": {"train": "train.jsonl", "validation": "validation.jsonl"},
        "training": {"per_device_train_batch_size": 16},
        "space": {"learning_rate": {"type": "choice", "values": [5e-5]}},
    }
    study = spec.parse(json.loads(json.dumps(document)), "benchmark")
    return Workspace(study, folder, folder / "study", folder / "cache")


def job(workspace: Workspace, freeze: str) -> Any:
    """Return the job of one value."""
    recipe = resolve(workspace.spec, {"learning_rate": 5e-5, "freeze": freeze})
    return workspace.job(recipe, workspace.folder / freeze.replace(":", "-"))


class Stepper:
    """Takes training steps with one value of `freeze`, over the same batches as all others."""

    def __init__(self, workspace: Workspace, freeze: str) -> None:
        made = job(workspace, freeze)
        args = training_arguments(made, Device.here())
        torch.manual_seed(0)
        model = build_model(made)
        watch = Watch(made.objective, made.folder, Observer(), classes=3)
        self.trainer = make_trainer(model, args, made, watch)
        self.optimizer: torch.optim.Optimizer = self.trainer.create_optimizer()
        self.trainer.accelerator.prepare(model)  # autocast, and the device
        torch.manual_seed(0)
        self.batches = cycle(list(self.trainer.get_train_dataloader()))
        self.trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
        self.step()  # the first one allocates

    def step(self) -> float:
        """Take a step and return its seconds."""
        batch = next(self.batches)
        started = time.perf_counter()
        self.trainer.try_batch(batch)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
