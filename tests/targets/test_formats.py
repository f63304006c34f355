"""The promise of every label format: what is encoded is decoded again, and junk never raises."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groot.data import read_examples
from groot.data.benchmarks import data_folder
from groot.errors import DataError, ModelError
from groot.targets import FORMATS, MultiClass, SentinelTags, SingleClass
from groot.targets.grammar import spell
from groot.targets.windows import lost_spans, merge, windows
from groot.targets.words import split_words
from groot.types import Example, Span

BENCHMARKS = ("atis", "snips", "mit_restaurant", "mit_movie_trivia")
word = st.text(st.characters(blacklist_categories=("Cs", "Z", "Cc")), min_size=1, max_size=6)


def example_of(words: list[str], spans: list[tuple[int, int, str]]) -> Example:
    starts = list(itertools.accumulate([0, *(len(w) + 1 for w in words[:-1])]))
    text = " ".join(words)
    gold = tuple(Span(starts[i], starts[j - 1] + len(words[j - 1]), label) for i, j, label in spans)
    return Example(text, tuple(words), tuple(starts), spans=gold)


@st.composite
def tagged(draw, labels=("artist", "city name", "O", "I", "<s0>", "</s>")) -> Example:
    words = draw(st.lists(word, min_size=1, max_size=12))
    spans, at = [], 0
    while at < len(words):
        length = draw(st.integers(0, 3))
        if length and at + length <= len(words):
            spans.append((at, at + length, draw(st.sampled_from(labels))))
        at += max(1, length)
    return example_of(words, spans)


HARD_LABELS = SentinelTags(("artist", "city name", "O", "I", "<s0>", "</s>"))


@given(tagged())
def test_spans_survive_the_round_trip(example):
    target = HARD_LABELS.encode(example, example.spans)
    decoded = HARD_LABELS.decode(target, example)
    assert decoded == example.spans
    assert all(example.text[s.start : s.end] == s.text for s in decoded)


@given(
    tagged(),
    st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(["<s0>", "<s1>", "<s2>", "O", "I", "artist", "junk", "</s>"]),
            max_size=8,
        ).map(" ".join),
    ),
)
def test_junk_is_malformed_or_a_legal_labelling_and_never_raises(example, junk):
    decoded = HARD_LABELS.decode(junk, example)
    if decoded is not None:
        assert HARD_LABELS.encode(example, decoded) == " ".join(junk.split())


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_example_of_the_benchmarks_survives_the_round_trip(name, split):
    try:
        examples = read_examples(name, split=split).examples
    except DataError:
        assert not data_folder().exists(), "the data is there but cannot be read"
        pytest.skip("the benchmarks are not on this machine (GROOT_DATA)")
    form = SentinelTags(sorted({s.label for e in examples for s in e.spans or ()}))
    for example in examples:
        assert not form.unproducible(example)
        assert form.decode(form.encode(example, example.spans), example) == example.spans


def test_what_no_target_can_say_is_named():
    example = example_of(["new", "york", "may"], [(0, 2, "city"), (1, 3, "date")])
    form = SentinelTags(("city", "date"))
    assert form.encode(example, example.spans) is None
    assert [reason for _, reason in form.unproducible(example)] == ["overlaps another span"]
    cut = Example("newyork", ("newyork",), (0,), spans=(Span(0, 3, "city"), Span(0, 7, "town")))
    reasons = [reason for _, reason in form.unproducible(cut)]
    assert reasons == ["not on word boundaries", "label 'town' is not among those of training"]


def test_inside_may_not_follow_outside_or_come_first():
    example = example_of(["a", "b"], [])
    form = SentinelTags(("x",))
    assert form.decode("<s0> I <s1> O", example) is None
    assert form.decode("<s0> O <s1> I", example) is None
    assert form.decode("<s0> x <s1> x", example) == (Span(0, 1, "x"), Span(2, 3, "x"))
    assert form.decode("<s0> x", example) is None
    assert form.decode("<s0> x <s1> I <s2> O", example) is None


@given(st.sets(st.sampled_from(["buy", "sell now", "hold", "."]), max_size=4), st.text())
def test_classes_survive_the_round_trip(classes, junk):
    form = MultiClass(("buy", "sell now", "hold", "."))
    example = Example("some text")
    decoded = form.decode(form.encode(example, tuple(classes)), example)
    assert set(decoded) == classes
    assert form.decode(junk, example) is None or set(form.decode(junk, example)) <= set(form.labels)


def test_a_single_class_is_one_known_class():
    form = SingleClass(("buy", "sell"))
    example = Example("some text")
    assert form.encode(example, ("buy",)) == "buy"
    assert form.encode(example, ("buy", "sell")) is None
    assert form.encode(example, ("hold",)) is None
    assert form.decode("buy sell", example) is None


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_grammar_allows_exactly_what_decodes(name):
    """The contract of the table: all paths of a small grammar decode, and no other one does."""
    form = FORMATS[name](("a", "b"))
    example = example_of(["x", "y"], [])
    slots = form.slots(example)
    symbols = sorted({c.symbol for choices in form.grammar.choices for c in choices})
    legal = 0
    for length in range(5):
        for path in itertools.product(symbols, repeat=length):
            output = form.output(example, path)
            assert (output is not None) == form.grammar.walk(path, slots)
            if output is not None:
                legal += 1
                assert form.path(example, output) == path
                assert form.decode(form.text(path), example) == output
    assert legal > 1


def test_spelling_shares_beginnings_and_refuses_ambiguous_tokens():
    form = SingleClass(("aa", "ab", "b"))
    ids = {"aa": (1, 2), "ab": (1, 3), "b": (4,)}
    grammar = spell(form.grammar, lambda symbol: ids[symbol])
    assert grammar.tokens[0] == (1, 4)
    assert not grammar.one_token_symbols
    target = grammar.encode(("ab",), [(), (9,)], lambda symbol: ids[symbol])
    assert target.tokens == (1, 3, 9)
    assert target.decisions == (0, 1)
    with pytest.raises(ModelError, match="begin"):
        spell(form.grammar, lambda symbol: {"aa": (1,), "ab": (1, 3), "b": (4,)}[symbol])


@settings(max_examples=60)
@given(st.integers(1, 120), st.integers(4, 20), st.data())
def test_windows_lose_no_span_that_fits_the_overlap(n_words, max_words, data):
    overlap = data.draw(st.integers(0, max_words - 1))
    length = max(1, overlap // 2)
    spans = [(i, min(i + length, n_words), "x") for i in range(0, n_words, length + 1)]
    example = example_of([f"w{i}" for i in range(n_words)], spans)
    cut = windows(example, max_words=max_words, overlap=overlap)
    assert all(len(w.example.words) <= max_words for w in cut)
    assert all(
        example.text[w.offset : w.offset + len(w.example.text)] == w.example.text for w in cut
    )
    lost = lost_spans(example, cut)
    said = merge(example, cut, [w.example.spans for w in cut])
    assert set(said) | set(lost) >= set(example.spans)
    if length <= overlap // 2:
        assert said == example.spans
    assert all(example.text[s.start : s.end] == s.text for s in said)


def test_every_hundredth_of_a_long_document_is_found():
    text = " ".join(f"word{i}" if i % 500 else "TARGET" for i in range(50_000))
    words, starts = split_words(text)
    example = Example(text, tuple(words), tuple(starts))
    cut = windows(example, max_words=64, overlap=16)
    outputs = []
    for window in cut:
        piece = window.example
        outputs.append(
            [
                Span(s, s + len(w), "hit")
                for w, s in zip(piece.words, piece.word_starts, strict=True)
                if w == "TARGET"
            ]
        )
    found = merge(example, cut, outputs)
    assert len(found) == 100
    assert all(span.text == "TARGET" for span in found)
