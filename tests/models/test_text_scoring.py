"""log_p of free texts: equal to a plain pass, padding changes nothing, every family."""

import math

import pytest
import torch

from groot.errors import ShapeError
from groot.models.loading import load_model
from groot.models.prompts import Prompts
from groot.models.scoring import candidate_log_p
from groot.models.text_scoring import token_log_p
from groot.targets.grammar import EncodedTarget

PROMPTS = ["play nina", "", "what is the weather in may"]
TEXTS = [["in the kitchen", "please"], ["a table for two at nine"], ["o", "", "of the year"]]


@pytest.fixture(scope="module")
def model(model_folder):
    return load_model(model_folder).eval()


@pytest.fixture(scope="module")
def ids(model):
    prompts = Prompts(model.tokenizer, is_causal=model.is_causal)
    inputs = [prompts.input_ids(prompt) for prompt in PROMPTS]
    return inputs, [[prompts.target_ids(text) for text in some] for some in TEXTS]


def free(texts):
    return [[EncodedTarget.free(tokens) for tokens in of_prompt] for of_prompt in texts]


def plain_log_p(model, inputs, target):
    """By one ordinary call of the transformers model."""
    prompt, tokens = torch.tensor([inputs]), torch.tensor([target])
    if model.is_causal:
        logits = model.model(input_ids=torch.cat([prompt, tokens], dim=1)).logits
        logits = logits[:, len(inputs) - 1 : -1]
    else:
        start = torch.full((1, 1), model.config.decoder_start_token_id)
        shifted = torch.cat([start, tokens[:, :-1]], dim=1)
        logits = model.model(input_ids=prompt, decoder_input_ids=shifted).logits
    return float(logits.log_softmax(-1)[0].gather(1, tokens[0][:, None]).sum())


@torch.no_grad()
def test_equals_a_plain_pass(model, ids):
    inputs, targets = ids
    log_p, is_real = candidate_log_p(model, None, inputs, free(targets))
    assert is_real.tolist() == [[True, True, False], [True, False, False], [True] * 3]
    for row, some in enumerate(targets):
        for column, target in enumerate(some):
            assert math.isclose(
                float(log_p[row, column]), plain_log_p(model, inputs[row], target), abs_tol=3e-4
            )
    assert (log_p[~is_real] == 0).all()


def test_gradients_reach_the_weights_and_not_through_padding(model, ids):
    inputs, targets = ids
    log_p, is_token = token_log_p(model, inputs, [targets[0][1], targets[2][2]], [0, 2])
    assert is_token.sum(1).tolist() == [len(targets[0][1]), len(targets[2][2])]
    assert (log_p[~is_token] == 0).all()
    log_p.sum().backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    model.zero_grad()


def test_shapes_are_checked(model, ids):
    inputs, targets = ids
    with pytest.raises(ShapeError, match="3 inputs but candidates of 2"):
        candidate_log_p(model, None, inputs, free(targets[:2]))
    with pytest.raises(ShapeError, match="no candidates"):
        candidate_log_p(model, None, inputs, [[], [], []])
    with pytest.raises(ShapeError, match="has no token"):
        token_log_p(model, inputs, [[]], [0])
