"""Samples and beams: against exact distributions, brute force, and transformers' generate."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial

import pytest
import torch
from scipy.stats import chisquare

from groot.errors import ConfigError, ModelError
from groot.search.beams import beam_search
from groot.search.sampling import sample


def expected_shares(model, texts, adjust, number=0):
    """Share of each text when each step's log_p goes through `adjust` and a softmax."""
    shares = []
    for text in texts:
        prefix, total = 0, 0.0
        for token in text:
            log_p = model.tables[number, prefix].log_softmax(0)
            total += float(adjust(log_p).log_softmax(0)[token])
            prefix = prefix * model.n_tokens + token + 1
        shares.append(math.exp(total))
    return shares


def is_drawn_from(drawn, texts, shares):
    counts = Counter(text.tokens for text in drawn)
    assert set(counts) <= {text for text, share in zip(texts, shares, strict=True) if share > 0}
    pairs = [(counts[text], share) for text, share in zip(texts, shares, strict=True) if share > 0]
    observed, expected = zip(*pairs, strict=True)
    scale = sum(observed) / sum(expected)
    return chisquare(observed, [share * scale for share in expected]).pvalue > 0.001


def top_k(count):
    return lambda x: x.masked_fill(x < x.topk(count).values[-1], -math.inf)


def nucleus(share):
    def cut(x):
        values, order = x.softmax(0).sort(descending=True)
        kept = order[(values.cumsum(0) - values) < share]
        return torch.full_like(x, -math.inf).index_put((kept,), x[kept])

    return cut


@pytest.mark.parametrize(
    ("settings", "adjust"),
    [
        ({}, lambda x: x),
        ({"temperature": 0.5}, lambda x: x / 0.5),
        ({"top_k": 2}, top_k(2)),
        ({"top_p": 0.8}, nucleus(0.8)),
        ({"temperature": 2.0, "top_k": 3, "top_p": 0.9}, lambda x: nucleus(0.9)(top_k(3)(x) / 2)),
    ],
    ids=["plain", "temperature", "top-k", "top-p", "all three"],
)
def test_samples_follow_the_exact_distribution(toy, settings, adjust):
    model, texts = toy.model(n_tokens=4), list(toy.all_texts(4, 3))
    (drawn,) = sample(
        model, [[0]], n=20_000, max_new_tokens=3, seed=1, batch_size=20_000, **settings
    )
    assert is_drawn_from(drawn, texts, expected_shares(model, texts, adjust))
    for text in drawn[:20]:
        assert text.log_p == pytest.approx(float(model.log_p(0, text.tokens).sum()), abs=1e-5)
        assert text.is_finished == (text.tokens[-1] == toy.END)


def test_batch_size_and_order_change_nothing(toy):
    model = toy.model(n_tokens=5, length=4, n_inputs=6)
    inputs = [[0], [1, 1], [2], [3, 3, 3], [4], [5], [2]]
    settings = {"n": 3, "max_new_tokens": 4, "seed": 5}
    one = sample(model, inputs, **settings)
    for size in (1, 2, 5):
        assert sample(model, inputs, batch_size=size, **settings) == one
    assert sample(model, inputs[::-1][1:], **settings) == [*one[::-1][1:]]
    # the same input twice is two examples; fewer samples are the first ones of more
    assert one[2] != one[6]
    assert [some[:2] for some in one] == sample(model, inputs, **{**settings, "n": 2})
    assert sample(model, inputs, **{**settings, "seed": 6}) != one


def test_greedy_takes_the_best_token_and_ends(toy):
    model = toy.model(n_inputs=3)
    for number, (text,) in enumerate(
        sample(model, [[0], [1], [2]], max_new_tokens=3, temperature=0, seed=0)
    ):
        prefix = 0
        for token in text.tokens:
            assert token == int(model.tables[number, prefix].argmax())
            prefix = toy.child(prefix, token, 3)
        assert toy.END not in text.tokens[:-1]


@pytest.mark.parametrize("write", [partial(sample, seed=0), partial(beam_search, k=2)])
def test_the_state_of_training_is_left_as_it_was(toy, write):
    model = toy.model()
    model.training = True
    write(model, [[0]], max_new_tokens=2)
    assert model.training


def test_mistakes(toy):
    model = toy.model()
    for settings, said in [
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_k": 0}, "top_k is 0"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": 0, "n": 2}, "the same text 2 times"),
        ({"n": 0}, "n is 0"),
    ]:
        with pytest.raises(ConfigError, match=said):
            sample(model, [[0]], max_new_tokens=2, seed=0, **settings)
    broken = toy.Model(torch.full((1, 13, 3), math.nan))
    with pytest.raises(ModelError, match="no token can come next"):
        sample(broken, [[0]], max_new_tokens=2, seed=0)
