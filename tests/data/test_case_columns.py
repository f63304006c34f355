"""Column files of the kinds that people have: read rightly, or stopped with what decides."""

import pytest

from groot.data import read_examples
from groot.data.doctor import examine
from groot.data.result import Splits
from groot.errors import DataError

PEOPLE = ("anna berg", "tom li", "ruth okoro", "ben cole", "ida sand", "leo marsh")
PLACES = ("oslo", "lima", "cairo", "porto", "quito", "turin")
TRIPS = [(PEOPLE[i % 6], PLACES[i * 5 % 6]) for i in range(24)]


def tagged(person, place):
    """The words of a trip and their tags."""
    first, last = person.split()
    words = (first, last, "flew", "to", place, ".")
    return list(zip(words, ("B-PER", "I-PER", "O", "O", "B-LOC", "O"), strict=True))


def blocks(line, *, above=""):
    """A column file of all trips; line(number, word, tag) -> its text."""
    texts = []
    for i, trip in enumerate(TRIPS):
        lines = [line(n, *pair) for n, pair in enumerate(tagged(*trip), start=1)]
        texts.append(above.format(i) + "\n".join(lines) + "\n")
    return "\n".join(texts)


TEXT = "anna berg flew to oslo ."


def test_02_outer_tags_beside_inner_ones_and_a_number(tmp_path, write, labels):
    inner = {"oslo": "B-LOCpart"}
    text = blocks(
        lambda n, word, tag: f"{n}\t{word}\t{tag}\t{inner.get(word, 'O')}",
        above="# http://example.org/page{0} [2020-01-01]\n",
    )
    result = read_examples(write(tmp_path / "a.tsv", text))
    assert result.examples[0].text == TEXT
    assert labels(result) == {"PER": 24, "LOC": 24}
    assert result.reading.parts["words"] == "column 1"
    assert result.reading.parts["tags"] == "column 2"
    (doubt,) = result.reading.doubts
    assert "columns 2 and 3 (counted from 0) all hold tags" in doubt
    (finding,) = [f for f in examine(Splits(result, result)).findings if "tag_column" in f.message][
        :1
    ]
    assert finding.what == "reading"
    other = read_examples(tmp_path / "a.tsv", tag_column=3)
    assert set(labels(other)) == {"LOCpart"}


@pytest.mark.parametrize("first", [0, 1])
def test_03_the_number_of_a_word_is_no_word(tmp_path, first, write, labels):
    text = blocks(lambda n, word, tag: f"{n - 1 + first} {word} NNP I-NP {tag}")
    result = read_examples(write(tmp_path / "a.conll", text))
    assert result.examples[0].text == TEXT
    assert labels(result) == {"PER": 24, "LOC": 24}


def test_03_other_numbers_for_words_stop_with_the_setting(tmp_path, write):
    text = blocks(lambda n, word, tag: f"{n * 7919 % 1000}\t{tag}")
    with pytest.raises(DataError, match=r"of the words in column 0 .* numbers.\n.*word_column=0"):
        read_examples(write(tmp_path / "a.conll", text))
    assert len(read_examples(tmp_path / "a.conll", word_column=0).examples) == 24


def test_one_label_on_most_words_stops_with_the_setting(tmp_path, write, labels):
    text = blocks(lambda n, word, tag: f"{word}\tB-same")
    with pytest.raises(DataError, match=r"have the label 'same' in column 1.*\n.*tag_column=1"):
        read_examples(write(tmp_path / "a.conll", text))
    assert labels(read_examples(tmp_path / "a.conll", tag_column=1)) == {"same": 144}


@pytest.mark.parametrize(
    "written",
    [
        lambda tag: "-".join(reversed(tag.split("-"))),
        lambda tag: tag.replace("-", "_"),
        lambda tag: tag.replace("-", ":"),
        lambda tag: tag.replace("B-", "b-").replace("I-", "i-"),
    ],
    ids=["suffix", "underscore", "colon", "small"],
)
def test_06_tags_in_other_forms(tmp_path, written, write, labels):
    text = blocks(lambda n, word, tag: f"{word}\t{written(tag)}")
    result = read_examples(write(tmp_path / "a.conll", text))
    assert labels(result) == {"PER": 24, "LOC": 24}
    assert "tag form" in result.reading.parts


@pytest.mark.parametrize("outside", ["_", "-", "", "OTHER"])
def test_other_ways_to_write_o(tmp_path, write, labels, outside):
    text = blocks(lambda n, word, tag: f"{word}\t{outside if tag == 'O' else tag}")
    result = read_examples(write(tmp_path / "a.tsv", text))
    assert labels(result) == {"PER": 24, "LOC": 24}
    assert result.reading.parts["no tag"] == repr(outside)


def test_several_tags_in_one_and_texts_that_nothing_parts_are_asked_about(tmp_path, write):
    text = blocks(lambda n, word, tag: f"{word} {tag.replace('B-LOC', 'B-LOC|B-CITY')}")
    result = read_examples(write(tmp_path / "a.conll", text))
    assert "'B-LOC|B-CITY' look like several in one" in result.reading.doubts[0]
    one = read_examples(write(tmp_path / "b.conll", text.replace("\n\n", "\n")))
    assert any("no blank line parts its texts" in doubt for doubt in one.reading.doubts)


def test_a_lone_tag_in_another_form_is_a_mistake(tmp_path, write):
    text = blocks(lambda n, word, tag: f"{word}\t{tag}") + "\nx\tPER-B\n"
    result = read_examples(write(tmp_path / "a.conll", text))
    (problem,) = result.problems
    assert "'PER-B' of word 1" in problem.reason


def test_08_runs_of_plain_labels_are_asked_about_and_joined(tmp_path, write, labels):
    plain = {"B-PER": "person", "I-PER": "person", "B-LOC": "place", "O": "O"}
    path = write(tmp_path / "a.tsv", blocks(lambda n, word, tag: f"{word}\t{plain[tag]}"))
    apart = read_examples(path)
    assert labels(apart) == {"person": 48, "place": 24}
    assert any("join_runs=true" in doubt for doubt in apart.reading.doubts)
    joined = read_examples(path, join_runs=True)
    assert labels(joined) == {"person": 24, "place": 24}
    assert joined.examples[0].spans[0].text == "anna berg"
    assert not joined.reading.doubts


def test_12_label_studio_conll_with_labels_of_two_words(tmp_path, write, labels):
    named = {"B-PER": "B-Full name", "I-PER": "I-Full name", "B-LOC": "B-Home town", "O": "O"}
    text = "-DOCSTART- -X- O\n" + blocks(lambda n, word, tag: f"{word} -X- _ {named[tag]}")
    result = read_examples(write(tmp_path / "a.conll", text))
    assert result.examples[0].text == TEXT
    assert labels(result) == {"Full name": 24, "Home town": 24}


def test_prose_is_no_column_file(tmp_path, write):
    prose = write(tmp_path / "a.txt", "It was a dark night.\n\nThe wind blew cold.\n\n" * 9)
    with pytest.raises(DataError, match="format of this file is not clear"):
        read_examples(prose)
    lines = write(tmp_path / "b.conll", "".join(f"word{i} value{i}\n\n" for i in range(60)))
    with pytest.raises(DataError, match=r"60 different values in 60 lines.*\n.*tag_column=1"):
        read_examples(lines)


def test_comments_never_tip_the_scheme(tmp_path, write, labels):
    # with one column more, MultiCoNER's comment has as many cells as its words have
    text = blocks(lambda n, word, tag: f"{word} _ _ {tag}", above="# id {0}f domain=en{0}\n")
    result = read_examples(write(tmp_path / "a.conll", text))
    assert result.scheme == "IOB2"
    assert labels(result) == {"PER": 24, "LOC": 24}
    assert not result.problems


def test_the_word_hash_is_a_word(tmp_path, write, labels):
    text = blocks(lambda n, word, tag: f"{'#' if n == 1 else word} {tag}")
    result = read_examples(write(tmp_path / "a.conll", text))
    assert result.examples[0].words[0] == "#"
    assert labels(result) == {"PER": 24, "LOC": 24}


def test_a_comment_inside_a_text_costs_the_text_and_is_named(tmp_path, write):
    text = "a O\n# why not\nb B-x\n\n" + "c O\nd B-x\n\n" * 3
    result = read_examples(write(tmp_path / "a.conll", text))
    assert len(result.examples) == 3
    (problem,) = result.problems
    assert problem.source == f"{tmp_path / 'a.conll'}:2"


def test_a_handful_of_foreign_letters_does_not_tip_the_scheme(tmp_path, write):
    text = blocks(lambda n, word, tag: f"{word} {tag}") + "\nx E-PER\n\ny S-LOC\n"
    result = read_examples(write(tmp_path / "a.conll", text))
    assert result.scheme == "IOB2"
    assert len(result.notes) == 2
