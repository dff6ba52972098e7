"""Parquet files and `datasets.Dataset` -> a table; only the columns asked for are loaded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from hpo.data.tables import Table
from hpo.errors import DataError


class _LazyColumns(Mapping[str, Sequence[Any]]):
    def __init__(self, names: Sequence[str], load: Callable[[str], Any], table: str) -> None:
        self._names = names
        self._load = load
        self._table = table

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._names:
            raise KeyError(name)
        try:
            values: list[Any] = self._load(name).to_pylist()
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise DataError(f"{self._table}, {name}: the column cannot be read: {error}") from None
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def parquet_table(content: bytes, name: str) -> Table:
    """Read a Parquet file; `ClassLabel` names come from the metadata that `datasets` writes.

    Raises:
        DataError: the content is no Parquet.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name}: found no Parquet file, or a damaged one: {reason}") from None
    schema = file.schema_arrow
    try:
        features = datasets.Features.from_arrow_schema(schema)
    except (ValueError, TypeError, KeyError):  # types or metadata of another program
        features = datasets.Features()
    columns = _LazyColumns(schema.names, lambda column: file.read([column]).column(0), name)
    rows = range(1, file.metadata.num_rows + 1)
    return Table(name, "row", rows, columns, _class_names(features))


def dataset_table(dataset: datasets.Dataset, name: str) -> Table:
    """Read a split of a data set."""
    arrow = dataset.with_format("arrow")
    columns = _LazyColumns(
        dataset.column_names, lambda column: arrow.select_columns([column])[:].column(0), name
    )
    return Table(name, "row", range(1, len(dataset) + 1), columns, _class_names(dataset.features))


def _class_names(features: datasets.Features) -> dict[str, Sequence[str]]:
    names: dict[str, Sequence[str]] = {}
    for column, feature in features.items():
        inner = getattr(feature, "feature", feature)
        if isinstance(inner, datasets.ClassLabel):
            names[column] = tuple(inner.names)
    return names
