import math
from pathlib import Path

import pytest

from groot.errors import ConfigError
from groot.evaluation.corpus_metrics import MICRO_PRECISION, MicroF
from groot.rewards import parse_rewards
from groot.types import Candidate, Example, Span

A, B = Span(0, 4, "artist"), Span(5, 9, "song")
GOLD = Example("nina jazz", ("nina", "jazz"), (0, 5), spans=(A, B))


def score(specs, *outputs, **settings):
    reward = parse_rewards(specs, **settings)
    return reward.score([GOLD], [[Candidate("", output) for output in outputs]])[0]


@pytest.mark.parametrize("beta", [0.25, 0.5, 1, 1.5, 2, 10])
def test_any_beta(beta):
    # one of two found: P = 1, R = 1/2
    assert score([f"f{beta}"], (A,)) == [pytest.approx((1 + beta**2) * 0.5 / (beta**2 + 0.5))]


def test_names_weights_and_metric():
    assert parse_rewards(["f0.5"]).name == "f0.5"
    assert parse_rewards("f0.5").name == "f0.5"
    assert parse_rewards(["f0.5"]).metric == MicroF(0.5)
    assert parse_rewards(["f0.5=2"]).metric == MicroF(0.5)
    assert parse_rewards(["precision"]).metric == MICRO_PRECISION
    for specs in (["exact"], ["f1", "exact"], ["f1=-1"], ["token_accuracy"]):
        assert parse_rewards(specs).metric is None
    assert parse_rewards(["exact", "f1"], weights=[0.25, 3]).name == "exact=0.25 f1=3"
    assert parse_rewards(["f1=0.8", "exact"]).weights == (0.8, 1.0)


def test_weighted_sum_worked_by_hand():
    assert score(["f1=0.8", "exact=0.2"], (A, B), (A,)) == [1.0, pytest.approx(0.8 * 2 / 3)]
    assert score(["f1", "exact"], (A,), weights=[0.5, 4]) == [pytest.approx(1 / 3)]


def test_aliases_agree_and_names_never_repeat():
    reward = parse_rewards(["exact", "exact_match", "exact"])
    scores = reward.score_parts([GOLD], [[Candidate("", (A, B))]])
    assert set(scores.parts) == {"exact", "exact_match", "exact_2"}
    assert scores.total == [[3.0]]


def test_cost_table_by_its_file(tmp_path):
    path = tmp_path / "costs.yaml"
    path.write_text("artist: {missing: 5}\n")
    assert score([str(path)], (A, B), (B,)) == [0.0, -5.0]
    assert parse_rewards([str(path)]).name == "costs"
    before = parse_rewards([str(path)]).mark
    path.write_text("artist: {missing: 6}\n")
    assert parse_rewards([str(path)]).mark != before


def test_unknown_labels_of_a_cost_table(tmp_path):
    path = tmp_path / "costs.yaml"
    path.write_text("atrist: 5\n")
    reward = parse_rewards(["f1", str(path)])
    assert reward.unknown_labels({"artist", "song"}) == [
        "costs: label 'atrist' is not in the data. Did you mean 'artist'?"
    ]


def test_the_mark_tells_names_and_weights_apart():
    specs = (["f1"], ["f2"], ["f1=0.5"], ["f1", "exact"], ["exact", "f1"])
    assert len({parse_rewards(one).mark for one in specs}) == len(specs)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["exact_mach"], "Did you mean 'exact_match'"),
        (["f"], "reward 'f' does not exist"),
        (["f-1"], "does not exist"),
        (["my.module.function"], "Did you mean the function my.module:function"),
        (["rewards.py"], "names a file but no function"),
        (["f1=much"], "'much' is not a weight"),
        (["f1=nan"], "finite"),
        (["f1=inf"], "finite"),
        (["no_such_file.yaml"], "cannot be read"),
        ([], "No reward is named"),
    ],
)
def test_mistakes(specs, message):
    with pytest.raises(ConfigError, match=message):
        parse_rewards(specs)


def test_all_mistakes_together():
    with pytest.raises(ConfigError) as caught:
        parse_rewards(["exakt", "f1=x", "recal"], weights=[1.0])
    for part in ("exakt", "'x' is not a weight", "recal", "1 weights for 3"):
        assert part in str(caught.value)
    with pytest.raises(ConfigError, match="given twice"):
        parse_rewards(["f1=2"], weights=[1.0])


def test_missing_gold_is_missing_not_zero():
    nothing = Example("x")
    one = [Candidate("", (A,)), Candidate("", None)]
    for spec in ("f1", "exact", "token_accuracy", "class_accuracy", "class_f1", "recall"):
        assert parse_rewards([spec]).score([nothing], [one]) == [[None, None]]
    assert parse_rewards(["f1"]).score([nothing, GOLD], [one, one])[1] == [
        pytest.approx(2 / 3),
        0.0,
    ]


def test_every_name_in_the_docs_is_real():
    from groot.rewards import REWARDS

    docs = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text(encoding="utf-8")
    for name in REWARDS:
        assert f"`{name}`" in docs
    assert math.isfinite(score(["f0.25"], (A,))[0])
