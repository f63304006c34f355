"""From words with tags to an Example: the step that column and parallel files share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from groot.data.result import Problem, Reading, ReadResult, RowError, collect
from groot.data.settings import TagSettings
from groot.data.tag_forms import find_form, find_outside, joined_runs, share_in_runs, tag_in_form
from groot.targets.schemes import detect_scheme, illegal_tags, spans_of_tags, split_tag
from groot.types import Example, Span

# the label of bare tags (B, I, O), which name none
BARE_LABEL = "span"
# share of the words with plain labels beside their like from which on runs are asked about
MAX_SHARE_IN_RUNS = 0.5
# characters of a word that is given as one: what a model needs for it grows with its square
MAX_WORD_LENGTH = 1000
_SEVERAL = re.compile(r"[|;,/+][BIESLUM]-")
_RUNS = (
    "{share:.0f} % of the labelled words stand beside a word with the same label, and each is a"
    " span of its own; if such a run is one mention, set join_runs=true"
)


@dataclass(slots=True)
class TaggedRow:
    """A text as words, with one tag per word; tags is None where only its classes are asked for.

    Args:
        text: that the words come from, with their offsets; None: the words joined by spaces.
    """

    source: str
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    classes: tuple[str, ...] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    word_starts: tuple[int, ...] = ()


def read_tagged(
    path: str | Path,
    rows: Iterable[Example | TaggedRow | Problem],
    settings: TagSettings,
    *,
    reading: Reading,
    notes: list[Problem] | None = None,
) -> ReadResult:
    """Examples of tagged rows, in the scheme given, or else the one that fits them best.

    Rows that are examples already go through as they are.

    Args:
        path: what was read, for messages.
        rows: may be an iterator, which is read whole before anything is decided.
        settings: of the tags.
        reading: how the file was understood so far.
        notes: doubts about its rows so far; may grow while the rows are read.

    Raises:
        DataError: if no row can be used, or one label stands on most of the words.
    """
    rows = list(rows)
    tagged = [row for row in rows if isinstance(row, TaggedRow) and row.tags is not None]
    if not tagged:
        return collect(path, _examples(rows, None, []), notes=notes, reading=reading)
    counts = Counter(tag for row in tagged for tag in row.tags or ())
    if (outside := find_outside(counts)) is not None:
        for row in tagged:
            row.tags = tuple("O" if tag == outside else tag for tag in row.tags or ())
        reading = _with(reading, {"no tag": repr(outside)})
    if (form := find_form(counts)) is not None:
        for row in tagged:
            row.tags = tuple(tag_in_form(tag, form) for tag in row.tags or ())
        reading = _with(reading, {"tag form": form})
    sequences = [row.tags or () for row in tagged]
    scheme = settings.scheme or detect_scheme(sequences, prefer=settings.prefer_scheme)
    if scheme == "WORD" and settings.join_runs:
        for row in tagged:
            row.tags = joined_runs(row.tags or ())
        scheme = "IOB2"
    elif scheme == "WORD" and settings.scheme is None:
        share = share_in_runs(sequences)
        if share > MAX_SHARE_IN_RUNS and any(tag == "O" for tags in sequences for tag in tags):
            reading = _with(reading, doubt=_RUNS.format(share=100 * share))
    if several := next((tag for tag in counts if _SEVERAL.search(tag)), None):
        reading = _with(reading, doubt=f"tags such as {several!r:.40} look like several in one")
    reading = _with(reading, {"tag scheme": scheme})
    notes = [] if notes is None else notes
    return collect(
        path, _examples(rows, scheme, notes), scheme=scheme, notes=notes, reading=reading
    )


def _with(
    reading: Reading, parts: Mapping[str, str] | None = None, *, doubt: str | None = None
) -> Reading:
    return replace(
        reading,
        parts={**reading.parts, **(parts or {})},
        doubts=(*reading.doubts, *([doubt] if doubt else [])),
    )


def _examples(
    rows: Iterable[Example | TaggedRow | Problem], scheme: str | None, notes: list[Problem]
) -> Iterator[Example | Problem]:
    # legal and illegal sequences repeat often: most texts share a few hundred shapes
    is_legal: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        if not isinstance(row, TaggedRow):
            yield row
            continue
        text = " ".join(row.words) if row.text is None else row.text
        try:
            starts = check_words(row.words) if row.text is None else row.word_starts
            spans = None
            if row.tags is not None and scheme is not None:
                check_tags(row.words, row.tags, scheme)
                spans = spans_of_words(text, row.words, starts, row.tags, scheme)
                if row.tags not in is_legal:
                    is_legal[row.tags] = illegal_tags(row.tags, scheme)
                notes += notes_on_tags(row.source, row.tags, is_legal[row.tags], text, scheme)
        except RowError as error:
            yield error.problem(row.source, text)
            continue
        yield Example(
            text,
            row.words,
            starts,
            spans=spans,
            classes=row.classes,
            id=row.id,
            source=row.source,
            columns=row.columns,
        )


def check_words(words: Sequence[str]) -> tuple[int, ...]:
    """The offset of each word in " ".join(words).

    Raises:
        RowError: for a word that is empty, only white space, or too long.
    """
    starts, offset = [], 0
    for i, word in enumerate(words):
        if not word or word.isspace():
            raise RowError(f"word {i + 1} is empty", "counts")
        if len(word) > MAX_WORD_LENGTH:
            reason = f"word {i + 1} has {len(word):,} characters, of at most {MAX_WORD_LENGTH:,}"
            raise RowError(reason, "too long")
        starts.append(offset)
        offset += len(word) + 1
    return tuple(starts)


def check_tags(words: Sequence[str], tags: Sequence[str], scheme: str) -> None:
    """Check that there is one readable tag per word.

    Raises:
        RowError: otherwise.
    """
    if len(words) != len(tags):
        counts = f"{len(words)} words but {len(tags)} tags"
        raise RowError(f"{counts}; every word needs one tag", "counts")
    for i, tag in enumerate(tags):
        if not tag or (scheme != "WORD" and split_tag(tag) is None):
            reason = f"tag {tag!r} of word {i + 1} ({words[i]!r}) is not a tag of scheme {scheme}"
            raise RowError(reason, "tag")


def spans_of_words(
    text: str, words: Sequence[str], starts: Sequence[int], tags: Sequence[str], scheme: str
) -> tuple[Span, ...]:
    """The spans that tags say, as character offsets."""
    spans = []
    for first, behind, label in spans_of_tags(tags, scheme):
        start, end = starts[first], starts[behind - 1] + len(words[behind - 1])
        spans.append(Span(start, end, label or BARE_LABEL, text[start:end]))
    return tuple(spans)


def notes_on_tags(
    source: str, tags: Sequence[str], places: Iterable[int], text: str, scheme: str
) -> Iterator[Problem]:
    """A note for each illegal tag of a row that is used all the same."""
    for i in places:
        reason = f"tag {tags[i]!r} of word {i + 1} is illegal in {scheme}; read as a span's part"
        yield RowError(reason, "illegal tag").problem(source, text)
