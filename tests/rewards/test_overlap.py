import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.errors import RewardError
from groot.evaluation.corpus_metrics import MICRO_PRECISION, MICRO_RECALL, MicroF, f_beta
from groot.outputs.items import count_items
from groot.rewards.overlap import FBeta
from groot.types import Candidate, Example, Span

A, B, C = Span(0, 4, "artist"), Span(5, 9, "song"), Span(5, 9, "artist")
GOLD = Example("nina jazz", ("nina", "jazz"), (0, 5), spans=(A, B))

spans = st.lists(st.sampled_from([A, B, C, Span(0, 9, "song"), Span(0, 4, "song")]), max_size=4)
outputs = st.none() | spans.map(tuple)


def reward_of(beta, *outputs, example=GOLD):
    return FBeta(beta)(example, [Candidate("", output) for output in outputs])


def test_values_worked_by_hand():
    # one of two found, one said: P = 1, R = 1/2. F0.5 = 1.25 / (0.25*2 + 1), F2 = 5 / (4*2 + 1)
    assert reward_of(0.5, (A,)) == [pytest.approx(1.25 / 1.5)]
    assert reward_of(1, (A,)) == [pytest.approx(2 / 3)]
    assert reward_of(2, (A,)) == [pytest.approx(5 / 9)]
    assert reward_of(0, (A,), (A, C)) == [1.0, 0.5]
    assert reward_of(math.inf, (A,), (A, C), (A, B)) == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2, math.inf])
def test_empty_and_malformed(beta):
    nothing = Example("hi", spans=())
    assert reward_of(beta, (), None, (A,), example=nothing) == [1.0, 0.0, 0.0]
    assert reward_of(beta, (), None) == [0.0, 0.0]
    assert reward_of(beta, (A,), example=Example("hi")) == [None]


def test_a_repeated_span_pays_nothing():
    once, twice = reward_of(1, (A,), (A, A))
    assert twice < once
    assert reward_of(math.inf, (A, A)) == [0.5]


def test_label_names_alone_are_worth_nothing():
    assert reward_of(0.5, (Span(9, 9, "artist"), Span(9, 9, "song"))) == [0.0]


def test_classes_and_both():
    both = Example("x", spans=(A,), classes=("music", "play"))
    assert FBeta(1, of="classes")(both, [Candidate("", ("music",))]) == [pytest.approx(2 / 3)]
    assert FBeta(1)(both, [Candidate("", (A,))]) == [1.0]
    with pytest.raises(RewardError, match="class_f1"):
        FBeta(1)(both, [Candidate("", ("music",))])
    with pytest.raises(RewardError, match="not free text"):
        FBeta(1)(Example("x", reference="y"), [Candidate("y", "y")])


def test_metric_is_the_form_over_summed_counts():
    assert FBeta(0.5).metric == MicroF(0.5)
    assert FBeta(0).metric == MICRO_PRECISION
    assert FBeta(math.inf).metric == MICRO_RECALL
    assert [FBeta(b).name for b in (0, 0.25, 1, math.inf)] == ["precision", "f0.25", "f1", "recall"]


@given(gold=spans, output=outputs, beta=st.sampled_from([0.25, 0.5, 1.0, 3.0]))
def test_agrees_with_the_counter_of_evaluation(gold, output, beta):
    gold = tuple(dict.fromkeys(gold))
    [value] = reward_of(beta, output, example=Example("", spans=gold))
    counted = f_beta(count_items(gold, output), beta)
    expected = float(output is not None) if counted is None else counted
    assert value == pytest.approx(expected)


@given(some=st.lists(outputs, min_size=1, max_size=5), beta=st.sampled_from([0, 0.5, 1, math.inf]))
def test_pairwise_is_the_reward_with_each_as_gold(some, beta):
    candidates = [Candidate("", output) for output in some]
    matrix = FBeta(beta).pairwise(candidates)
    for row, gold in enumerate(some):
        if gold is not None:
            expected = FBeta(beta)(Example("", spans=gold), candidates)
            np.testing.assert_allclose(matrix[row], np.array(expected, dtype=float))
