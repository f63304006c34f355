import json
import time

import pytest

from groot.engine.ledger import (
    LEDGER_FILE,
    UNKNOWN,
    USES,
    Ledger,
    read_ledger,
    text_hash,
    write_ledger,
)
from groot.errors import ModelError


def test_what_is_written_comes_back(tmp_path):
    ledger = Ledger(is_complete=True)
    for number, use in enumerate(USES):
        ledger = ledger.with_texts(use, [f"{use} {i}" for i in range(number)])
    write_ledger(tmp_path, ledger)
    assert read_ledger(tmp_path) == ledger
    write_ledger(tmp_path, UNKNOWN)
    assert read_ledger(tmp_path) == UNKNOWN


def test_each_use_is_counted_by_itself():
    ledger = Ledger().with_texts("learnt_from", ["a", "b"]).with_texts("chosen_on", ["b", "c"])
    ledger = ledger.with_texts("learnt_from", ["d"])
    assert ledger.seen(["a", "b", "b", "c", "d", "e"]) == {"learnt_from": 4, "chosen_on": 3}
    assert ledger.seen(["e"]) == {}
    assert ledger.sentences(["e"]) == []


def test_texts_that_differ_only_in_looks_are_one():
    same = ["Caf\u00e9 Nina", " cafe\u0301\tNINA\n", "cafe\u0301  nina"]
    assert len({text_hash(text) for text in same}) == 1
    others = ["cafe nina", "café nin a", "café nina!", "", "\ud800", "\ud801"]
    assert len({text_hash(text) for text in [*same, *others]}) == 1 + len(others)


def test_a_merged_ledger_knows_what_both_knew():
    one = Ledger().with_texts("learnt_from", ["a"]).with_texts("tested_on", ["t"])
    other = Ledger().with_texts("learnt_from", ["b"]).with_texts("chosen_on", ["c"])
    both = one.merged(other)
    assert both.seen(["a", "b", "c", "t"]) == {"learnt_from": 2, "chosen_on": 1, "tested_on": 1}
    assert both == other.merged(one)
    assert both.is_complete
    assert not both.merged(UNKNOWN).is_complete
    assert not UNKNOWN.merged(both).is_complete
    assert UNKNOWN.merged(both).hashes == both.hashes


def test_a_model_without_a_ledger_is_unknown_and_says_so(tmp_path):
    ledger = read_ledger(tmp_path)
    assert not ledger.is_complete
    assert ledger.sentences(["a"]) == ["Which other texts the model has seen is unknown."]
    later = ledger.with_texts("learnt_from", ["a"])
    assert later.sentences(["a", "b"]) == [
        "1 of 2 texts stands among those that the model learnt from.",
        "Which other texts the model has seen is unknown.",
    ]


def test_the_file_holds_no_text_and_one_sorted_list_for_each_use(tmp_path):
    write_ledger(tmp_path, Ledger().with_texts("learnt_from", ["secret b", "secret a", "Secret A"]))
    content = (tmp_path / LEDGER_FILE).read_text()
    assert "secret" not in content
    hashes = json.loads(content)["texts"]["learnt_from"]
    assert hashes == sorted({text_hash("secret a"), text_hash("secret b")})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"format": 2, "is_complete": true, "texts": {}}',
        '{"format": 1, "texts": {}}',
        '{"format": 1, "is_complete": true, "texts": {"learnt_from": "ab"}}',
        '{"format": 1, "is_complete": true, "texts": {"learnt_from": ["ab"]}}',
        '{"format": 1, "is_complete": true, "texts": {"learnt_from": [7]}}',
    ],
)
def test_a_damaged_ledger_is_refused_with_its_path(tmp_path, content):
    (tmp_path / LEDGER_FILE).write_text(content)
    with pytest.raises(ModelError, match=LEDGER_FILE):
        read_ledger(tmp_path)


def test_a_hundred_thousand_texts_stay_small_and_fast(tmp_path):
    texts = [f"please play song number {number} by nina simone" for number in range(100_000)]
    started = time.process_time()
    write_ledger(tmp_path, Ledger().with_texts("learnt_from", texts))
    assert read_ledger(tmp_path).seen(texts) == {"learnt_from": len(texts)}
    assert time.process_time() - started < 10
    assert (tmp_path / LEDGER_FILE).stat().st_size < 4_000_000
