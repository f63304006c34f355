"""The public benchmarks by name, as they were published, and groot's own sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from groot.data.columns import read_columns
from groot.data.parallel import read_parallel
from groot.data.requests import Prompt, requests_of
from groot.data.result import ReadResult
from groot.data.sample import read_sample
from groot.errors import DataError
from groot.registry import Registry
from groot.types import Task

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """How to read the splits of one benchmark.

    Args:
        read: (folder of all benchmarks, split, task) -> examples; "dev" only if has_dev.
        has_dev: False where dev is every tenth example of train.
        tasks: what it has gold for.
        origin: where to get it from.
        made_of: benchmarks whose files it is read from; () where it has its own.
    """

    read: Callable[[Path, Split, Task | None], ReadResult]
    has_dev: bool
    tasks: tuple[Task, ...]
    origin: str
    made_of: tuple[str, ...] = ()


def _read_triples(
    name: str, separator: str | None, folder: Path, split: Split, task: Task | None
) -> ReadResult:
    place = folder / name / {"dev": "valid"}.get(split, split)
    return read_parallel(place, task=task, class_separator=separator, id_prefix=split)


def _read_restaurant(folder: Path, split: Split, task: Task | None) -> ReadResult:
    place = folder / "mit_restaurant" / f"sent_{split}.txt"
    return read_parallel(place, task=task, id_prefix=split)


def _read_movie(folder: Path, split: Split, task: Task | None) -> ReadResult:
    place = folder / "mit_movie_trivia" / f"trivia10k13{split}.bio"
    return read_columns(place, task=task, id_prefix=split)


LABELLED = ("atis", "snips", "mit_restaurant", "mit_movie_trivia")


def _requests(name: str, sets: tuple[str, ...], prompt: Prompt) -> Benchmark:
    def read(folder: Path, split: Split, task: Task | None) -> ReadResult:
        return requests_of(name, lambda part: read_benchmark(part, split), sets, prompt)

    return Benchmark(
        read, has_dev=True, tasks=("text",), origin=f"made of {', '.join(sets)}", made_of=sets
    )


BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark",
    {
        "atis": Benchmark(
            partial(_read_triples, "atis", "#"),
            has_dev=True,
            tasks=("spans", "classes"),
            origin="ATIS, split of Goo et al. 2018: atis/{train,valid,test}/{seq.in,seq.out,label}",
        ),
        "snips": Benchmark(
            partial(_read_triples, "snips", None),
            has_dev=True,
            tasks=("spans", "classes"),
            origin="Snips, same split: snips/{train,valid,test}/{seq.in,seq.out,label}",
        ),
        "mit_restaurant": Benchmark(
            _read_restaurant,
            has_dev=False,
            tasks=("spans",),
            origin="MIT Restaurant Corpus: mit_restaurant/{sent,label}_{train,test}.txt",
        ),
        "mit_movie_trivia": Benchmark(
            _read_movie,
            has_dev=False,
            tasks=("spans",),
            origin="MIT Movie Corpus: mit_movie_trivia/trivia10k13{train,test}.bio",
        ),
        "sample": Benchmark(
            lambda folder, split, task: read_sample(split),
            has_dev=True,
            tasks=("spans",),
            origin="written by groot itself",
        ),
        "requests": _requests("requests", LABELLED, "wishes"),
        "requests_start": _requests("requests_start", LABELLED, "start"),
        "requests_open": _requests("requests_open", LABELLED, "open"),
        "snips_requests": _requests("snips_requests", ("snips",), "wishes"),
        "snips_requests_start": _requests("snips_requests_start", ("snips",), "start"),
        "snips_requests_open": _requests("snips_requests_open", ("snips",), "open"),
    },
)


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that holds the benchmarks: GROOT_DATA, or ../shared/data."""
    return Path(environment.get("GROOT_DATA") or "../shared/data")


def read_benchmark(name: str, split: Split = "train", *, task: Task | None = None) -> ReadResult:
    """Read one split of a benchmark; where it has no dev set, dev is cut from train.

    Args:
        name: of BENCHMARKS.
        split: "train", "dev" or "test".
        task: "spans" or "classes"; None reads the gold of both where it has both.

    Raises:
        UnknownNameError: for another name.
        DataError: if the benchmark has no gold for the task, or its files are not there.
    """
    benchmark = BENCHMARKS[name]
    if task is not None and task not in benchmark.tasks:
        raise DataError(
            f"benchmark {name!r} has gold for {', '.join(benchmark.tasks)}, not {task}."
        )
    folder = data_folder()
    has_files = name != "sample" and not benchmark.made_of
    if has_files and not (folder / name).is_dir():
        raise DataError(
            f"benchmark {name!r} is not at {folder / name}.\n"
            "  Set GROOT_DATA to the folder that holds it, or read it from the Hub with hub:...\n"
            f"  Its files: {benchmark.origin}"
        )
    if benchmark.has_dev:
        result = benchmark.read(folder, split, task)
    elif split == "test":
        result = benchmark.read(folder, "test", task)
    else:
        train, dev = cut_dev(benchmark.read(folder, "train", task))
        result = dev if split == "dev" else train
    result.where = f"{name}:{split}"
    return result


def cut_dev(result: ReadResult) -> tuple[ReadResult, ReadResult]:
    """Train and dev: the examples at the places i with i % 10 == 9 are dev.

    Problems and doubts stay with train, as they belong to the one file.
    """
    dev = [example for i, example in enumerate(result.examples) if i % 10 == 9]
    train = [example for i, example in enumerate(result.examples) if i % 10 != 9]
    sources = {example.source for example in dev}
    notes = [note for note in result.notes if note.source not in sources]
    dev_notes = [note for note in result.notes if note.source in sources]
    reading = result.reading
    without_doubts = None if reading is None else replace(reading, doubts=())
    return (
        ReadResult(train, result.problems, result.scheme, notes, result.where, reading),
        ReadResult(dev, [], result.scheme, dev_notes, result.where, without_doubts),
    )
