"""Datasets of the Hugging Face library: by name on the Hub, or from a folder saved to disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groot.data.file_format import FileFormat
from groot.data.head import Head
from groot.data.json_rows import read_named_rows
from groot.data.result import ROW_LENGTH, ReadResult
from groot.data.settings import RowSettings
from groot.errors import DataError

_SPLIT_NAMES = {"dev": ("dev", "validation", "valid"), "train": ("train",), "test": ("test",)}
DATASET_DICT, DATASET_INFO = "dataset_dict.json", "dataset_info.json"


@dataclass(frozen=True, kw_only=True)
class DatasetSettings(RowSettings):
    """What read_datasets takes.

    Args:
        split: of the dataset; "dev" also finds "validation". Default "train".
        config: the dataset's configuration, where it has several.
        revision: the commit or tag on the Hub.
    """

    split: str | None = None
    config: str | None = None
    revision: str | None = None


def read_datasets(where: str | Path, **given: Any) -> ReadResult:
    """Read one Example per row; the fields are those of JSON lines.

    Numbers of ClassLabel features become the names that the features give them, wherever in a row
    they stand; a number without a name, such as -1, is no gold.

    Args:
        where: a folder written by `save_to_disk`, or a name on the Hub (needs a network, or the
            dataset in the cache).
        given: those of DatasetSettings.

    Raises:
        DataError: if the dataset or the split is not there, or no row can be used.
    """
    settings = DatasetSettings(**given)
    rows, name = load_split(where, settings.split or "train", settings.config, settings.revision)
    return read_table(rows, f"{where}:{name}", settings, format="datasets")


def read_rows(dataset: Any, where: str, **given: Any) -> ReadResult:
    """Read one Example per row of what is in memory.

    Args:
        dataset: a `datasets.Dataset`, whose names of ClassLabel features are used, a pandas
            DataFrame, or any sequence of dicts.
        where: what to call it in messages and ids.
        given: those of RowSettings.

    Raises:
        DataError: if no row can be used.

    >>> rows = [{"text": "buy it", "label": "good"}]
    >>> read_rows(rows, "mine", task="classes").examples[0].classes
    ('good',)
    """
    return read_table(dataset, where, RowSettings(**given), format="rows")


def is_data_frame(value: object) -> bool:
    """Whether this is a pandas DataFrame, told without importing pandas."""
    kind = type(value)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"


def read_table(dataset: Any, where: str, settings: RowSettings, *, format: str) -> ReadResult:
    """read_rows with settings; format is its name for the reading."""
    features = getattr(dataset, "features", None) or {}
    name = settings.id_prefix or where.rpartition(":")[2]
    if is_data_frame(dataset):
        dataset = (
            {key: None if value != value else value for key, value in row.items()}  # NaN
            for row in dataset.to_dict("records")
        )

    def rows() -> Iterator[tuple[tuple[str, Any, str], str]]:
        for number, row in enumerate(dataset, start=1):
            named = row
            if isinstance(row, Mapping):
                named = {field: _named(value, features.get(field)) for field, value in row.items()}
            yield (f"{where}:{number}", named, repr(row)[:ROW_LENGTH]), f"{name}:{number}"

    return read_named_rows(where, rows(), settings, format=format)


def load_split(
    where: str | Path, split: str, config: str | None = None, revision: str | None = None
) -> tuple[Any, str]:
    """The rows of one split of a dataset, and the name that the split has there.

    Raises:
        DataError: if the dataset or the split is not there.
    """
    splits = _load(where, config, revision)
    name = next((name for name in _SPLIT_NAMES.get(split, (split,)) if name in splits), None)
    if name is None:
        raise DataError(f"{where}: no split {split!r}.\n  It has: {', '.join(splits)}")
    return splits[name], name


def split_names(where: str | Path, config: str | None = None) -> set[str]:
    """Which of train, dev and test a dataset has."""
    splits = _load(where, config, None)
    return {split for split, names in _SPLIT_NAMES.items() if any(name in splits for name in names)}


def _load(where: str | Path, config: str | None, revision: str | None) -> dict[str, Any]:
    import datasets  # slow to import, and most runs read files

    try:
        if Path(where).is_dir():
            loaded = datasets.load_from_disk(str(where))
        else:
            loaded = datasets.load_dataset(str(where), config, revision=revision)
    except Exception as error:  # the library raises a dozen kinds, network errors among them
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"dataset {str(where)!r} cannot be loaded: {type(error).__name__}: {reason}\n"
            "  Check the name and the network, or give a folder written by save_to_disk."
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _named(value: Any, feature: Any) -> Any:
    """The value with the names that ClassLabel features give to numbers."""
    names = getattr(feature, "names", None)
    if names:
        if isinstance(value, list):
            return [_named(item, feature) for item in value]
        return names[value] if type(value) is int and 0 <= value < len(names) else None
    inner = getattr(feature, "feature", None)
    if inner is None and isinstance(feature, (list, tuple)) and feature:
        inner = feature[0]
    if isinstance(value, Mapping):
        fields = inner if isinstance(inner, Mapping) else feature
        fields = fields if isinstance(fields, Mapping) else {}
        return {key: _named(item, fields.get(key)) for key, item in value.items()}
    if isinstance(value, list) and inner is not None:
        return [_named(item, inner) for item in value]
    return value


def _looks_like(head: Head) -> float:
    return 0.99 if {DATASET_DICT, DATASET_INFO} & set(head.names) else 0.0


FORMAT = FileFormat(read_datasets, DatasetSettings, _looks_like)
