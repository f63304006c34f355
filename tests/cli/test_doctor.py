"""groot doctor: tables, JSON, exit codes."""

import json
from pathlib import Path


def conll(path: Path, n: int, *, label: str = "artist", more: str = "") -> Path:
    rows = (f"play O\nsinger{i} B-{label}\n\n" for i in range(n))
    path.write_text("".join(rows) + more, encoding="utf-8")
    return path


def test_clean_data(groot, tmp_path):
    train = conll(tmp_path / "train.conll", 60)
    dev = conll(tmp_path / "dev.conll", 5).read_text().replace("singer", "band")
    (tmp_path / "dev.conll").write_text(dev)
    told = groot("doctor", train, "--dev", tmp_path / "dev.conll")
    assert told.code == 0, told.out
    assert "artist" in told.out
    assert "No faults found." in told.out


def test_warnings_name_places_and_end_with_1(groot, tmp_path):
    train = conll(tmp_path / "train.conll", 60, more="play O\n\x1b[31mx I-artist\n")
    dev = conll(tmp_path / "dev.conll", 5, label="song")
    told = groot("doctor", train, "--dev", dev)
    assert told.code == 1
    assert "song" in told.out
    assert "warning" in told.out
    assert str(dev) in "".join(told.out.split())  # a long path is broken at any place
    assert "\x1b[31m" not in told.out


def test_errors_end_with_2(groot, tmp_path):
    train = tmp_path / "train.jsonl"
    good = '{"text": "play nina", "spans": [{"start": 5, "end": 9, "label": "artist"}]}\n'
    train.write_text(good * 12 + "bad\n" * 4)
    told = groot("doctor", train, "--json")
    assert told.code == 2
    found = json.loads(told.out)
    assert found["exit_code"] == 2
    (finding,) = [one for one in found["findings"] if one["what"] == "rows that cannot be used"]
    assert finding["count"] == 4
    assert finding["examples"][0] == f"{train}:13"


def test_how_a_file_was_read_is_said_and_what_else_it_could_mean(groot, tmp_path):
    train = tmp_path / "train.tsv"
    block = "1\tplay\tO\tO\n2\tnina\tB-artist\tB-person\n3\trose\tI-artist\tO\n\n"
    train.write_text(block * 12)
    told = groot("doctor", train)
    assert told.code == 1
    assert "train: read as columns (words: column 1, tags: column 2" in " ".join(told.out.split())
    assert "tag_column=3 takes the other" in " ".join(told.out.split())
    found = json.loads(groot("doctor", train, "--json").out)
    assert found["splits"]["train"]["reading"].startswith("columns (words: column 1")


def test_a_small_file_is_looked_at_too(groot, tmp_path):
    train = tmp_path / "train.jsonl"
    train.write_text('{"text": "play nina", "spans": [[5, 9, "artist"]]}\nbad\n')
    told = groot("doctor", train, "--json")
    assert told.code == 2
    found = json.loads(told.out)
    assert (found["splits"]["train"]["rows"], list(found["splits"])) == (2, ["train"])
    (finding,) = [one for one in found["findings"] if one["what"] == "rows that cannot be used"]
    assert finding["examples"] == [f"{train}:2"]


def test_a_file_that_is_not_there(groot, tmp_path):
    told = groot("doctor", tmp_path / "none.conll")
    assert told.code == 2
    assert told.out == ""
    assert "does not exist" in told.err
