"""groot convert: what is written, what is left out, and what is left alone."""

import json


def test_from_columns_to_label_studio_and_back(groot, tmp_path):
    train = tmp_path / "train.conll"
    train.write_text("play O\nnina B-artist\n\nhi O\n\n" * 3)
    project, back = tmp_path / "project.json", tmp_path / "back.conll"
    told = groot("convert", train, project, "--to", "labelstudio")
    assert told.code == 0, told.err
    assert "6 rows: 6 written to" in told.out
    assert "read as columns (words: column 0, tags: column 1" in told.out
    assert json.loads(project.read_text())[0]["data"]["text"] == "play nina"
    told = groot("convert", project, back, "--to", "columns", "--writer", "scheme=IOBES")
    assert told.code == 0, told.err
    assert back.read_text().startswith("play\tO\nnina\tS-artist\n\nhi\tO\n")


def test_rows_that_are_left_out_are_named_and_the_exit_code_says_so(groot, tmp_path):
    rows = [
        {"text": "play nina", "spans": [[5, 9, "artist"]]},
        {"text": "playnina", "spans": [[4, 8, "artist"]]},
        {"text": "play", "spans": [[0, 9, "artist"]]},
    ]
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = groot("convert", source, tmp_path / "a.conll", "--to", "columns")
    assert told.code == 1
    assert "3 rows: 1 written to" in told.out
    said = " ".join(told.err.split())
    assert f"{source}:3: span 0-9 (artist) lies outside the text" in said
    assert f"{source}:2: span 4-8 (artist) is not on word boundaries" in said
    told = groot("convert", source, tmp_path / "b.conll", "--to", "columns", "--json")
    counts = json.loads(told.out)
    assert (told.code, counts["n_rows"], counts["n_written"]) == (1, 3, 1)
    assert f"{source}:3: " in counts["unreadable"][0]
    assert f"{source}:2: " in counts["unwritable"][0]


def test_json_says_the_same(groot, tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "a b", "label": "x"}\nbad\n')
    told = groot("convert", source, tmp_path / "b.jsonl", "--to", "doccano", "--json")
    assert told.code == 1
    found = json.loads(told.out)
    assert (found["n_rows"], found["n_written"], len(found["unreadable"])) == (2, 1, 1)
    assert found["unreadable"][0].startswith(f"{source}:2: not JSON")


def test_what_exists_is_left_as_it_is(groot, tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "a b", "label": "x"}\n')
    for out in (source, tmp_path / "b.txt"):
        out.exists() or out.write_text("my thesis")
        before = out.read_text()
        told = groot("convert", source, out, "--to", "jsonl")
        assert told.code == 2
        assert "exists already" in told.err
        assert out.read_text() == before


def test_formats_and_settings_that_are_not_there(groot, tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "a b", "label": "x"}\n')
    out = tmp_path / "b"
    for arguments, reason in (
        (("--to", "jsonll"), "Did you mean 'jsonl'"),
        (("--to", "parallel"), "is read, not written"),
        (("--to", "jsonl", "--writer", "schem=IOB1"), "Did you mean 'scheme'"),
    ):
        told = groot("convert", source, out, *arguments)
        assert (told.code, out.exists()) == (2, False)
        assert reason in told.err
