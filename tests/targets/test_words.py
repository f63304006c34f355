import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.targets.words import MAX_WORD, split_words


@given(st.text(max_size=60))
def test_every_word_is_a_slice_and_nothing_visible_is_lost(text):
    words, starts = split_words(text)
    end = 0
    for word, start in zip(words, starts, strict=True):
        assert word
        assert text[start : start + len(word)] == word
        assert start >= end
        between = text[end:start]
        assert all(c.isspace() or unicodedata.category(c)[0] in "ZC" for c in between)
        end = start + len(word)
    assert all(c.isspace() or unicodedata.category(c)[0] in "ZC" for c in text[end:])


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_the_fast_path_for_ascii_agrees_with_the_general_one(text):
    words, starts = split_words(text)
    with_other = split_words(text + " é")
    assert (with_other[0][:-1], with_other[1][:-1]) == (words, starts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        (" \t\n\u2028\u00a0", ()),
        ("play 'Nina', at 7pm!", ("play", "'", "Nina", "'", ",", "at", "7pm", "!")),
        ("5.975,74", ("5", ".", "975", ",", "74")),
        ("snake_case", ("snake", "_", "case")),
        ("a\u00a0b\u2028c\u3000d", ("a", "b", "c", "d")),
        ("\ufeffplay\u200bnina", ("play", "nina")),
        ("cafe\u0301 café", ("cafe\u0301", "café")),
        ("５kg", ("５kg",)),
        ("👨\u200d👩\u200d👧x 👍🏽!", ("👨\u200d👩\u200d👧", "x", "👍🏽", "!")),
        ("🇫🇷🇩🇪", ("🇫🇷", "🇩🇪")),
        ("❤\ufe0fok 1\ufe0f\u20e3", ("❤\ufe0f", "ok", "1\ufe0f\u20e3")),
        ("co\u00adop", ("co\u00adop",)),
        ("שלום עולם", ("שלום", "עולם")),
        ("东京!", ("东", "京", "!")),
        ("กรุง", ("ก", "รุ", "ง")),
        ("서울에", ("서", "울", "에")),
        (unicodedata.normalize("NFD", "서울에 1월"), tuple("서울에1월")),
        ("क्\u200dष है", ("क्\u200dष", "है")),
        ("\u0301x", ("\u0301", "x")),
        ("a👍b", ("a", "👍", "b")),
    ],
)
def test_by_hand(text, words):
    assert [unicodedata.normalize("NFC", word) for word in split_words(text)[0]] == [
        unicodedata.normalize("NFC", word) for word in words
    ]


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_word_without_end_is_cut_into_pieces(letter):
    words, starts = split_words(f"a {letter * (2 * MAX_WORD + 1)} b")
    assert [len(word) for word in words] == [1, MAX_WORD, MAX_WORD, 1, 1]
    assert starts == (0, 2, 2 + MAX_WORD, 2 + 2 * MAX_WORD, 4 + 2 * MAX_WORD)
