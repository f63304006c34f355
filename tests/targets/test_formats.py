"""The promise of every label format: what is encoded is decoded again, and junk never raises."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.data import read_examples
from groot.data.benchmarks import data_folder
from groot.errors import DataError, ModelError
from groot.recipes import make_writer
from groot.recipes.make_writer import label_format
from groot.registry import Registry
from groot.targets import FORMATS, MultiClass, SentinelTags, SingleClass
from groot.targets.grammar import END, spell
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
        assert form.decode(form.encode(example, example.spans), example) == example.spans


def test_what_no_target_can_say_is_none():
    example = example_of(["new", "york", "may"], [(0, 2, "city"), (1, 3, "date")])
    form = SentinelTags(("city", "date"))
    city, date = example.spans
    assert form.encode(example, (city, date)) is None  # they overlap
    assert form.encode(example, (date, city)) is None  # in any order
    assert form.encode(example, (city,)) == "<s0> city <s1> I <s2> O"
    cut = Example("newyork", ("newyork",), (0,))
    assert form.encode(cut, (Span(0, 3, "city"),)) is None  # not on word boundaries
    assert form.encode(cut, (Span(3, 7, "city"),)) is None
    assert form.encode(cut, (Span(0, 7, "town"),)) is None  # no such label
    assert form.encode(cut, ("city",)) is None  # no span


def test_neighbouring_spans_of_one_label_stay_two_and_a_long_one_stays_one():
    example = example_of(["a", "b", "c"], [(0, 1, "x"), (1, 3, "x")])
    form = SentinelTags(("x",))
    assert form.encode(example, example.spans) == "<s0> x <s1> x <s2> I"
    assert form.decode("<s0> x <s1> x <s2> I", example) == example.spans


def test_inside_may_not_follow_outside_or_come_first():
    example = example_of(["a", "b"], [])
    form = SentinelTags(("x",))
    assert form.decode("<s0> I <s1> O", example) is None
    assert form.decode("<s0> O <s1> I", example) is None
    assert form.decode("<s0> x <s1> x", example) == (Span(0, 1, "x"), Span(2, 3, "x"))
    assert form.decode("<s0> x", example) is None
    assert form.decode("<s1> x <s0> x", example) is None
    assert form.decode("<s0> x <s0> x", example) is None
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


def of_classes(*classes: tuple[str, ...] | None) -> list[Example]:
    return [Example("some text", classes=names) for names in classes]


@pytest.mark.parametrize(
    ("examples", "name", "labels"),
    [
        ([example_of(["a"], [(0, 1, "x")]), example_of(["a"], [(0, 1, "b")])], "sentinel_tags",
         ("b", "x")),
        ([example_of(["a"], []), example_of(["a"], [(0, 1, "x")])], "sentinel_tags", ("x",)),
        (of_classes(("sell",), ("buy",), ("sell",)), "single_class", ("buy", "sell")),
        (of_classes(("sell",), ()), "multi_class", ("sell",)),
        (of_classes(("sell",), ("sell", "buy")), "multi_class", ("buy", "sell")),
    ],
)  # fmt: skip
def test_training_takes_the_first_format_that_is_for_its_examples(examples, name, labels):
    form = label_format(examples)
    assert form.name == name
    assert form.labels == labels


def test_examples_that_no_format_takes_are_refused():
    with pytest.raises(DataError, match="neither spans nor classes"):
        label_format([Example("some text", reference="a reply")])


class Shouted(SingleClass):
    """Classes whose names are in capitals; takes those only."""

    name = "shouted"

    @classmethod
    def takes(cls, examples):
        form = super().takes(examples)
        return form if form and all(label.isupper() for label in form.labels) else None


def test_one_line_in_the_table_is_enough_for_training_to_pick_a_format(monkeypatch):
    parts = {"shouted": Shouted, **FORMATS}
    monkeypatch.setattr(make_writer, "FORMATS", Registry("label format", parts))
    assert label_format(of_classes(("BUY",), ("SELL",))).name == "shouted"
    assert label_format(of_classes(("BUY",), ("sell",))).name == "single_class"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_example_of_any_length_is_said_by_its_windows(name):
    """The contract of the table: cut, encoded, decoded and merged, an example is what it was."""
    form = FORMATS[name](("a", "b"))
    spans = [(0, 1, "a"), (3, 5, "b"), (5, 6, "b"), (8, 9, "a")]
    example = example_of([f"w{i}" for i in range(9)], spans)
    if form.task == "classes":
        example = dataclasses.replace(example, spans=None, classes=("b",))
    for max_words in (4, 9, 20):
        cut = form.windows(example, max_words=max_words, overlap=2)
        targets = [form.encode(window.example, window.example.gold) for window in cut]
        outputs = [form.decode(t, w.example) for t, w in zip(targets, cut, strict=True)]
        assert form.merge(example, cut, outputs) == example.gold
    # whatever stands before a slot is a symbol that a tokenizer is told of, or of the grammar
    known = {c.symbol for choices in form.grammar.choices for c in choices}
    known |= {*form.sentinels(20), END}
    window_slots = form.slots(example)
    assert {s for i in range(window_slots + 1) for s in form.glue(i, window_slots)} <= known


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_labels_that_are_written_alike_stay_apart(name):
    """Two labels that differ in white space only, and what looks like a symbol of the format."""
    labels = ("a b", "a_b", "a\tb", "O", "I", ".", "<s0>", "</s>", " ")
    form = FORMATS[name](labels)
    targets = set()
    for label in labels:
        if form.task == "spans":
            example = example_of(["w"], [(0, 1, label)])
        else:
            example = Example("w", ("w",), (0,), classes=(label,))
        target = form.encode(example, example.gold)
        assert form.decode(target, example) == example.gold
        targets.add(target)
    assert len(targets) == len(labels)
