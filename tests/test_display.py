"""What a person reads: tables, curves, the conclusion; names are text and never markup."""

import io
import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hpo import display
from hpo.candidates import Candidate, Confirmation
from hpo.evaluations import Evaluation
from hpo.leases import TicketView
from hpo.pool_view import WorkerView
from hpo.progress import Lines, LiveTable, Progress
from hpo.refusals import Refusal
from hpo.spec import parse
from hpo.study import StudyView
from hpo.trials import TrialResult
from tests.studies_made import document

NAME = "[red]a[/blue] \\[x"


def trial(number: int, value: float | None, **changes: Any) -> TrialResult:
    """Return a trial that ended."""
    values: dict[str, Any] = {
        "number": number, "state": "COMPLETE" if value is not None else "FAIL",
        "params": {"learning_rate": 0.00123456}, "value": value, "reported": None, "metrics": {},
        "evaluations": [],
        "seconds": 75.0, "reason": None if value is not None else "diverged",
        "error": None if value is not None else "Diverged: [/x] no luck",
        "checkpoint": "runs/x/best", "counts": True, "record": {}, **changes,
    }  # fmt: skip
    return TrialResult(**values)


def study(*trials: TrialResult, name: str = NAME) -> StudyView:
    """Return a study of trials, the first of which is the best."""
    space = {"learning_rate": {"type": "float", "low": 0.1, "high": 0.2}}
    spec = parse(document({"space": space}), "x")
    done = {"COMPLETE": sum(each.value is not None for each in trials)}
    best = trials[0] if trials and trials[0].value is not None else None
    return StudyView(name, spec, "accuracy", list(trials), best, done, 150.0, ["[/] odd rows"])


def printed(what: Any) -> str:
    """Print as in a wide terminal, without colours."""
    out = io.StringIO()
    Console(file=out, width=200).print(what)
    return out.getvalue()


def test_a_trial_without_a_score_shows_what_it_reported() -> None:
    """In brackets: a pruned trial, or one that runs, has no score yet."""
    pruned = trial(1, None, state="PRUNED", reason=None, reported=0.25)
    assert "(0.2500)" in printed(display.trial_table(study(trial(0, 0.5), pruned), NAME))


def test_a_grid_is_done_after_its_points() -> None:
    """Whatever its budget, and if it has none."""
    seen = study(trial(0, 0.5))
    assert (seen.budget, replace(seen, points=1).budget) == (seen.spec.budget.trials, 1)
    assert (replace(seen, points=1).condition, replace(seen, points=2).condition) == (
        "done", "waiting",
    )  # fmt: skip


def test_a_budget_of_hours_says_how_many_are_spent() -> None:
    """Beside the trials, if it has both."""
    seen = study(trial(0, 0.5))
    spec = parse({**seen.spec.to_json(), "budget": {"trials": 4, "hours": 2.5}}, "x")
    assert display.budget_of(replace(seen, spec=spec)) == "4 trials or 2.5 h (2 min 30 s spent)"


def test_tables_show_names_as_they_are() -> None:
    """Brackets in names are no markup, in title, headings and cells."""
    seen = study(trial(0, 0.5, params={"learning_rate": "[/red]x"}), trial(1, None))
    table = printed(display.trial_table(seen, NAME))
    assert NAME in table
    assert "[/red]x" in table
    assert "diverged" in table
    assert NAME in display.study_table([seen])


def test_the_list_tells_luck_from_what_was_confirmed() -> None:
    """Beside the search's best the mean over new seeds, in brackets while runs are missing."""
    params = {"learning_rate": 0.1}
    chosen = Candidate(0, params, 0.95, [], 2, mean=0.875)
    found = Confirmation("x-confirm", [chosen], chosen, [chosen], 2, 2, maximize=True)
    seen = study(trial(0, 0.95), name="x")
    told = {
        name: display.study_table([replace(seen, confirmation=each), replace(seen, name="y")])
        for name, each in (("all", found), ("some", replace(found, done=1)), ("none", None))
    }
    heads, _, first, second = told["all"].splitlines()
    assert first[heads.index("best") :].split()[:2] == ["0.9500", "0.8750"]
    assert heads.split()[-4:-2] == ["best", "confirmed"]
    assert "0.8750" not in second
    assert "(0.8750)" in told["some"]
    assert "confirmed" not in told["none"]


def many_parameters() -> StudyView:
    """Return a study with a long name that searches more than a terminal has columns for."""
    names = ["learning_rate", "per_device_train_batch_size", *(f"dropout_{n}" for n in range(9))]
    space = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in names}
    params = dict.fromkeys(names, 0.123456)
    seen = study(trial(0, 0.5, params=params), trial(1, None, params=params), name="n" * 70)
    spec = parse({**seen.spec.to_json(), "training": {}, "space": space}, "x")
    return replace(seen, spec=spec)


@pytest.mark.parametrize("width", [60, 80])
def test_many_parameters_in_a_narrow_terminal(width: int) -> None:
    """They stand in lines below their trial, each of them whole; the study's name is whole, too."""
    seen = many_parameters()
    out = io.StringIO()
    Console(file=out, width=width).print(
        display.trial_table(seen, seen.name[:width], width=width), soft_wrap=True
    )
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == seen.name[:width]
    for name in seen.spec.search_space().names():
        assert sum(f"{name}=0.123" in line for line in lines) == 2
    assert display.lines_a_trial(seen, width) == len(lines[3:]) / 2
    assert display.lines_a_trial(seen, 1000) == 1
    in_columns = printed(display.trial_table(seen, "x"))
    assert "=" not in in_columns
    assert in_columns.count("0.123") == 2 * len(seen.spec.search_space().names())


def test_a_long_line_is_broken_at_words_unless_it_is_to_be_copied() -> None:
    """Sentences of a conclusion are; parameters, folders and commands are not."""
    sentence = "  trial 4   mean 0.8123 ± 0.0123; 95% interval 0.8000 to 0.8246, 3 runs"
    broken = display.line_of_prose(sentence, 40).splitlines()
    assert [len(line) <= 40 for line in broken] == [True, True]
    assert " ".join(broken).split() == sentence.split()
    for line in ("weights  /a b/" + "c" * 90, '  model = "' + "x " * 50 + '"', sentence):
        assert display.line_of_prose(line, 40 if line != sentence else 100) == line


def test_best_trial_is_always_in_the_table() -> None:
    """The latest trials are shown, and the best one however long ago it was."""
    seen = study(trial(0, 0.75), *(trial(number, 0.5) for number in range(1, 30)))
    table = printed(display.trial_table(seen, "x", rows=5))
    assert "0.7500" in table
    assert [f" {number} " in table for number in (24, 25, 26, 29)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    """Seconds, minutes, hours."""
    assert display.duration(seconds) == words


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()))
def test_conclusion_can_be_copied(value: Any) -> None:
    """A parameter is written as a study file takes it."""
    read = tomllib.loads(f"x = {display.toml(value)}")["x"]
    assert (read, type(read)) == (value, type(value))


def test_conclusion_says_where_things_are() -> None:
    """Best value, parameters, weights, the command for more; and whether nothing was learned."""
    best = trial(3, 0.5, record={"recipe": {}})
    commands = ("hpo status films", "hpo export films", "hpo report films")
    text = display.conclusion(study(best, name="films"), *commands)
    parts = (
        "accuracy 0.5000 in trial 3",
        "learning_rate = 0.00123456",
        "runs/x/best",
        *commands,
    )
    assert [part for part in parts if part not in text] == []
    assert "No trial learned" not in text
    assert "No trial learned anything" in display.conclusion(
        study(trial(3, 0.0)), "", "hpo export", ""
    )
    assert "export" not in display.conclusion(study(trial(3, 0.5)), "", "hpo export", "")


def test_who_is_there_for_a_study_that_was_submitted() -> None:
    """How many wait and how many are at work; nobody, and why; nothing of that if it is done."""
    queued = replace(study(name="films"), counts={})
    idle, busy = WorkerView("a:1:m:s", "waiting"), WorkerView("b:2:m:s", "at work", study="x")
    said = display.queued(queued, [idle, busy, busy], "hpo worker")
    assert said == "study films is queued for 3 workers: 1 waiting, 2 at work"
    nobody = display.queued(queued, [], "hpo worker --storage x")
    assert nobody.endswith("no worker is there to take it: start one, `hpo worker --storage x`")
    refused = {"a-m": Refusal("no data", "a:1:m:s", 5.0, 7.0, "put it there")}
    assert "leaves it to others: see `hpo status`" in display.queued(
        replace(queued, refusals=refused), [], "hpo worker"
    )
    assert display.queued(replace(queued, counts={"COMPLETE": 2}), [], "").startswith(
        "study films is done; nothing is left to run"
    )


def test_a_refusal_in_words() -> None:
    """Who, since when, why, what helps, and when it is tried again."""
    refusal = Refusal("no data", "gpu1:12:m:s", 75.0, 200.0, "put its data there")
    assert display.refusal_of("films", refusal) == (
        "study films is left to others by gpu1:12 for 1 min 15 s: no data\n"
        "  gpu1:12 tries again in 3 min 20 s; put its data there, or start `hpo worker` where it "
        "can be served"
    )
    late = display.refusal_of("films", replace(refusal, again=-3.0, advice=""))
    assert "tries again when it looks next; else start `hpo worker`" in late


def test_headings_are_folded() -> None:
    """A long name is broken at its underscores and nowhere else, and keeps every character."""
    folded = display.folded("per_device_train_batch_size")
    assert folded.split("\n") == ["per_", "device_", "train_", "batch_size"]
    assert [display.folded(name) for name in ("seed", "__a", "")] == ["seed", "__a", ""]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_learning_curve(values: list[float]) -> None:
    """One bar an evaluation, the highest for the largest value, and the last value in figures."""
    bars, _, last = display.sparkline(values).partition(" ")
    assert len(bars) == len(values)
    assert last == f"{values[-1]:.4f}"
    if max(values) > min(values):
        assert (bars[values.index(max(values))], bars[values.index(min(values))]) == ("█", "▁")


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0, 7.0])
def test_progress_bar_keeps_its_width(share: float) -> None:
    """Also where a share is more than all."""
    assert len(display.bar(share, 10)) == 10
    assert display.bar(share, 10).count("━") == round(min(share, 1) * 10)


def play(progress: Progress) -> None:
    """Let a short study happen."""
    first = trial(0, 0.5)
    metrics = {"accuracy": 0.25, "loss": 0.7}
    progress.preparing("reading [/x]")
    progress.begin(study())
    progress.started(0, {"learning_rate": 0.001, "name": "[/x]"})
    progress.stepped(3, 10)
    progress.evaluated([Evaluation(1.0, 5, metrics, 1.0), Evaluation(2.0, 10, metrics, 2.0)])
    progress.ended(study(first), first)
    progress.ended(study(first), trial(1, None))
    progress.end(study(first))
    progress.close()


def test_lines_for_logs() -> None:
    """One line an event: parameters, evaluations, results, the reason of a failure."""
    out = io.StringIO()
    play(Lines(Console(file=out, width=40)))
    lines = out.getvalue().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines)
    for part in (
        "data: [/] odd rows", f"study {NAME}: sentiment, strategy random, 2 trials",
        "trial 0 started: learning_rate=0.001, name=[/x]",
        "  epoch 2: accuracy 0.2500, loss 0.7000", "no luck; best 0.5000 (trial 0)",
    ):  # fmt: skip
        assert sum(part in line for line in lines) == 1, part
    assert not any("\x1b" in line for line in lines)


def test_each_line_of_a_log_has_the_time() -> None:
    """Those of a message of several lines, too; in a terminal none has."""
    for is_terminal, count in ((False, 2), (True, 0)):
        out = io.StringIO()
        Lines(Console(file=out, force_terminal=is_terminal), "films: ").note("one\ntwo")
        assert [
            line.endswith(f"films: {word}")
            for line, word in zip(out.getvalue().splitlines(), ("one", "two"), strict=True)
        ] == [True, True]
        stamped = [line for line in out.getvalue().splitlines() if line.startswith("2")]
        assert len(stamped) == count
        for line in stamped:
            said = datetime.fromisoformat(line.partition(" ")[0])
            assert abs((datetime.now(UTC) - said).total_seconds()) < 60


def test_live_table() -> None:
    """In a terminal the same shows in a table; the last one stays."""
    out = io.StringIO()
    play(LiveTable(Console(file=out, width=120, force_terminal=True)))
    text = out.getvalue()
    assert "a[/blue]" in text
    assert "0.5000" in text
    assert "\x1b[?25h" in text, "the cursor is to be shown again"


def test_holders_of_tickets() -> None:
    """Who has it, where, the how-manieth attempt, and for how long nothing was heard."""
    held = TicketView(3, "held", 2, 1, "host:12:m:s", "a GPU", 7, 75.0, 40.0)
    assert display.holder(held) == (
        "ticket 3  held  host:12  a GPU  attempt 2  1 attempt lost  last progress 1 min 15 s ago"
    )
    cut_off = replace(held, lease=-5.0)
    assert display.holder(cut_off).endswith("its worker is gone, or cut off")
    done = TicketView(3, "done", 1, 0, "host:12:m:s", "", 7, None, None)
    assert display.holder(done) == "ticket 3  done  host:12"
