"""CSV files of a word a row, with the sentence that it stands in: the form of Kaggle's sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from groot.data.column_shape import TAG_NAMES, WORD_NAMES
from groot.data.csv_dialect import Row
from groot.data.result import Problem, Reading, ReadResult, RowError
from groot.data.settings import TagSettings
from groot.data.tagged import TaggedRow, read_tagged

SENTENCE_NAMES = frozenset(
    ("sentence #", "sentence", "sentence_id", "sentence id", "sent_id", "sentence_idx", "sentence#")
)


def read_words(
    path: str | Path,
    names: Sequence[str],
    rows: Iterable[Row],
    settings: TagSettings,
    reading: Reading,
) -> ReadResult:
    """Read one Example per sentence; an empty cell for the sentence means the one above.

        Sentence #,Word,POS,Tag
        Sentence: 1,play,VB,O
        ,nina,NNP,B-artist

    Raises:
        DataError: if no sentence can be used.
    """
    places = {
        what: max(i for i, name in enumerate(names) if name in known)
        for what, known in (("word", WORD_NAMES), ("tag", TAG_NAMES), ("sentence", SENTENCE_NAMES))
    }
    shown = {what: repr(names[place]) for what, place in places.items()}
    reading = replace(reading, parts={**reading.parts, **shown})
    sentences = _sentences(path, names, rows, places, settings.id_prefix or Path(path).stem)
    return read_tagged(path, sentences, settings, reading=reading)


def _sentences(
    path: str | Path,
    names: Sequence[str],
    rows: Iterable[Row],
    places: dict[str, int],
    prefix: str,
) -> Iterator[TaggedRow | Problem]:
    words: list[str] = []
    tags: list[str] = []
    sentence, first = "", 0
    problem: Problem | None = None

    def finished() -> Iterator[TaggedRow | Problem]:
        if problem is not None:
            yield problem
        elif words:
            source, row_id = f"{path}:{first}", f"{prefix}:{first}"
            yield TaggedRow(source, row_id, tuple(words), tuple(tags))

    for number, cells in rows:
        if isinstance(cells, Problem):
            problem = problem or cells
            continue
        if len(cells) != len(names):
            reason = f"{len(cells)} cells, where the first row has {len(names)}"
            row = " | ".join(cells)
            problem = problem or RowError(reason, "counts").problem(f"{path}:{number}", row)
            continue
        named = cells[places["sentence"]].strip()
        if named and named != sentence:
            yield from finished()
            words, tags, problem = [], [], None
            sentence, first = named, number
        words.append(cells[places["word"]].strip())
        tags.append(cells[places["tag"]].strip())
    yield from finished()
