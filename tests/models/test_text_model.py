"""A model as encoder, steps and output layer: logits over some tokens are those over all."""

import pytest
import torch

from groot.models.loading import load_model


@pytest.fixture
def model(model_folder):
    """Each family, its output biased where the family has a buffer for it."""
    model = load_model(model_folder).eval()
    bias = getattr(model.model, "final_logits_bias", None)
    if bias is not None:
        bias.normal_()
    return model


@pytest.fixture
def hidden(model):
    size = model.model.get_output_embeddings().weight.shape[1]
    return torch.randn((2, 3, size), generator=torch.Generator().manual_seed(0))


IDS = torch.tensor([1, 4, 5, 9])


def whole(model, hidden):
    """Logits over the vocabulary as the model has them, of which some are taken."""
    return model.logits(hidden)[..., IDS]


@torch.no_grad()
def test_logits_of_some_tokens_follow_the_weights_and_the_tokens(model, hidden):
    head, ids = model.model.get_output_embeddings(), IDS.clone()
    head.bias = torch.nn.Parameter(torch.zeros(len(head.weight)))
    torch.testing.assert_close(model.logits(hidden, ids), whole(model, hidden))
    head.weight.mul_(2.0)
    torch.testing.assert_close(model.logits(hidden, ids), whole(model, hidden))
    head.bias.normal_()
    torch.testing.assert_close(model.logits(hidden, ids), whole(model, hidden))
    bias = getattr(model.model, "final_logits_bias", None)
    if bias is not None:
        bias.add_(1.0)
        torch.testing.assert_close(model.logits(hidden, ids), whole(model, hidden))
    ids.add_(1)
    torch.testing.assert_close(model.logits(hidden, ids), model.logits(hidden)[..., IDS + 1])


def test_what_was_made_of_the_weights_without_gradient_takes_none_from_training(model, hidden):
    with torch.inference_mode():
        model.logits(hidden, IDS)
    weight = model.model.get_output_embeddings().weight
    grown = []
    for logits in (model.logits(hidden, IDS), whole(model, hidden)):
        (gradient,) = torch.autograd.grad(logits.square().sum(), weight)
        grown.append(gradient)
    torch.testing.assert_close(*grown)
    assert grown[0].abs().sum() > 0


def test_tokens_made_in_inference_mode_are_looked_up_each_time(model, hidden):
    with torch.inference_mode():
        ids = IDS + 0
        first = model.logits(hidden, ids)
        ids.add_(1)
        second = model.logits(hidden, ids)
        torch.testing.assert_close(first, whole(model, hidden))
        torch.testing.assert_close(second, model.logits(hidden)[..., IDS + 1])
