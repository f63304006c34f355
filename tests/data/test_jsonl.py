import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.data.doctor import examine
from groot.data.jsonl import read_jsonl, stream_jsonl
from groot.data.offsets import read_spans
from groot.data.result import Problem, Splits
from groot.errors import ConfigError, DataError
from groot.types import Span


def write(tmp_path, *rows):
    path = tmp_path / "x.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
    return path


def only(tmp_path, row, **settings):
    (example,) = read_jsonl(write(tmp_path, row), **settings).examples
    return example


ARTIST = (Span(5, 9, "artist"),)


@pytest.mark.parametrize(
    "row",
    [
        {"text": "play nina", "spans": [{"start": 5, "end": 9, "label": "artist"}]},
        {"text": "play nina", "spans": [{"start": 5, "end": 9, "label": "artist", "text": "nina"}]},
        {"text": "play nina", "label": [[5, 9, "artist"]]},
        {"text": "play nina", "labels": [[5, 9, "artist"]]},
        {"text": "play nina", "entities": [[5, 9, "artist"]]},
        {
            "text": "play nina",
            "entities": [{"start_offset": 5, "end_offset": 9, "label": "artist"}],
        },
        {"tokens": ["play", "nina"], "tags": ["O", "B-artist"]},
        {"tokens": ["play", "nina"], "ner_tags": ["O", "B-artist"]},
        {"words": ["play", "nina"], "labels": ["O", "B-artist"]},
        {"tokenized_text": ["play", "nina"], "ner": [[1, 1, "artist"]]},
        {"text": "play nina", "tokens": ["play", "nina"], "tags": ["O", "B-artist"]},
        {
            "text": "play nina",
            "tokens": [{"text": "play", "start": 0}, {"text": "nina", "start": 5}],
            "spans": [{"start": 5, "end": 9, "token_start": 1, "token_end": 1, "label": "artist"}],
            "answer": "accept",
        },
    ],
)
def test_spans(tmp_path, row):
    example = only(tmp_path, row)
    assert example.text == "play nina"
    assert example.spans == ARTIST
    assert example.spans[0].text == "nina"
    assert example.words == ("play", "nina")
    assert example.word_starts == (0, 5)


def test_classes_texts_ids_and_columns(tmp_path):
    path = write(
        tmp_path,
        {"id": 7, "text": "hi", "class": "Greet", "lang": "en", "answer": "Hello"},
        {"text": "hi", "classes": ["a", "b", "a"]},
        {"text": "hi", "label": "Greet"},
        {"text": "hi", "label": 1},
        {"text": "hi", "classes": []},
        {"text": "hi"},
    )
    examples = read_jsonl(path).examples
    assert [e.classes for e in examples[:5]] == [("Greet",), ("a", "b"), ("Greet",), ("1",), ()]
    assert [e.id for e in examples[:2]] == ["7", "x:2"]
    assert examples[0].columns == {"lang": "en", "answer": "Hello"}
    assert examples[5].gold is None
    path = write(
        tmp_path,
        {"prompt": "Name one.", "completion": "Nina", "difficulty": 3},
        {"text": "Name one.", "reference": "Nina"},
    )
    examples = read_jsonl(path).examples
    assert [e.reference for e in examples] == ["Nina", "Nina"]
    assert examples[0].columns == {"difficulty": 3}
    empty = only(tmp_path, {"text": "", "spans": []})
    assert (empty.spans, empty.words) == ((), ())


def test_a_task_takes_its_gold_only(tmp_path):
    row = {"text": "play nina", "spans": [[5, 9, "artist"]], "class": "Play", "reference": "ok"}
    assert only(tmp_path, row, task="spans").classes is None
    classes = only(tmp_path, row, task="classes")
    assert (classes.spans, classes.classes) == (None, ("Play",))
    assert only(tmp_path, row, task="text").gold == "ok"


BAD = [
    ('{"text": "a"', "json", "not JSON"),
    ("[1]", "json", "where an object"),
    ('"text"', "json", "where an object"),
    ("[" * 100_000, "json", "nested too deep"),
    ('{"txt": "a"}', "row", "no text: none of the fields text, prompt, sentence, tokens"),
    ('{"text": 3}', "row", "'text' is 3"),
    ('{"text": null}', "row", "'text' is None"),
    ('{"text": "a\\ud800b"}', "encoding", "character 2 of 'text' is half of a surrogate pair"),
    ('{"text": "a\\u0000b"}', "encoding", "NUL"),
    ('{"text": "a", "id": [1]}', "row", "its id is"),
    ('{"text": "a", "answer": "reject"}', "answer", "'reject', not 'accept'"),
    ('{"tokens": ["a", ""], "tags": ["O", "O"]}', "counts", "word 2 is empty"),
    (
        '{"tokens": ["' + "a" * 1001 + '"], "tags": ["O"]}',
        "too long",
        "word 1 has 1,001 characters",
    ),
    ('{"tokens": ["a", 1], "tags": ["O", "O"]}', "row", "token 2 is 1"),
    ('{"tokens": ["a"], "tags": ["O", "O"]}', "counts", "1 words but 2 tags"),
    ('{"tokens": ["a"], "tags": [3]}', "tag", "holds numbers"),
    ('{"tokens": ["a"], "tags": ["Q-x"]}', "tag", "'Q-x' of word 1 ('a') is not a tag"),
    ('{"text": "a b", "tokens": ["b", "a"]}', "counts", "token 2 ('a') is not in the text"),
    ('{"text": "abc", "spans": "x"}', "span", "where a list is wanted"),
    ('{"text": "abc", "spans": [3]}', "span", "neither {start, end, label}"),
    ('{"text": "abc", "spans": [[0, 1]]}', "span", "neither {start, end, label}"),
    ('{"text": "abc", "spans": [[0, 1.0, "x"]]}', "span", "end of span"),
    ('{"text": "abc", "spans": [[true, 2, "x"]]}', "span", "start of span"),
    ('{"text": "abc", "spans": [[0, 1, ""]]}', "span", "has no label"),
    ('{"text": "abc", "spans": [[0, 1, null]]}', "span", "has no label"),
    ('{"text": "abc", "spans": [[2, 1, "x"]]}', "span", "ends before it starts"),
    ('{"text": "abc", "spans": [[1, 1, "x"]]}', "span", "is empty; ends look inclusive"),
    ('{"text": "abc", "spans": [[0, 4, "x"]]}', "span", "outside the text, which has 3"),
    ('{"text": "abc", "spans": [[-2, 1, "x"]]}', "span", "outside the text"),
    ('{"text": "abc", "spans": [[0, 2, "x"], [1, 3, "y"]]}', "overlap", "overlap"),
    ('{"text": "abc", "spans": [[0, 2, "x"], [0, 2, "y"]]}', "overlap", "overlap"),
    ('{"text": "abc", "spans": [[[0, 2], [1, 3], "x"]]}', "discontinuous", "several parts"),
    ('{"text": "abc", "spans": [["0 1;2 3", 3, "x"]]}', "discontinuous", "several parts"),
    ('{"text": "abc", "classes": [{}]}', "row", "names of classes"),
    ('{"text": "abc", "class": ""}', "row", "names of classes"),
    ('{"text": "abc", "completion": 3}', "row", "'completion' is 3"),
    ('{"text": "abc", "offset_unit": "bytes"}', "span", "offset_unit is 'bytes'"),
    ('{"id": "first", "text": "again"}', "duplicate id", "already used at"),
    ('{"text": "' + "a" * (1 << 20) + '"}', "too long", "longer than 1048576 bytes"),
]


@pytest.mark.parametrize(("line", "kind", "reason"), BAD, ids=range(len(BAD)))
def test_bad_lines_are_named_and_the_rest_is_read(tmp_path, line, kind, reason):
    good = ['{"id": "first", "text": "good one"}', '{"text": "good two"}']
    path = write(tmp_path, good[0], line, "", good[1])
    result = read_jsonl(path)
    assert [example.text for example in result.examples] == ["good one", "good two"]
    (problem,) = result.problems
    assert problem.source == f"{path}:2"
    assert problem.kind == kind
    assert reason in problem.reason
    assert result.n_rows == 3


def test_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "ok"}\n{"text": "caf\xe9"}\n{"text": "a\x00"}\n')
    result = read_jsonl(path)
    assert [(p.source, p.kind) for p in result.problems] == [
        (f"{path}:2", "encoding"),
        (f"{path}:3", "encoding"),
    ]
    path.write_bytes('{"text": "ok"}\n'.encode("utf-16"))
    with pytest.raises(DataError, match=r"x\.jsonl:1: this is UTF-16"):
        read_jsonl(path)
    path.write_bytes('{"text": "ok"}\n'.encode("utf-16-le"))
    with pytest.raises(DataError, match=r"none of its 2 rows can be used(.|\n)*x\.jsonl:1: .*NUL"):
        read_jsonl(path)


def test_line_ends(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes('\ufeff{"text": "a\u2028b\u0085c"}\r\n{"text": "d"}'.encode())
    assert [example.text for example in read_jsonl(path).examples] == ["a\u2028b\u0085c", "d"]


@given(st.text(max_size=30), st.data())
def test_utf16_offsets_come_out_exact(text, data):
    text = text.encode("utf-8", "ignore").decode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(0, len(text)))
    if start >= end:
        return

    def units(prefix):
        return len(prefix.encode("utf-16-le")) // 2

    given = [[units(text[:start]), units(text[:end]), "x"]]
    (span,) = read_spans(given, text, offset_unit="utf16")
    assert (span.start, span.end, span.text) == (start, end, text[start:end])


def test_the_unit_of_a_file_a_row_or_a_setting(tmp_path):
    text = "👍 play nina"
    row = {"text": text, "spans": [[8, 12, "artist"]]}
    for rows, settings in (
        ([{"offset_unit": "utf16", "scheme": "IOB2"}, row], {}),
        ([row | {"offset_unit": "utf16"}], {}),
        ([row], {"offset_unit": "utf16"}),
    ):
        result = read_jsonl(write(tmp_path, *rows), **settings)
        assert result.n_rows == 1
        assert result.examples[0].spans[0].text == "nina"
    with pytest.raises(DataError, match=r"x\.jsonl:1: offset_unit is 'bytes'"):
        read_jsonl(write(tmp_path, {"offset_unit": "bytes"}, row))
    with pytest.raises(ConfigError, match="offset_unit='bytes'"):
        read_jsonl(write(tmp_path, row), offset_unit="bytes")
    with pytest.raises(ConfigError, match="ends='open'"):
        read_jsonl(write(tmp_path, row), ends="open")


def test_an_offset_inside_a_surrogate_pair(tmp_path):
    with pytest.raises(DataError, match="UTF-16 offset 1 is inside a character"):
        read_jsonl(write(tmp_path, {"text": "👍 a", "spans": [[1, 4, "x"]]}), offset_unit="utf16")


@pytest.mark.parametrize(
    ("text", "span", "hint"),
    [
        ("play nina", {"start": 5, "end": 8}, "set ends='inclusive'"),
        ("👍 play nina", {"start": 8, "end": 12}, "set offset_unit='utf16'"),
        ("play nina now", {"start": 6, "end": 10}, "counted from 1"),
    ],
)
def test_offsets_that_disagree_with_the_spans_text_say_how(tmp_path, text, span, hint):
    row = {"text": text, "spans": [span | {"label": "artist", "text": "nina"}]}
    with pytest.raises(DataError, match=r"x\.jsonl:1: span") as error:
        read_jsonl(write(tmp_path, row))
    assert hint in str(error.value)


def test_inclusive_ends(tmp_path):
    row = {"text": "play nina", "spans": [[5, 8, "artist"], [0, 0, "x"]]}
    assert [s.text for s in only(tmp_path, row, ends="inclusive").spans] == ["p", "nina"]


def test_spans_off_words_are_kept_as_gold_and_doctor_says_so(tmp_path):
    rows = [{"text": f"play nina{i}", "spans": [[5, 8, "artist"]]} for i in range(20)]
    result = read_jsonl(write(tmp_path, *rows))
    assert all(example.spans for example in result.examples)
    diagnosis = examine(Splits(result, result))
    (finding,) = [f for f in diagnosis.findings if f.what == "gold out of reach"][:1]
    assert "will miss 100.0 % of the gold spans of train: 20 not on word boundaries" in (
        finding.message
    )


def test_streaming(tmp_path):
    path = write(tmp_path, {"id": "a", "text": "one", "spans": "bad gold"}, "{", {"text": "two"})
    rows = list(stream_jsonl(path))
    assert [type(row).__name__ for row in rows] == ["Example", "Problem", "Example"]
    assert isinstance(rows[1], Problem)
    assert rows[1].source == f"{path}:2"
    assert (rows[0].id, rows[0].gold) == ("a", None)
    from_stream = list(stream_jsonl(io.BytesIO(path.read_bytes())))
    assert from_stream[1].source == "stdin:2"
    assert from_stream[2].id == "stdin:3"


def test_a_huge_line_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "x.jsonl"
    with path.open("wb") as file:
        file.write(b'{"text": "ok"}\n{"text": "')
        for _ in range(30):
            file.write(b"a" * (1 << 20))
        file.write(b'"}\n{"text": "after"}\n')
    import tracemalloc

    tracemalloc.start()
    rows = list(stream_jsonl(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.source.rpartition(":")[2] for row in rows] == ["1", "2", "3"]
    assert peak < 16 << 20
