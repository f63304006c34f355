from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import DataError, UnknownNameError
from groot.targets.schemes import (
    SCHEMES,
    detect_scheme,
    illegal_tags,
    spans_of_tags,
    split_tag,
    tags_of_spans,
)

SPAN_SCHEMES = [name for name in SCHEMES if name != "WORD"]
LABELS = ["artist", "x-y", "B-I", "a b", "ünï", ""]


@st.composite
def word_spans(draw):
    n_words = draw(st.integers(0, 12))
    cuts = sorted(draw(st.sets(st.integers(0, n_words))))
    spans = []
    for start, end in pairwise(cuts):
        label = draw(st.sampled_from([None, *LABELS]))
        if label is not None:
            spans.append((start, end, label))
    return n_words, spans


# the same three spans in each scheme, by hand: a a | a | b, with the first two touching
BY_HAND = {
    "IOB1": ["I-a", "I-a", "B-a", "O", "I-b"],
    "IOB2": ["B-a", "I-a", "B-a", "O", "B-b"],
    "IOE1": ["I-a", "E-a", "I-a", "O", "I-b"],
    "IOE2": ["I-a", "E-a", "E-a", "O", "E-b"],
    "IOBES": ["B-a", "E-a", "S-a", "O", "S-b"],
    "BILOU": ["B-a", "L-a", "U-a", "O", "U-b"],
    "BMES": ["B-a", "E-a", "S-a", "O", "S-b"],
}


@pytest.mark.parametrize("scheme", BY_HAND)
def test_by_hand(scheme):
    spans = [(0, 2, "a"), (2, 3, "a"), (4, 5, "b")]
    assert tags_of_spans(spans, 5, scheme) == BY_HAND[scheme]
    assert spans_of_tags(BY_HAND[scheme], scheme) == spans
    assert illegal_tags(BY_HAND[scheme], scheme) == []
    if scheme != "BMES":  # which is IOBES until a span has three words
        assert detect_scheme([BY_HAND[scheme]]) == scheme


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB1", ["I-a", "I-b", "B-b", "I-b", "O", "I-b", "I-a"]),
        ("IOE1", ["I-a", "E-b", "I-b", "I-b", "O", "I-b", "I-a"]),
        ("IOB2", ["B-a", "B-b", "B-b", "I-b", "O", "B-b", "B-a"]),
        ("IOE2", ["E-a", "E-b", "I-b", "E-b", "O", "E-b", "E-a"]),
    ],
)
def test_borders_are_marked_between_touching_spans_of_one_label(scheme, tags):
    """IOB1 and IOE1 mark only those; spans of other labels, and those apart, need no mark."""
    spans = [(0, 1, "a"), (1, 2, "b"), (2, 4, "b"), (5, 6, "b"), (6, 7, "a")]
    assert tags_of_spans(spans, 7, scheme) == tags
    assert spans_of_tags(tags, scheme) == spans
    assert illegal_tags(tags, scheme) == []


@pytest.mark.parametrize("tags", [["B-a"], ["O", "B-a"], ["I-a", "B-b"], ["I-a", "O", "B-a"]])
def test_a_border_mark_that_parts_nothing_is_illegal_in_iob1(tags):
    assert illegal_tags(tags, "IOB1") == [len(tags) - 1]


@pytest.mark.parametrize("scheme", SPAN_SCHEMES)
@given(case=word_spans())
def test_round_trip_of_spans(scheme, case):
    n_words, spans = case
    tags = tags_of_spans(spans, n_words, scheme)
    assert spans_of_tags(tags, scheme) == spans
    assert illegal_tags(tags, scheme) == []


@given(st.lists(st.sampled_from(["O", "B-a", "I-a", "E-a", "S-a", "L-a", "U-a", "I-b", "B", "I"])))
def test_any_tags_are_read_and_the_legal_ones_come_back(tags):
    for scheme in SPAN_SCHEMES:
        spans = spans_of_tags(tags, scheme)
        again = tags_of_spans(spans, len(tags), scheme)
        assert spans_of_tags(again, scheme) == spans
        illegal = illegal_tags(tags, scheme)
        # a letter that the scheme does not have is illegal even where nothing else is wrong
        assert not illegal or again != list(tags)
        assert again == list(tags) or illegal


def test_illegal_starts_are_read_as_conlleval_reads_them():
    tags = ["O", "I-a", "I-b", "I-b", "B-b"]
    assert spans_of_tags(tags, "IOB2") == [(1, 2, "a"), (2, 4, "b"), (4, 5, "b")]
    assert illegal_tags(tags, "IOB2") == [1, 2]


def test_a_foreign_letter_is_illegal():
    assert illegal_tags(["B-a", "E-a"], "IOB2") == [1]
    assert illegal_tags(["B-a", "X-a", "nonsense"], "IOB2") == [1, 2]


def test_seqeval_reads_the_same_spans():
    scheme_module = pytest.importorskip("seqeval.scheme")
    for name, tags in BY_HAND.items():
        if name == "BILOU" or not hasattr(scheme_module, name):
            continue
        theirs = scheme_module.Entities([tags], getattr(scheme_module, name))
        spans = [(e.start, e.end, e.tag) for e in theirs.entities[0]]
        assert spans == spans_of_tags(tags, name)


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        ([["O", "O"]], "IOB2"),
        ([], "IOB2"),
        ([["B-a", "O", "B-b"]], "IOB2"),
        ([["I-a", "I-a", "O"]], "IOB1"),
        ([["B", "I", "O"]], "IOB2"),
        ([["O", "E-a"]], "IOE2"),
        ([["DET", "NOUN", "VERB", "O"]], "WORD"),
        ([["X-city", "B_city", "O"]], "IOB2"),  # foreign tags, to be refused one by one
        # each text counts, also where its tags were seen before
        ([["O", "I-a"]] * 9 + [["B-a", "I-a"]] * 2, "IOB1"),
        ([["B-a", "M-a", "E-a"]], "BMES"),
        # a handful of foreign letters does not outvote the rest of the file
        ([["B-a", "I-a", "O", "B-a"]] * 50 + [["B-a", "E-a"], ["S-a"]], "IOB2"),
        # nor do many kinds of strange tags that stand once each
        ([["B-a", "I-a", "O"]] * 50 + [[f"domain={i}"] for i in range(9)], "IOB2"),
        # one wrong start in good IOB2 does not make it IOB1
        ([["B-a", "I-a", "O"], ["B-b", "O", "O"], ["I-a", "O", "O"]], "IOB2"),
    ],
)
def test_detection(sequences, scheme):
    assert detect_scheme(sequences) == scheme


def test_detection_prefers_what_it_is_told_among_equals_only():
    assert detect_scheme([["O"]], prefer="BILOU") == "BILOU"
    assert detect_scheme([["B-a", "I-a"]], prefer="IOBES") == "IOB2"


def test_a_missing_kind_of_tag_is_no_obstacle():
    # BILOU without U and I, IOBES without S
    assert detect_scheme([["B-a", "L-a", "O"]]) == "BILOU"
    assert detect_scheme([["B-a", "E-a", "O"]]) == "IOBES"


def test_every_word_by_itself():
    assert spans_of_tags(["NOUN", "NOUN", "O"], "WORD") == [(0, 1, "NOUN"), (1, 2, "NOUN")]
    assert tags_of_spans([(0, 1, "NOUN"), (1, 2, "NOUN")], 3, "WORD") == ["NOUN", "NOUN", "O"]
    assert illegal_tags(["NOUN", "I-x"], "WORD") == []


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([(0, 2, "a"), (1, 3, "b")], r"0-2 \(a\) and 1-3 \(b\) overlap"),
        ([(2, 2, "a")], "does not fit"),
        ([(2, 1, "a")], "does not fit"),
        ([(0, 9, "a")], "does not fit 4 words"),
        ([(-1, 2, "a")], "does not fit"),
    ],
)
def test_spans_that_no_tags_can_say(spans, reason):
    with pytest.raises(DataError, match=reason):
        tags_of_spans(spans, 4, "IOB2")


def test_errors_name_tag_and_scheme():
    with pytest.raises(DataError, match="'X-a' of word 2 is not a tag of scheme IOB2"):
        spans_of_tags(["O", "X-a"], "IOB2")
    with pytest.raises(UnknownNameError, match="Did you mean 'IOB2'"):
        spans_of_tags(["O"], "IOB3")


def test_labels_may_hold_anything():
    assert split_tag("B-x-y") == ("B", "x-y")
    assert split_tag("B-a b\n") == ("B", "a b\n")
    assert split_tag("B-") is None
    assert split_tag("b-a") is None
    assert split_tag("") is None
