"""Time, memory and disk of a trial: `hpo` beside a plain `Trainer.hyperparameter_search`.

Both do the same trials on the same data with the same model, in turn, each side in processes of
its own; what is printed are ratios. Those of processor time hold on a busy machine too, where wall
clock says more about its other guests.

    python -m benchmarks.trial_time                      # WNUT-17 and MiniLM where they are at hand
    python -m benchmarks.trial_time --data DIR --model FOLDER --train-rows 1000
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import sources


@dataclass(frozen=True)
class Job:
    """What one side runs in one round."""

    data: str
    model: str
    folder: str
    rates: list[float]
    seeds: list[int]
    batch: int
    epochs: int


@dataclass(frozen=True)
class Result:
    """What one side needed: processor seconds in all, those of each trial by the clock, and so on.

    Args:
        cpu: seconds of processor time in all, imports included.
        seconds: wall clock of each trial.
        scores: of each trial.
        peak: bytes of memory.
        disk: bytes left.
    """

    cpu: float
    seconds: list[float]
    scores: list[float]
    peak: int
    disk: int


def main() -> None:
    """Run both sides and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with train.jsonl and validation.jsonl")
    parser.add_argument("--model", help="folder of a pretrained model")
    parser.add_argument("--train-rows", type=int, default=1000)
    parser.add_argument("--validation-rows", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 5e-4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[16], help="one a round")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        scores_and_seconds = SIDES[args.side](Job(**json.loads(args.job)))
        print(json.dumps(scores_and_seconds))
        return
    data = sources.folder("wnut17", args.data)
    model = args.model or sources.minilm()
    if data is None or model is None:
        sys.exit("trial_time: found no WNUT-17 or no model; see benchmarks/README.md")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        rows = {"train": args.train_rows, "validation": args.validation_rows}
        for split, count in rows.items():
            sources.first_rows(data / f"{split}.jsonl", count, work / f"{split}.jsonl")
        results: dict[str, list[Result]] = {side: [] for side in SIDES}
        for batch in args.batches:
            for side in SIDES:
                place = work / f"{side.replace(', ', '-').replace(' ', '-')}-{batch}"
                job = Job(
                    str(work), str(model), str(place), args.rates, args.seeds, batch, args.epochs
                )
                print(f"{side}, batch {batch} …", file=sys.stderr)
                results[side].append(measure(side, job))
    report(results)


def measure(side: str, job: Job) -> Result:
    """Run one side in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.trial_time",
        "--side",
        side,
        "--job",
        json.dumps(asdict(job)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        output = process.stdout.read() if process.stdout is not None else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"trial_time: {side} ended with {process.returncode}")
    found = json.loads(output.splitlines()[-1])
    files = [path for path in Path(job.folder).rglob("*") if path.is_file()]
    inodes = {path.stat().st_ino: path.stat().st_size for path in files}
    return Result(
        cpu=usage.ru_utime + usage.ru_stime,
        seconds=found["seconds"],
        scores=found["scores"],
        peak=usage.ru_maxrss * 1024,
        disk=sum(inodes.values()),
    )


def report(results: dict[str, list[Result]]) -> None:
    """Print each side's figures and the ratios to hpo's."""
    ours = results["hpo"]
    heads = ("cpu s", "s/trial", "peak MB", "disk MB", "best F1", "mean F1")
    print(f"{'':26}{''.join(f'{head:>9}' for head in heads)}{'±':>7}")
    for side, rounds in results.items():
        seconds = [each for result in rounds for each in result.seconds]
        scores = [each for result in rounds for each in result.scores]
        print(
            f"{side:26}{sum(result.cpu for result in rounds):9.0f}{statistics.median(seconds):9.1f}"
            f"{max(result.peak for result in rounds) / 1e6:9.0f}"
            f"{sum(result.disk for result in rounds) / 1e6:9.0f}"
            f"{max(scores):9.3f}{statistics.mean(scores):9.3f}{_standard_error(scores):7.3f}"
        )
    for side, rounds in results.items():
        if side == "hpo":
            continue
        time = [
            sum(theirs.seconds) / sum(mine.seconds)
            for theirs, mine in zip(rounds, ours, strict=True)
        ]
        cpu = sum(result.cpu for result in rounds) / sum(result.cpu for result in ours)
        peak = max(result.peak for result in rounds) / max(result.peak for result in ours)
        disk = sum(result.disk for result in rounds) / sum(result.disk for result in ours)
        print(
            f"{side} / hpo: processor time {cpu:.2f}, wall clock "
            f"{' and '.join(f'{each:.2f}' for each in time)} (a round each), memory {peak:.2f}, "
            f"disk {disk:.1f}"
        )


def _standard_error(scores: list[float]) -> float:
    return statistics.stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else math.nan


def run_hpo(job: Job) -> dict[str, list[float]]:
    """Run the trials through `hpo`, its defaults untouched."""
    import hpo

    study = Path(job.folder).with_suffix(".toml")
    study.write_text(
        f'task = "ner"\nmodel = {json.dumps(job.model)}\nstrategy = "grid"\n'
        f'[data]\ntrain = "train.jsonl"\nvalidation = "validation.jsonl"\n'
        f"[training]\nnum_train_epochs = {job.epochs}\nper_device_train_batch_size = {job.batch}\n"
        f'[space]\nlearning_rate = {{ type = "choice", values = {job.rates} }}\n'
        f'seed = {{ type = "choice", values = {job.seeds} }}\n'
    )
    trials = hpo.run_study(study, output=job.folder).trials
    return {
        "seconds": [float(trial.seconds or 0) for trial in trials],
        "scores": [float(trial.value or 0) for trial in trials],
    }


def run_stock(job: Job, **settings: Any) -> dict[str, list[float]]:
    """Run the trials as transformers' documentation shows it, its defaults untouched."""
    import optuna
    from datasets import load_dataset
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    files = {split: f"{job.data}/{split}.jsonl" for split in ("train", "validation")}
    rows = load_dataset("json", data_files=files, cache_dir=f"{job.folder}-cache")
    names = sorted({tag for split in rows.values() for tags in split["ner_tags"] for tag in tags})
    tokenizer = AutoTokenizer.from_pretrained(job.model)

    def encode(batch: dict[str, list[Any]]) -> Any:
        inputs = tokenizer(batch["tokens"], is_split_into_words=True, truncation=True)
        inputs["labels"] = []
        for row, tags in enumerate(batch["ner_tags"]):
            words = inputs.word_ids(row)
            inputs["labels"].append(
                [
                    -100 if word is None or word == before else names.index(tags[word])
                    for word, before in zip(words, [None, *words], strict=False)
                ]
            )
        return inputs

    encoded = rows.map(encode, batched=True, remove_columns=rows["train"].column_names)

    def compute_metrics(prediction: Any) -> dict[str, float]:
        chosen = prediction.predictions.argmax(-1)
        gold, predicted = [], []
        for line, labels in zip(chosen, prediction.label_ids, strict=True):
            kept = labels != -100
            gold.append([names[label] for label in labels[kept]])
            predicted.append([names[label] for label in line[kept]])
        return {"f1": f1_score(gold, predicted, mode="strict", scheme=IOB2)}

    trainer = Trainer(
        args=TrainingArguments(
            output_dir=job.folder,
            num_train_epochs=job.epochs,
            per_device_train_batch_size=job.batch,
            **settings,
        ),
        model_init=lambda: AutoModelForTokenClassification.from_pretrained(
            job.model, num_labels=len(names)
        ),
        train_dataset=encoded["train"],
        eval_dataset=encoded["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        compute_metrics=compute_metrics,
    )
    storage = f"sqlite:///{job.folder}.db"
    space: dict[str, Any] = {"learning_rate": job.rates, "seed": job.seeds}
    trainer.hyperparameter_search(
        hp_space=lambda trial: {
            name: trial.suggest_categorical(name, values) for name, values in space.items()
        },
        compute_objective=lambda metrics: metrics["eval_f1"],
        direction="maximize",
        n_trials=len(job.rates) * len(job.seeds),
        study_name="stock",
        storage=storage,
        sampler=optuna.samplers.GridSampler(space, seed=0),
        pruner=optuna.pruners.NopPruner(),
    )
    trials = optuna.load_study(study_name="stock", storage=storage).trials
    return {
        "seconds": [trial.duration.total_seconds() for trial in trials if trial.duration],
        "scores": [float(trial.value or 0) for trial in trials],
    }


def run_stock_by_epoch(job: Job) -> dict[str, list[float]]:
    """Run the trials with an evaluation and a checkpoint an epoch, as most scripts do."""
    return run_stock(job, eval_strategy="epoch", save_strategy="epoch")


SIDES = {"stock": run_stock, "stock, by epoch": run_stock_by_epoch, "hpo": run_hpo}


if __name__ == "__main__":
    main()
