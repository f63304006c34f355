"""Windows of long texts: every span that fits is said once, and what is lost is named."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groot.targets.windows import lost_spans, merge, whole, windows
from groot.targets.words import split_words
from groot.types import Example, Span


@st.composite
def texts(draw) -> Example:
    """Words with or without white space between them, spans that may touch."""
    words = draw(st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, max_size=30))
    gaps = draw(st.lists(st.sampled_from(["", " "]), min_size=len(words), max_size=len(words)))
    text, starts = "", []
    for gap, word in zip(gaps, words, strict=True):
        text += gap if text else ""
        starts.append(len(text))
        text += word
    spans, first = [], 0
    while first < len(words):
        n_words = draw(st.integers(0, 4))
        last = first + n_words - 1
        if n_words and last < len(words):
            start, end = starts[first], starts[last] + len(words[last])
            spans.append(Span(start, end, draw(st.sampled_from("xy")), text[start:end]))
        first += max(1, n_words)
    return Example(text, tuple(words), tuple(starts), spans=tuple(spans), id="d")


@settings(max_examples=300)
@given(texts(), st.integers(1, 12), st.data())
def test_what_the_windows_say_is_the_gold_without_what_is_lost(example, max_words, data):
    overlap = data.draw(st.integers(0, max_words - 1))
    cut = windows(example, max_words=max_words, overlap=overlap)
    lost = lost_spans(example, cut)
    said = merge(example, cut, [window.example.spans for window in cut])
    assert list(said) == [span for span in example.spans if span not in lost]
    # a span is lost only where it is longer than what stays of its window behind its first word
    for span in lost:
        n_words = sum(span.start <= start < span.end for start in example.word_starts)
        assert n_words > overlap // 2
    for window in cut:
        piece = window.example
        assert 1 <= len(piece.words) <= max_words
        assert example.text[window.offset : window.offset + len(piece.text)] == piece.text
        assert all(
            piece.text[start : start + len(word)] == word
            for start, word in zip(piece.word_starts, piece.words, strict=True)
        )
    # each word is in the core of exactly one window, and in that window
    for start in example.word_starts:
        homes = [window for window in cut if window.core_start <= start < window.core_end]
        assert len(homes) == 1
        assert 0 <= start - homes[0].offset < len(homes[0].example.text)


def words_apart(text: str, *spans: tuple[int, int]) -> Example:
    starts = [0, *(i + 1 for i, c in enumerate(text) if c == " ")]
    gold = tuple(Span(start, end, "x", text[start:end]) for start, end in spans)
    return Example(text, tuple(text.split()), tuple(starts), spans=gold)


def test_spans_that_touch_at_a_border_are_both_said():
    # without white space between words, one span ends where the next begins
    example = Example("abcd", tuple("abcd"), (0, 1, 2, 3), spans=(Span(1, 2, "x", "b"),
                      Span(2, 3, "x", "c")))  # fmt: skip
    cut = windows(example, max_words=2, overlap=0)
    assert [window.example.text for window in cut] == ["ab", "cd"]
    assert merge(example, cut, [window.example.spans for window in cut]) == example.spans


def test_a_span_that_ends_with_its_window_is_not_lost_and_one_word_more_is():
    fits = words_apart("a b c d e", (2, 5))
    cut = windows(fits, max_words=3, overlap=0)
    assert [window.example.text for window in cut] == ["a b c", "c d e"]
    assert lost_spans(fits, cut) == []
    assert merge(fits, cut, [window.example.spans for window in cut]) == fits.spans
    longer = words_apart("a b c d e", (2, 7))
    assert lost_spans(longer, cut) == list(longer.spans)
    off_words = words_apart("aa b c d e", (1, 8))  # cannot be said in any window: told elsewhere
    assert lost_spans(off_words, windows(off_words, max_words=3, overlap=0)) == []


def test_where_windows_disagree_the_left_one_stays():
    example = words_apart("a b c d e")
    cut = windows(example, max_words=3, overlap=1)
    # the core of the second window begins at d
    assert cut[1].core_start == 6
    left, right = [Span(4, 5, "x")], [Span(0, 1, "y"), Span(2, 3, "y")]
    assert [(s.start, s.end, s.label, s.text) for s in merge(example, cut, [left, right])] == [
        (4, 5, "x", "c"), (6, 7, "y", "d"),
    ]  # fmt: skip
    crossing = [Span(4, 7, "x")]  # longer than the window of the model that said it
    assert [s.label for s in merge(example, cut, [crossing, right])] == ["x"]


def test_a_short_text_is_its_own_window():
    example = words_apart("a b c", (0, 1))
    assert windows(example, max_words=3, overlap=2) == [whole(example)]
    assert whole(example).core_end > len(example.text)


def test_windows_have_ids_of_their_own_and_no_gold_where_there_is_none():
    example = Example("a b", ("a", "b"), (0, 2), id="7")
    cut = windows(example, max_words=1, overlap=0)
    assert [window.example.id for window in cut] == ["7#0", "7#1"]
    assert [window.example.spans for window in cut] == [None, None]


@pytest.mark.parametrize(("max_words", "overlap"), [(3, 3), (3, -1), (0, 0)])
def test_an_overlap_that_does_not_fit_is_refused(max_words, overlap):
    with pytest.raises(ValueError, match=f"overlap={overlap} must be at least 0 and less than"):
        windows(words_apart("a b c d"), max_words=max_words, overlap=overlap)


def test_neighbours_share_the_overlap_and_context_stands_on_both_sides_of_a_border():
    example = words_apart(" ".join("abcdefghijklmnop"))
    cut = windows(example, max_words=8, overlap=4)
    starts = [window.offset // 2 for window in cut]
    assert starts == [0, 4, 8]
    assert [window.core_start // 2 for window in cut[1:]] == [6, 10]
    assert all(a.core_end == b.core_start for a, b in itertools.pairwise(cut))


def test_every_hundredth_of_a_long_document_is_found():
    text = " ".join(f"word{i}" if i % 500 else "TARGET" for i in range(50_000))
    words, starts = split_words(text)
    example = Example(text, tuple(words), tuple(starts))
    cut = windows(example, max_words=64, overlap=16)
    outputs = [
        [
            Span(start, start + len(word), "hit")
            for word, start in zip(window.example.words, window.example.word_starts, strict=True)
            if word == "TARGET"
        ]
        for window in cut
    ]
    hits = merge(example, cut, outputs)
    assert len(hits) == 100
    assert all(span.text == "TARGET" for span in hits)
