"""Each guide against its formula: 100,000 samples, three tokens, every text counted."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from torch.nn.functional import logsigmoid

from groot.guides import GUIDES
from groot.rewards import parse_rewards
from groot.search.sampling import sample

LENGTH = 3
KINDS = {"args": "sequence", "pargs": "partial", "cd": "value", "rad": "rad"}


def is_drawn_from(drawn, shares):
    counts = Counter(text.tokens for text in drawn)
    shares = {text: share for text, share in shares.items() if share > 0}
    assert set(counts) <= set(shares)
    scale = sum(counts.values()) / sum(shares.values())
    expected = [share * scale for share in shares.values()]
    return chisquare([counts[text] for text in shares], expected).pvalue > 0.001


def shares_of(toy, model, score):
    """Share of each text; score(prefix, log_p [3]) gives what is summed up in a softmax."""
    shares = {}
    for text in toy.all_texts(3, LENGTH):
        total, prefix = 0.0, 0
        for place, token in enumerate(text):
            log_p = model.tables[0, prefix].log_softmax(0)
            total += float(score(text[:place], log_p).log_softmax(0)[token])
            prefix = toy.child(prefix, token, 3)
        shares[text] = math.exp(total)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    return shares


def keep(count, log_p, scores):
    """Scores of the `count` likeliest tokens only."""
    return scores.masked_fill(log_p < log_p.topk(count).values[-1], -math.inf)


def draw(model, guide, count=100_000):
    settings = {"max_new_tokens": LENGTH, "seed": 11, "batch_size": count}
    return sample(model, [[0]], n=count, guide=guide, **settings)[0]


def next_rewards(reward, prefix):
    return torch.stack([reward.prefix_reward(0, (*prefix, token)) for token in range(3)])


@pytest.mark.parametrize(
    ("name", "weight", "count", "transform"),
    [
        ("args", 1.0, 2, "none"),
        ("pargs", 2.0, 2, "none"),
        ("cd", 1.5, 3, "log_sigmoid"),
        ("rad", 3.0, 3, "none"),
    ],
)
def test_scalar_rewards(name, weight, count, transform, toy):
    model, reward = toy.model(), toy.reward(kind=KINDS[name])
    guide = GUIDES[name](reward, weight=weight, n_candidates=count, transform=transform)

    def score(prefix, log_p):
        rewards = next_rewards(reward, prefix)
        if transform == "log_sigmoid":
            rewards = (1 / (1 + (-rewards).exp())).log()
        return keep(count, log_p, log_p + weight * rewards)

    assert is_drawn_from(draw(model, guide), shares_of(toy, model, score))


def test_farma_adds_rewards_to_the_models_own_best_tokens_only(toy):
    model, reward = toy.model(), toy.reward(kind="vocabulary")
    reward.table[0, 1:4] = torch.tensor([0.0, 3.0, 50.0])
    assert int(model.tables[0, 0].argmin()) == 1
    model.tables[0, 0, [1, 2]] = model.tables[0, 0, [2, 1]]
    # token 2 has the highest reward by far, and is the one that the model finds least likely
    guide = GUIDES["farma"](reward, weight=1.0, n_candidates=2)

    def score(prefix, log_p):
        return keep(2, log_p, log_p + next_rewards(reward, prefix))

    drawn = draw(model, guide)
    assert not any(text.tokens[0] == 2 for text in drawn)
    assert is_drawn_from(drawn, shares_of(toy, model, score))


@pytest.mark.parametrize("with_reference", [True, False])
def test_implicit(with_reference, toy):
    model, tuned = toy.model(), toy.model(seed=8)
    reference = toy.model(seed=9) if with_reference else None
    guide = GUIDES["implicit"](tuned, reference, weight=2.0, beta=0.4)

    def score(prefix, log_p):
        number = 0
        for token in prefix:
            number = toy.child(number, token, 3)
        base = (reference or model).tables[0, number].log_softmax(0)
        return log_p + 2.0 * 0.4 * (tuned.tables[0, number].log_softmax(0) - base)

    assert is_drawn_from(draw(model, guide), shares_of(toy, model, score))


def test_deal(toy):
    # one token ahead, greedily, unless the candidate ends the text
    model, reward = toy.model(length=LENGTH + 1), toy.reward(length=LENGTH + 1)
    guide = GUIDES["deal"](model, reward.rewards, weight=1.5, lookahead=1, n_candidates=3)

    def outcome(text):
        number = 0
        for token in text:
            number = toy.child(number, token, 3)
        ended = text[-1] == toy.END
        return text if ended else (*text, int(model.tables[0, number].argmax()))

    def score(prefix, log_p):
        values = [reward.prefix_reward(0, outcome((*prefix, token))) for token in range(3)]
        return log_p + 1.5 * torch.stack(values)

    assert is_drawn_from(draw(model, guide, 20_000), shares_of(toy, model, score))


def test_deal_writes_no_further_than_there_are_positions(toy):
    # tables end after four tokens of input and text: looking two ahead would fall off
    model, reward = toy.model(), toy.reward()
    settings = {"weight": 1.5, "n_candidates": 3, "max_length": 4}
    texts = {}
    for lookahead in (2, 9):
        guide = GUIDES["deal"](model, reward.rewards, lookahead=lookahead, **settings)
        texts[lookahead] = sample(model, [[0]], n=20, max_new_tokens=LENGTH, seed=0, guide=guide)
    assert texts[2] == texts[9]


def test_best_of_n(toy):
    model, reward = toy.model(), toy.reward(kind="sequence")
    own = shares_of(toy, model, lambda prefix, log_p: log_p)
    value = {text: float(reward.prefix_reward(0, text)) for text in own}
    shares, below = {}, 0.0
    for text in sorted(own, key=value.get):  # the best of 3 is it: all three up to it, not below
        shares[text] = (below + own[text]) ** 3 - below**3
        below += own[text]

    def looked_up(inputs, outputs):
        return [value[text] for text in outputs]

    guide = GUIDES["best_of_n"](looked_up, n_samples=3, batch_size=100_000)
    assert is_drawn_from(draw(model, guide, 33_333), shares)


def test_mbr(toy):
    model, reward = toy.model(), parse_rewards(["token_accuracy"])
    own = shares_of(toy, model, lambda prefix, log_p: log_p)

    def text_of(ids):
        return " ".join("_ab"[token] for token in ids if token != toy.END)

    def agreement(one, gold):  # token_accuracy, by hand
        one, gold = text_of(one).split(), text_of(gold).split()
        longest = max(len(one), len(gold))
        return (
            1.0 if longest == 0 else sum(a == b for a, b in zip(one, gold, strict=False)) / longest
        )

    shares = dict.fromkeys(own, 0.0)
    for three in itertools.product(own, repeat=3):
        means = [sum(agreement(one, gold) for gold in three) / 3 for one in three]
        best = next(i for i, mean in enumerate(means) if mean >= max(means) - 1e-9)
        shares[three[best]] += math.prod(own[text] for text in three)
    guide = GUIDES["mbr"](reward, text_of, n_samples=3)
    assert is_drawn_from(draw(model, guide, 2_000), shares)


def test_log_sigmoid_is_stable_far_out(toy):
    reward = toy.reward(kind="value")
    reward.table[0, 1:4] = torch.tensor([-1000.0, 0.0, 1000.0])
    guide = GUIDES["cd"](reward, transform="log_sigmoid", n_candidates=3)
    tokens = torch.tensor([[0, 1, 2]])
    state = guide.begin([[0]], torch.tensor([0]))
    scores, _ = guide.rescore(torch.zeros((1, 3)), tokens, None, state)
    torch.testing.assert_close(scores, torch.tensor([[-1000.0, -math.log(2), 0.0]]))
    torch.testing.assert_close(scores, logsigmoid(reward.table[:1, 1:4]))
