import json
import math
import random

import pytest

from groot.errors import ShapeError
from groot.evaluation.corpus_metrics import MicroF
from groot.evaluation.measure import measure
from groot.types import Candidate, Example, Span

A, B, C = Span(0, 4, "artist"), Span(5, 9, "album"), Span(10, 14, "artist")
TEXT = "nina blue soul"


def example(*spans, id="1"):
    return Example(TEXT, spans=spans, id=id)


def candidate(*spans, log_p=-1.0, reward=None):
    return Candidate("", spans, log_p=log_p, reward=reward)


def numbers(examples, candidates, **settings):
    return measure(examples, candidates, **{"k": 2, **settings}).summary(n_resamples=50)


def leaves(value):
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves(one)]
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, list) else [value]


def test_every_number_by_hand():
    examples = [example(A, B, id="1"), example(C, id="2"), example(id="3")]
    candidates = [
        [candidate(A, log_p=math.log(0.6), reward=0.5), candidate(A, B, log_p=-1.0, reward=1.0)],
        [Candidate("?", None, log_p=math.log(0.2), reward=0.0), candidate(C, reward=1.0)],
        [candidate(log_p=math.log(0.9), reward=1.0)],
    ]
    found = numbers(examples, candidates, metric=MicroF(0.5))
    # rank 1: right A, missed B and C, nothing spurious
    assert found["precision"] == 1.0
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["f1"] == pytest.approx(1 / 2)
    assert found["metric"] == pytest.approx(1.25 / 1.75)
    assert found["metric_name"] == "micro F0.5"
    assert found["exact"] == pytest.approx(1 / 3)
    assert found["malformed"] == 1
    # rank 2 averages over the two examples that have one
    assert found["reward"]["by_rank"] == [0.5, 1.0]
    # 0.75, 0.5 and 1.0: every example weighs the same
    assert found["reward"]["mean_top_k"] == pytest.approx(0.75)
    assert found["reward"]["oracle"] == 1.0
    assert found["reciprocal_rank"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert found["kendall_tau"] == pytest.approx(-1.0)
    # one example per bin: gaps 0.6 (wrong), 0.2 (wrong), 0.1 (right)
    assert found["calibration_error"] == pytest.approx((0.6 + 0.2 + 0.1) / 3)
    assert "calibration_error" not in found["intervals"]
    chance = found["calibration_error_of_chance"]
    assert 0 < chance["mean"] <= chance["high"] <= (0.6 + 0.8 + 0.9) / 3
    # album 0, artist 2/3; album has no precision, so the macro precision is artist's alone
    assert found["macro"]["f1"] == pytest.approx(1 / 3)
    assert found["macro"]["precision"] == 1.0
    artist = found["per_label"]["artist"]
    assert (artist["gold"], artist["predicted"], artist["right"]) == (2, 1, 1)
    assert found["per_label"]["album"]["precision"] is None
    assert found["tallies"]["empty_gold"] == 1
    assert found["tallies"]["false_alarms"] == 0
    assert found["task"] == "spans"
    assert "start, end and label" in found["mode"]


def test_intervals_hold_their_numbers_and_json_can_carry_all():
    examples = [example(A, B, id=str(i)) for i in range(30)]
    rng = random.Random(0)
    candidates = [
        [candidate(*rng.choice([(A, B), (A,), (C,)]), reward=rng.random()) for _ in range(2)]
        for _ in examples
    ]
    found = numbers(examples, candidates)
    for name in ("precision", "recall", "f1", "exact"):
        low, high = found["intervals"][name]
        assert low <= found[name] <= high
    low, high = found["per_label"]["artist"]["intervals"]["f1"]
    assert low <= found["per_label"]["artist"]["f1"] <= high
    assert len(found["intervals"]["reward"]["by_rank"]) == 2
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_nothing_at_all_is_undefined_not_zero_and_not_a_crash():
    found = numbers([], [], metric=MicroF(0.5))
    for name in ("precision", "recall", "f1", "exact", "calibration_error", "metric"):
        assert found[name] is None
    assert found["calibration_error_of_chance"] is found["duplicates"] is None
    assert found["reward"] == {"by_rank": [None, None], "mean_top_k": None, "oracle": None}
    assert found["macro"] == {"precision": None, "recall": None, "f1": None}


def test_only_o():
    # nothing gold, nothing said: undefined; something said: precision and F are 0
    quiet = numbers([example()], [[candidate(reward=1.0)]])
    assert (quiet["precision"], quiet["recall"], quiet["f1"], quiet["exact"]) == (None,) * 3 + (
        1.0,
    )
    loud = numbers([example()], [[candidate(A, reward=0.0)]])
    assert (loud["precision"], loud["recall"], loud["f1"]) == (0.0, None, 0.0)
    assert loud["tallies"]["false_alarms"] == 1
    assert loud["macro"]["f1"] is None  # no label of the gold


def test_no_candidates_is_a_miss_and_is_counted():
    found = numbers([example(A)], [[]])
    assert (found["recall"], found["exact"]) == (0.0, 0.0)
    assert found["tallies"]["without_candidates"] == 1
    assert found["malformed"] == 0
    assert found["reward"]["oracle"] is None


def test_missing_rewards_are_left_out():
    found = numbers(
        [example(A, id="1"), example(A, id="2")],
        [[candidate(A, reward=None), candidate(A, reward=0.4)], [candidate(A, reward=math.nan)]],
    )
    assert found["reward"]["by_rank"] == [None, 0.4]
    assert found["reward"]["mean_top_k"] == 0.4
    assert found["tallies"]["missing_rewards"] == 2


def test_without_gold_only_the_rewards_count():
    found = numbers([Example(TEXT, id="1")], [[candidate(A, reward=0.5)]])
    assert found["f1"] is None
    assert found["exact"] is None
    assert found["reward"]["by_rank"][0] == 0.5
    assert found["tallies"]["without_gold"] == 1


def test_candidates_beyond_k_are_not_looked_at():
    many = [[candidate(reward=0.0), candidate(reward=0.0), candidate(A, reward=1.0)]]
    assert numbers([example(A)], many)["reward"]["oracle"] == 0.0


def test_classes():
    examples = [
        Example("a", classes=("flight", "airfare"), id="1"),
        Example("b", classes=("flight",), id="2"),
    ]
    candidates = [
        [Candidate("", ("airfare", "flight"), log_p=-0.1, reward=1.0)],
        [Candidate("", ("meal",), log_p=-0.1, reward=0.0)],
    ]
    found = numbers(examples, candidates)
    assert found["task"] == "classes"
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["exact"] == 0.5
    assert found["per_label"]["flight"]["recall"] == 0.5


def test_texts():
    found = numbers(
        [Example("a", reference="guten Tag", id="1"), Example("b", reference="ja", id="2")],
        [[Candidate("", "guten Tag", log_p=-0.1, reward=0.9)], [Candidate("", "nein", reward=0.1)]],
    )
    assert found["task"] == "text"
    assert found["exact"] == 0.5
    assert found["f1"] is None
    assert found["per_label"] == {}
    assert found["reward"]["by_rank"] == [0.5, None]


def test_arguments_that_do_not_fit():
    with pytest.raises(ShapeError, match="1 examples but 0 lists"):
        measure([example()], [], k=1)
    with pytest.raises(ShapeError, match="k is 0"):
        measure([], [], k=0)
