"""Reading from wherever the user points at: a benchmark's name, the Hub, a folder or a file."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from groot.data.benchmarks import BENCHMARKS, Split, cut_dev, read_benchmark
from groot.data.doubts import class_doubts
from groot.data.file_format import FileFormat
from groot.data.head import read_head
from groot.data.hub import DATASET_DICT, is_data_frame, read_rows
from groot.data.lost_gold import lost_gold
from groot.data.result import ReadResult, Splits
from groot.errors import ConfigError, DataError
from groot.registry import Registry, nearest
from groot.types import Task

log = logging.getLogger(__name__)

READERS: Registry[FileFormat] = Registry(
    "format",
    {
        "columns": "groot.data.columns:FORMAT",
        "parallel": "groot.data.parallel:FORMAT",
        "jsonl": "groot.data.jsonl:FORMAT",
        "csv": "groot.data.csv_rows:FORMAT",
        "datasets": "groot.data.hub:FORMAT",
        "parquet": "groot.data.parquet:FORMAT",
        "labelstudio": "groot.data.labelstudio:FORMAT",
        "doccano": "groot.data.doccano:FORMAT",
        "prodigy": "groot.data.prodigy:FORMAT",
        "spacy": "groot.data.spacy_json:FORMAT",
        "gliner": "groot.data.gliner:FORMAT",
        "brat": "groot.data.brat:FORMAT",
        "webanno": "groot.data.webanno:FORMAT",
        "pubtator": "groot.data.pubtator:FORMAT",
        "conllu": "groot.data.conllu:FORMAT",
        "conll2012": "groot.data.conll2012:FORMAT",
    },
)

# below this nothing is sure enough to be taken, and within this the second best is named
_MIN_CERTAINTY, _CLOSE, _SURE = 0.3, 0.1, 0.9
# file names (without suffix) and folder names that mean a split
_SPLIT_NAMES = {
    "train": ("train", "training"),
    "dev": ("dev", "valid", "validation", "devel", "val", "testa"),
    "test": ("test", "testb"),
}


def read_examples(
    where: str | Path,
    *,
    task: Task | None = None,
    split: Split | None = None,
    format: str | None = None,
    **settings: Any,
) -> ReadResult:
    """Read the examples of one set.

    Args:
        where: a file, a folder, a benchmark's name ("atis", or "atis:test" for another split than
            train), or "hub:" and the name of a dataset on the Hub.
        task: which gold to read; None reads whatever is there.
        split: of a benchmark, a folder of splits or a dataset; default "train".
        format: of READERS; None finds it out from the name and the content.
        settings: of the format's reader, such as scheme, tag_column or offset_unit.

    Raises:
        DataError: if nothing can be read; names the file, the line where there is one, and what to
            do next.
        ConfigError: for a setting that the format does not have.
    """
    if is_data_frame(where):
        return read_rows(where, "data frame", task=task, **settings)
    name, _, named_split = str(where).partition(":")
    if name in BENCHMARKS and format is None and (not named_split or named_split in _SPLIT_NAMES):
        if settings:
            raise ConfigError(f"benchmark {name!r} takes no settings, got {', '.join(settings)}.")
        return read_benchmark(name, cast(Split, named_split) or split or "train", task=task)
    if name == "hub" and named_split:
        where, format = named_split, "datasets"
    elif format != "datasets":
        where = Path(where)
        if where.is_dir() and (inside := find_splits(where)):
            where = inside.get(split or "train") or _no_split(where, split or "train", inside)
    if task not in (None, *get_args(Task)):
        raise ConfigError(f"task={task!r}: want one of {', '.join(get_args(Task))}.")
    guess = Guess(format) if format else detect_format(Path(where), settings)
    reader = READERS[guess.format]
    known = [field.name for field in fields(reader.settings)]
    for setting in settings:
        if setting not in known:
            raise ConfigError(
                f"format {guess.format!r} has no setting {setting!r}.{nearest(setting, known)}\n"
                f"  It has: {', '.join(known)}"
            )
    if "split" in known:
        settings["split"] = split
    result = reader(where, task=task, **settings)
    if result.reading is not None:
        hints = lost_gold(result).hints if "spans" in result.reading.parts else ()
        doubts = (
            *guess.doubts,
            *result.reading.doubts,
            *class_doubts(result.examples),
            *hints,
        )
        result.reading = replace(result.reading, certainty=guess.certainty, doubts=doubts)
        for doubt in doubts:
            log.warning("%s: read as %s: %s", where, result.reading.format, doubt)
    return result


def read_splits(
    train: str | Path,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    *,
    task: Task | None = None,
    format: str | None = None,
    needs_dev: bool = True,
    **settings: Any,
) -> Splits:
    """Read train, dev and test; dev and test are those of the benchmark or folder, if not given.

    Where there is no dev set, the train examples at the places i with i % 10 == 9 are dev. With
    needs_dev=False, dev has no rows where there are fewer than 10.

    Raises:
        DataError: as read_examples.
        ConfigError: as read_examples.
    """

    def read(where: str | Path, split: Split, **more: Any) -> ReadResult:
        return read_examples(where, task=task, split=split, format=format, **settings, **more)

    has = _splits_of(train, format)
    train_set = read(train, "train")
    # a small dev set alone may fit several schemes: there the scheme of train decides
    prefer = {}
    if train_set.scheme is not None and str(train).partition(":")[0] not in BENCHMARKS:
        prefer = {"prefer_scheme": train_set.scheme}

    def other(where: str | Path | None, split: Split) -> ReadResult | None:
        if where is not None:
            is_benchmark = str(where).partition(":")[0] in BENCHMARKS
            return read(where, split, **({} if is_benchmark else prefer))
        return read(train, split, **prefer) if split in has else None

    dev_set, test_set = other(dev, "dev"), other(test, "test")
    if dev_set is not None:
        return Splits(train_set, dev_set, test_set)
    if len(train_set.examples) < 10 and not needs_dev:
        return Splits(train_set, ReadResult(where=train_set.where), test_set)
    if len(train_set.examples) < 10:
        raise DataError(
            f"{train}: {len(train_set.examples)} examples are too few to cut a dev set from.\n"
            "  Give a dev file, or at least 10 examples."
        )
    train_set, dev_set = cut_dev(train_set)
    return Splits(train_set, dev_set, test_set, is_dev_cut=True)


def _splits_of(where: str | Path, format: str | None) -> set[str]:
    """The splits that can be read from where besides the one that is asked for."""
    text = str(where)
    if format is None and text in BENCHMARKS:
        return {"train", "dev", "test"}
    is_dataset = format == "datasets" or (Path(where) / DATASET_DICT).exists()
    if is_dataset or text.startswith("hub:"):
        from groot.data.hub import split_names

        return split_names(text.removeprefix("hub:"))
    path = Path(where)
    return set(find_splits(path)) if path.is_dir() else set()


def find_splits(folder: Path) -> dict[str, Path]:
    """The files or folders of a folder that are its train, dev and test sets, by their names."""
    found: dict[str, Path] = {}
    if (folder / DATASET_DICT).exists():  # the datasets library knows its own splits
        return found
    for entry in sorted(folder.iterdir()):
        for split, names in _SPLIT_NAMES.items():
            if entry.name.split(".")[0].lower() in names and not entry.name.startswith("."):
                found.setdefault(split, entry)
    return found if "train" in found else {}


def _no_split(folder: Path, split: str, inside: dict[str, Path]) -> Path:
    raise DataError(f"{folder} has no {split} set.\n  It has: {', '.join(inside)}")


@dataclass(frozen=True, slots=True)
class Guess:
    """Which format a file has.

    Args:
        format: of READERS.
        certainty: in [0, 1]; 1 where the user named it.
        doubts: what else it could be.
    """

    format: str
    certainty: float = 1.0
    doubts: tuple[str, ...] = ()


def detect_format(path: Path, settings: dict[str, Any] | None = None) -> Guess:
    """The format of a file or folder, by its name, its neighbours and its first lines.

    Raises:
        DataError: if it is none that is known.
    """
    if "tags_path" in (settings or {}):
        return Guess("parallel")
    head = read_head(path)
    if not path.is_dir() and not head.text.strip():
        raise DataError(f"{path}: the file is empty.\n  Give a file with labelled texts.")
    scores = {name: READERS[name].looks_like(head) for name in READERS}
    best, second, *_ = sorted(scores, key=lambda name: -scores[name])
    if scores[best] < _MIN_CERTAINTY:
        if path.is_dir():
            raise DataError(
                f"{path}: no data found in this folder.\n"
                "  It may hold train/dev/test files, seq.in and seq.out, or a saved dataset."
            )
        raise DataError(
            f"{path}:1: the format of this file is not clear from its name and first lines.\n"
            f"  Name it with format=...; known formats: {', '.join(sorted(READERS))}"
        )
    doubts = []
    if scores[second] >= scores[best] - _CLOSE and scores[best] < _SURE:
        doubts.append(f"it could also be {second}; name it with format={second}")
    return Guess(best, scores[best], tuple(doubts))
