"""What picks a checkpoint, worked by hand."""

import pytest

from groot.recipes.dev import dev_numbers, perplexity_numbers
from groot.rewards import parse_rewards
from groot.types import Candidate, Example, Span

GOLD = (Span(0, 4, "artist", "nina"), Span(5, 10, "city", "paris"))
RIGHT = Candidate("", GOLD, log_p=-1.0)
HALF = Candidate("", GOLD[:1], log_p=-2.0)
NOTHING = Candidate("", (), log_p=-3.0)


def example(number):
    return Example("nina paris", ("nina", "paris"), (0, 5), spans=GOLD, id=str(number))


def numbers_of(spec, *ranked):
    with parse_rewards([spec]) as reward:
        return dev_numbers([example(number) for number in range(len(ranked))], ranked, reward)


def test_numbers_by_hand():
    numbers = numbers_of("exact", [RIGHT, HALF], [HALF, RIGHT], [NOTHING, HALF])
    assert numbers["reward"] == pytest.approx(1 / 3)  # of the first ones
    assert numbers["reward_top_k"] == pytest.approx(2 / 6)  # of all
    assert numbers["f1"] == pytest.approx(2 * 3 / (3 + 6))  # 3 spans, all right, of 6
    assert numbers["metric"] == numbers["reward"]  # exact has no form over a whole set


def test_the_metric_is_the_rewards_form_over_the_whole_set():
    numbers = numbers_of("f1", [RIGHT], [HALF], [NOTHING])
    assert numbers["reward"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert numbers["metric"] == pytest.approx(6 / 9) == numbers["f1"]


def test_both_looks_at_the_first_rank_and_at_all_of_them():
    # the same rank 1, and better ranks below: only `both` tells the two apart
    good = numbers_of("f1", [HALF, RIGHT], [HALF, RIGHT])
    poor = numbers_of("f1", [HALF, NOTHING], [HALF, NOTHING])
    assert good["metric"] == poor["metric"]
    assert good["both"] - poor["both"] == pytest.approx(1 / 2)
    # the same ranks in all, and a better rank 1
    first = numbers_of("f1", [RIGHT, HALF], [RIGHT, HALF])
    assert first["reward_top_k"] == pytest.approx(good["reward_top_k"])
    assert first["both"] - good["both"] == pytest.approx(1 - 2 / 3)


def test_a_missing_reward_takes_no_part_and_no_candidate_is_no_rank_1():
    class Missing:
        """A reward that says nothing of the second candidate."""

        metric = None

        def score(self, examples, candidates):
            return [[1.0, None][: len(ranked)] for ranked in candidates]

    numbers = dev_numbers([example(1), example(2)], [[RIGHT, HALF], []], Missing())
    assert (numbers["reward"], numbers["reward_top_k"], numbers["both"]) == (1.0, 1.0, 2.0)
    assert numbers["f1"] == pytest.approx(2 * 2 / (2 + 4))  # the gold of the second is missed


def test_no_token_at_all_is_no_division_by_zero():
    assert perplexity_numbers(0.0, 0) == {"log_p_per_token": 0.0, "perplexity": 1.0}
