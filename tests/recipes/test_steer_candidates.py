"""What a guide learns from is what the labeler's own search, and its choice, would see."""

import math

import pytest
import torch

from fixtures.labelers import random_labeler
from groot.data.sample import read_sample
from groot.engine.events import ignore_events
from groot.outputs.choose import expected_rewards
from groot.recipes.steer_candidates import RewardedText, rewarded_texts, steer_table
from groot.rewards import parse_rewards
from groot.rewards.compose import OwnPart, Reward


@pytest.fixture(scope="module")
def labeler():
    return random_labeler()


@pytest.mark.parametrize("is_known", [True, False])
def test_expected_rewards_are_those_that_mbr_goes_by(labeler, is_known):
    def odd(example, candidates):  # no pairwise form, and missing for some
        return [
            None if len(candidate.spans) == 1 else float(len(example.gold))
            for candidate in candidates
        ]

    examples = read_sample("dev").examples[:12]
    candidates = labeler.candidates(examples, k=6)
    candidates[0] = candidates[0][:2]  # padding
    texts = [RewardedText(*pair) for pair in zip(examples, candidates, strict=True)]
    with parse_rewards(["f0.5"]) as known:
        reward = known if is_known else Reward([OwnPart("odd", odd)], [1.0])
        table = steer_table(labeler, texts, reward)
        for row, text in zip(table.expected(table.log_p).tolist(), texts, strict=True):
            wanted = expected_rewards(text.example, text.candidates, reward)
            wanted = [-math.inf if value is None else value for value in wanted]
            assert row[: len(wanted)] == pytest.approx(wanted)
            assert row[len(wanted) :] == [-math.inf] * (6 - len(wanted))


def test_rows_are_the_texts_and_columns_their_candidates_whatever_the_batches(labeler, monkeypatch):
    examples = read_sample("dev").examples[:12]
    with parse_rewards(["f0.5"]) as reward:
        texts = rewarded_texts(labeler, examples, reward, k=5, events=ignore_events)
        table = steer_table(labeler, texts, reward)
        monkeypatch.setattr("groot.recipes.steer_candidates.TEXTS_AT_A_TIME", 3)
        in_parts = steer_table(labeler, texts, reward)
    for row, text in enumerate(texts):
        for rank, candidate in enumerate(text.candidates):
            assert table.log_p[row, rank].item() == pytest.approx(candidate.log_p)
            assert table.rewards[row, rank].item() == pytest.approx(candidate.reward)
            right, wrong, missing = table.counts[row, rank].tolist()
            assert right + missing == len(text.example.gold)
            assert right + wrong == len(candidate.spans)
    head = torch.randn(table.n_labels, table.states.shape[1], generator=torch.Generator())
    torch.testing.assert_close(in_parts.added_by(head), table.added_by(head), atol=1e-4, rtol=1e-4)


def test_what_has_no_reward_is_left_out(labeler):
    examples = read_sample("dev").examples[:6]
    place_of = {example.id: place for place, example in enumerate(examples)}

    def odd(example, candidates):
        """Missing for each second text, and for the likeliest candidate."""
        if place_of[example.id] % 2:
            return [None] * len(candidates)
        return [None] + [float(rank) for rank in range(1, len(candidates))]

    reward = Reward([OwnPart("odd", odd)], [1.0])
    texts = rewarded_texts(labeler, examples, reward, k=4, events=ignore_events)
    assert [text.example.id for text in texts] == [example.id for example in examples[::2]]
    for text in texts:
        assert [candidate.reward for candidate in text.candidates] == [1.0, 2.0, 3.0]
