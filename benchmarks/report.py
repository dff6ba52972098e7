"""What a report costs: seconds and megabytes of the page, for studies of more and more trials.

Each study is reported in a process of its own, as `hpo report` does it, and all of them in turn,
round by round. The ratio is that of the medians to the smallest study's, most of which is imports.

    python -m benchmarks.report
    python -m benchmarks.report --trials 10 1000 --rounds 5
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.report.studies import landscape, make_study, multiply, url_of

_BLOCK = 250  # trials that Optuna adds one by one; more are copies of them


def main() -> None:
    """Measure, and print a line for each number of trials."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 50, 500, 5000])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if odd := [count for count in args.trials if count > _BLOCK and count % _BLOCK]:
        parser.error(f"--trials: found {odd[0]}; expected at most {_BLOCK}, or a multiple of it")
    seconds: dict[int, list[float]] = {count: [] for count in args.trials}
    size: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in args.trials:
            make(Path(folder) / str(count), count)
        for _ in range(args.rounds):
            for count in args.trials:
                page = Path(folder) / f"{count}.html"
                seconds[count].append(report(Path(folder) / str(count), page))
                size[count] = page.stat().st_size
    least = statistics.median(seconds[min(seconds)])
    print(f"{'trials':>8}{'seconds':>9}{'ratio':>7}{'MB':>7}")
    for count in args.trials:
        median = statistics.median(seconds[count])
        print(f"{count:8,}{median:9.1f}{median / least:7.1f}{size[count] / 1e6:7.1f}")


def make(folder: Path, count: int) -> None:
    """Store a study of so many trials."""
    folder.mkdir()
    made = min(count, _BLOCK)
    make_study(folder, landscape(made), changes={"budget": {"trials": count}})
    multiply(folder, count // made)


def report(folder: Path, page: Path) -> float:
    """Report a study; returns the seconds that it took."""
    command = [sys.executable, "-m", "hpo", "report", "--storage", url_of(folder), "-o", str(page)]
    before = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - before


if __name__ == "__main__":
    main()
