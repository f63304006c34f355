"""Losses on pairs: one pass equals a row per prefix, and scores keep the order of the pairs."""

import random

import pytest
import torch

from groot.models.loading import load_model
from groot.objectives import REWARD_OBJECTIVES, PairRewards
from groot.recipes.pair_losses import OBJECTIVE_OF, pair_loss, pair_scores
from groot.recipes.spelled_pairs import SpelledPair
from groot.reward_models.prefix_model import RewardModel


def random_items(seed=3):
    rng = random.Random(seed)

    def row(length):
        return [rng.randrange(5, 290) for _ in range(length)]

    return [
        SpelledPair(row(4), row(5), row(3), 0.9, 0.2),
        SpelledPair(row(2), row(1), row(4), 0.5, 0.1),
    ]


def expanded_loss(model, items):
    """The loss with a row of its own for each prefix of each output, none shared."""
    losses = []
    for item in items:
        length = max(len(item.chosen), len(item.rejected))
        rewards = [
            torch.cat(
                [model.rewards([item.input_ids], [output[: at + 1]]) for at in range(len(output))]
                + [torch.zeros(length - len(output))]
            )[None]
            for output in (item.chosen, item.rejected)
        ]
        masks = [
            torch.arange(length)[None] < len(output) for output in (item.chosen, item.rejected)
        ]
        finals = torch.tensor([item.chosen_reward]), torch.tensor([item.rejected_reward])
        objective = REWARD_OBJECTIVES[OBJECTIVE_OF[model.kind]]
        losses.append(objective(PairRewards(*rewards, *masks, *finals)))
    return torch.cat(losses)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
@pytest.mark.parametrize("kind", ["partial", "sequence", "value", "rad"])
def test_one_pass_gives_the_loss_and_gradients_of_a_row_per_prefix(family, kind, request):
    model = RewardModel(load_model(request.getfixturevalue(family)), kind).train()
    items = random_items()
    gradients = []
    for loss_of in (pair_loss, expanded_loss):
        model.zero_grad()
        loss = loss_of(model, items)
        loss.sum().backward()
        found = {name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None}
        gradients.append((loss.detach(), found))
    (loss, found), (wanted_loss, wanted) = gradients
    torch.testing.assert_close(loss, wanted_loss, atol=1e-5, rtol=1e-5)
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-5, rtol=1e-4)


def test_what_is_measured_of_a_vocabulary_model_is_its_order_of_pairs(gpt2):
    model = RewardModel(load_model(gpt2), "vocabulary").eval()
    items = random_items()
    with torch.no_grad():
        rewards = [
            model.rewards(
                [item.input_ids for item in items], [getattr(item, side) for item in items]
            )
            for side in ("chosen", "rejected")
        ]
        measured = pair_loss(model, items, is_measured=True)
        trained = pair_loss(model, items)
    order = -torch.nn.functional.logsigmoid(rewards[0] - rewards[1])
    torch.testing.assert_close(measured, order, atol=1e-5, rtol=1e-5)
    assert (trained > measured).all()  # consistency is learnt besides


def test_scores_come_in_the_order_of_the_items_whatever_the_batches(gpt2):
    model = RewardModel(load_model(gpt2), "partial").eval()
    items = random_items() + random_items(seed=4)
    whole = pair_scores(model, items)
    small = pair_scores(model, items, batch_size=1)
    for one, other, item in zip(whole, small, items, strict=True):
        assert len(one.chosen) == len(item.chosen)
        assert one.chosen == pytest.approx(other.chosen, abs=1e-5)
        assert one.rejected == pytest.approx(other.rejected, abs=1e-5)
