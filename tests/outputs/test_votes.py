"""Gold as votes: one vote is the reward, own candidates are MBR, and weights split as they may."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groot.outputs.votes import Vote, expected, one_vote, rewards_by_vote, votes_of, without_gold
from groot.rewards import parse_rewards
from groot.types import Candidate, Example, Span

A, B, C = Span(0, 4, "artist"), Span(5, 9, "song"), Span(5, 9, "artist")
EXAMPLE = Example("nina jazz", ("nina", "jazz"), (0, 5), spans=(A,), id="e1")

outputs = st.sampled_from([(), (A,), (B,), (C,), (A, B), (A, C), (A, A)])
ranked = st.lists((st.none() | outputs).map(lambda output: Candidate("", output)), max_size=5)
weights = st.floats(0.01, 5)
votes = st.lists(st.builds(Vote, outputs, weights, st.just("spans")), min_size=1, max_size=4)
specs = st.sampled_from(
    [["f0.5"], ["exact"], ["token_accuracy"], ["f1=0.8", "exact=0.2"], ["recall=-1", "exact"]]
)


@given(some=ranked, specs=specs)
def test_one_vote_is_the_reward_itself(some, specs):
    reward = parse_rewards(specs)
    assert expected(reward, [EXAMPLE], [some], [one_vote(EXAMPLE)]) == reward.score(
        [EXAMPLE], [some]
    )


@pytest.mark.parametrize(
    ("example", "output", "spec"),
    [
        (Example("x", classes=("a", "b")), ("a",), "class_f1"),
        (Example("x", classes=("a", "b")), ("a",), "f1"),
        (Example("x", spans=(A,), classes=("a", "b")), ("a",), "class_f1"),  # the gold of two tasks
        (Example("x", reference="a b"), "a c", "token_accuracy"),
    ],
)
def test_one_vote_of_every_task(example, output, spec):
    reward, some = parse_rewards([spec]), [Candidate("", output)]
    (value,) = reward.score([example], [some])[0]
    assert value is not None
    assert expected(reward, [example], [some], [one_vote(example)]) == [[value]]


def test_without_gold_there_is_no_vote_and_nothing_is_expected():
    example = without_gold(dataclasses.replace(EXAMPLE, classes=("a",), reference="b"))
    assert example.gold is None
    assert one_vote(example) == ()
    some = [Candidate("", (A,)), Candidate("", ())]
    assert expected(parse_rewards(["f1"]), [example], [some], [()]) == [[None, None]]


@given(some=ranked, ballot=votes, specs=specs)
def test_a_mean_of_the_rewards_against_each_vote_by_brute_force(some, ballot, specs):
    reward = parse_rewards(specs)
    rows = [
        reward.score([dataclasses.replace(EXAMPLE, spans=vote.output)], [some])[0]
        for vote in ballot
    ]
    total = sum(vote.weight for vote in ballot)
    wanted = [
        sum(vote.weight * row[place] for vote, row in zip(ballot, rows, strict=True)) / total
        for place in range(len(some))
    ]
    (values,) = expected(reward, [EXAMPLE], [some], [ballot])
    assert values == pytest.approx(wanted, abs=1e-12)


@given(some=ranked, ballot=votes, specs=specs, scale=weights)
def test_halves_of_a_vote_and_votes_in_another_unit_change_nothing(some, ballot, specs, scale):
    reward = parse_rewards(specs)

    def values(votes):
        return expected(reward, [EXAMPLE], [some], [votes])[0]

    halves = [dataclasses.replace(vote, weight=vote.weight / 2) for vote in ballot for _ in "ab"]
    scaled = [dataclasses.replace(vote, weight=vote.weight * scale) for vote in ballot]
    assert values(halves) == pytest.approx(values(ballot), abs=1e-12)
    assert values(scaled) == pytest.approx(values(ballot), abs=1e-12)


@given(
    some=st.lists(
        st.builds(
            Candidate, st.just(""), st.none() | outputs, st.none() | st.floats(-9, 0, width=32)
        ),
        max_size=5,
    )
)
def test_own_candidates_vote_by_their_probability(some):
    ballot = votes_of(some)
    legal = [c for c in some if c.output is not None and c.log_p is not None]
    assert [vote.output for vote in ballot] == [c.output for c in legal]
    total = sum(math.exp(c.log_p) for c in legal)
    assert [vote.weight for vote in ballot] == pytest.approx(
        [math.exp(c.log_p) / total for c in legal]
    )


def test_the_task_of_votes():
    assert votes_of([Candidate("", ("a",), 0.0)])[0].task == "classes"
    assert votes_of([Candidate("", "a", 0.0)])[0].task == "text"
    assert votes_of([Candidate("", (), 0.0)])[0].task == "spans"
    assert votes_of([Candidate("", (), 0.0)], "classes")[0].task == "classes"


def missing_for_songs(example, candidates):
    known = not any(span.label == "song" for span in example.spans)
    return [float(len(candidate.spans)) if known else None for candidate in candidates]


def test_missing_is_left_out_of_the_mean_and_never_zero():
    ballot = [Vote((A,), 1.0, "spans"), Vote((B,), 9.0, "spans")]
    some = [Candidate("", (A,)), Candidate("", (A, C))]
    with parse_rewards([missing_for_songs]) as reward:
        assert expected(reward, [EXAMPLE], [some], [ballot]) == [[1.0, 2.0]]
        assert expected(reward, [EXAMPLE], [some], [ballot[1:]]) == [[None, None]]
        (matrix,) = rewards_by_vote(reward, [EXAMPLE], [some], [ballot])
        assert np.isnan(matrix).tolist() == [[False, False], [True, True]]


def test_votes_that_are_no_candidates_are_counted_without_a_call():
    ballot = [Vote((A, B), 2.0, "spans"), Vote((C,), 1.0, "spans")]
    some = [Candidate("", (A,)), Candidate("", (C,))]
    reward = parse_rewards(["f1"])
    assert expected(reward, [EXAMPLE], [some], [ballot]) == [pytest.approx([4 / 9, 1 / 3])]
    assert reward.counts()["f1"]["asked"] == 0


def test_gold_of_another_task_is_seen_by_its_reward():
    """A vote of spans leaves gold classes alone, so the counted form may not be used."""
    example = Example("nina jazz", spans=(A,), classes=("music",))
    ballot = [Vote((A,), 1.0, "spans"), Vote((B,), 1.0, "spans")]
    some = [Candidate("", ("music",))]
    assert expected(parse_rewards(["class_f1"]), [example], [some], [ballot]) == [[1.0]]


def test_many_examples_keep_their_own_votes():
    examples = [dataclasses.replace(EXAMPLE, id=str(number)) for number in range(40)]
    ballots = [[Vote((A,) if number % 3 else (B,), 1.0, "spans")] for number in range(40)]
    ballots[7] = []
    rewards = expected(parse_rewards(["exact"]), examples, [[Candidate("", (A,))]] * 40, ballots)
    assert rewards == [[None] if number == 7 else [float(number % 3 > 0)] for number in range(40)]
