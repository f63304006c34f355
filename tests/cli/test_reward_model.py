"""groot reward-model: from a file of pairs, or of candidates, to a folder and its numbers."""

import json

import pytest

from fixtures.json_lines import write_lines
from groot.data.candidates import CandidateRow, write_candidates
from groot.rollouts.store import Case, write_cases
from groot.writer.writer import example_of


@pytest.fixture(scope="module")
def gpt2(make_model_folder, tmp_path_factory):
    return make_model_folder("gpt2", tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {"prompt": f"{verb} {noun}", "chosen": f"please {noun}", "rejected": f"what {noun} is"}
        for verb in ("play", "book", "in")
        for noun in ("paris", "may", "table", "river")
    ]
    return write_lines(path, rows)


def test_a_run_its_numbers_and_once_more(groot, gpt2, pairs, tmp_path):
    words = ("reward-model", pairs, "--model", gpt2, "--out", tmp_path / "run", "--passes", 1)
    told = groot(*words, "--json")
    assert told.code == 0, told.err
    results = json.loads(told.out)
    assert results["kind"] == "partial"
    assert results["pairs"] == {"train": 11, "held_out": 1, "unusable": 0}
    assert (tmp_path / "run" / "model" / "groot.json").is_file()
    again = groot(*words)
    assert again.code == 0
    assert "length read" in again.out
    assert "finished" in again.err
    other = groot(*words, "--seed", 2)
    assert other.code == 2
    assert "seed was 1 and is 2 now" in other.err


def test_a_dry_run_counts_and_writes_nothing(groot, gpt2, pairs, tmp_path):
    told = groot("reward-model", pairs, "--model", gpt2, "--out", tmp_path / "run", "--dry-run")
    assert (told.code, (tmp_path / "run").exists()) == (0, False)
    assert "pairs: 11 to learn from, 1 held out" in told.out


def test_candidates_need_their_examples(groot, gpt2, tmp_path):
    rows = [
        CandidateRow(f"texts:{line}", text, text, reward=reward)
        for line in (1, 2, 3)
        for text, reward in (("in may", 1.0), ("in paris please", 0.5), ("two", 0.0))
    ]
    write_candidates(tmp_path / "candidates.parquet", rows)
    words = ("reward-model", tmp_path / "candidates.parquet", "--model", gpt2, "--out", tmp_path)
    told = groot(*words, "--dry-run")
    assert told.code == 2
    assert "add --data" in told.err
    texts = tmp_path / "texts.jsonl"
    lines = [json.dumps({"prompt": f"play {n}", "completion": "may"}) for n in "abc"]
    texts.write_text("\n".join(lines))
    told = groot(*words, "--dry-run", "--data", texts, "--margin", 0.6, "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["pairs"] == {"train": 2, "held_out": 1, "unusable": 0}


def test_bad_rows_stop_with_their_lines_or_are_left_out(groot, gpt2, pairs, tmp_path):
    bad = tmp_path / "bad.jsonl"
    same = {"prompt": "a", "chosen": "b", "rejected": "b"}
    bad.write_text(pairs.read_text() + json.dumps(same) + "\n")
    words = ("reward-model", bad, "--model", gpt2, "--out", tmp_path / "run", "--dry-run")
    told = groot(*words)
    assert told.code == 2
    assert "bad.jsonl:13: 'chosen' and 'rejected' are the same text" in told.err
    told = groot(*words, "--on-bad-rows", "skip")
    assert told.code == 0
    assert "1 rows of" in told.err


def test_a_broken_line_is_named_and_nothing_is_written(groot, gpt2, pairs, tmp_path):
    broken = tmp_path / "broken.jsonl"
    lines = pairs.read_text().splitlines()
    lines.insert(4, '{"prompt": "a", "chosen": ')
    broken.write_text("\n".join(lines))
    told = groot("reward-model", broken, "--model", gpt2, "--out", tmp_path / "run")
    assert told.code == 2
    assert "broken.jsonl:5: not JSON" in told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "run").exists()


def test_a_classifier_learns_whole_outputs_and_nothing_else(
    groot, make_encoder_folder, pairs, tmp_path
):
    folder = make_encoder_folder("bert", tmp_path / "encoder")
    words = ("reward-model", pairs, "--model", folder, "--out", tmp_path / "run", "--passes", 1)
    told = groot(*words)  # partial, if nothing is said
    assert told.code == 2
    assert "not causal" in told.err
    assert not (tmp_path / "run").exists()
    told = groot(*words, "--kind", "sequence", "--json")
    assert told.code == 0, told.err
    answer = json.loads(told.out)
    assert answer["kind"] == "sequence"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert answer["report"].endswith("report.html")
    assert page.count("<svg") == 2
    assert groot("report", tmp_path / "run").code == 0


def test_candidates_of_a_run_have_their_texts_beside_them(groot, gpt2, tmp_path):
    cases = []
    for number in range(4):
        example = example_of(f"play number {number}", id=f"round-1:{number}")
        rows = [
            CandidateRow(example.id, text, text, reward=reward)
            for text, reward in (("in may", 1.0), ("two", 0.0))
        ]
        cases.append(Case(example, tuple(rows)))
    write_cases(tmp_path / "round-1.parquet", cases)
    words = ("reward-model", tmp_path / "round-1.parquet", "--model", gpt2, "--out", tmp_path / "x")
    told = groot(*words, "--dry-run")
    assert told.code == 0, told.err
    assert "pairs: 3 to learn from, 1 held out" in told.out
