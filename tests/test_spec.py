"""The study file: what it may say, and what a mistake is told."""

import json
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import SpecError
from hpo.spec import MODEL_PARAMETERS, StudySpec, flatten, load, overrides, parse, show

STUDY = """
task = "ner"
model = "sample:bert"

[data]
path = "sample:ner"

[space]
learning_rate = { type = "float", low = 1e-5, high = 1e-3, log = true }
"""


def document(text: str = "") -> dict[str, Any]:
    """Read the smallest study file with lines added at its end, in `[space]`."""
    return tomllib.loads(STUDY + text)


def problems(path: Path, *overrides: str) -> list[str]:
    """Return what `load` complains about, without the name of the file."""
    with pytest.raises(SpecError) as caught:
        load(path, overrides)
    assert all(problem.startswith(f"{path}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Write the smallest study file."""
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


def test_setting_a_searched_parameter_makes_it_a_constant(study: Path) -> None:
    """What is set is no longer searched; all else stays."""
    study.write_text(f"{STUDY}num_train_epochs = {{ type = 'int', low = 1, high = 3 }}\n")
    spec = load(study, ["training.num_train_epochs=2"]).spec
    assert spec.training == {"num_train_epochs": 2}
    assert spec.space.names() == ["learning_rate"]


def test_what_depends_on_a_constant(study: Path) -> None:
    """Where it never exists it is left out, with what depends on it; else it always exists."""
    lines = """
optim = { type = "choice", values = ["adamw_torch", "adafactor", "sgd"] }
adam_beta2 = { type = "float", low = 0.9, high = 0.999, when = { optim = "adamw_torch" } }
adam_beta1 = { type = "float", low = 0.8, high = 0.9, when = { optim = ["sgd", "adafactor"] } }
dropout = { type = "choice", values = [0.1, 0.2], when = { optim = ["sgd", "adafactor"] } }
seed = { type = "int", low = 1, high = 2, when = { dropout = 0.1, optim = "sgd" } }
weight_decay = { type = "int", low = 0, high = 1, when = { seed = 1 } }

[[start]]
optim = "adafactor"
learning_rate = 1e-4
"""
    study.write_text(STUDY + lines)
    spec = load(study, ["training.optim=sgd"]).spec
    assert spec.start == ({"learning_rate": 1e-4},)
    names = ["learning_rate", "adam_beta1", "dropout", "seed", "weight_decay"]
    assert spec.space.names() == names
    conditions = [spec.space.root[name].when for name in names]
    assert conditions == [None, {}, {}, {"dropout": 0.1}, {"seed": 1}]
    left = load(study, ["training.optim=adamw_torch"]).spec.space
    assert left.names() == ["learning_rate", "adam_beta2"]


@st.composite
def specs(draw: st.DrawFn) -> StudySpec:
    """Build any valid specification."""
    parameters = {
        "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-3, "log": True},
        "num_train_epochs": {"type": "int", "low": 1, "high": draw(st.integers(1, 9))},
        "dropout": {"type": "float", "low": 0, "high": draw(st.floats(0, 0.9))},
        "max_length": {"type": "choice", "values": [64, 128]},
        "optim": {"type": "choice", "values": ["adamw_torch", "adafactor"]},
        "freeze": {"type": "choice", "values": ["none", "layers:2"]},
    }
    names = draw(st.lists(st.sampled_from(list(parameters)), min_size=1, unique=True))
    files = st.lists(st.text(min_size=1), min_size=1, max_size=2)
    constants = st.dictionaries(
        st.text("abc", min_size=1),
        st.recursive(
            st.one_of(st.booleans(), st.integers(), st.text(), st.floats(-1e9, 1e9)),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=4,
        ),
        max_size=3,
    )
    return parse(
        {
            "task": "ner",
            "model": draw(st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True)),
            "seed": draw(st.integers(0, 2**32 - 1)),
            "data": {"train": draw(files.filter(lambda names: len(set(names)) == len(names)))},
            "budget": draw(st.fixed_dictionaries({}, optional={"trials": st.integers(1, 99)})),
            "training": draw(constants),
            "space": {name: parameters[name] for name in names},
        },
        "file",
    )


@given(specs())
def test_json_round_trip(spec: StudySpec) -> None:
    """What a study stores reads back as the same specification with the same digest."""
    again = parse(json.loads(json.dumps(spec.to_json())), "storage")
    assert again.to_json() == spec.to_json()
    assert again.digest() == spec.digest()
    assert again.differences(spec) == []


@given(specs(), st.integers(1, 1000), st.floats(0.01, 100), st.integers(1, 9))
def test_budget_is_outside_the_digest(
    spec: StudySpec, trials: int, hours: float, kept: int
) -> None:
    """A study may be given more time and keep more checkpoints without being another study."""
    changes = {"budget": {"trials": trials, "hours": hours}, "keep_checkpoints": kept}
    other = parse({**spec.to_json(), **changes}, "file")
    assert other.digest() == spec.digest()
    assert other.differences(spec) == []


@pytest.mark.parametrize(
    "override",
    [
        "seed=7",
        "task=sentiment",
        "strategy=random",
        "model=bert-base-cased",
        "data.max_train_rows=10",
        "fine_tuning.max_length=64",
        "training.num_train_epochs=2",
        "space.learning_rate.low=1e-6",
        "space.weight_decay={type='choice', values=[0.0, 0.1]}",
        "objective.metric=precision",
        "warm_start=earlier",
    ],
)
def test_anything_else_changes_the_digest(study: Path, override: str) -> None:
    """Whatever changes the meaning of a trial changes the digest, and is named."""
    before, after = load(study).spec, load(study, [override]).spec
    assert after.digest() != before.digest()
    key = override.partition("=")[0]
    assert all(line.startswith(key) for line in after.differences(before))
    assert after.differences(before)


def test_differences_name_both_values(study: Path) -> None:
    """A difference says what is stored and what was found."""
    before, after = load(study).spec, load(study, ["seed=7"]).spec
    assert after.differences(before) == ["seed: stored 42, found 7"]


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
def test_file_may_start_with_a_byte_order_mark(tmp_path: Path, prefix: str) -> None:
    """Editors on Windows write a byte order mark; TOML knows none."""
    path = tmp_path / "study.toml"
    path.write_text(prefix + STUDY, encoding="utf-8")
    assert load(path).spec.task == "ner"
    assert load(path).folder == tmp_path.resolve()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "found no such study file"),
        (b"task = ", "not valid TOML: Invalid value (at end of document)"),
        (b'task = "\xe9"', "byte 8: found no UTF-8; expected a TOML file in UTF-8"),
    ],
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """A file that cannot be read is named, with the reason."""
    path = tmp_path / "study.toml"
    if content is not None:
        path.write_bytes(content)
    assert problems(path) == [problem]


def test_a_folder_is_no_study_file(tmp_path: Path) -> None:
    """A folder in place of a file is said to be one."""
    assert problems(tmp_path) == ["found a folder; expected a study file (TOML)"]


def test_several_mistakes_at_once(study: Path) -> None:
    """All mistakes of a file are reported together, each with its key."""
    found = problems(
        study, "sead=1", "budget.trials=0", "fine_tuning.freeze=layer:3", "data.trian=a.conll"
    )
    assert [line.partition(":")[0] for line in found] == [
        "data.trian",
        "budget.trials",
        "fine_tuning.freeze",
        "sead",
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("task=3", ["task: found 3; expected text"]),
        ("model=[]", ["model: found []; expected at least one"]),
        ("model=3", ["model: found 3; expected text or a list of texts"]),
        ("model=['a', 'a']", ["model: found a name twice; expected distinct names"]),
        ("warm_start=['a', 'a']", ["warm_start: found a name twice; expected distinct names"]),
        ("warm_start=3", ["warm_start: found 3; expected text or a list of texts"]),
        ("seed=-1", ["seed: found -1; expected at least 0"]),
        ("seed=true", ["seed: found true; expected a whole number"]),
        ("data=x", ['data: found "x"; expected a table']),
        ("data.labels=[]", ["data.labels: found []; expected at least one"]),
        ("data.labels=['a', 1]", ["data.labels.1: found 1; expected text"]),
        ("data.tags_column=1.5", ["data.tags_column: found 1.5; expected text or a whole number"]),
        (
            "data.scheme=BIO",
            ["data.scheme: found \"BIO\"; expected 'IOB1', 'IOB2', 'BIOES' or 'BILOU'"],
        ),
        ("budget.trials=1.5", ["budget.trials: found 1.5; expected a whole number"]),
        ("budget.hours='1'", ['budget.hours: found "1"; expected a number']),
        ("budget.hours=0", ["budget.hours: found 0; expected more than 0"]),
        ("fine_tuning.dropout=1.0", ["fine_tuning.dropout: found 1.0; expected below 1"]),
        (
            "fine_tuning.freeze=layers:0",
            [
                (
                    "fine_tuning.freeze: found \"layers:0\"; expected 'none', 'embeddings', "
                    "'layers:K' (K from 1) or 'encoder'"
                )
            ],
        ),
        (
            "training.eval_delay=2020-01-01",
            [
                (
                    'training.eval_delay: found "2020-01-01"; '
                    "expected text, a number, true, false, a list or a table"
                )
            ],
        ),
        ("space={}", ["space: found no parameter; expected at least one to search"]),
        ("space.x=3", ["space.x: found 3; expected a table"]),
        (
            "space.x.type=flaot",
            ["space.x.type: found \"flaot\"; expected 'float', 'int' or 'choice'"],
        ),
        (
            "fine_tuning.keep_checkpoints=2",
            [
                (
                    "fine_tuning.keep_checkpoints: found an unknown key; known are freeze, "
                    "dropout, classifier_dropout, layerwise_lr_decay, max_length, "
                    "truncation_side; it stands at the top"
                )
            ],
        ),
        (
            "space.learning_rate.stp=1",
            [
                (
                    "space.learning_rate.stp: found an unknown key; "
                    "known are when, prior, type, low, high, log, step, points; "
                    "did you mean 'step'?"
                )
            ],
        ),
        (
            "space.learning_rate.low=1",
            ["space.learning_rate: found low = 1 above high = 0.001; expected low <= high"],
        ),
        (
            "space.x={type='choice', values=[[1], [2]]}",
            [
                (
                    "space.x.values.0: found [1]; "
                    "expected true or false, a whole number, a number or text"
                ),
                (
                    "space.x.values.1: found [2]; "
                    "expected true or false, a whole number, a number or text"
                ),
            ],
        ),
        (
            "space.dropout={type='float', low=0.0, high=1.5}",
            ["space.dropout: found 1.5; expected below 1"],
        ),
        (
            "space.freeze={type='choice', values=['none', 'all']}",
            [
                (
                    "space.freeze: found \"all\"; expected 'none', 'embeddings', "
                    "'layers:K' (K from 1) or 'encoder'"
                )
            ],
        ),
        (
            "space.max_length={type='float', low=32.0, high=64.0}",
            [
                "space.max_length: found 32.0; expected a whole number",
                "space.max_length: found 64.0; expected a whole number",
            ],
        ),
        (
            "space.model={type='choice', values=[1, 2]}",
            ["space.model: found [1, 2]; expected a choice of models"],
        ),
    ],
)
def test_messages(study: Path, override: str, expected: list[str]) -> None:
    """A mistake is told with its key, what was found and what would be right."""
    assert problems(study, override) == expected


def test_contradictions_between_tables_are_all_told(study: Path) -> None:
    """A parameter that is constant and searched is one mistake; two of them are two."""
    found = problems(
        study,
        "fine_tuning.dropout=0.1",
        "space.dropout={type='float', low=0.0, high=0.5}",
        "training.learning_rate=1e-3",
        "space.learning_rate={type='float', low=0.1, high=0.5}",
    )
    assert sorted(found, reverse=True) == [
        "space.learning_rate: found in [training] too; expected it in one place",
        "space.dropout: found in [fine_tuning] too; expected it in one place",
    ]


def test_missing_keys_are_named() -> None:
    """A key that must be there is named where it is missing."""
    with pytest.raises(SpecError) as caught:
        parse({"space": document()["space"]}, "file")
    assert caught.value.problems == [
        f"file: {key}: found nothing; expected this key" for key in ("task", "model", "data")
    ]


def test_data_needs_a_path_or_files(study: Path) -> None:
    """Data without path and without train is refused, and both are named."""
    assert "path" in problems(study, "data={}")[0]
    assert "train" in problems(study, "data={}")[0]


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("training.num_train_epochs=3", 3),
        ("training.optim=adafactor", "adafactor"),
        ("training.optim='adafactor'", "adafactor"),
        ("training.bf16=true", True),
        ("training.weight_decay=1e-2", 0.01),
        ("training.lr_scheduler_kwargs.num_cycles=2", {"num_cycles": 2}),
        ("training.report_to=['tensorboard']", ["tensorboard"]),
    ],
)
def test_overrides_are_toml_or_plain_text(study: Path, override: str, value: object) -> None:
    """`--set` takes a dotted key and a TOML value, or plain text."""
    (found,) = load(study, [override]).spec.training.values()
    assert found == value


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), unique=True))
def test_options_take_the_place_of_keys(names: list[str]) -> None:
    """Whatever a study is called; and without an option the file's own key stands."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "study.toml")
        path.write_text('warm_start = ["theirs"]' + STUDY)
        spec = load(path, overrides(strategy="tpe", trials=3, warm_start=names)).spec
    assert spec.warm_start == (tuple(names) or ("theirs",))
    assert (spec.strategy, spec.budget.trials) == ("tpe", 3)


@pytest.mark.parametrize("override", ["seed", "=3", "task.name=3"])
def test_impossible_overrides(study: Path, override: str) -> None:
    """An override that cannot be applied is quoted."""
    with pytest.raises(SpecError, match=r"^--set: found "):
        load(study, [override])


def test_a_list_of_models_is_searched() -> None:
    """Several models are one more parameter, the first of the space."""
    spec = parse({**document(), "model": ["a", "b"]}, "file")
    assert spec.search_space().names() == ["model", "learning_rate"]
    assert spec.models() == ["a", "b"]


def test_models_in_the_space_are_known() -> None:
    """The models of `[space] model` are those that a trial may use."""
    spec = parse(document('model = { type = "choice", values = ["a", "b"] }'), "file")
    assert spec.models() == ["a", "b"]


@pytest.mark.parametrize(
    "name", ["model", "freeze", "dropout", "classifier_dropout", "layerwise_lr_decay", "max_length"]
)
def test_model_parameters_are_searchable(name: str) -> None:
    """The parameters of the model that may be searched are all known."""
    assert name in MODEL_PARAMETERS


@given(st.dictionaries(st.text("ab", min_size=1), st.dictionaries(st.text("ab"), st.integers())))
def test_flatten_loses_nothing(table: dict[str, dict[str, int]]) -> None:
    """Every value of a nested table is found under its dotted key."""
    flat = flatten(table)
    assert flat == {f"{a}.{b}": value for a, part in table.items() for b, value in part.items()}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "nothing"), (True, "true"), ("é", '"é"'), ("x" * 200, '"' + "x" * 96 + "…")],
)
def test_show(value: object, text: str) -> None:
    """A value is shown as TOML writes it, and cut to one line."""
    assert show(value) == text
