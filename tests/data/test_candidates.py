import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from groot.data.candidates import CandidateRow, read_candidates, write_candidates
from groot.errors import DataError
from groot.types import Example, Span

EXAMPLE = Example("play nina", ("play", "nina"), (0, 5), id="a")


def test_round_trip(tmp_path):
    rows = [
        CandidateRow(
            "a",
            "<s0> O <s1> artist",
            (Span(5, 9, "artist", "nina"),),
            log_p=-0.25,
            reward=0.5,
            rewards={"f1": 1.0, "own": None},
            source="search",
        ),
        CandidateRow("a", "junk", None, -3.0, None, source="sample", round=2),
        CandidateRow("a", "t", (), source="corrected", parent=0, note="mend 1:2 artist"),
        CandidateRow("b", "x y", ("x", "y"), source="gold"),
        CandidateRow("c", "free", 'fr"ee\u2028', log_p=-math.inf, source="file"),
    ]
    path = tmp_path / "candidates" / "round-1.parquet"
    write_candidates(path, iter(rows))
    assert read_candidates(path, [EXAMPLE]) == {"a": rows[:3], "b": rows[3:4], "c": rows[4:]}
    assert read_candidates(path)["a"][0].candidate.spans[0].text == "nina"
    assert [entry.name for entry in path.parent.iterdir()] == ["round-1.parquet"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.parquet"
    write_candidates(path, [CandidateRow("a", "t", ())])
    before = path.read_bytes()

    def rows():
        yield CandidateRow("b", "t", ())
        raise RuntimeError("the search died")

    with pytest.raises(RuntimeError, match="the search died"):
        write_candidates(path, rows())
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_files_from_outside(tmp_path):
    path = tmp_path / "x.parquet"
    spans = [[{"start": 5, "end": 9, "label": "artist"}], []]
    table = pa.table({"text": ["play nina"] * 2, "spans": spans, "reward": [1.0, math.nan]})
    pq.write_table(table, path)
    first, second = read_candidates(path, [EXAMPLE])["a"]
    assert first.output == (Span(5, 9, "artist"),)
    assert first.output[0].text == "nina"
    assert (first.reward, second.reward, second.output) == (1.0, None, ())
    assert first.source == "file"
    lines = tmp_path / "x.jsonl"
    lines.write_text('{"example_id": "a", "target": "Nina Simone", "reward": 1}\n')
    (row,) = read_candidates(lines)["a"]
    assert (row.output, row.target, row.reward) == ("Nina Simone", "Nina Simone", 1.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"target": "x"}', "neither example_id nor text"),
        ('{"text": "other", "target": "x"}', "no example has the text 'other'"),
        ('{"example_id": "a"}', "none of target, output and spans"),
        ('{"example_id": "a", "target": "x", "reward": "high"}', "reward is 'high'"),
        ('{"example_id": "a", "target": "x", "log_p": true}', "log_p is True"),
        ('{"example_id": "a", "target": "x", "source": "me"}', "source 'me' is none of"),
        ('{"example_id": "a", "spans": [[0, 99, "x"]]}', "outside the text"),
        ('{"example_id": "a", "output": "["}', "not JSON"),
        ("{", "not JSON"),
        ("[]", "an object with fields"),
    ],
)
def test_bad_rows_name_their_line(tmp_path, line, reason):
    path = tmp_path / "x.jsonl"
    path.write_text('{"example_id": "a", "target": "ok"}\n' + line + "\n")
    with pytest.raises(DataError, match=r"x\.jsonl:2: ") as error:
        read_candidates(path, [EXAMPLE])
    assert reason in str(error.value)


def test_a_text_that_stands_twice_is_the_first_example(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "play nina", "target": "x"}\n')
    again = Example("play nina", id="b")
    assert list(read_candidates(path, [EXAMPLE, again])) == ["a"]
    assert list(read_candidates(path, [again, EXAMPLE])) == ["b"]


def test_files_that_are_none(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_candidates(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="is not a file"):
        read_candidates(tmp_path / "missing.parquet")
    write_candidates(tmp_path / "y.parquet", [])
    with pytest.raises(DataError, match="holds no candidates"):
        read_candidates(tmp_path / "y.parquet")
