import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import ConfigError, ShapeError
from groot.outputs.choose import choose, choose_all, expected_rewards
from groot.rewards import parse_rewards
from groot.types import Candidate, Example, Span

A, B, C = Span(0, 4, "artist"), Span(5, 9, "song"), Span(5, 9, "artist")
NAMELESS = Example("nina jazz", ("nina", "jazz"), (0, 5))


def candidate(output, p, target=""):
    return Candidate(target, output, log_p=math.log(p))


def test_value_worked_by_hand():
    # p = 0.5, 0.3, 0.2. Of (A,): itself 1, against (A, B) F1 = 2/3, against () 0.
    some = [candidate((A,), 0.5), candidate((A, B), 0.3), candidate((), 0.2)]
    expected = [0.5 + 0.3 * 2 / 3, 0.5 * 2 / 3 + 0.3, 0.2]
    assert expected_rewards(NAMELESS, some, parse_rewards(["f1"])) == pytest.approx(expected)


def test_log_p_need_not_sum_to_one():
    some = [candidate((A,), 0.05), candidate((B,), 0.15)]
    assert expected_rewards(NAMELESS, some, parse_rewards(["exact"])) == pytest.approx([0.25, 0.75])


def test_mbr_prefers_what_agrees_with_the_rest():
    lone = candidate((C,), 0.4)
    agreeing = [candidate((A, B), 0.3), candidate((A,), 0.3)]
    some = [lone, *agreeing]
    reward = parse_rewards(["f1"])
    assert choose(NAMELESS, some, reward, "top") == some
    assert choose(NAMELESS, some, reward, "mbr")[0] in agreeing
    assert sorted(map(id, choose(NAMELESS, some, reward, "mbr"))) == sorted(map(id, some))


def test_gold_plays_no_part():
    some = [candidate((A,), 0.6), candidate((B,), 0.4)]
    told = Example("nina jazz", ("nina", "jazz"), (0, 5), spans=(B,))
    for spec in ("f0.5", "token_accuracy"):
        reward = parse_rewards([spec])
        assert expected_rewards(told, some, reward) == expected_rewards(NAMELESS, some, reward)


LEGAL = st.sampled_from([(), (A,), (B,), (C,), (A, B), (A, C), (Span(0, 9, "song"),)])
SPECS = [["f0.5"], ["f1=0.8", "exact=0.2"], ["recall"], ["precision"], ["f2=-1", "exact=3"]]


@given(
    outputs=st.lists(
        st.none() | LEGAL | st.lists(st.sampled_from([A, B, C]), max_size=3).map(tuple),
        min_size=1,
        max_size=6,
    ),
    specs=st.sampled_from([*SPECS, ["costs"], ["costs=0.5", "f1"]]),
    seed=st.integers(0, 9),
)
def test_fast_path_equals_the_general_one(outputs, specs, seed, costs):
    rng = random.Random(seed)
    some = [candidate(output, rng.uniform(0.01, 1)) for output in outputs]
    reward = parse_rewards([spec.replace("costs", costs) for spec in specs])
    check_fast_path(NAMELESS, some, reward)


@given(
    outputs=st.lists(
        st.none() | st.sets(st.sampled_from("abcd")).map(sorted).map(tuple), min_size=1, max_size=6
    ),
    specs=st.sampled_from([["class_f1"], ["class_accuracy", "f0.5"], ["costs"]]),
)
def test_fast_path_of_classes(outputs, specs, costs):
    some = [candidate(output, 1 / (2 + rank)) for rank, output in enumerate(outputs)]
    example = Example("x", classes=("a",))
    reward = parse_rewards([spec.replace("costs", costs) for spec in specs])
    check_fast_path(example, some, reward)


def check_fast_path(example, some, reward):
    fast = expected_rewards(example, some, reward)
    reward.pairwise = lambda candidates: None
    general = expected_rewards(example, some, reward)
    np.testing.assert_allclose(np.array(fast, float), np.array(general, float), rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    path = tmp_path_factory.mktemp("costs") / "costs.yaml"
    path.write_text("artist: {missing: 5, spurious: 0.3}\nsong: {wrong_label: 2.5}\na: 3\n")
    return str(path)


@pytest.mark.parametrize("spec", ["f0.5", "exact", "costs"])
def test_no_pair_is_asked_for_where_pairs_can_be_counted(spec, costs):
    some = [candidate((A,), 0.5), candidate((B,), 0.3), candidate((A, B), 0.2)]
    reward = parse_rewards([spec.replace("costs", costs)])
    expected_rewards(NAMELESS, some, reward)
    assert reward.counts()[spec]["asked"] == 0


def test_rewards_of_classes_are_missing_for_spans():
    some = [candidate((A,), 0.5), candidate((), 0.5)]
    for spec in ("class_f1", "class_accuracy"):
        assert expected_rewards(NAMELESS, some, parse_rewards([spec])) == [None, None]


def test_classes_and_text_with_any_reward():
    classes = [candidate(("music",), 0.6), candidate(("play", "music"), 0.4), candidate((), 0.1)]
    assert choose(Example("x"), classes, parse_rewards(["class_accuracy"]), "mbr")[0] is classes[0]
    texts = [candidate("a b", 0.4), candidate("a c", 0.3), candidate("a d", 0.3)]
    reward = parse_rewards(["token_accuracy"])
    assert expected_rewards(Example("x"), texts, reward)[0] == pytest.approx(0.4 + 0.3)


def test_a_users_function_gets_each_candidate_as_the_gold():
    def shares_the_label(example, candidates):
        return [float(c.spans[0].label == example.spans[0].label) for c in candidates]

    some = [candidate((A,), 0.4), candidate((B,), 0.25), candidate((Span(0, 4, "song"),), 0.35)]
    with parse_rewards([shares_the_label]) as reward:
        assert expected_rewards(NAMELESS, some, reward) == pytest.approx([0.4, 0.6, 0.6])
        assert (
            choose_all([NAMELESS] * 2, [some] * 2, reward, "mbr")
            == [[some[2], some[1], some[0]]] * 2
        )


def test_malformed_and_unscored_candidates():
    legal, junk, unscored = candidate((A,), 0.1), candidate(None, 0.9), Candidate("", (B,))
    some = [junk, unscored, legal]
    for spec in ("f1", "token_accuracy"):
        reward = parse_rewards([spec])
        assert expected_rewards(NAMELESS, some, reward)[2] == 1.0
        assert choose(NAMELESS, some, reward, "mbr")[0] is legal
    assert choose(NAMELESS, some, parse_rewards(["f1"]), "top") == [junk, legal, unscored]
    assert expected_rewards(NAMELESS, [junk], parse_rewards(["f1"])) == [None]
    assert expected_rewards(NAMELESS, [], parse_rewards(["f1"])) == []


def test_mistakes():
    with pytest.raises(ConfigError, match="'top' or 'mbr'"):
        choose(NAMELESS, [], parse_rewards(["f1"]), "best")
    with pytest.raises(ShapeError, match="2 examples"):
        choose_all([NAMELESS, NAMELESS], [[]], parse_rewards(["f1"]))


def test_mbr_over_sets_of_64():
    rng = random.Random(0)
    places = [Span(3 * i, 3 * i + 2, label) for i in range(10) for label in "abc"]
    many = [
        [
            candidate(tuple(rng.sample(places, rng.randint(0, 4))), rng.uniform(0.01, 1))
            for _ in range(64)
        ]
        for _ in range(20)
    ]
    chosen = choose_all([NAMELESS] * 20, many, parse_rewards(["f0.5"]), "mbr")
    assert all(len(some) == 64 for some in chosen)
