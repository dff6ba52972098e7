"""The page, Markdown, JSON and CSV: names are text in all of them."""

import base64
import csv
import hashlib
import io
import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpo.configuration import as_toml
from hpo.errors import BadInput
from hpo.recipe import Recipe
from hpo.report.csv_rows import safe
from hpo.report.formats import FORMATS, Format
from hpo.report.make import make, write
from hpo.report.markdown import escaped
from hpo.report.plotting import label, thinned, worst_shown
from hpo.report.summary import as_python, snippets
from hpo.spec import FineTuningSpec
from tests.report.studies import (
    BASE,
    HOSTILE,
    SPACE,
    confirm,
    landscape,
    make_study,
    multiply,
    params_of,
    subject_of,
    trial,
    url_of,
)
from tests.studies_made import make_spec


def written(folder: Path, form: Format, *names: str) -> str:
    """Return a report."""
    return make(names or ("films",), url_of(folder), form, lambda _: None)


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text, scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text: list[str] = []
        self._kind: str | None = None
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._inside, self._kind = True, dict(attrs).get("type")
            self.scripts.append((self._kind, ""))

    def handle_endtag(self, tag: str) -> None:
        """Note where a script ends."""
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._inside:
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)
        else:
            self.text.append(data)


def make_hostile(folder: Path) -> str:
    """Store a study whose names are attacks; return its name."""
    name = HOSTILE[1]
    space = {
        **SPACE,
        "lr_scheduler_type": {"type": "choice", "values": list(HOSTILE)},
        HOSTILE[0]: {"type": "float", "low": 0.0, "high": 1.0},
        HOSTILE[3]: {"type": "int", "low": 0, "high": 9},
    }
    changes = {**BASE, "space": space, "model": HOSTILE[2]}
    spec = make_spec(changes)
    trials = []
    for number in range(12):
        params = {
            **params_of(1e-5 * (number + 1)), "lr_scheduler_type": HOSTILE[number % 5],
            HOSTILE[0]: number / 12, HOSTILE[3]: number % 10,
        }  # fmt: skip
        metrics = {f"{each}.{figure}": 0.5 for each in HOSTILE for figure in ("f1", "precision")}
        attrs: dict[str, Any] = {"metrics": metrics}
        state = "COMPLETE"
        if number % 5 == 3:
            state, attrs = "FAIL", {"reason": HOSTILE[0], "error": HOSTILE[1]}
        trials.append(
            trial(
                number, 0.5 + number / 50, state=state, params=params, spec=spec, attrs=attrs,
                worker=f"{HOSTILE[2]}:1:m:1", device=HOSTILE[3],
            )
        )  # fmt: skip
    facts = {"hpo:metric": "accuracy", "hpo:notices": list(HOSTILE)}
    make_study(folder, trials, name=name, changes=changes, facts=facts)
    return name


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and name of such a study."""
    folder = tmp_path_factory.mktemp("hostile")
    return folder, make_hostile(folder)


def test_hostile_names_are_text_in_the_page(hostile: tuple[Path, str]) -> None:
    """No tag, attribute or script is made of a name; figures stay JSON; the policy names ours."""
    text = written(hostile[0], "html", hostile[1])
    page = Page(text)
    assert {tag for tag, _ in page.tags} & {"img", "a", "iframe", "object", "embed"} == {"a"}
    links = [attrs for tag, attrs in page.tags if tag == "a"]
    assert all(str(attrs["href"]).startswith("#") for attrs in links)
    assert not [attrs for _, attrs in page.tags if any(key.startswith("on") for key in attrs)]
    assert HOSTILE[1] in page.text  # the study's name, as it is
    code = [script for kind, script in page.scripts if kind is None]
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in code]
    (policy,) = [str(attrs["content"]) for tag, attrs in page.tags
                 if attrs.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    assert re.findall(r"'sha256-([^']+)'", policy) == digests
    assert "default-src 'none'" in policy
    assert "hacked" not in "".join(code)
    figures = [json.loads(script) for kind, script in page.scripts if kind == "application/json"]
    assert len(figures) > 8
    for script in (script for kind, script in page.scripts if kind == "application/json"):
        assert not re.search(r"[<>&]", script)


def test_hostile_labels_are_no_markup_of_plotly(hostile: tuple[Path, str]) -> None:
    """Whatever plotly reads as tags is our own line break."""
    page = Page(written(hostile[0], "html", hostile[1]))

    def strings(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [each for item in value.values() for each in strings(item)]
        if isinstance(value, list):
            return [each for item in value for each in strings(item)]
        return [value] if isinstance(value, str) else []

    figures = [json.loads(script) for kind, script in page.scripts if kind == "application/json"]
    found = {tag for each in strings(figures) for tag in re.findall(r"<[^>]*>?", each)}
    assert found == {"<br>"}
    assert any("&lt;script" in each for each in strings(figures))


def test_nothing_is_fetched(hostile: tuple[Path, str]) -> None:
    """No tag of the page has an address but anchors and the empty icon."""
    page = Page(written(hostile[0], "html", hostile[1]))
    sources = [
        value for _, attrs in page.tags for key, value in attrs.items()
        if key in {"src", "href", "action", "data", "srcset", "poster"}
    ]  # fmt: skip
    assert {str(each)[:1] for each in sources} == {"#", "d"}
    assert [each for each in sources if str(each).startswith("d")] == ["data:,"]


def test_markdown_has_the_order_of_the_page(tmp_path: Path) -> None:
    """What several studies are compared by stands before each; one study has its name on top."""
    make_study(tmp_path, [trial(0, 0.5), trial(1, 0.7)], name="one")
    make_study(tmp_path, [trial(0, 0.6)], name="two")
    pages = Page(written(tmp_path, "html", "one", "two"))
    outside = re.sub(r"(?sm)^```.*?^```$", "", written(tmp_path, "md", "one", "two"))
    heads = re.findall(r"^#+ .*$", outside, flags=re.MULTILINE)
    assert heads == ["# 2 studies compared", "## Side by side", "## one", "## two"]
    shown = [text for text in pages.text if text in {each.lstrip("# ") for each in heads}]
    assert list(dict.fromkeys(shown)) == [each.lstrip("# ") for each in heads]
    assert written(tmp_path, "md", "one").startswith("# one\n")


def test_hostile_names_in_markdown(hostile: tuple[Path, str]) -> None:
    """Outside of code no tag, link or table cell is made of a name."""
    text = written(hostile[0], "md", hostile[1])
    outside = re.sub(r"(?s)^```.*?^```$", "", text, flags=re.MULTILINE)
    assert not re.search(r"<(?!br)", outside)
    assert not re.search(r"(?<!\\)\[[^\]]*(?<!\\)\]\(", outside)
    widths = {
        block.count("\n"): {len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}
        for block in re.findall(r"(?:^\|.*\|\n)+", outside, flags=re.MULTILINE)
    }
    assert widths
    assert all(len(each) == 1 for each in widths.values())


@given(st.text())
def test_markdown_text_is_one_line_without_markup(text: str) -> None:
    """Whatever the text is."""
    found = escaped(text)
    assert not set(found) & set("\n\r<>")
    assert not re.search(r"(?<!\\)(\\\\)*[|`*_\[\]]", found)


def cells(text: str) -> list[list[str]]:
    """Return the rows of a CSV file."""
    return list(csv.reader(io.StringIO(text)))


def test_csv_has_all_trials(tmp_path: Path) -> None:
    """One row a trial, numbers as they are, gaps empty."""
    make_study(tmp_path, [trial(0, 0.5), trial(1, state="FAIL", attrs={"reason": "=1+1"})])
    head, first, second = (dict(zip(cells(written(tmp_path, "csv"))[0], row, strict=True))
                           for row in cells(written(tmp_path, "csv")))  # fmt: skip
    assert list(head)[:4] == ["study", "trial", "state", "value"]
    assert (first["value"], first["params.learning_rate"], first["seconds"]) == (
        "0.5", "0.0003", "60.0",
    )  # fmt: skip
    assert (first["begun"], first["worker"]) == ("2023-11-14T22:13:20+00:00", "host:1")
    assert (second["value"], second["reason"]) == ("", "'=1+1")


@given(st.one_of(st.text(), st.sampled_from(["=", "+", "-", "@", "\t", "\r", " =", "\n="]).flatmap(
    lambda start: st.text().map(lambda rest: start + rest)
)))  # fmt: skip
def test_no_csv_cell_is_a_formula(text: str) -> None:
    """Text that a spreadsheet would compute gets an apostrophe; other text stays as it is."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerow([safe(text), "end"])
    stream.seek(0)
    (row,) = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    assert len(row) == 2
    assert not row[0].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row[0].removeprefix("'") == text.replace("\0", "\ufffd").removeprefix("'")


@pytest.mark.parametrize("number", [-0.5, -3, 1e-9, 0])
def test_numbers_are_no_formulas(number: float) -> None:
    """A negative score stays a number."""
    assert safe(number) == number


def test_json_says_what_the_page_says(tmp_path: Path) -> None:
    """Winner, gain, spent, cautions, importance, confirmation, trials; no NaN."""
    make_study(tmp_path, [*landscape(30), trial(30, float("nan"), state="PRUNED")])
    confirm(tmp_path, {(1e-4, 16, 3): [0.5, 0.6]})
    (found,) = json.loads(written(tmp_path, "json"), parse_constant=pytest.fail)["studies"]
    assert found["winner"]["score"] == pytest.approx(0.55)
    assert found["spent"]["runs"] == 2
    assert set(found["importance"]) == set(SPACE)
    assert len(found["details"]) == 31
    assert tomllib.loads(found["toml"])["training"]["learning_rate"] == 1e-4


def test_json_compares(tmp_path: Path) -> None:
    """Several studies have a comparison beside them."""
    make_study(tmp_path, [trial(0, 0.5), trial(1, 0.7)], name="one")
    make_study(tmp_path, [trial(0, 0.6)], name="two")
    found = json.loads(written(tmp_path, "json", "one", "two"))["comparison"]
    assert found["trials"] == 1
    assert found["best_at_equal_trials"] == {"one": 0.5, "two": 0.6}


VALUES = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(),
    st.lists(st.integers(), max_size=3),
)  # fmt: skip


@settings(max_examples=60)
@example({"if": 1, "º": 2}, "m")
@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=4), st.text(min_size=1))
def test_snippets_give_back_what_was_searched(training: dict[str, Any], model: str) -> None:
    """The TOML reads back the same, whatever names and values are; the Python compiles to it."""
    encodable = json.loads(json.dumps(training))
    if not _is_utf8([*encodable, *map(str, encodable.values()), model]):
        return
    recipe = Recipe(model, FineTuningSpec(freeze="layers:2"), encodable)
    found = tomllib.loads(as_toml(recipe))
    assert found.get("training", {}) == encodable
    assert (found["model"], found["fine_tuning"]) == (model, {"freeze": "layers:2"})
    received: dict[str, Any] = {}
    scope = {"TrainingArguments": lambda **given: received.update(given)}
    code = as_python(recipe).replace("from transformers import TrainingArguments\n", "")
    exec(compile(code, "snippet", "exec"), scope)  # noqa: S102 - ours
    assert {name: each for name, each in received.items() if name != "output_dir"} == encodable


def test_snippets_say_what_a_copy_would_not_do(tmp_path: Path) -> None:
    """Which evaluation the weights are of, how to keep it, and no seed that no run had."""
    scores = [0.5, 0.75, 0.625]
    evaluations = [
        {"epoch": float(at), "step": 10 * at, "seconds": 1.0, "metrics": {"accuracy": score}}
        for at, score in enumerate(scores, 1)
    ]
    make_study(tmp_path, [trial(0, 0.75, attrs={"evaluations": evaluations})])
    toml, python = snippets(subject_of(tmp_path)) or ("", "")
    seed = tomllib.loads(toml)["training"]["seed"]
    assert f"    seed={seed},\n" in python
    said = " ".join(python.replace("# ", "").split())
    assert "keeps the best evaluation: of trial 0 that is epoch 2 of 3 (step 20)" in said
    assert "and a compute_metrics that returns the metric" in said
    assert max(len(line) for line in python.splitlines() if line.startswith("#")) < 60
    options = re.findall(r"^#     (\w+=.*),$", python, flags=re.MULTILINE)
    assert options == [
        "eval_strategy='epoch'", "save_strategy='epoch'", "load_best_model_at_end=True",
        "metric_for_best_model='accuracy'", "greater_is_better=True",
    ]  # fmt: skip
    confirm(tmp_path, {(3e-4, 16, 3): [0.7, 0.72]})
    toml, python = snippets(subject_of(tmp_path)) or ("", "")
    assert all("confirmed with seeds" in each for each in (toml, python))
    assert "seed=" not in python
    assert "seed" not in tomllib.loads(toml)["training"]
    said = " ".join(python.replace("# ", "").split())
    assert "confirmed with seeds 0, 1" in said
    assert "of run 1 that is epoch 3 of 3 (step 30)" in said


def _is_utf8(texts: list[str]) -> bool:
    return all(not re.search("[\ud800-\udfff]", text) for text in texts)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("states", [[], ["FAIL", "FAIL"], ["COMPLETE"], ["RUNNING"]])
def test_odd_studies_have_their_reports(tmp_path: Path, form: Format, states: list[str]) -> None:
    """Empty, all failed, one trial, one that runs."""
    trials = [
        trial(n, 0.5 if state == "COMPLETE" else None, state=state, attrs={"reason": "diverged"})
        for n, state in enumerate(states)
    ]
    make_study(tmp_path, trials)
    assert "films" in written(tmp_path, form) or (form == "csv" and not states)


def test_five_thousand_trials(tmp_path: Path) -> None:
    """The page is small, says what it leaves out, and the CSV has them all."""
    make_study(tmp_path, landscape(250), changes={"budget": {"trials": 5000}})
    multiply(tmp_path, 20)
    text = written(tmp_path, "html")
    assert len(text.encode()) < 8e6
    shown = " ".join(Page(text).text)
    assert "1,000 of 4,200 trials are drawn" in shown
    assert "The best 50 of 5,000" in shown
    assert "could not be made" not in shown
    assert len(cells(written(tmp_path, "csv"))) == 5001


def test_thinning_keeps_the_first() -> None:
    """Those that must be seen are; the order stays."""
    found = thinned(range(1000), 100, 10)
    assert found[:10] == list(range(10))
    assert found == sorted(set(found))
    assert len(found) == 100
    assert thinned([3, 1], 5, 1) == [3, 1]


def test_one_bad_score_flattens_nothing() -> None:
    """A scale ends where the bulk does; without an outlier it holds all scores."""
    assert worst_shown([0.9, 0.89, 0.88, 0.87, 0.0], 1) > 0.5
    assert worst_shown([0.9, 0.7, 0.5, 0.4], 1) == 0.4
    assert worst_shown([0.1, 0.11, 0.12, 0.13, 50.0], -1) < 1


def test_labels_show_invisible_characters() -> None:
    """A reversed or invisible name cannot pass for another; long ones are cut."""
    assert label("a\u202eb\u200bc\x00") == "a\ufffdb\ufffdc\ufffd"
    assert label("x" * 99, 10) == "xxxxxxxxx…"
    assert label("<b>&amp;") == "&lt;b&gt;&amp;amp;"


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder, and a folder that is not there: one line each."""
    with pytest.raises(BadInput, match="found a folder"):
        write(tmp_path, "")
    with pytest.raises(BadInput, match="cannot be written: No such file"):
        write(tmp_path / "none" / "report.html", "")
