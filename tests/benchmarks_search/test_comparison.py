"""From runs to tables: what is kept, what is run again, and what is said of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.search.ask_times import measure
from benchmarks.search.comparisons import Results
from benchmarks.search.contenders import CONTENDERS
from benchmarks.search.estimates import mean, ratio
from benchmarks.search.makers import Setting
from benchmarks.search.plan import Options, chosen, tasks
from benchmarks.search.report import as_markdown
from benchmarks.search.runs import Run, Store, Task
from benchmarks.search.simulation import simulate
from benchmarks.search.suite import landscapes
from benchmarks.search.summary import by_problem, by_run, compare, ratio_at
from benchmarks.search.versions import code_of, version_of
from hpo.space import SearchSpace
from hpo.strategies.published import starts

TASK = Task("random", "walls-0", 1, 0, 3, "v")
RUN = Run(TASK, (0.5, 0.25, 0.125), 0, 1, 0.001, 0.1)
SCORES = st.lists(st.floats(0, 10), min_size=1, max_size=20)


def run(contender: str, problem: str, regret: float, repeat: int = 0) -> Run:
    """Return a run of fifty trials with one regret throughout."""
    task = replace(TASK, contender=contender, problem=problem, repeat=repeat, trials=50)
    return Run(task, (regret,) * 50, 5, 0, 0.01, 1.0)


@given(SCORES)
def test_the_interval_holds_the_mean(values: list[float]) -> None:
    """And lies in the range of the values; a single one has none."""
    found = mean(values)
    assert found.count == len(values)
    if found.low is None or found.high is None:
        assert len(values) == 1
        return
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert min(values) - 1e-9 <= found.low
    assert found.high <= max(values) + 1e-9


def test_ratios_are_of_pairs() -> None:
    """Half of everything is half of it, with no doubt, however different the problems are."""
    others = [0.01, 0.5, 3.0]
    found = ratio([each / 2 for each in others], others)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    mostly_zero = ratio([0.1, 0.0, 0.0], [0.2, 0.0, 0.0])
    assert (mostly_zero.value, mostly_zero.low, mostly_zero.high) == (0.5, None, None)


def test_rows() -> None:
    """Repeats are averaged before problems; ranks and shares are of what all ran."""
    runs = [
        run("bayes", "a", 0.1), run("bayes", "a", 0.3, repeat=1), run("bayes", "b", 0.4),
        run("tpe", "a", 0.4), run("tpe", "c", 9.0),
    ]  # fmt: skip
    rows = {row.contender: row for row in compare(runs, by_problem)}
    assert rows["bayes"].regrets[50].value == pytest.approx(0.3)
    assert rows["bayes"].regrets[50].count == 2
    assert 100 not in rows["bayes"].regrets
    assert (rows["bayes"].rank, rows["tpe"].rank) == (1, 2)
    assert rows["bayes"].runs == 3
    assert rows["bayes"].repeats == pytest.approx(10)
    assert {row.contender: row for row in compare(runs, by_run)}["bayes"].regrets[10].count == 3
    share = ratio_at(runs[:3], runs[3:], 50, by_problem)
    assert share is not None
    assert share.value == pytest.approx(0.5)
    assert ratio_at(runs[:3], runs[3:], 100, by_problem) is None


def test_what_is_done_is_kept(tmp_path: Path) -> None:
    """Another store on the file knows it, and goes on behind a line that was torn."""
    path = tmp_path / "runs" / "results.jsonl"
    first = Store(path)
    first.add(RUN)
    first.put("ask", {"bayes": {"100": 0.1, "3000": None}})
    with path.open("a") as file:
        file.write('{"task": {"conten')
    second = Store(path)
    other = replace(TASK, repeat=1)
    assert TASK in second
    assert other not in second
    second.add(replace(RUN, task=other))
    third = Store(path)
    assert third.runs([other, TASK]) == [replace(RUN, task=other), RUN]
    assert third.get("ask") == {"bayes": {"100": 0.1, "3000": None}}
    assert replace(TASK, version="w") not in third


def test_a_version_is_of_code_and_not_of_words(tmp_path: Path) -> None:
    """Comments and docstrings make no difference, one number does; contenders differ."""
    texts = ['"""One."""\nx = 1\n', '"""Other."""\nx = 1  # so\n', '"""One."""\nx = 2\n']
    paths = [tmp_path / f"{index}.py" for index in range(3)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    one, same, other = map(code_of, paths)
    assert one == same != other
    problem = landscapes("development")["walls-0"]()
    assert version_of("bayes", problem) != version_of("tpe", problem)


def test_slow_contenders_are_given_less() -> None:
    """By default, on a balanced beginning; all where problems are named or everything is asked."""
    made = {name: make() for name, make in landscapes("held-out").items()}

    def count(options: Options, contender: str) -> int:
        return sum(task.contender == contender for task in tasks(options, made))

    assert count(Options(), "random") == 2 * len(made)
    assert count(Options(), "gp") == 2 * CONTENDERS["gp"].problems
    assert count(Options(extent="full"), "gp") == 2 * len(made)
    assert count(Options(problems=["walls"]), "gp") == 2 * len(made)
    assert count(Options(extent="quick"), "gp") == 0
    assert list(chosen(Options(problems=["walls"]))) == [n for n in made if n.startswith("walls")]
    with pytest.raises(ValueError, match="found no problem 'wall'"):
        chosen(Options(problems=["wall"]))


@pytest.mark.parametrize("name", ["bayes", "tpe-published", "grid", "skopt", "skopt-own", "flaml",
                                  "smac", "cma-es"])  # fmt: skip
@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_everybody_can_search_a_space_with_conditions(name: str) -> None:
    """With four workers and failures, up to behind the first model; values are of the space."""
    if CONTENDERS[name].missing():
        pytest.skip(f"{CONTENDERS[name].missing()} not installed")
    problem = landscapes("development")["branches-0"]()
    searcher = CONTENDERS[name].make(Setting(problem.space, 3, 14))
    ended = simulate(problem, searcher, 4, 14, 3)
    assert len(ended) == 14
    assert not any(list(problem.space.misfits(each.params)) for each in ended)
    assert all(problem.space.is_drawn(each.params) for each in ended)


@pytest.mark.parametrize(
    "rates",
    [{"type": "float", "low": 1e-6, "high": 1e-3, "log": True},
     {"type": "choice", "values": [1e-5, 3e-5, 1e-4]}],
)  # fmt: skip
def test_published_configurations_are_tried_first(rates: Any) -> None:
    """By the contender that is given those with which `bayes` begins."""
    space = SearchSpace.model_validate({"learning_rate": rates})
    first = starts(space)
    searcher = CONTENDERS["tpe-published"].make(Setting(space, 1, 10))
    assert first
    assert [searcher.ask()[1] for _ in first] == first


def test_answers_are_timed() -> None:
    """In a process of its own; one that takes longer than the limit has no time."""
    assert measure("tpe", 30) is not None
    assert measure("bayes", 30, limit=1e-4) is None


def test_the_command(tmp_path: Path) -> None:
    """It runs what is missing only, says so, and prints tables and JSON."""
    results, output = tmp_path / "results.jsonl", tmp_path / "search.md"
    command = [
        sys.executable, "-m", "benchmarks.search", "--quick", "--only", "bayes", "random",
        "--problems", "walls-0", "--seeds", "development", "--workers", "8", "--no-ask-times",
        "--results", str(results), "--output", str(output),
    ]  # fmt: skip
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "search: 2 runs, of which 0 are in" in first.stderr
    assert first.stdout.startswith("# Search strategies compared")
    assert "## Landscapes, 8 asynchronous workers" in output.read_text()
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert "search: 2 runs, of which 2 are in" in again.stderr
    found = json.loads(again.stdout)
    assert found["about"]["runs"] == 2
    rows = found["comparisons"][0]["rows"]
    assert [row["contender"] for row in rows] == ["bayes", "random"]
    assert all(0 <= row["regrets"]["50"]["value"] < 1 for row in rows)


def test_the_tables_say_what_is_missing() -> None:
    """A run that broke, a table that is being recorded; times beyond the limit."""
    problems = {"walls-0": landscapes("development")["walls-0"]()}
    problems["walls-0"].incomplete = "1 of 2 points recorded"  # type: ignore[misc]
    planned = [TASK, replace(TASK, contender="tpe")]
    times: dict[str, dict[str, float | None]] = {"bayes": {"3000": 0.25}, "gp": {"3000": None}}
    text = as_markdown(Results("development", problems, [RUN], planned, times))
    assert "**Missing:** 1 runs of tpe." in text
    assert "**Provisional:** walls-0, 1 of 2 points recorded." in text
    assert "| > 60 s |" in text
    assert "| > 240 |" in text
