from hypothesis import given
from hypothesis import strategies as st

from groot.report.marks import LONGEST_PLAIN, Piece, loose, mark
from groot.types import Span

TEXT = "play blue moon by nina simone"
GOLD = [Span(5, 14, "album"), Span(18, 29, "artist")]


def kinds(pieces):
    return [(piece.text, piece.kind) for piece in pieces if piece.kind != "plain"]


def test_each_kind_is_marked_and_noted():
    said = [Span(0, 4, "verb"), Span(5, 9, "album"), Span(18, 29, "album")]
    pieces, leftovers = mark(TEXT, GOLD, said)
    assert kinds(pieces) == [
        ("play", "spurious"),
        ("blue", "boundary"),
        ("nina simone", "label"),
    ]
    assert [piece.note for piece in pieces if piece.note] == ["gold: “blue moon”", "gold: artist"]
    assert leftovers == []
    assert all(piece.sign and piece.words for piece in pieces if piece.kind != "plain")


def test_missing_gold_is_marked_in_place():
    assert kinds(mark(TEXT, GOLD, [])[0]) == [("blue moon", "missing"), ("nina simone", "missing")]


def test_right_spans_have_no_sign():
    pieces, _ = mark(TEXT, GOLD, GOLD)
    assert kinds(pieces) == [("blue moon", "right"), ("nina simone", "right")]
    assert not any(piece.sign for piece in pieces)


def test_marks_that_overlap_follow_the_text():
    # one prediction over both gold spans: it meets the longer one, the other is missing under it
    pieces, leftovers = mark(TEXT, GOLD, [Span(5, 29, "artist")])
    assert kinds(pieces) == [("blue moon by nina simone", "boundary")]
    assert [(piece.text, piece.kind) for piece in leftovers] == [("blue moon", "missing")]


def test_a_span_outside_the_text_is_not_lost():
    _, leftovers = mark("ab", [], [Span(5, 9, "artist")])
    assert [(piece.kind, piece.label) for piece in leftovers] == [("spurious", "artist")]


def test_long_plain_stretches_are_shortened_and_say_so():
    text = "x" * 1000 + "nina" + "y" * 10
    pieces, _ = mark(text, [], [Span(1000, 1004, "artist")])
    assert len(pieces[0].text) < LONGEST_PLAIN + 40
    assert f"{1000 - LONGEST_PLAIN} characters" in pieces[0].text
    assert pieces[1:] == [Piece("nina", "spurious", "artist"), Piece("y" * 10)]


def test_without_the_text_the_spans_stand_alone():
    found = loose([Span(0, 4, "a", "play")], [Span(0, 4, "a", "play"), Span(7, 9, "b")])
    assert [(piece.text, piece.kind) for piece in found] == [
        ("play", "right"),
        ("7 to 9", "spurious"),
    ]


spans = st.lists(
    st.builds(lambda a, n, label: Span(a, a + n, label), st.integers(0, 28), st.integers(1, 9),
              st.sampled_from("ab")),
    max_size=5,
    unique=True,
)  # fmt: skip


@given(spans, spans)
def test_no_text_and_no_mark_is_lost(gold, said):
    pieces, leftovers = mark(TEXT, gold, said)
    assert "".join(piece.text for piece in pieces) == TEXT
    marks = [piece for piece in [*pieces, *leftovers] if piece.kind != "plain"]
    assert len(marks) >= max(len(gold), len(said))
