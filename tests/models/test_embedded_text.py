import pytest
import torch

from groot.models.embedded_text import make_text_model

TEXTS = ["play nina simone in may", "book a table for two"]
SMALL = {"vocabulary_size": 300, "width": 16, "layers": 2, "heads": 2, "feed_forward": 16}


@pytest.mark.parametrize("shape", ["encoder-decoder", "causal"])
def test_weights_follow_the_seed_and_leave_the_global_one_alone(shape):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (
        make_text_model(TEXTS, shape=shape, seed=seed, **SMALL).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_layers_are_those_asked_for():
    causal = make_text_model(TEXTS, shape="causal", **SMALL)
    assert causal.is_causal
    assert causal.config.n_layer == 2
    both = make_text_model(TEXTS, encoder_layers=1, **SMALL)
    assert (both.config.num_layers, both.config.num_decoder_layers) == (1, 2)
