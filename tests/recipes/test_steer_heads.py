"""The guide of a head says of a target what the head was fitted to say."""

import torch

from fixtures.labelers import random_labeler
from groot.data.sample import read_sample
from groot.engine.events import ignore_events
from groot.recipes.steer_candidates import rewarded_texts, steer_table
from groot.recipes.steer_heads import guide_of_head
from groot.rewards import parse_rewards


@torch.no_grad()
def test_the_reward_of_a_whole_target_is_what_the_head_adds():
    labeler = random_labeler()
    with parse_rewards(["f0.5"]) as reward:
        texts = rewarded_texts(
            labeler, read_sample("dev").examples[:4], reward, k=4, events=ignore_events
        )
        table = steer_table(labeler, texts, reward)
    generator = torch.Generator().manual_seed(2)
    head = torch.randn(table.n_labels, table.states.shape[1], generator=generator)
    guide = guide_of_head(labeler, head, scale=table.scale, weight=0.5)
    assert guide.weight == 0.5
    for row, text in enumerate(texts):
        targets = [
            list(labeler.codec.encode(text.example, candidate.output).tokens)
            for candidate in text.candidates
        ]
        inputs = [labeler.codec.input_ids(text.example)] * len(targets)
        torch.testing.assert_close(
            guide.model.rewards(inputs, targets),
            table.added_by(head)[row, : len(targets)],
            atol=1e-3,
            rtol=1e-3,
        )
