"""Datasets of the Hugging Face library: by name on the Hub, or from a folder saved to disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groot.data.jsonl import check_conventions
from groot.data.offsets import Ends, OffsetUnit
from groot.data.result import Problem, ReadResult, RowError
from groot.data.rows import read_row
from groot.data.tagged import TaggedRow, read_tagged
from groot.errors import DataError
from groot.types import Example, Task

_SPLIT_NAMES = {"dev": ("dev", "validation", "valid"), "train": ("train",), "test": ("test",)}


def read_datasets(
    where: str | Path,
    *,
    task: Task | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    scheme: str | None = None,
    prefer_scheme: str = "IOB2",
    tags_field: str | None = None,
    class_separator: str | None = None,
    offset_unit: OffsetUnit = "codepoint",
    ends: Ends = "exclusive",
) -> ReadResult:
    """Read one Example per row; the fields are those of JSON lines.

    Numbers of ClassLabel features become the names that the features give them.

    Args:
        where: a folder written by `save_to_disk`, or a name on the Hub (needs a network, or the
            dataset in the cache).
        task: which gold to take; None takes all there is.
        split: of the dataset; "dev" also finds "validation". Default "train".
        config: the dataset's configuration, where it has several.
        revision: the commit or tag on the Hub.
        scheme: of the tags; None detects it.
        prefer_scheme: the scheme to take where several fit equally well.
        tags_field: the field of tags; None: "tags", "ner_tags" or "labels".
        class_separator: what stands between several classes in one string.
        offset_unit: "codepoint" or "utf16".
        ends: "exclusive" or "inclusive".

    Raises:
        DataError: if the dataset or the split is not there, or no row can be used.
    """
    check_conventions(offset_unit, ends)
    rows, name = load_split(where, split or "train", config, revision)
    return read_rows(
        rows,
        f"{where}:{name}",
        task=task,
        scheme=scheme,
        prefer_scheme=prefer_scheme,
        tags_field=tags_field,
        class_separator=class_separator,
        offset_unit=offset_unit,
        ends=ends,
    )


def read_rows(
    dataset: Any,
    where: str,
    *,
    task: Task | None = None,
    scheme: str | None = None,
    prefer_scheme: str = "IOB2",
    tags_field: str | None = None,
    class_separator: str | None = None,
    offset_unit: OffsetUnit = "codepoint",
    ends: Ends = "exclusive",
) -> ReadResult:
    """Read one Example per row of a `datasets.Dataset` in memory, or of any sequence of dicts.

    Args:
        dataset: the rows; names of ClassLabel features are used where it has features.
        where: what to call it in messages and ids.

    The other arguments are those of `read_datasets`.

    Raises:
        DataError: if no row can be used.

    >>> rows = [{"text": "buy it", "label": "good"}]
    >>> read_rows(rows, "mine", task="classes").examples[0].classes
    ('good',)
    """
    features = getattr(dataset, "features", None) or {}
    label_names = {field: _label_names(feature) for field, feature in features.items()}
    name = where.rpartition(":")[2]

    def rows() -> Iterator[Example | TaggedRow | Problem]:
        for number, row in enumerate(dataset, start=1):
            named = {field: _named(value, label_names.get(field)) for field, value in row.items()}
            source = f"{where}:{number}"
            try:
                yield read_row(
                    named,
                    source,
                    f"{name}:{number}",
                    task=task,
                    tags_field=tags_field,
                    class_separator=class_separator,
                    offset_unit=offset_unit,
                    ends=ends,
                )
            except RowError as error:
                yield error.problem(source, repr(row)[:1000])

    return read_tagged(where, rows(), scheme=scheme, prefer=prefer_scheme)


def load_split(
    where: str | Path, split: str, config: str | None = None, revision: str | None = None
) -> tuple[Any, str]:
    """The rows of one split of a dataset, and the name that the split has there.

    Raises:
        DataError: if the dataset or the split is not there.
    """
    found = _load(where, config, revision)
    name = next((name for name in _SPLIT_NAMES.get(split, (split,)) if name in found), None)
    if name is None:
        raise DataError(f"{where}: no split {split!r}.\n  It has: {', '.join(found)}")
    return found[name], name


def split_names(where: str | Path, config: str | None = None) -> set[str]:
    """Which of train, dev and test a dataset has."""
    found = _load(where, config, None)
    return {split for split, names in _SPLIT_NAMES.items() if any(name in found for name in names)}


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


def _label_names(feature: Any) -> list[str] | None:
    """The label names of a ClassLabel, or of a list of them."""
    while getattr(feature, "feature", None) is not None:
        feature = feature.feature
    names = getattr(feature, "names", None)
    return list(names) if names else None


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return names[value] if type(value) is int and 0 <= value < len(names) else None
