"""Tables -> checked rows: which columns are read, and what each cell may hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.data.names import ClassNames, TagNames, encodable
from hpo.data.tables import Problems, Table, listed, quoted
from hpo.errors import DataError
from hpo.spec import DataSpec


@dataclass(frozen=True)
class Rows:
    """The rows of a split, in order.

    Args:
        inputs: texts, or lists of words.
        targets: class names, or lists of tags, one a word.
        origins: the table of each row and its index there, for messages.
        class_names: the names that the data set itself declares, whether they occur or not.
    """

    inputs: list[Any] = field(default_factory=list)
    targets: list[Any] = field(default_factory=list)
    origins: list[tuple[Table, int]] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, indices: Sequence[int]) -> "Rows":
        """Return some of the rows."""
        return Rows(
            [self.inputs[index] for index in indices],
            [self.targets[index] for index in indices],
            [self.origins[index] for index in indices],
            self.class_names,
        )

    def place(self, row: int, token: int | None = None) -> str:
        """Name the place of a row, or of one of its tokens, both counted from 0."""
        table, index = self.origins[row]
        return table.place(index, token)


def text_rows(tables: Sequence[Table], spec: DataSpec, problems: Problems) -> Rows:
    """Read texts and their class names; rows with a problem are left out."""
    rows = Rows()
    for table in tables:
        text_column = _column(table, [spec.text_column], "text_column", problems)
        label_column = _column(table, [spec.label_column], "label_column", problems)
        if text_column is None or label_column is None:
            continue
        own = table.class_names.get(label_column)
        rows.class_names.extend(own or ())
        name_of = ClassNames(spec.labels, own)
        pairs = zip(table.columns[text_column], table.columns[label_column], strict=True)
        for index, (text, value) in enumerate(pairs):
            if fault := _text_fault(text):
                problems.add(f"{table.place(index)}, {text_column}: {fault}")
                continue
            try:
                label = name_of(value)
            except ValueError as error:
                problems.add(f"{table.place(index)}, {label_column}: {error}")
                continue
            rows.inputs.append(text)
            rows.targets.append(label)
            rows.origins.append((table, index))
    return rows


def token_rows(tables: Sequence[Table], spec: DataSpec, problems: Problems) -> Rows:
    """Read words and their tags, in whatever scheme; rows with a problem are left out."""
    rows = Rows()
    for table in tables:
        tokens_columns, tags_columns = _token_columns(table, spec)
        tokens_column = _column(table, tokens_columns, "tokens_column", problems)
        tags_column = _column(table, tags_columns, "tags_column", problems)
        if tokens_column is None or tags_column is None:
            continue
        own = table.class_names.get(tags_column)
        rows.class_names.extend(own or ())
        name_of = TagNames(spec.labels, own)
        pairs = zip(table.columns[tokens_column], table.columns[tags_column], strict=True)
        for index, (tokens, values) in enumerate(pairs):
            if fault := _tokens_fault(tokens):
                problems.add(f"{table.place(index)}, {tokens_column}: {fault}")
                continue
            if fault := _ragged(tokens, values):
                problems.add(f"{table.place(index)}, {tags_column}: {fault}")
                continue
            tags: list[str] = []
            try:
                for value in values:
                    # not extend: how many are there tells the place of the wrong one
                    tags.append(name_of(value))  # noqa: PERF401
            except ValueError as error:
                problems.add(f"{table.place(index, len(tags))}, {tags_column}: {error}")
                continue
            rows.inputs.append(tokens)
            rows.targets.append(tags)
            rows.origins.append((table, index))
    return rows


def _token_columns(table: Table, spec: DataSpec) -> tuple[list[str], list[str]]:
    if table.token_lines is not None:  # a column file, whose reader chose the columns
        return ["tokens"], ["tags"]
    given = "tokens_column" in spec.model_fields_set
    tokens = [str(spec.tokens_column)] if given else ["tokens", "words"]
    if isinstance(spec.tags_column, int):
        raise DataError(
            f"data.tags_column: found the number {spec.tags_column} for {table.name}, whose "
            f"columns have names; expected one of {listed(list(table.columns))}"
        )
    return tokens, [spec.tags_column] if spec.tags_column else ["ner_tags", "tags", "labels"]


def _column(table: Table, candidates: Sequence[str], key: str, problems: Problems) -> str | None:
    for name in candidates:
        if name in table.columns:
            return name
    if not table.numbers:
        return None  # said elsewhere: a table without rows
    problems.add(
        f"{table.name}: found the columns {listed(list(table.columns))}; expected "
        f"{' or '.join(map(repr, candidates))}, or the name of the column in data.{key}"
    )
    return None


def _text_fault(text: object) -> str | None:
    if type(text) is not str:
        return f"found {quoted(text)}; expected text"
    if not text.strip():
        return "found empty text; expected some"
    return None if encodable(text) else "found half a surrogate pair; expected Unicode text"


def _tokens_fault(tokens: object) -> str | None:
    if type(tokens) is not list:
        return f"found {quoted(tokens)}; expected a list of words"
    if not tokens:
        return "found no token; expected at least one"
    for position, token in enumerate(tokens, 1):
        if type(token) is not str:
            return f"found {quoted(token)} as token {position}; expected text"
        if not encodable(token):
            return f"found half a surrogate pair in token {position}; expected Unicode text"
    return None


def _ragged(tokens: Sequence[str], values: object) -> str | None:
    if type(values) is not list:
        return f"found {quoted(values)}; expected a list of tags"
    if len(values) != len(tokens):
        return f"found {len(values)} tags for {len(tokens)} tokens; expected one a token"
    return None
