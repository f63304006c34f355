"""Samples and beams: against exact distributions, brute force, and transformers' generate."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from groot.errors import ConfigError, ModelError
from groot.models.loading import load_model
from groot.search.sampling import beam_search, sample


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


def test_the_state_of_training_is_left_as_it_was(toy):
    model = toy.model()
    model.training = True
    sample(model, [[0]], max_new_tokens=2, seed=0)
    beam_search(model, [[0]], k=2, max_new_tokens=2)
    assert model.training


@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_beams_with_a_proof_are_the_true_top_k(toy, sharpness):
    model = toy.model(n_tokens=4, length=4, n_inputs=25, sharpness=sharpness)
    texts = list(toy.all_texts(4, 4))
    proven = 0
    found = beam_search(model, [[i] for i in range(25)], k=4, max_new_tokens=4, batch_size=7)
    for number, best in enumerate(found):
        truth = sorted((float(model.log_p(number, text).sum()) for text in texts), reverse=True)
        assert [b.log_p for b in best] == sorted((b.log_p for b in best), reverse=True)
        for rank, text in enumerate(best):
            true_log_p = float(model.log_p(number, text.tokens).sum())
            assert text.log_p == pytest.approx(true_log_p, abs=1e-5)
            if text.is_exact:
                proven += 1
                assert text.log_p == pytest.approx(truth[rank], abs=1e-5)
    assert proven > 10


def test_a_beam_that_drops_nothing_is_exact(toy):
    model, texts = toy.model(n_tokens=3, length=3), list(toy.all_texts(3, 3))
    (found,) = beam_search(model, [[0]], k=len(texts), max_new_tokens=3)
    assert all(text.is_exact for text in found)
    assert {text.tokens for text in found} == set(texts)


def test_diverse_beams_take_other_tokens(toy):
    model = toy.model(n_tokens=5, length=3, n_inputs=4)
    inputs = [[i] for i in range(4)]
    plain = beam_search(model, inputs, k=4, max_new_tokens=3)
    assert beam_search(model, inputs, k=4, max_new_tokens=3, groups=1, diversity=0.7) == plain
    # one beam a group and no end token among the best: first tokens differ where it pays
    far = beam_search(model, inputs, k=4, max_new_tokens=3, groups=4, diversity=50.0)
    for some in far:
        assert not any(text.is_exact for text in some)
        firsts = [text.tokens[0] for text in some if text.tokens[0] != toy.END]
        assert len(set(firsts)) == len(firsts)
    # without a penalty, every group finds the same
    for some in beam_search(model, inputs, k=4, max_new_tokens=3, groups=2):
        assert [text.tokens for text in some[::2]] == [text.tokens for text in some[1::2]]


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
    with pytest.raises(ConfigError, match="3 groups cannot share 4"):
        beam_search(model, [[0]], k=4, max_new_tokens=2, groups=3)
    broken = toy.Model(torch.full((1, 13, 3), math.nan))
    with pytest.raises(ModelError, match="no token can come next"):
        sample(broken, [[0]], max_new_tokens=2, seed=0)


@pytest.fixture(scope="module", params=["t5", "bart", "gpt2", "qwen3"])
def text_model(request, tmp_path_factory, make_model_folder):
    model = load_model(make_model_folder(request.param, tmp_path_factory.mktemp("model")))
    core, end = model.model, model.end_id
    old = core.get_output_embeddings()
    head = torch.nn.Linear(old.in_features, old.out_features)
    with torch.no_grad():  # sharper than random weights are, and texts end now and then
        head.weight.copy_(old.weight * (30 if request.param in ("bart", "gpt2") else 3))
        head.bias.zero_()
        head.bias[end] = 2.0
    core.lm_head = head
    return model.eval()


INPUTS = [[20, 30, 40, 50, 2], [60, 70, 2], [25, 35, 45, 55, 65, 75, 85, 2]]


def generate(model, ids, **settings):
    out = model.model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones((1, len(ids)), dtype=torch.long),
        max_new_tokens=8,
        pad_token_id=model.pad_id,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    )
    skipped = len(ids) if model.is_causal else 1
    texts = []
    for row in out.sequences[:, skipped:].tolist():
        end = row.index(model.end_id) + 1 if model.end_id in row else len(row)
        texts.append(tuple(row[:end]))
    return texts, getattr(out, "sequences_scores", None)


def test_greedy_equals_generate(text_model):
    ours = sample(text_model, INPUTS, max_new_tokens=8, temperature=0, seed=0)
    for ids, (text,) in zip(INPUTS, ours, strict=True):
        assert [text.tokens] == generate(text_model, ids)[0]


def test_beams_equal_generate_or_are_better(text_model):
    ours = beam_search(text_model, INPUTS, k=4, max_new_tokens=8)
    same = 0
    for ids, best in zip(INPUTS, ours, strict=True):
        texts, scores = generate(
            text_model,
            ids,
            num_beams=4,
            num_return_sequences=4,
            length_penalty=0.0,
            early_stopping="never",
        )
        for text, theirs, score in zip(best, texts, scores.tolist(), strict=True):
            same += text.tokens == theirs
            if text.tokens == theirs:
                assert text.log_p == pytest.approx(score, abs=1e-3)
            else:
                assert text.log_p > score - 1e-4
    assert same >= 10
