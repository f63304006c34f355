import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groot.data.json_values import parse_json, read_values
from groot.data.result import Problem, RowError
from groot.errors import DataError

ROWS = st.lists(
    st.dictionaries(
        st.text("ab", max_size=3), st.text('[]{}",\n\\ a', max_size=5) | st.lists(st.integers())
    ),
    min_size=1,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS, indent=st.sampled_from([None, 1, 2, 4]))
def test_lines_arrays_and_wrapped_arrays_hold_the_same_rows(tmp_path, rows, indent):
    path = tmp_path / "x.json"
    for content in (
        "".join(json.dumps(row) + "\n" for row in rows),
        json.dumps(rows, indent=indent),
        json.dumps({"version": "1", "data": rows}, indent=indent),
        "\ufeff" + json.dumps(rows, indent=indent),
    ):
        path.write_text(content)
        assert [value for _, value, _ in read_values(path)] == rows


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "annotations": [{"result": []}], "data": {"text": "a"}},
        {"text": "a", "examples": [{"b": 1}]},
        {"data": {"text": "a"}, "annotations": []},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_one_row_alone_is_a_row(tmp_path, row, indent):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(row, indent=indent))
    assert [value for _, value, _ in read_values(path)] == [row]


def test_lines_are_those_of_the_rows(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"a": 1}, {"a": 2}], indent=1))
    assert [number for number, _, _ in read_values(path)] == [2, 5]


@pytest.mark.parametrize(
    ("content", "kept", "reasons"),
    [
        ('[{"a": 1}, {"a": 2]', [{"a": 1}], ["not JSON"]),
        ('[{"a": 1} x {"a": 2}]', [{"a": 1}], ["the rest is not read"]),
        ('[{"a": 1} {"a": 2}]', [{"a": 1}, {"a": 2}], []),  # a comma is all that is missing
        ('[{"a": 1, "a": 2}, {"a": 3}]', [{"a": 3}], ["'a' stands twice"]),
        ('[\n {"a": 1},\n {"a": x},\n {"a": 3}\n]', [{"a": 1}, {"a": 3}], ["not JSON"]),
        ('[{"a": ' + "[" * 100_000, [], ["nested too deep"]),
    ],
)
def test_broken_arrays(tmp_path, content, kept, reasons):
    path = tmp_path / "x.json"
    path.write_text(content)
    values = [value for _, value, _ in read_values(path)]
    assert [value for value in values if not isinstance(value, Problem)] == kept
    problems = [value for value in values if isinstance(value, Problem)]
    assert len(problems) == len(reasons)
    for problem, reason in zip(problems, reasons, strict=True):
        assert reason in problem.reason


def test_another_encoding_names_its_line(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes('[\n {"a": "é"}\n]'.encode("latin-1"))
    with pytest.raises(DataError, match=r"x\.json:2: byte 11 of the file is not UTF-8"):
        list(read_values(path))


def test_keys_that_stand_twice_are_found_at_any_depth():
    with pytest.raises(RowError, match="'b' stands twice"):
        parse_json('{"a": [{"b": 1, "b": 1}]}')
