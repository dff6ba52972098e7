"""Each figure has its traces; what cannot be drawn is said in a sentence."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo import storage
from hpo.confirmation import BASELINE
from hpo.plugins import Plugins
from hpo.report import importance
from hpo.report.blocks import Figure, Table, Text
from hpo.report.importance import importances
from hpo.report.plotting import log_ticks
from hpo.report.sections import SECTIONS, Made, make_sections
from hpo.report.subject import Subject, load_subjects
from hpo.report.timeline import clock_of, shifts
from hpo.study import LOOKS
from tests.report.studies import (
    BASE,
    DEFAULT,
    SPACE,
    confirm,
    landscape,
    look,
    make_study,
    multiply,
    params_of,
    subject_of,
    trial,
    url_of,
)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 60 trials with a confirmation, the default among both."""
    folder = tmp_path_factory.mktemp("rich")
    trials = [*landscape(60), trial(60, 0.5, params=DEFAULT), trial(61, 0.99, params=params_of())]
    make_study(folder, trials, facts={BASELINE: DEFAULT, LOOKS: [look(60)]})
    confirm(folder, {(3e-4, 16, 3): [0.9, 0.92], (3e-5, 16, 3): [0.5, 0.53]})
    return folder


@pytest.fixture(scope="module")
def sections(rich: Path) -> dict[str, Made]:
    """Its sections, by name."""
    return made(subject_of(rich))


def made(*subjects: Subject) -> dict[str, Made]:
    """Make the sections of studies."""
    return {each.name: each for each in make_sections(subjects, lambda _: None)}


def figures(section: Made) -> list[Figure]:
    """Return the figures of a section."""
    return [block for block in section.blocks if isinstance(block, Figure)]


def texts(section: Made) -> str:
    """Return the sentences of a section."""
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("confirmation", [["seed", "mean, 95% interval", "mean, 95% interval", "in the search"]]),
        ("best-so-far", [["trial", "best so far", "default configuration"]] * 2),
        ("importance", [[None]]),
        ("slices", [[None, None]] * 3),
        ("landscape", [[None] * 3]),
        ("parallel", [["other trials", "best quarter", "best tenth"]]),
        ("curves", [["completed", "", "pruned here", "", "failed here", "winner, trial 61",
                     "default configuration"]]),
        ("classes", [["precision", "recall", "f1"]]),
        ("timeline", [["completed", "pruned", "failed", "confirmation"]]),
    ],
)  # fmt: skip
def test_each_figure_has_its_traces(
    sections: dict[str, Made], name: str, expected: list[list[str | None]]
) -> None:
    """By name, in the order in which they are drawn, and none is empty."""
    found = figures(sections[name])
    assert [[trace.get("name") for trace in figure.data] for figure in found] == expected
    for figure in found:
        assert all(any(each is not None for each in trace["x"]) for trace in figure.data)


def test_no_section_failed(sections: dict[str, Made]) -> None:
    """A full study has them all, and none of them is an excuse."""
    assert set(sections) == set(SECTIONS.names()) - {"comparison"}
    assert "could not be made" not in " ".join(texts(each) for each in sections.values())


def test_slices_show_the_values(rich: Path, sections: dict[str, Made]) -> None:
    """Numbers stand where they are, on a logarithmic axis where the search was; the winner last."""
    subject = subject_of(rich)
    found = {figure.title: figure for figure in figures(sections["slices"])}
    points, winner = found["learning_rate"].data
    assert sorted(points["x"]) == sorted(each.params["learning_rate"] for each in subject.completed)
    assert found["learning_rate"].layout["xaxis"]["type"] == "log"
    assert winner["x"] == [3e-4]
    assert set(found["num_train_epochs"].data[0]["x"]) == {1, 2, 3, 4}
    assert found["per_device_train_batch_size"].layout["xaxis"]["ticktext"] == ["8", "16", "32"]


def unlike(folder: Path) -> Subject:
    """Return a study of 7 trials: three tie, three are far worse; one parameter is a choice."""
    rows: list[tuple[float, float, int, int]] = [
        (0.2887, 1.27e-4, 32, 3), (0.9459, 2.61e-4, 16, 4), (0.0, 1.62e-5, 8, 1),
        (0.9459, 9.99e-4, 16, 3), (0.1317, 2.52e-5, 16, 2), (0.9392, 9.99e-4, 16, 1),
        (0.9459, 4.25e-4, 16, 3),
    ]  # fmt: skip
    trials = [trial(n, row[0], params=params_of(*row[1:])) for n, row in enumerate(rows)]
    make_study(folder, trials)
    return subject_of(folder)


def test_nothing_is_said_to_matter_where_that_is_not_known(
    tmp_path: Path, sections: dict[str, Made]
) -> None:
    """With too few trials for it no figure speaks of importance; with enough two of them do."""

    def notes(found: dict[str, Made]) -> str:
        names = ("slices", "landscape", "parallel")
        return " ".join(each.note for name in names for each in figures(found[name]))

    found = made(unlike(tmp_path))
    assert "cannot be told" in texts(found["importance"])
    assert "Axes stand in the order of the study file" in notes(found)
    assert "which parameters matter most cannot be told" in notes(found).lower()
    assert "the order of importance" not in notes(found)
    assert "matter" not in " ".join(
        each.title for each in found.values() if each is not found["importance"]
    )
    assert "Axes stand in the order of importance" in notes(sections)
    assert "These two matter most" in notes(sections)


def test_a_scale_of_colours_says_where_it_ends(tmp_path: Path, sections: dict[str, Made]) -> None:
    """What is far worse counts as its end, is a cross, and is counted; else nothing is cut."""
    (figure,) = figures(made(unlike(tmp_path))["landscape"])
    contour, points, _ = figure.data
    low = contour["zmin"]
    assert 0.3 < low < 0.9392
    assert min(map(min, contour["z"])) >= low
    assert contour["colorbar"]["ticktext"][0] == f"≤ {low:.4g}"
    assert contour["colorbar"]["tickvals"][0] == low
    assert points["marker"]["symbol"].count("x") == 3
    assert f"3 trials scored below {low:.4f}" in figure.note
    assert "the worst 0.0000" in figure.note


def test_of_a_loss_the_far_ones_are_above(tmp_path: Path) -> None:
    """The other end of the scale is marked."""
    losses = [0.1, 0.11, 0.12, 0.13, 0.1, 0.11, 50.0]
    trials = [trial(n, loss, params=params_of(1e-5 * (n + 1), (8, 16, 32)[n % 3], n % 4 + 1))
              for n, loss in enumerate(losses)]  # fmt: skip
    make_study(tmp_path, trials, direction="minimize")
    (figure,) = figures(made(subject_of(tmp_path))["landscape"])
    contour = figure.data[0]
    assert contour["colorbar"]["ticktext"][0] == f"≥ {contour['zmax']:.4g}"
    assert max(map(max, contour["z"])) <= contour["zmax"] < 1
    assert "1 trial scored above" in figure.note


def test_a_choice_of_numbers_has_its_values_as_ticks(tmp_path: Path) -> None:
    """And no point stands on an edge."""
    (figure,) = figures(made(unlike(tmp_path))["landscape"])
    axes = [figure.layout["xaxis"], figure.layout["yaxis"]]
    assert axes[1]["tickvals"] == [8, 16, 32]
    assert axes[1]["ticktext"] == ["8", "16", "32"]
    assert [[each["range"][0] < math.log10(low), math.log10(high) < each["range"][1]]
            for each, (low, high) in zip(axes, ((1e-5, 1e-3), (8, 32)), strict=True)
            ] == [[True] * 2] * 2  # fmt: skip


def test_the_winner_stands_on_its_choice(tmp_path: Path) -> None:
    """Others with the same one are beside it."""
    found = {each.title: each for each in figures(made(unlike(tmp_path))["slices"])}
    points, winner = found["per_device_train_batch_size"].data
    assert winner["x"] == [1]
    assert 1 in points["x"]
    assert len(set(points["x"])) == 7


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.6e-4, 9.99e-3, ["3e-4", "1e-3", "3e-3", "1e-2"]),
        (1e-3, 0.1, ["0.001", "0.01", "0.1"]),
        (2e-5, 5e-5, ["2e-5", "5e-5"]),
        (1e-6, 1.0, ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1", "1e0"]),
        (3e-5, 3e-5, ["3e-5"]),
    ],
)
def test_ticks_of_a_logarithm(low: float, high: float, expected: list[str]) -> None:
    """Three at least where there are so many, in one notation, each its whole value."""
    ticks = log_ticks(low, high)
    assert ticks["ticktext"] == expected
    assert [float(text) for text in ticks["ticktext"]] == pytest.approx(ticks["tickvals"])


def test_trials_that_tie_are_in_one_group(tmp_path: Path) -> None:
    """Three of seven have the best score: none of them is an other trial."""
    (figure,) = figures(made(unlike(tmp_path))["parallel"])
    lines = {trace["name"]: trace["y"].count(None) for trace in figure.data}
    assert lines == {"other trials": 4, "best": 3}


@pytest.mark.parametrize(
    ("seconds", "unit", "shown"),
    [(3.5, "seconds", 3.5), (900.0, "minutes", 15.0)],
)
def test_times_are_told_in_a_unit_that_fits(
    tmp_path: Path, seconds: float, unit: str, shown: float
) -> None:
    """Of short trials in seconds: in minutes they would all read 0.0; also how long one idled."""
    trials = [trial(n, 0.5 + n / 10, at=1e9 + n * (seconds + 0.4), seconds=seconds)
              for n in range(2)]  # fmt: skip
    trials.append(trial(2, 0.1, at=1e9, seconds=2 * seconds, worker="other:2:m:1"))
    make_study(tmp_path, trials)
    found = made(subject_of(tmp_path))
    (table,) = [each for each in found["trials"].blocks if isinstance(each, Table)]
    assert table.columns[-2].title == unit
    assert [row[-2] for row in table.rows] == pytest.approx([shown, shown, 2 * shown], rel=1e-3)
    (table,) = [each for each in found["timeline"].blocks if isinstance(each, Table)]
    assert table.columns[3].title == f"busy, {unit}"
    assert table.rows[0][3] == pytest.approx(2 * shown, rel=1e-3)
    assert "idle for 0.4 s" in texts(found["timeline"])


def test_curves_say_what_is_below_them(tmp_path: Path) -> None:
    """Evaluations that the figure's range leaves out are counted."""
    (figure,) = figures(made(unlike(tmp_path))["curves"])
    low, high = figure.layout["yaxis"]["range"]
    scores = [y for trace in figure.data[:1] for y in trace["y"] if y is not None]
    out = sum(not low <= score <= high for score in scores)
    assert out > 3
    assert f"{out} evaluations would be below the figure." in figure.note


def test_best_line_is_the_best_so_far(sections: dict[str, Made]) -> None:
    """It never falls, and ends at the best score."""
    line = figures(sections["best-so-far"])[0].data[1]["y"]
    assert line == sorted(line)
    assert line[-1] == 0.99


def test_importance_knows_what_made_the_scores(rich: Path) -> None:
    """The rate made most of the made scores; ends enclose medians, and shares are shares."""
    found = importances(subject_of(rich))
    assert max(found, key=lambda name: found[name][1]) == "learning_rate"
    assert all(0 <= low <= mid <= high <= 1 for low, mid, high in found.values())
    assert any(high > low for low, _, high in found.values())


@pytest.mark.parametrize("most", [5000, 400])
def test_many_trials_say_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Sixteen times as many make an interval four times as narrow, whatever a resample holds."""
    make_study(tmp_path, landscape(300))
    low, _, high = importances(subject_of(tmp_path))["learning_rate"]
    multiply(tmp_path, 16)
    monkeypatch.setattr(importance, "_MOST", most)
    subject = subject_of(tmp_path)
    low_of_many, _, high_of_many = importances(subject)["learning_rate"]
    assert 2 < (high - low) / (high_of_many - low_of_many) < 8
    (figure,) = importance.importance([subject])
    assert isinstance(figure, Figure)
    assert "the best quarter of 4,048 trials" in figure.note
    assert ("resamples of 400 trials each" in figure.note) == (most == 400)


def test_idle_time_is_what_lies_between_trials(tmp_path: Path) -> None:
    """Of two workers one pauses for half a minute between two trials of a minute."""
    trials = [
        trial(0, 0.5, at=1e9, worker="a:1:m:1"),
        trial(1, 0.6, at=1e9, seconds=150, worker="b:2:m:1"),
        trial(2, 0.7, at=1e9 + 90, worker="a:1:m:1"),
    ]
    make_study(tmp_path, trials)
    subject = subject_of(tmp_path)
    workers = shifts(subject, clock_of(subject))
    found = {each.worker: (each.busy, each.idle) for each in workers}
    assert found == {"a:1": pytest.approx((120, 30)), "b:2": pytest.approx((150, 0))}


def test_the_confirmation_is_on_the_timeline(tmp_path: Path) -> None:
    """Its runs are told apart, counted by themselves, and the time before them is no idle time."""
    make_study(tmp_path, [trial(0, 0.5, worker="a:1:m:1"), trial(1, 0.6, worker="a:1:m:1")])
    confirm(tmp_path, {(3e-4, 16, 3): [0.5, 0.6, 0.7]})  # hours later, by another worker
    section = made(subject_of(tmp_path))["timeline"]
    (figure,) = figures(section)
    assert {trace["name"]: len(trace["x"]) // 4 for trace in figure.data} == {
        "completed": 2, "confirmation": 3,
    }  # fmt: skip
    assert max(x for trace in figure.data for x in trace["x"] if x is not None) == 5  # minutes
    assert "confirmation" in figure.data[1]["hovertext"][0]
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[2:5] for row in table.rows] == [[2, 0, 120.0], [0, 3, 180.0]]


def test_failures_say_what_to_do(tmp_path: Path) -> None:
    """By reason, the most frequent first, each with its latest message and an advice."""
    reasons = ["diverged", "out of memory", "diverged", "a plug-in's own"]
    trials = [
        trial(n, state="FAIL", attrs={"reason": reason, "error": f"Error: message {n}"})
        for n, reason in enumerate(reasons)
    ]
    make_study(tmp_path, trials)
    (table,) = [each for each in made(subject_of(tmp_path))["failures"].blocks
                if isinstance(each, Table)]  # fmt: skip
    assert [row[:4] for row in table.rows] == [
        ["diverged", 2, "0, 2", "Error: message 2"],
        ["out of memory", 1, "1", "Error: message 1"],
        ["a plug-in's own", 1, "3", "Error: message 3"],
    ]
    assert "learning_rate" in str(table.rows[0][4])
    assert "error.txt" in str(table.rows[2][4])


EMPTY = {
    "best-so-far": "no trial has completed",
    "trials": "no trial has ended",
    "importance": "0 completed trials",
    "slices": "no trial has completed",
    "landscape": "there are 0",
    "parallel": "fewer than two have completed",
    "curves": "no evaluation is stored",
    "classes": "no trial has completed",
    "mistakes": "no trial has completed",
    "timeline": "no trial has stored when it ran",
}


def test_an_empty_study_is_said_to_be_one(tmp_path: Path) -> None:
    """Every section says in a sentence why it shows nothing, and nothing else."""
    make_study(tmp_path)
    found = made(subject_of(tmp_path))
    assert {name: EMPTY[name] in texts(each) for name, each in found.items()} == dict.fromkeys(
        EMPTY, True
    )
    assert not any(figures(each) for each in found.values())


def test_one_trial_draws_what_one_trial_shows(tmp_path: Path) -> None:
    """Its score, curve, classes and time; not what matters."""
    make_study(tmp_path, [trial(0, 0.5)])
    found = made(subject_of(tmp_path))
    drawn = {name for name, each in found.items() if figures(each)}
    assert drawn == {"best-so-far", "slices", "curves", "classes", "timeline"}
    assert "1 completed trial" in texts(found["importance"])


def test_all_failed(tmp_path: Path) -> None:
    """No best, no curve; the failures are told."""
    make_study(tmp_path, [trial(n, state="FAIL", attrs={"reason": "diverged"}) for n in range(3)])
    found = made(subject_of(tmp_path))
    assert {name for name, each in found.items() if figures(each)} == {"timeline"}
    assert "failures" in found


def test_equal_scores_draw_no_landscape(tmp_path: Path) -> None:
    """Where all trials scored the same nothing matters, and that is what is said."""
    trials = [trial(n, 0.0, params=params_of(1e-5 * (n + 1))) for n in range(12)]
    make_study(tmp_path, trials)
    found = made(subject_of(tmp_path))
    assert "all trials scored the same" in texts(found["importance"])
    assert "all trials scored the same" in texts(found["landscape"])


def test_conditional_and_mixed_parameters(tmp_path: Path) -> None:
    """Parameters that exist only with others, of text, switches and one value, are drawn."""
    space = {
        **SPACE,
        "optim": {"type": "choice", "values": ["adamw_torch", "adafactor"]},
        "adam_beta2": {
            "type": "float", "low": 0.9, "high": 0.999, "when": {"optim": "adamw_torch"},
        },
        "group_by_length": {"type": "choice", "values": [True, False]},
        "weight_decay": {"type": "float", "low": 0.1, "high": 0.1},
    }  # fmt: skip
    from tests.studies_made import make_spec

    changes = {**BASE, "space": space}
    spec = make_spec(changes)
    trials = []
    for number in range(20):
        odd = bool(number % 2)
        params = {
            **params_of(1e-5 * (number + 1)), "optim": "adafactor" if odd else "adamw_torch",
            "group_by_length": odd, "weight_decay": 0.1, **({} if odd else {"adam_beta2": 0.95}),
        }  # fmt: skip
        trials.append(trial(number, 0.5 + number / 100, params=params, spec=spec))
    make_study(tmp_path, trials, changes=changes)
    found = made(subject_of(tmp_path))
    assert "could not be made" not in " ".join(texts(each) for each in found.values())
    assert len(figures(found["slices"])) == 7


def test_comparison_has_a_line_for_each(rich: Path, tmp_path: Path) -> None:
    """Two studies: one table, two figures, a line each."""
    make_study(tmp_path, [trial(0, 0.4), trial(1, 0.6)], name="grid")
    one, other = subject_of(rich), subject_of(tmp_path, "grid")
    found = made(one, other)
    assert list(found) == ["comparison"]
    assert [[trace["name"] for trace in each.data] for each in figures(found["comparison"])] == [
        ["films", "grid"]
    ] * 2
    (table,) = [each for each in found["comparison"].blocks if isinstance(each, Table)]
    assert [row[0] for row in table.rows] == ["films", "grid"]
    assert table.columns[2].title == "after 2 trials"


@pytest.mark.parametrize(
    ("fingerprint", "commit", "expected"),
    [
        ("f", "a" * 40, []),
        ("g", "a" * 40, ["These studies have different data: a difference in score may be one of"]),
        ("f", "b" * 40, ["Trials of these studies began with different commits of owner/tiny: a"]),
        ("f", None, []),  # of before: nobody knows
    ],
)
def test_what_makes_studies_unlike(
    tmp_path: Path, fingerprint: str, commit: str | None, expected: list[str]
) -> None:
    """Other data, and another state of the model, are told."""
    for name, data, loaded in (("one", "f", "a" * 40), ("two", fingerprint, commit)):
        recipe = {"model": "owner/tiny", **({} if loaded is None else {"commit": loaded})}
        make_study(
            tmp_path, [trial(0, 0.5, attrs={"recipe": recipe})], name=name,
            facts={storage.FINGERPRINT: data},
        )  # fmt: skip
    subjects = load_subjects(("one", "two"), url_of(tmp_path), lambda _: None)
    blocks = made(*subjects)["comparison"].blocks
    found = [each.text for each in blocks if isinstance(each, Text)]
    assert [each[: len(wanted)] for each, wanted in zip(found, expected, strict=True)] == expected


def test_an_empty_study_can_be_compared(rich: Path, tmp_path: Path) -> None:
    """It has no line, and the others have theirs."""
    make_study(tmp_path, name="new")
    found = made(subject_of(rich), subject_of(tmp_path, "new"))["comparison"]
    assert [len(each.data) for each in figures(found)] == [1, 1]


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package with a good, a failing and a broken section."""
    info = tmp_path / "foreign-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hpo.report_sections]\ngood = foreign_sections:GOOD\nbad = foreign_sections:BAD\n"
        "broken = foreign_missing:NONE\n"
    )
    (tmp_path / "foreign_sections.py").write_text(
        "from markupsafe import Markup\n"
        "from hpo.report.blocks import Html, Section, Text\n"
        "GOOD = Section('Confusion', lambda subjects: [Html(Markup('<b>mine</b>'))])\n"
        "def fail(subjects):\n"
        "    yield Text('before')\n"
        "    raise OSError('<no predictions>')\n"
        "BAD = Section('Worst errors', fail)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("foreign_sections", None)


@pytest.mark.usefixtures("foreign")
def test_sections_of_other_packages(tmp_path: Path) -> None:
    """A plug-in's section stands behind ours; one that fails leaves a sentence, not a page less."""
    make_study(tmp_path)
    subjects = load_subjects(["films"], url_of(tmp_path), lambda _: None)
    plugins = Plugins("report section", {}, SECTIONS.group)
    good, bad, broken = make_sections(subjects, lambda _: None, plugins)
    assert (good.name, good.title) == ("good", "Confusion")
    assert texts(bad) == "before This could not be made: OSError: <no predictions>"
    assert "cannot be loaded" in texts(broken)


def test_intervals_end_where_scores_do(tmp_path: Path) -> None:
    """At the top, in the figure and in the table: no accuracy is above 1."""
    make_study(tmp_path, [trial(0, 0.9)])
    confirm(tmp_path, {(3e-4, 16, 3): [0.9, 0.98]})
    subject = subject_of(tmp_path)
    assert subject.winner is not None
    assert subject.winner.interval is not None
    low, high = subject.winner.interval
    assert (0 < low < 0.5, high) == (True, 1.0)
    section = made(subject)["confirmation"]
    (figure,) = figures(section)
    (bar,) = [each["error_x"] for each in figure.data if "error_x" in each]
    assert (bar["array"], bar["arrayminus"]) == (
        [pytest.approx(1 - 0.94)], [pytest.approx(0.94 - low)]
    )  # fmt: skip
    (table,) = [each for each in section.blocks if isinstance(each, Table)]
    assert [list(row[3:5]) for row in table.rows] == [[low, 1.0]]
