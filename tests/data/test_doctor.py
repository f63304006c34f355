import json

import pytest

from fixtures.json_lines import write_lines
from groot.data import read_splits
from groot.data.doctor import Diagnosis, examine
from groot.data.jsonl import read_jsonl
from groot.data.result import Splits


def diagnose(tmp_path, train, dev=None, **settings) -> Diagnosis:
    """Rows to a diagnosis, with a dev set of other texts if none is given."""
    dev = dev or [{"text": f"dev text {i}", "spans": [[0, 3, "x"]]} for i in range(10)]
    splits = Splits(
        read_jsonl(write_lines(tmp_path / "train.jsonl", train)),
        read_jsonl(write_lines(tmp_path / "dev.jsonl", dev)),
    )
    return examine(splits, **{"min_examples": 1} | settings)


def find(diagnosis, what):
    (found,) = [finding for finding in diagnosis.findings if finding.what == what]
    return found


def whats(diagnosis, *levels):
    return [f.what for f in diagnosis.findings if f.level in levels]


GOOD = [{"text": f"one word {i}", "spans": [[0, 3, "x"]]} for i in range(100)]


def test_clean_data(tmp_path):
    diagnosis = diagnose(tmp_path, GOOD, min_examples=50)
    assert diagnosis.findings == ()
    assert diagnosis.exit_code == 0
    assert diagnosis.verdict == "No faults found."
    train = diagnosis.splits["train"]
    assert (train.rows, train.examples, train.labels, train.gold) == (100, 100, {"x": 100}, 100)
    assert train.n_words == {"min": 3, "median": 3, "p95": 3, "max": 3}


def test_gold_out_of_reach_is_counted_by_reason(tmp_path):
    # 97 good spans, 1 within a word, 2 that overlap, and one text with a span of two parts
    rows = GOOD[:97]
    rows += [{"text": "oneword", "spans": [[0, 3, "x"]]}]
    rows += [{"text": "one word", "spans": [[0, 3, "x"], [1, 8, "y"]]}]
    rows += [{"text": "one word", "spans": [[[0, 3], [4, 8], "x"]]}]
    finding = find(diagnose(tmp_path, rows), "gold out of reach")
    assert finding.count == 4
    assert finding.message == (
        "the model will miss 4.0 % of the gold spans of train: 1 not on word boundaries, "
        "2 in texts whose spans overlap, 1 in texts with spans of several parts"
    )
    train = tmp_path / "train.jsonl"
    assert finding.examples == (f"{train}:98", f"{train}:99", f"{train}:100")


def test_rows_that_cannot_be_used(tmp_path):
    few = diagnose(tmp_path, [*GOOD, {"txt": 1}])
    assert find(few, "rows that cannot be used").level == "warning"
    assert "1 of 101 rows of train cannot be used (row: 1). First: " in few.findings[0].message
    assert few.exit_code == 1
    many = diagnose(tmp_path, GOOD[:10] + [{"txt": 1}] * 5)
    assert find(many, "rows that cannot be used").examples[0].endswith("train.jsonl:11")
    assert many.exit_code == 2
    assert many.verdict.startswith("1 error, ")


def test_duplicates_and_conflicting_gold(tmp_path):
    rows = [*GOOD, GOOD[0], {"text": "One WORD 1", "spans": [[0, 3, "y"]]}]
    diagnosis = diagnose(tmp_path, rows, [GOOD[5], {"text": "one word 6", "spans": []}])
    train, dev = tmp_path / "train.jsonl", tmp_path / "dev.jsonl"
    assert find(diagnosis, "duplicates").examples == (f"{train}:101", f"{train}:102")
    conflict = find(diagnosis, "conflicting gold")
    assert conflict.count == 1
    assert conflict.examples == (f"{train}:2", f"{train}:102")
    shared = find(diagnosis, "duplicates across splits")
    assert "2 texts of dev (100.0 %) also in train, 1 of them with another gold" in shared.message
    assert shared.examples == (f"{dev}:1", f"{dev}:2")


def test_the_same_class_twice_is_no_conflict(tmp_path):
    rows = [{"text": "hi", "classes": ["a", "b"]}, {"text": "hi", "classes": ["b", "a"]}]
    assert "conflicting gold" not in whats(diagnose(tmp_path, rows), "warning")


def test_a_prompt_may_have_many_references_and_be_empty(tmp_path):
    rows = [{"prompt": "", "completion": f"text {i}"} for i in range(20)]
    more = [{"prompt": "", "completion": "other"}]
    assert diagnose(tmp_path, rows, more).findings == ()
    found = diagnose(tmp_path, [*rows, rows[0]], [rows[1]])
    assert whats(found, "info", "warning") == ["duplicates across splits", "duplicates"]


def test_labels(tmp_path):
    train = [*GOOD, {"text": "rare", "spans": [[0, 4, "only train"]]}]
    dev = [
        {"text": "d", "spans": [[0, 1, "only dev"]]},
        {"text": "e", "spans": [[0, 1, "X"]]},
    ]
    diagnosis = diagnose(tmp_path, train, dev, min_examples=50)
    unseen = find(diagnosis, "labels unseen in train")
    assert unseen.message.startswith("labels X, only dev in dev, but never in train")
    assert find(diagnosis, "labels unseen in dev").level == "info"
    assert "1 label with fewer than 50 in train: only train 1" in (
        find(diagnosis, "rare labels").message
    )
    assert "X, x differ in nothing but case" in find(diagnosis, "labels spelt alike").message


def test_inclusive_ends_are_suspected(tmp_path):
    rows = [{"text": f"play nina {i}", "spans": [[5, 8, "x"]]} for i in range(10)]
    finding = find(diagnose(tmp_path, rows), "offsets")
    assert finding.level == "error"
    assert "ends='inclusive'" in finding.message


def test_utf16_offsets_are_suspected(tmp_path):
    rows = GOOD + [{"text": f"👍 play nina {i}", "spans": [[8, 12, "x"]]} for i in range(8)]
    finding = find(diagnose(tmp_path, rows), "offsets")
    assert "offset_unit='utf16'" in finding.message
    assert finding.count == 8


def test_only_o_no_gold_and_empty_texts(tmp_path):
    bare = diagnose(tmp_path, [{"text": "one", "spans": []}, {"text": "", "spans": []}])
    assert "only O" in whats(bare, "error")
    assert find(bare, "empty texts").count == 1
    assert bare.splits["train"].labels == {}
    assert "no gold" in whats(diagnose(tmp_path, [{"text": "one"}]), "error")
    some = diagnose(tmp_path, [*GOOD, {"text": "one"}])
    assert "no gold" in whats(some, "warning")


def test_lengths(tmp_path):
    rows = [*GOOD, {"text": "a " * 70 + "b", "spans": [[0, 1, "x"]]}]
    words = find(diagnose(tmp_path, rows, max_words=64), "longer than 64 words")
    assert "1 text of train longer than 64 words (the longest has 71)" in words.message
    tokens = diagnose(tmp_path, rows, n_tokens=lambda example: len(example.text), max_tokens=100)
    assert find(tokens, "longer than 100 tokens").count == 1


def test_illegal_tags_and_schemes(tmp_path):
    (tmp_path / "train.conll").write_text("a B-x\nb I-x\nc I-y\n\n" * 1 + "a B-x\nb I-x\n\n" * 9)
    (tmp_path / "dev.conll").write_text("c S-x\nd O\n\n")
    diagnosis = examine(read_splits(tmp_path))
    illegal = find(diagnosis, "illegal tags")
    assert illegal.message.startswith("1 tag in 1 text of train illegal in the scheme IOB2")
    assert illegal.examples == (f"{tmp_path / 'train.conll'}:1",)
    assert "train IOB2, dev IOBES" in find(diagnosis, "schemes").message


def test_a_cut_dev_set_is_said(tmp_path):
    write_lines(tmp_path / "a.jsonl", GOOD)
    diagnosis = examine(read_splits(tmp_path / "a.jsonl"))
    assert find(diagnosis, "dev cut from train").count == 10


@pytest.mark.parametrize("rows", [GOOD, [*GOOD, {"txt": 1}]])
def test_json_is_plain_and_says_the_same(tmp_path, rows):
    diagnosis = diagnose(tmp_path, rows)
    data = json.loads(json.dumps(diagnosis.as_json()))
    assert data["exit_code"] == diagnosis.exit_code
    assert data["splits"]["train"]["rows"] == len(rows)
    assert data["splits"]["train"]["problems"] == len(rows) - 100
    assert [f["what"] for f in data["findings"]] == [f.what for f in diagnosis.findings]


def test_the_worst_comes_first(tmp_path):
    diagnosis = diagnose(tmp_path, GOOD[:10] + GOOD[:3] + [{"txt": 1}] * 5 + [{"text": "x"}])
    levels = [finding.level for finding in diagnosis.findings]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)
    assert set(levels) == {"error", "warning", "info"}
