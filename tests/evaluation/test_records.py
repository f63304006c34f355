import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import DataError
from groot.evaluation.records import read_records, record_of, write_records
from groot.types import Candidate, Example, Span

EXAMPLES = [
    Example(
        "play nina simone",
        words=("play", "nina", "simone"),
        word_starts=(0, 5, 10),
        spans=(Span(5, 16, "artist", "nina simone"),),
        id="train:1",
        source="train.txt:1",
    ),
    Example("hi", classes=("greet", "open"), id="2"),
    Example("hi", reference="hallo", id="3"),
    Example("", spans=(), id="4"),
    Example("no gold", id="5"),
]
CANDIDATES = [
    [
        Candidate("<s1> artist", (Span(5, 9, "artist", "nina", 0.5),), log_p=-0.5, reward=0.25),
        Candidate("junk", None, log_p=-3.0, source="sample"),
    ],
    [Candidate("greet", ("greet",), log_p=-0.1, reward=0.0)],
    [Candidate("hallo", "hallo")],
    [],
    [Candidate("", ())],
]


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new" / "fit.jsonl"
    write_records(path, EXAMPLES, CANDIDATES)
    examples, candidates = read_records(path)
    assert examples == EXAMPLES
    assert candidates == CANDIDATES
    assert examples[0].spans[0].text == "nina simone"
    assert candidates[0][0].spans[0].probability == 0.5
    assert list(path.parent.iterdir()) == [path]


def test_a_line_has_the_documented_keys():
    line = record_of(EXAMPLES[0], CANDIDATES[0])
    assert list(line) == ["id", "source", "text", "words", "word_starts", "gold", "candidates"]
    assert list(line["candidates"][0]) == [
        *("target", "output", "log_p", "reward", "probability", "source")
    ]
    assert line["candidates"][0]["probability"] == pytest.approx(0.6065307)
    assert line["candidates"][1]["output"] is None


@given(st.text(st.characters(), max_size=30))
def test_any_text_survives(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("records") / "a.jsonl"
    examples = [Example(text, reference=text, id=text)]
    write_records(path, examples, [[Candidate(text, text)]])
    assert read_records(path) == (examples, [[Candidate(text, text)]])
    assert len(path.read_bytes().splitlines()) == 1


def test_infinite_numbers_are_missing(tmp_path):
    path = tmp_path / "a.jsonl"
    write_records(path, [EXAMPLES[3]], [[Candidate("", (), log_p=float("-inf"))]])
    assert json.loads(path.read_text())["candidates"][0]["log_p"] is None
    for value in (float("inf"), float("nan")):
        write_records(path, [EXAMPLES[3]], [[Candidate("", (), reward=value)]])
        assert json.loads(path.read_text())["candidates"][0]["reward"] is None


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.jsonl"
    write_records(path, EXAMPLES, CANDIDATES)
    old = path.read_bytes()
    with pytest.raises(ValueError, match="shorter"):
        write_records(path, EXAMPLES, CANDIDATES[:2])
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"text": 3}', ""])
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "a.jsonl"
    write_records(path, EXAMPLES[:1], CANDIDATES[:1])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not a record"):
        read_records(path)
