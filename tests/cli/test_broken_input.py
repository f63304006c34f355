"""Broken input to groot train: one message with file and line, exit code 2, nothing written."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = {"text": "play nina", "spans": [{"start": 5, "end": 9, "label": "artist"}]}
N_GOOD = 20  # good rows before the broken one
BAD_LINE = N_GOOD + 1


def jsonl(*bad: object) -> Callable[[Path], Path]:
    """A maker of a JSONL file with good rows first, then the bad ones."""

    def make(folder: Path) -> Path:
        rows = [{**GOOD, "id": f"r{n}"} for n in range(N_GOOD)]
        lines = [json.dumps(row) for row in rows]
        lines += [row if isinstance(row, str) else json.dumps(row) for row in bad]
        path = folder / "train.jsonl"
        path.write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))
        return path

    return make


def of_bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def spans(*ends: tuple[int, int]) -> dict:
    found = [{"start": start, "end": end, "label": "artist"} for start, end in ends]
    return {"text": "play nina", "spans": found}


def parallel(words: str, tags: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = folder / "set"
        place.mkdir()
        (place / "seq.in").write_text("play nina\n" * N_GOOD + words)
        (place / "seq.out").write_text("O B-artist\n" * N_GOOD + tags)
        return place

    return make


CONLL = b"play O\nnina B-artist\n\n" * N_GOOD
CSV = b"text,label\n" + b"play nina,PlayMusic\nbook a table,Book\n" * 10
NO_COLUMN = CONLL + b"play\nnina B-artist\n\n"
NO_SCHEME = CONLL + b"play O\nnina artist\n\n"
CONLL_LINE = 3 * N_GOOD + 1

# name: (maker of the file, what the message must name behind the path; "" where no line is bad)
BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "JSON cut short": (jsonl('{"text": "play'), f":{BAD_LINE}"),
    "JSON without a text": (jsonl({"spans": []}), f":{BAD_LINE}"),
    "a number for a text": (jsonl({"text": 7, "spans": []}), f":{BAD_LINE}"),
    "a list for an object": (jsonl("[1, 2]"), f":{BAD_LINE}"),
    "nested 100,000 deep": (jsonl("[" * 100_000), f":{BAD_LINE}"),
    "half a surrogate pair": (jsonl('{"text": "\\ud83d", "spans": []}'), f":{BAD_LINE}"),
    "a NUL": (jsonl('{"text": "a\\u0000b", "spans": []}'), f":{BAD_LINE}"),
    "a span behind the end": (jsonl(spans((5, 99))), f":{BAD_LINE}"),
    "a span back to front": (jsonl(spans((9, 5))), f":{BAD_LINE}"),
    "spans that overlap": (jsonl(spans((0, 9), (5, 9))), f":{BAD_LINE}"),
    "more tokens than tags": (
        jsonl({"tokens": ["play", "nina"], "tags": ["O"]}),
        f":{BAD_LINE}",
    ),
    "an id used twice": (jsonl({**GOOD, "id": "r3"}), f":{BAD_LINE}"),
    "a line of 2 MiB": (jsonl(json.dumps({"text": "x" * (2 << 20), "spans": []})), f":{BAD_LINE}"),
    "latin-1": (of_bytes("train.conll", CONLL + b"caf\xe9 O\n\n"), f":{CONLL_LINE}"),
    "UTF-16": (of_bytes("train.jsonl", json.dumps(GOOD).encode("utf-16")), ":1"),
    "gzip": (of_bytes("train.conll", gzip.compress(CONLL)), ":1"),
    "a column missing": (of_bytes("train.conll", NO_COLUMN), f":{CONLL_LINE}"),
    "a tag of no scheme": (of_bytes("train.conll", NO_SCHEME), f":{CONLL_LINE}"),
    "more words than tags": (parallel("play a b\n", "O O\n"), f":{BAD_LINE}"),
    "more lines than tags": (parallel("play a\nplay b\n", "O O\n"), f":{BAD_LINE + 1}"),
    "a cell too many": (of_bytes("train.csv", CSV + b"a,b,c\n"), ":22"),
    "a quote never closed": (of_bytes("train.csv", CSV + b'"play,Book\n'), ":22"),
    "no label column": (of_bytes("train.csv", b"text,thing\n" + b"a,b\n" * 20), ":1"),
    "an empty file": (of_bytes("train.conll", b""), ""),
    "only blank lines": (of_bytes("train.conll", b"\n\n \n"), ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_with_its_line_and_nothing_is_written(groot, tmp_path, kind):
    make, place = BROKEN[kind]
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    out = tmp_path / "runs" / "first"
    told = groot("train", path, "--reward", "f0.5", "--out", out)
    assert told.code == 2, told.err
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert "Traceback" not in told.err
    assert len(told.err) < 5000  # an excerpt, never the whole line
    if path.is_dir():
        assert any(f"{path / name}{place}" in told.err for name in ("seq.in", "seq.out")), told.err
    else:
        assert f"{path}{place}" in told.err, told.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("option", ["--dev", "--test"])
def test_a_broken_dev_or_test_file(groot, tmp_path, option):
    train = of_bytes("good.conll", CONLL)(tmp_path)
    broken = jsonl('{"text": "play')(tmp_path)
    told = groot("train", train, option, broken, "--out", tmp_path / "run")
    assert told.code == 2
    assert f"{broken}:{BAD_LINE}" in told.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--reward", "exact_mach"], "Did you mean 'exact_match'?"),
        (["--reward", "metric.py:score"], "metric.py"),
        (["--reward", "costs.yaml"], "costs.yaml"),
        (["--reward", "f0.5=much"], "is not a weight"),
        (["--model", "no/such/folder"], "no/such/folder"),
        (["--dev", "none.conll"], "none.conll"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--candidates", "none.parquet"], "none.parquet"),
    ],
)
def test_other_bad_input(groot, tmp_path, monkeypatch, words, complaint):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    train = of_bytes("train.conll", CONLL)(tmp_path)
    told = groot("train", train, "--out", "run", *words)
    assert told.code == 2, told.err
    assert complaint in told.err
    assert "Traceback" not in told.err
    assert sorted(tmp_path.iterdir()) == [train]


def test_bad_lines_are_left_out_and_counted_on_request(groot, tmp_path):
    path = jsonl('{"text": "play', spans((9, 5)))(tmp_path)
    out = tmp_path / "run"
    told = groot("train", path, "--out", out, "--on-bad-lines", "skip", "--dry-run", "--json")
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert sum(plan["examples"][name] for name in ("train", "dev")) == N_GOOD
    assert [problem.split(": ")[0] for problem in plan["problems"]] == [
        f"{path}:{BAD_LINE}",
        f"{path}:{BAD_LINE + 1}",
    ]
    assert not out.exists()
