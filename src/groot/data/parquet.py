"""Parquet files: a row an example, with the fields of JSON lines."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.hub import read_table
from groot.data.jsonl import to_row
from groot.data.lines import open_binary
from groot.data.result import Problem, ReadResult
from groot.data.settings import RowSettings, WriteSettings
from groot.data.written import rows_of
from groot.engine.files import write_bytes
from groot.errors import DataError
from groot.types import Example


def read_parquet(path: str | Path, **given: Any) -> ReadResult:
    """Read one Example per row; names of ClassLabel features come from the file, if it has any.

    Args:
        path: the file.
        given: those of RowSettings.

    Raises:
        DataError: for a missing file, one that is no Parquet, or if no row can be used.
    """
    settings = RowSettings(**given)
    open_binary(path).close()  # for its errors
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: this is not Parquet: {reason}\n  Check the file.") from error
    rows = _Rows(table.to_pylist(), _features(table.schema))
    return read_table(rows, str(path), settings, format="parquet")


@dataclass
class _Rows:
    """Rows with their features, as read_table takes them."""

    rows: list[Mapping[str, Any]]
    features: Mapping[str, Any]

    def __iter__(self) -> Any:
        return iter(self.rows)


def _features(schema: Any) -> Mapping[str, Any]:
    """The features that the datasets library wrote into the file; {} where it did not."""
    if b"huggingface" not in (schema.metadata or {}):
        return {}
    import datasets

    return dict(datasets.Features.from_arrow_schema(schema))


def _looks_like(head: Head) -> float:
    return 0.99 if head.raw.startswith(b"PAR1") else 0.0


def write_parquet(
    examples: Sequence[Example], path: Path, settings: WriteSettings
) -> list[Problem]:
    """Write the rows of JSON lines as columns."""
    import pyarrow
    import pyarrow.parquet

    rows, problems = rows_of(examples, settings, to_row)
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), content)
    write_bytes(path, content.getvalue())
    return problems


FORMAT = FileFormat(read_parquet, RowSettings, _looks_like, write_parquet)
