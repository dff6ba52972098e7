"""Replay recorded fine-tunings under each pruning rule: what it saves, and what it loses.

    python -m benchmarks.pruning
    python -m benchmarks.pruning --rule asha warmup_epochs=0.5 min_epochs=0.5

The trainings of a table run one after another in shuffled orders; a rule sees of each what it would
have reported by then. `epochs`: the share of all epochs that was trained. `lost`: how much lower
the best completed trial scored than the best of all, in points of the metric. `winner`: in how many
of the orders the best of all was kept.
"""

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from benchmarks.search.table import TABLES, read
from hpo.curves import PROGRESS
from hpo.pruning import EPOCHS, RULES, make_pruner
from hpo.spec import PruneSpec

METRICS = {"wnut17": "f1", "uci_sentences": "accuracy"}


def replay(
    table: Sequence[Mapping[str, Any]], metric: str, spec: PruneSpec, seed: int
) -> tuple[float, float]:
    """Run the trainings of a table in the order of a seed.

    Args:
        table: as `benchmarks.record` writes it.
        metric: the one to maximise.
        spec: the rule.
        seed: of the order.

    Returns:
        The share of the epochs that was trained, and by how much the best completed trial is worse
        than the best of all.
    """
    study = optuna.create_study(direction="maximize", study_name=f"replay-{seed}")
    trained = planned = 0.0
    for index in np.random.default_rng(seed).permutation(len(table)):
        row = table[index]
        epochs = row["evaluations"][-1]["epoch"]
        study.pruner = make_pruner(spec)  # as for each trial of a study
        trial = study.ask()
        trial.set_user_attr(EPOCHS, row["params"]["num_train_epochs"])
        best, planned = -np.inf, planned + epochs
        for each in row["evaluations"]:
            trial.report(each["metrics"][metric], round(each["epoch"] * PROGRESS))
            best = max(best, each["metrics"][metric])
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, best)
        trained += each["epoch"]
    top = max(each["metrics"][metric] for row in table for each in row["evaluations"])
    return trained / planned, top - study.best_value


def _line(name: str, spec: PruneSpec, orders: int) -> str:
    table = [row for row in read(TABLES / f"{name}.jsonl") if row["evaluations"]]
    runs = [replay(table, METRICS[name], spec, seed) for seed in range(orders)]
    epochs, lost = np.array(runs).T
    options = spec.model_dump(exclude_defaults=True)
    rule = " ".join([options.pop("strategy"), *(f"{key}={v:g}" for key, v in options.items())])
    return (
        f"| {name} ({len(table)}) | {rule} | {epochs.mean():.0%} | {100 * lost.mean():.2f} "
        f"± {100 * lost.std() / np.sqrt(orders):.2f} | {np.mean(lost == 0):.0%} |"
    )


def main() -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rule", nargs="+", help="a rule and its options as OPTION=VALUE; else all as they are"
    )
    parser.add_argument("--orders", type=int, default=20, help="how many orders; 20")
    args = parser.parse_args()
    specs = [PruneSpec.model_validate({"strategy": rule}) for rule in RULES]
    if args.rule:
        options = tomllib.loads("\n".join(args.rule[1:]))
        specs = [PruneSpec.model_validate({"strategy": args.rule[0], **options})]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(
        "| table (trials) | rule | epochs | lost, points | winner |", "| --- " * 5 + "|", sep="\n"
    )
    for name in METRICS:
        for spec in specs:
            print(_line(name, spec, args.orders), flush=True)


if __name__ == "__main__":
    main()
