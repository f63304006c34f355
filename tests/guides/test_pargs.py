"""What PARGS claims: a ratio of two policies, and no harm from rewards that mislead on prefixes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import logsigmoid

from groot.errors import ConfigError
from groot.guides import GUIDES, Prefixes
from groot.search.sampling import sample

WEIGHT = 2.0


def number_of(toy, text):
    number = 0
    for token in text:
        number = toy.child(number, token, 3)
    return number


def test_policy_is_the_ratio_of_two_rlhf_policies(toy):
    # the policy over i tokens: p(y[:i]) exp(w r(y[:i])) / Z_i; no token ends these texts early
    model, reward = toy.model(length=3), toy.reward(length=3)
    guide = GUIDES["pargs"](reward, weight=WEIGHT, n_candidates=3)

    def rlhf(length):
        policy = {}
        for text in itertools.product(range(3), repeat=length):
            log_p = float(model.log_p(0, text).sum()) if text else 0.0
            gained = WEIGHT * float(reward.prefix_reward(0, text)) if text else 0.0
            policy[text] = log_p + gained
        total = torch.tensor(list(policy.values())).logsumexp(0)
        return {text: value - float(total) for text, value in policy.items()}

    for length in (1, 2, 3):
        longer, shorter = rlhf(length), rlhf(length - 1)
        for prefix in itertools.product(range(3), repeat=length - 1):
            ratio = torch.tensor([longer[(*prefix, v)] - shorter[prefix] for v in range(3)])
            state = guide.begin([[0]], torch.tensor([0]))
            for token in prefix:
                state = guide.follow(state, torch.tensor([0]), torch.tensor([token]))
            log_p = model.tables[:, number_of(toy, prefix)].log_softmax(1)
            tokens = torch.tensor([[0, 1, 2]])
            scores, _ = guide.rescore(log_p, tokens, None, state)
            torch.testing.assert_close(scores.softmax(1)[0], ratio.softmax(0), rtol=1e-5, atol=1e-6)


def gold(text):
    """Texts that begin with 1 are good, longer ones more so; those with 2 are bad."""
    return (1.0 if text[0] == 1 else -1.0 if text[0] == 2 else 0.0) + 0.2 * text.count(1)


def learnt_rewards(toy, start, *, on_prefixes):
    """Bradley-Terry on all pairs of whole texts, or on their prefixes of equal length."""
    table = start.clone().requires_grad_(True)
    winners, losers = [], []
    for one, other in itertools.permutations(toy.all_texts(3, 3), 2):
        if gold(one) <= gold(other):
            continue
        lengths = range(1, max(len(one), len(other)) + 1) if on_prefixes else [3]
        for length in lengths:  # the shorter one keeps its last prefix
            winners.append(number_of(toy, one[:length]))
            losers.append(number_of(toy, other[:length]))
    optimizer = torch.optim.Adam([table], lr=0.1)
    for _ in range(150):
        loss = -logsigmoid(table[0, winners] - table[0, losers]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return table.detach()


def test_a_reward_that_misleads_on_prefixes_breaks_args_and_not_pargs(toy):
    model = toy.model(sharpness=0.3)
    # open prefixes start with the opposite of their worth: whole texts never correct them
    start = torch.zeros((1, toy.n_prefixes(3, 3)))
    for length in (1, 2):
        for prefix in itertools.product((1, 2), repeat=length):
            start[0, number_of(toy, prefix)] = -5.0 * gold(prefix)
    full = toy.Reward(learnt_rewards(toy, start, on_prefixes=False), 3, "sequence")
    part = toy.Reward(learnt_rewards(toy, start, on_prefixes=True), 3, "partial")

    texts = sorted(toy.all_texts(3, 3), key=gold)
    by_full = [float(full.prefix_reward(0, text)) for text in texts]
    for (i, one), (j, other) in itertools.combinations(enumerate(texts), 2):
        if gold(one) < gold(other):  # on whole texts it orders every pair rightly
            assert by_full[i] < by_full[j]

    def mean_gold(guide, **settings):
        texts = sample(model, [[0]], max_new_tokens=3, guide=guide, **settings)[0]
        return sum(gold(text.tokens) for text in texts) / len(texts)

    greedy = {"seed": 0, "temperature": 0}
    many = {"seed": 0, "n": 3000, "batch_size": 3000}
    args = GUIDES["args"](full, weight=1.0, n_candidates=3)
    sampled = GUIDES["pargs"](part, n_candidates=3)
    by_greed = GUIDES["pargs"](part, n_candidates=3, temperature=0.0)
    unguided = mean_gold(None, **many)
    assert mean_gold(args, **many) < unguided - 0.3
    assert mean_gold(args, **greedy) < mean_gold(None, **many)
    assert mean_gold(sampled, **many) > unguided + 0.5
    assert mean_gold(by_greed, **greedy) == pytest.approx(max(map(gold, texts)))


def test_weights_of_the_source(toy):
    reward = toy.reward()
    assert (GUIDES["pargs"](reward).weight, GUIDES["pargs"](reward).n_candidates) == (2.0, 10)
    assert GUIDES["pargs"](reward, temperature=0.0).weight == 1.0
    assert GUIDES["pargs"](reward, weight=0.0).weight == 0.0


def test_the_end_token_is_scored_as_the_end_token_and_nothing_behind_it(toy):
    model, reward = toy.model(), toy.reward()
    guide = GUIDES["pargs"](reward, n_candidates=3)
    sample(model, [[0]], n=50, max_new_tokens=3, seed=0, guide=guide)
    assert len(reward.asked[0]) == 50
    assert all(asked.shape[1] == 3 for asked in reward.asked)  # one call scores all candidates
    # texts that ended are not asked about again
    texts = sample(model, [[0]], n=50, max_new_tokens=3, seed=0, guide=guide)[0]
    still = [sum(len(text.tokens) > step for text in texts) for step in range(3)]
    assert [len(asked) for asked in reward.asked[:3]] == still
    # and the reward of ending is that of the text that ends
    state = guide.begin([[0]], torch.tensor([0]))
    state = guide.follow(state, torch.tensor([0]), torch.tensor([1]))
    prefixes = Prefixes([[0]], torch.tensor([0]), torch.tensor([[1]]))
    scores, _ = guide.rescore(torch.zeros((1, 1)), torch.tensor([[toy.END]]), prefixes, state)
    assert float(scores) == pytest.approx(2 * float(reward.prefix_reward(0, (1, toy.END))))


def test_mistakes(toy):
    with pytest.raises(ConfigError, match="kind partial or additive, but this one is"):
        GUIDES["pargs"](toy.reward(kind="sequence"))
    with pytest.raises(ConfigError, match="n_candidates is 0"):
        GUIDES["pargs"](toy.reward(), n_candidates=0)
    with pytest.raises(ConfigError, match="transform is 'softplus'"):
        GUIDES["pargs"](toy.reward(), transform="softplus")
