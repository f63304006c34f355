"""Whatever the bytes: examples and problems, or a DataError that names the file."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groot.data import READERS
from groot.errors import DataError

# pieces that make it likely to get past the first check
PIECES = st.sampled_from(
    [
        *(bytes([byte]) for byte in b'\n\t ,"Oa{}[]0\x00\xff'),
        *(b"\r\n", b"B-x", b"I-x", b"-DOCSTART-", b"\xef\xbb\xbf", b"text,label"),
        *(b'{"text": "a b", "spans": [[0, 1, "x"]]}', b'{"tokens": ["a"], "tags": ["B-x"]}'),
        "\u2028é👍".encode(),
    ]
)


def read(name, path, **more):
    """The result, or the message of the DataError: one of the two must come."""
    try:
        return READERS[name](path, **more)
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("name", ["columns", "jsonl", "csv", "parallel"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pieces=st.lists(PIECES, max_size=40), others=st.lists(PIECES, max_size=20))
def test_every_row_is_an_example_or_a_problem(tmp_path, name, pieces, others):
    path, tags_path = tmp_path / "x.txt", tmp_path / "tags.txt"
    path.write_bytes(b"".join(pieces))
    tags_path.write_bytes(b"".join(others))
    more = {"tags_path": tags_path} if name == "parallel" else {}
    result = read(name, path, **more)
    if isinstance(result, str):
        assert str(tmp_path) in result
        return
    assert result.examples
    for problem in result.problems + result.notes:
        place, _, line = problem.source.rpartition(":")
        assert place in (str(path), str(tags_path))
        assert int(line) >= 1
        assert problem.reason
    assert len({example.id for example in result.examples}) == len(result.examples)
    for example in result.examples:
        example.text.encode()
        for word, start in zip(example.words, example.word_starts, strict=True):
            assert example.text[start : start + len(word)] == word
        for span in example.spans or ():
            assert example.text[span.start : span.end] == span.text != ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("id", "text", "tokens", "tags", "spans", "label", "labels", "entities", "ner", "class"),
        *("classes", "completion", "prompt", "reference", "answer", "offset_unit"),
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.dictionaries(FIELDS, JSON), min_size=1, max_size=4))
def test_any_json_object_is_an_example_or_a_problem(tmp_path, rows):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "good"}]))
    result = read("jsonl", path)
    if isinstance(result, str):
        # the first row may look like a header, and the rows may hold gold of several kinds
        assert "offset_unit is" in result or "\n  Set " in result
        return
    is_header = "offset_unit" in rows[0] and not {"text", "tokens", "prompt"} & rows[0].keys()
    assert result.n_rows == len(rows) + 1 - is_header
