"""From the study file's `[data]` to splits that a task can use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpo.data.rows import Rows, text_rows, token_rows
from hpo.data.sources import Source, open_source
from hpo.data.splits import (
    Split,
    carve,
    fingerprint,
    make_split,
    overlap,
    sort_names,
    subset,
)
from hpo.data.tables import Layout, Problems, SplitName, Table, listed
from hpo.data.tags import read_as_iob2
from hpo.errors import DataError
from hpo.spec import DataSpec

_FEW = "data.max_train_rows leaves too few rows?"


@dataclass(frozen=True)
class StudyData:
    """What a search trains on and is scored on.

    Args:
        labels: the names in the order of the model's outputs: for layout `tokens` O, then B- and
            I- of each type, sorted; for `text` the classes; or as declared.
        fingerprint: 16 hexadecimal digits over the content of both splits and the labels;
            the same whatever the files are called and whichever format they have.
        notices: sentences for the user about what was done to the data or is odd in it.
    """

    train: Split
    validation: Split
    labels: list[str]
    fingerprint: str
    notices: list[str]


def load_data(
    spec: DataSpec,
    *,
    layout: Layout,
    folder: Path,
    seed: int,
) -> StudyData:
    """Read train and validation; the test split is never opened.

    Args:
        spec: where the data is.
        layout: what a row holds.
        folder: what relative paths start from.
        seed: draws the validation split where it is carved from train, and the subset.

    Raises:
        DataError: all that is wrong, each problem with file, row and reason.
    """
    _check_columns(spec, layout)
    splits = _train_and_validation(open_source(spec, layout, folder), spec, layout)
    notices = []
    if len(splits) > 1 and spec.validation_fraction != DataSpec(path="").validation_fraction:
        notices.append("data.validation_fraction has no effect: there is a validation split.")
    if layout == "tokens":
        tagging, splits = read_as_iob2(splits, spec)
        labels = tagging.labels
        notices += tagging.notice()
    else:
        labels = _class_names(splits, spec)
    train, validation = splits[0], splits[1] if len(splits) > 1 else None
    if validation is None:
        total = len(train)
        stay, taken = carve(train, layout, spec.validation_fraction, seed)
        if not taken:
            raise DataError(
                f"data.train: found {total} rows, too few to set some aside as validation; "
                "expected more, or data.validation"
            )
        train, validation = train.take(stay), train.take(taken)
        notices.append(
            f"There is no validation split: {len(taken)} of the {total} rows of train were set "
            f"aside for it, stratified, by seed {seed}."
        )
    if spec.max_train_rows is not None and spec.max_train_rows < len(train):
        notices.append(
            f"Of the {len(train)} rows of train, {spec.max_train_rows} are used: a stratified "
            f"subset, by seed {seed} (data.max_train_rows)."
        )
        train = train.take(subset(train, layout, spec.max_train_rows, seed))
    first, second = make_split(train, layout), make_split(validation, layout)
    _check_learnable(first, layout, spec)
    if layout == "text":
        _check_comparable(first, second)
    notices += _oddities(first, second)
    return StudyData(first, second, labels, fingerprint(train, validation, labels), notices)


def _check_columns(spec: DataSpec, layout: Layout) -> None:
    others = {"text": ("tokens_column", "tags_column", "scheme"),
              "tokens": ("text_column", "label_column")}  # fmt: skip
    kind = {"text": "texts", "tokens": "tagged words"}[layout]
    # Not by what was set: a specification that comes from its storage has all defaults filled in.
    usual = DataSpec(path="")
    found = [name for name in others[layout] if getattr(spec, name) != getattr(usual, name)]
    if problems := [f"data.{name}: found for a task of {kind}; leave it out" for name in found]:
        raise DataError(problems)


def load_test(
    spec: DataSpec,
    *,
    layout: Layout,
    folder: Path,
) -> Split | None:
    """Read the test split; None where there is none, or none with labels.

    Tags are read in the scheme of train and validation, which are read for that.

    Raises:
        DataError: all that is wrong, each problem with file, row and reason.
    """
    source = open_source(spec, layout, folder)
    tables = source.tables("test")
    if not tables or (spec.test is None and _hidden(tables, spec, layout)):
        return None
    problems = Problems()
    rows = _checked(tables, spec, layout, problems)
    problems.raise_any()
    if layout == "tokens":
        tagging, _ = read_as_iob2(_train_and_validation(source, spec, layout), spec)
        rows = tagging.convert(rows, problems)
        problems.raise_any()
    return make_split(rows, layout)


def _train_and_validation(source: Source, spec: DataSpec, layout: Layout) -> list[Rows]:
    """Read both splits, or train alone where there is no other."""
    problems = Problems()
    splits = []
    names: tuple[SplitName, ...] = ("train", "validation")
    for name in names:
        with problems.collect():
            if tables := source.tables(name):
                splits.append(_checked(tables, spec, layout, problems))
    problems.raise_any()
    return splits


def _checked(tables: Sequence[Table], spec: DataSpec, layout: Layout, problems: Problems) -> Rows:
    for table in tables:
        if not table.numbers:
            problems.add(f"{table.name}: found no rows; expected at least one")
    read = text_rows if layout == "text" else token_rows
    return read(tables, spec, problems)


def _class_names(splits: Sequence[Rows], spec: DataSpec) -> list[str]:
    if spec.labels is not None:
        return list(spec.labels)
    declared = dict.fromkeys(name for rows in splits for name in rows.class_names)
    found = {label for rows in splits for label in rows.targets}
    return [*declared, *sort_names(found - declared.keys())]


def _check_learnable(train: Split, layout: Layout, spec: DataSpec) -> None:
    few = spec.max_train_rows is not None and len(train.rows) == spec.max_train_rows
    if layout == "tokens" and not train.counts:
        raise DataError(
            f"data.train: found no entity in {len(train.rows)} rows; expected tags besides O "
            f"({_FEW if few else 'is data.tags_column right?'})"
        )
    if layout == "text" and len(train.counts) < 2:
        raise DataError(
            f"data.train: found one class, {listed(list(train.counts))}; expected two or more "
            f"({_FEW if few else 'is data.label_column right?'})"
        )


def _check_comparable(train: Split, validation: Split) -> None:
    found = validation.counts
    if len(found) > 1 and not found.keys() & train.counts.keys():
        raise DataError(
            f"data.validation: found {listed(list(found))}, none of which train has; expected its "
            f"labels, {listed(list(train.counts))} (are numbers meant by names? see data.labels)"
        )


def _oddities(train: Split, validation: Split) -> list[str]:
    notices = []
    if shared := overlap(train, validation):
        notices.append(
            f"Warning: {shared} of the {len(validation.rows)} rows of validation have a text that "
            "train has too; the score over them is too good."
        )
    if unseen := [name for name in validation.counts if name not in train.counts]:
        notices.append(
            f"Warning: validation has {listed(unseen)}, which train has not: no model can learn it."
        )
    return notices


def _hidden(tables: Sequence[Table], spec: DataSpec, layout: Layout) -> bool:
    # SST-2 and other benchmarks publish their test split with -1 for every label.
    return layout == "text" and all(
        table.numbers and all(value == -1 for value in table.columns.get(spec.label_column, [0]))
        for table in tables
    )
