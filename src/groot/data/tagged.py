"""From words with tags to an Example: the step that column and parallel files share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groot.data.result import Problem, ReadResult, RowError, collect
from groot.targets.schemes import SCHEMES, detect_scheme, illegal_tags, spans_of_tags, split_tag
from groot.types import Example, Span

# the label of bare tags (B, I, O), which name none
BARE_LABEL = "span"


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
    *,
    scheme: str | None,
    prefer: str,
) -> ReadResult:
    """Examples of tagged rows, in the scheme given, or else the one that fits them best.

    Rows that are examples already go through as they are.

    Raises:
        DataError: if no row can be used.
    """
    rows = list(rows)
    if scheme is None:
        tags = [row.tags for row in rows if isinstance(row, TaggedRow) and row.tags is not None]
        scheme = detect_scheme(tags, prefer=prefer) if tags else None
    else:
        SCHEMES[scheme]  # an unknown name is an error even where no row has tags
    notes: list[Problem] = []
    return collect(path, _examples(rows, scheme, notes), scheme=scheme, notes=notes)


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
        RowError: for a word that is empty or only white space.
    """
    starts, offset = [], 0
    for i, word in enumerate(words):
        if not word or word.isspace():
            raise RowError(f"word {i + 1} is empty", "counts")
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
