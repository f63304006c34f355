"""Pairs of samples, and what reward models say of their prefixes."""

import pytest
import torch

from groot.guides import Written
from groot.reward_models.classifier_reward import load_classifier
from groot.reward_models.prefix_model import RewardModel
from groot.studies.prefix_pairs import PairedSamples, disagreement, draw_pairs, prefix_rewards


@pytest.fixture(scope="module")
def samples(generator, prompts):
    texts = [
        Written(tuple(generator.prompts.target_ids(text)), 0.0, True)
        for text in ("play it again", "book a table")
    ]
    return PairedSamples(generator, prompts, draw_pairs([texts] * 2, [[1.0, 0.0], [0.0, 2.0]]))


def test_pairs_differ_in_reward_and_leave_missing_ones_out():
    texts = [Written((token,), 0.0, True) for token in (1, 2, 3)]
    pairs = draw_pairs([texts, texts, texts], [[0.0, None, 1.0], [1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])
    assert [pair.row for pair in pairs] == [0, 2]
    assert (pairs[0].winner, pairs[0].loser) == ((3,), (1,))
    assert all(pair.rewards[0] > pair.rewards[1] for pair in pairs)


def test_a_reward_model_reads_prefixes_in_its_own_tokens(samples, generator, other_tokens):
    own = RewardModel(generator.model, "partial").eval()
    winners, losers = prefix_rewards(samples, own)
    assert [len(row) for row in winners] == [len(pair.winner) for pair in samples.pairs]
    assert [len(row) for row in losers] == [len(pair.loser) for pair in samples.pairs]
    other = RewardModel(other_tokens, "partial").eval()
    for side, texts in zip(
        prefix_rewards(samples, other),
        (["play it again", "book a table"], ["book a table", "play it again"]),
        strict=True,
    ):
        assert [len(row) for row in side] == [len(other.prompts.target_ids(text)) for text in texts]
        asked = [samples.examples[pair.row].text for pair in samples.pairs]
        whole = other.text_rewards(asked, texts).detach()  # the end is read like any other token
        torch.testing.assert_close(torch.tensor([row[-1] for row in side]), whole)


def test_a_classifier_reads_each_prefix_as_text(samples, make_encoder_folder, tmp_path):
    judge = load_classifier(make_encoder_folder("bert", tmp_path, num_labels=1))
    winners, _ = prefix_rewards(samples, judge)
    assert [len(row) for row in winners] == [len(pair.winner) for pair in samples.pairs]


def test_disagreement_is_the_share_of_prefixes_that_are_ordered_differently():
    up = ([[1.0, 2.0, 3.0, 4.0]], [[0.0, 0.0, 0.0, 0.0]])
    half = ([[1.0, 2.0, -3.0, -4.0]], [[0.0, 0.0, 0.0, 0.0]])
    shorter = ([[1.0, 2.0]], [[0.0, 0.0]])
    assert disagreement({"a": up, "b": half, "c": up, "d": shorter}) == {
        "a, b": 0.5, "a, c": 0.0, "a, d": None,
        "b, c": 0.5, "b, d": None,
        "c, d": None,
    }  # fmt: skip
