"""Whatever the bytes: examples and problems, or a DataError that names the file."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groot.data import READERS
from groot.data.layout import TEXT_FIELDS, TOKEN_FIELDS
from groot.errors import DataError

# pieces that make it likely to get past the first check
PIECES = st.sampled_from(
    [
        *(bytes([byte]) for byte in b'\n\t ,"Oa{}[]0\x00\xff'),
        *(b"\r\n", b"B-x", b"I-x", b"-DOCSTART-", b"\xef\xbb\xbf", b"text,label"),
        *(b'{"text": "a b", "spans": [[0, 1, "x"]]}', b'{"tokens": ["a"], "tags": ["B-x"]}'),
        "\u2028é👍".encode(),
        *(b"1|t|a b\n1|a|\n", b"1\t0\t1\ta\tx\n", b"#Text=a\n", b"1-1\t0-1\ta\tx[1]\n"),
        b"#FORMAT=WebAnno TSV 3.3\n#T_SP=x|value\n",
        b"1\ta\t_\t_\t_\t_\t_\t_\t_\tNER=B-x\n",
        b"d 0 0 a N * - - - - (x* \n",
    ]
)


def read(name, path, **more):
    """The result, or the message of the DataError: one of the two must come."""
    try:
        return READERS[name](path, **more)
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("datasets", "parquet")])
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
TOOLS = ("jsonl", "labelstudio", "doccano", "prodigy", "spacy", "gliner")
FIELDS = st.sampled_from(
    [
        *("data", "annotations", "paragraphs", "cats", "accept", "options", "tokenized_text"),
        *("messages", "instruction", "output", "question", "ents"),
        *("id", "text", "tokens", "tags", "spans", "label", "labels", "entities", "ner", "class"),
        *("classes", "completion", "prompt", "reference", "answer", "offset_unit"),
    ]
)


@pytest.mark.parametrize("name", TOOLS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.dictionaries(FIELDS, JSON), min_size=1, max_size=4))
def test_any_json_object_is_an_example_or_a_problem(tmp_path, name, rows):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "good"}]))
    result = read(name, path)
    if isinstance(result, str):
        # the first row may look like a header, and the rows may hold gold of several kinds
        assert re.search("offset_unit is|\\n  Set |none of its", result)
        return
    is_header = "offset_unit" in rows[0] and not {*TEXT_FIELDS, *TOKEN_FIELDS} & rows[0].keys()
    assert result.n_rows == len(rows) + 1 - is_header


def test_nested_junk_where_a_tool_has_lists(tmp_path):
    value = {"start": 0, "end": 4, "labels": ["x"]}
    labels = {"type": "labels"}
    junk = [7, [7], [{"result": 7}], [{"result": [7]}], [{"result": [labels]}]]
    good = [{"result": [{**labels, "value": value}]}]
    texts = [["good"], ["good", 7], {"text": "good", "cats": {"a": "b"}}, {"paragraphs": 7}]
    for name, rows in (
        ("labelstudio", [{"data": {"text": "good"}, "annotations": one} for one in [*junk, good]]),
        ("spacy", [*texts, ["good", {"entities": [[0, 4, "x"]]}]]),
    ):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = read(name, path)
        assert (len(result.examples), len(result.problems)) == (1, len(rows) - 1)
