"""Compare search strategies: regret, ranks, repeats and ask times, ours beside those of the field.

    python -m benchmarks.search                       # all; about half an hour of one core
    python -m benchmarks.search --quick               # about two minutes; no slow strategies
    python -m benchmarks.search --only bayes tpe --problems ridge --repeats 3
    python -m benchmarks.search --seeds development   # to choose by; never reported

It may be stopped and continued: finished runs are kept in a file, each under a digest of the code
that decides on it, so that after a change of one strategy the others are not run again. Tables are
printed as Markdown; the whole comparison on held-out seeds goes to `benchmarks/search.md`, too.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from benchmarks.search.ask_times import ASKED, SIZES, measure_all
from benchmarks.search.carrying import carry_out_all
from benchmarks.search.comparisons import Results
from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.plan import Options, chosen, tasks
from benchmarks.search.report import as_json, as_markdown
from benchmarks.search.ridge import Ridge
from benchmarks.search.runs import Store
from benchmarks.search.suite import Seeds
from benchmarks.search.versions import HERE, code_of, digest_of, version_of

WRITTEN = HERE.parent / "search.md"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
QUICK_SIZES = (100, 500)
AskSeconds = Mapping[str, Mapping[str, float | None]]


def main() -> None:
    """Read the command line, run what is missing, print the tables."""
    args = _parse()
    os.environ.update(dict.fromkeys(THREADS, "1"))  # read when a child imports numpy
    options = Options(
        seeds=args.seeds,
        extent="quick" if args.quick else "full" if args.full else "default",
        only=args.only,
        problems=args.problems,
        workers=args.workers,
        repeats=args.repeats,
    )
    for name in options.wanted():
        for module in CONTENDERS[name].missing():
            print(f"search: {name} is left out, since {module} is not installed; "
                  "pip install -r benchmarks/requirements-search.txt", file=sys.stderr)  # fmt: skip
    try:
        problems = {name: make() for name, make in chosen(options).items()}
    except ValueError as error:
        sys.exit(f"search: {error}")
    store = Store(args.results)
    planned = tasks(options, problems)
    left = [task for task in planned if task not in store]
    print(f"search: {len(planned)} runs, of which {len(planned) - len(left)} are in "
          f"{args.results}", file=sys.stderr)  # fmt: skip
    asked: AskSeconds = {}
    try:
        carry_out_all(left, store, options.seeds, args.jobs)
        asked = {} if args.no_ask_times else _ask_times(options, store)
    except KeyboardInterrupt:
        print("search: stopped; the same command goes on", file=sys.stderr)
    results = Results(options.seeds, problems, store.runs(planned), planned, asked)
    markdown = as_markdown(results)
    print(json.dumps(as_json(results), indent=2) if args.json else markdown)
    whole = Options(repeats=options.repeats, extent=options.extent)
    if args.output is None and options == whole and not args.quick and asked:
        args.output = WRITTEN
    if args.output is not None:
        args.output.write_text(markdown, encoding="utf-8")
    if results.missing():
        sys.exit("search: some runs are missing; see above")


def _ask_times(options: Options, store: Store) -> AskSeconds:
    """Return those that were measured together, now or before."""
    names = [name for name in ASKED if name in options.only or not options.only]
    sizes = QUICK_SIZES if options.extent == "quick" else SIZES
    code = [version_of(name, Ridge(0)) for name in names] + [code_of(HERE / "ask_times.py")]
    key = f"ask {names} {sizes} {digest_of(code)}"
    found: AskSeconds | None = store.get(key)
    if found is None:
        print(f"search: measures answers beside {sizes} trials", file=sys.stderr)
        found = measure_all(names, sizes)
        store.put(key, found)
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="a small run of the fast strategies")
    extent.add_argument(
        "--full", action="store_true", help="slow strategies on everything, too: hours"
    )
    parser.add_argument("--only", nargs="+", default=(), choices=CONTENDERS, metavar="STRATEGY",
                        help=f"of {', '.join(CONTENDERS)}")  # fmt: skip
    parser.add_argument("--problems", nargs="+", default=(), metavar="NAME",
                        help="problems or families: ridge, walls, branches, table")  # fmt: skip
    parser.add_argument("--workers", nargs="+", type=int, default=(1, 8), metavar="N")
    parser.add_argument("--repeats", type=int, default=1, help="of each problem, by other seeds")
    parser.add_argument("--seeds", choices=get_args(Seeds), default="held-out")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--no-ask-times", action="store_true", help="leave out their measurement")
    parser.add_argument("--json", action="store_true", help="JSON instead of Markdown on stdout")
    parser.add_argument("--output", type=Path, help="write the Markdown here")
    parser.add_argument("--results", type=Path, default=Path("runs/bench-search.jsonl"),
                        help="where finished runs are kept")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
