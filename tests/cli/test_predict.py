"""groot predict with a labeler that marks every capitalised word: fast, and known by heart."""

import io
import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import groot.work.predictor as predictor_module
from fixtures.json_lines import read_lines
from groot.config import load_config
from groot.data.sample import read_sample
from groot.recipes.make_writer import make_labeler
from groot.search.found import Found
from groot.types import Candidate, Span
from groot.writer.labeler import Labeler
from groot.writer.prediction import Prediction


class Capitals(Labeler):
    """First candidate: every capitalised word is a name; second: nothing is."""

    def __init__(self, log_p: float = math.log(0.75)) -> None:
        self.notation = SimpleNamespace(task="spans", labels=("name",), has_proofs=True)
        self.calibration = None
        self.log_p = log_p
        self.seen: list[str] = []
        self.stop_after: int | None = None

    def predict(self, examples, settings):
        assert len(examples) <= settings.batch_size
        found = []
        for example in examples:
            if self.stop_after is not None and len(self.seen) >= self.stop_after:
                raise KeyboardInterrupt
            self.seen.append(example.text)
            spans = tuple(
                Span(start, start + len(word), "name", word, 0.75)
                for word, start in zip(example.words, example.word_starts, strict=True)
                if word[0].isupper()
            )
            both = [Candidate("", spans, self.log_p), Candidate("", (), math.log(0.25))]
            ranked = both[:: -1 if settings.choose == "mbr" else 1][: settings.top_k]
            searches = (Found((), (), settings.exact or "sure" in example.text, width=1),)
            probabilities = {span: span.probability for span in spans}
            found.append(Prediction(ranked, 1.0, probabilities, searches=searches))
        return found


@pytest.fixture
def labeler(monkeypatch) -> Capitals:
    """The labeler that every folder holds."""
    found = Capitals()
    monkeypatch.setattr(predictor_module, "load", lambda folder: found)
    return found


def write(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_each_line_says_whether_it_is_proven(groot, labeler, tmp_path):
    source = write(tmp_path / "in.jsonl", {"text": "Ann"}, {"text": "sure Bob"}, {"text": "Cy"})
    for flag, expected, words in (
        ("--exact", [True, True, True], "3 texts in .* per second, all of them proven"),
        ("--no-exact", [False, True, False], "3 texts in .* per second, 1 of them proven"),
    ):
        out = tmp_path / f"out{flag}.jsonl"
        told = groot("predict", "model", "--in", source, "--out", out, flag)
        assert [line["exact"] for line in read_lines(out)] == expected
        assert re.search(words, told.err)


def test_counts_are_of_this_start(groot, labeler, tmp_path):
    source = write(tmp_path / "in.jsonl", {"text": "Ann"}, {"text": "Bob"})
    out = tmp_path / "out.jsonl"
    groot("predict", "model", "--in", source, "--out", out)
    write(source, {"text": "Ann"}, {"text": "Bob"}, {"text": "Cy"})
    told = json.loads(groot("predict", "model", "--in", source, "--out", out, "--json").out)
    assert (told["texts"], told["continued_from"]) == (3, 2)
    assert (told["proven"], told["spans"]) == (1, 1)


def test_the_contract(groot, labeler, tmp_path):
    source = write(tmp_path / "in.jsonl", {"id": "a", "text": "play Nina Simone 🎵"})
    out = tmp_path / "out.jsonl"
    told = groot("predict", "model", "--in", source, "--out", out, "--top-k", 2)
    assert told.code == 0
    assert told.out == ""
    (line,) = read_lines(out)
    assert line == {
        "id": "a",
        "text": "play Nina Simone 🎵",
        "exact": True,
        "covered": 1.0,
        "candidates": [
            {
                "spans": [
                    {"start": 5, "end": 9, "text": "Nina", "label": "name", "probability": 0.75},
                    {
                        "start": 10,
                        "end": 16,
                        "text": "Simone",
                        "label": "name",
                        "probability": 0.75,
                    },
                ],
                "log_p": math.log(0.75),
                "probability": pytest.approx(0.75),
            },
            {"spans": [], "log_p": math.log(0.25), "probability": 0.25},
        ],
    }
    assert not (tmp_path / "out.errors.jsonl").exists()


def test_ids_and_order_are_kept_and_bad_lines_go_aside(groot, labeler, tmp_path):
    source = write(
        tmp_path / "in.jsonl",
        {"id": 7, "text": "a"},
        '{"text": "broken',
        "",
        '"only a text"',
        {"id": "x", "label": "no text"},
        "[1, 2]",
        {"id": [1], "text": "b"},
        {"text": "half \ud83d"},
        {"id": "last", "tokens": ["New", "York"], "spans": "gold is not looked at"},
    )
    out = tmp_path / "out.jsonl"
    told = groot("predict", "model", "-i", source, "-o", out, "--json", "--batch-size", 2)
    assert told.code == 0
    assert [(line["id"], line["text"]) for line in read_lines(out)] == [
        (7, "a"),
        ("in:4", "only a text"),
        ("last", "New York"),
    ]
    errors = read_lines(tmp_path / "out.errors.jsonl")
    assert [row["line"] for row in errors] == [2, 5, 6, 7, 8]
    assert all(row["source"] == f"{source}:{row['line']}" and row["reason"] for row in errors)
    assert errors[0]["row"] == '{"text": "broken'
    summary = json.loads(told.out)
    assert (summary["texts"], summary["bad_lines"]) == (3, 5)
    assert "5 lines could not be read" in told.err


def test_bytes_that_are_no_text(groot, labeler, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_bytes(
        b'{"text": "caf\xe9"}\n{"text": "a\\u0000b"}\n"' + b"x" * (1 << 21) + b'"\n"y"\n'
    )
    out = tmp_path / "out.jsonl"
    assert groot("predict", "model", "-i", source, "-o", out).code == 0
    assert [line["id"] for line in read_lines(out)] == ["in:4"]
    reasons = [row["reason"] for row in read_lines(tmp_path / "out.errors.jsonl")]
    assert "UTF-8" in reasons[0]
    assert "NUL" in reasons[1]
    assert "longer than" in reasons[2]


def test_text_files(groot, labeler, tmp_path):
    source = write(tmp_path / "in.txt", 'say "Hi"', '{"text": "as it is"}')
    out = tmp_path / "out.jsonl"
    groot("predict", "model", "-i", source, "-o", out)
    assert [line["text"] for line in read_lines(out)] == ['say "Hi"', '{"text": "as it is"}']


def test_standard_input_and_output(groot, labeler, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO('"hé"\nbad\n'.encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    told = groot("predict", "model", "--in", "-")
    assert told.code == 0
    assert json.loads(told.out)["id"] == "stdin:1"
    assert "-:2: not JSON" in told.err


def test_an_interrupted_file_is_continued_to_the_same_bytes(groot, labeler, tmp_path):
    rows = [{"id": n, "text": f"Text {n}"} for n in range(10)]
    rows.insert(3, "bad")
    source = write(tmp_path / "in.jsonl", *rows)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    groot("predict", "model", "-i", source, "-o", whole, "--batch-size", 2)
    labeler.seen.clear()
    labeler.stop_after = 7
    told = groot("predict", "model", "-i", source, "-o", out, "--batch-size", 2)
    assert told.code == 130
    assert "interrupted after 6 texts" in told.err
    # what a kill in the middle of a write leaves
    with out.open("ab") as file:
        file.write(b'{"id": 6, "te')
    labeler.seen.clear()
    labeler.stop_after = None
    told = groot("predict", "model", "-i", source, "-o", out, "--batch-size", 2, "--json")
    assert told.code == 0
    done = json.loads(told.out)
    assert done["continued_from"] == 6
    assert done["texts_per_second"] > 0
    assert "predicted 4 texts in " in told.err
    assert " texts per second" in told.err
    assert out.read_bytes() == whole.read_bytes()
    assert (tmp_path / "out.errors.jsonl").read_bytes() == (
        tmp_path / "whole.errors.jsonl"
    ).read_bytes()
    # the last whole line is predicted again as a check, and the rest
    assert labeler.seen == ["Text 5", "Text 6", "Text 7", "Text 8", "Text 9"]


@pytest.mark.parametrize("n_bytes", [0, 1, 90, 260, 300])
def test_an_output_cut_anywhere_is_continued(groot, labeler, tmp_path, n_bytes):
    source = write(tmp_path / "in.jsonl", *({"text": f"Text {n}"} for n in range(4)), "bad")
    out = tmp_path / "out.jsonl"
    groot("predict", "model", "-i", source, "-o", out)
    whole = out.read_bytes()
    out.write_bytes(whole[:n_bytes])
    assert groot("predict", "model", "-i", source, "-o", out).code == 0
    assert out.read_bytes() == whole
    assert len(read_lines(tmp_path / "out.errors.jsonl")) == 1


def test_a_finished_file_is_left_as_it_is(groot, labeler, tmp_path):
    source = write(tmp_path / "in.jsonl", {"text": "Text"})
    out = tmp_path / "out.jsonl"
    groot("predict", "model", "-i", source, "-o", out)
    before = out.read_bytes()
    told = groot("predict", "model", "-i", source, "-o", out, "--json")
    assert told.code == 0
    assert "holds 1 texts already" in told.err
    assert json.loads(told.out)["texts_per_second"] is None
    assert out.read_bytes() == before


@pytest.mark.parametrize("change", ["input", "top k", "choose", "model", "not predictions"])
def test_a_file_of_something_else_is_not_continued(groot, labeler, tmp_path, change):
    source = write(tmp_path / "in.jsonl", {"text": "Text"}, {"text": "Text two"})
    out = tmp_path / "out.jsonl"
    groot("predict", "model", "-i", source, "-o", out)
    more: list[object] = []
    if change == "input":
        write(source, {"text": "Text"}, {"text": "other"})
    elif change == "top k":
        more = ["--top-k", 2]
    elif change == "choose":
        more = ["--choose", "mbr"]
    elif change == "model":
        labeler.log_p = math.log(0.7)
    else:
        write(out, {"some": "file of the user's"})
    before = out.read_bytes()
    told = groot("predict", "model", "-i", source, "-o", out, *more)
    assert told.code == 2
    assert f"{out}:" in told.err
    assert "--force" in told.err
    assert out.read_bytes() == before
    told = groot("predict", "model", "-i", source, "-o", out, *more, "--force")
    assert told.code == 0
    assert len(read_lines(out)) == 2


def test_nothing_is_written_where_the_input_is_no_text(groot, labeler, tmp_path):
    out = tmp_path / "out.jsonl"
    utf16 = tmp_path / "in.jsonl"
    utf16.write_bytes('{"text": "a"}\n'.encode("utf-16"))
    for source in (utf16, tmp_path / "none.jsonl", tmp_path):
        told = groot("predict", "model", "-i", source, "-o", out)
        assert told.code == 2
        assert str(source) in told.err
        assert "Traceback" not in told.err
    assert sorted(tmp_path.iterdir()) == [utf16]


def test_a_file_without_one_readable_line_is_bad_input(groot, labeler, tmp_path):
    source = write(tmp_path / "in.jsonl", "bad", "worse")
    told = groot("predict", "model", "-i", source, "-o", tmp_path / "out.jsonl")
    assert told.code == 2
    assert f"{source}:1: not JSON" in told.err


def test_a_folder_without_a_labeler(groot, tmp_path):
    source = write(tmp_path / "in.jsonl", {"text": "Text"})
    told = groot("predict", tmp_path, "-i", source, "-o", tmp_path / "out.jsonl")
    assert told.code == 2
    assert "no labeler here" in told.err
    assert not (tmp_path / "out.jsonl").exists()


def test_input_and_output_must_differ(groot, labeler, tmp_path):
    source = write(tmp_path / "in.jsonl", {"text": "Text"})
    told = groot("predict", "model", "-i", source, "-o", source)
    assert told.code == 2
    assert read_lines(source) == [{"text": "Text"}]


def test_bfloat16_labels_as_float32_does(groot, tmp_path):
    config = load_config(
        settings=["model.width=32", "model.feed_forward=32", "model.vocabulary_size=300"]
    )
    made = make_labeler(config, read_sample("train").examples[:40])
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():  # untrained, it gives all labels the very same probability
        for weight in made.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=noise))
    made.save(tmp_path / "model")
    source = write(tmp_path / "in.jsonl", {"text": "play nina simone"}, {"text": "now"})
    found = {}
    for dtype in ("float32", "bfloat16"):
        out = tmp_path / f"{dtype}.jsonl"
        args = ("-i", source, "-o", out, "--dtype", dtype, "--top-k", 3)
        told = groot("predict", tmp_path / "model", *args)
        assert told.code == 0, told.err
        found[dtype] = [[one["log_p"] for one in line["candidates"]] for line in read_lines(out)]
    for exact, rounded in zip(found["float32"], found["bfloat16"], strict=True):
        assert rounded == pytest.approx(exact, rel=0.05)
    assert found["float32"] != found["bfloat16"]  # it was used
