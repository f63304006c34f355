"""A guide inside `generate` writes what groot's own loop writes under the same guide."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from groot.errors import ShapeError
from groot.guides import GUIDES
from groot.guides.grammar import one_of
from groot.models.guided_generate import GuidedLogits
from groot.models.loading import load_model
from groot.reward_models.prefix_model import RewardModel
from groot.search.beams import beam_search
from groot.search.sampling import sample

INPUTS = [[20, 30, 40, 50], [60, 70], [25, 35, 45, 55, 65, 75]]
STEPS = 6


@pytest.fixture(scope="module", params=["t5", "bart", "gpt2"])
def pair(request, tmp_path_factory, make_model_folder):
    """A language model whose texts differ and end now and then, with a guide that matters."""
    folder = make_model_folder(request.param, tmp_path_factory.mktemp("model"))
    model, backbone = load_model(folder), load_model(folder)
    old = model.model.get_output_embeddings()
    head = torch.nn.Linear(old.in_features, old.out_features)
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(3))
    torch.nn.init.zeros_(head.bias)
    model.model.lm_head = head
    model.eval()
    with torch.no_grad():
        memory = model.encode(INPUTS)
        logits = model.logits(model.begin(memory, torch.arange(3), torch.zeros((3, 0)).long())[1])
        head.weight *= 2.0 / logits.std()
        head.bias[model.end_id] = 4.0
    guide = GUIDES["pargs"](RewardModel(backbone, "partial"), weight=3.0, n_candidates=10)
    return model, guide


def generate(model, inputs, guide, **settings):
    ids, mask = model.pad(inputs, left=model.is_causal)
    first = ids.shape[1] if model.is_causal else 1
    out = model.model.generate(
        ids,
        attention_mask=mask.long(),
        max_new_tokens=STEPS,
        pad_token_id=model.pad_id,
        logits_processor=[GuidedLogits(guide, inputs, first=first)],
        **settings,
    )
    texts = []
    for row in out[:, first:].tolist():
        end = row.index(model.end_id) + 1 if model.end_id in row else len(row)
        texts.append(tuple(row[:end]))
    return texts


def test_greedy(pair):
    model, guide = pair
    theirs = generate(model, INPUTS, guide, do_sample=False)
    ours = sample(model, INPUTS, max_new_tokens=STEPS, temperature=0, seed=0, guide=guide)
    assert [text.tokens for (text,) in ours] == theirs
    plain = sample(model, INPUTS, max_new_tokens=STEPS, temperature=0, seed=0)
    assert ours != plain


def test_beams(pair):
    model, guide = pair
    settings = {
        "num_beams": 3, "num_return_sequences": 3, "length_penalty": 0.0,
        "early_stopping": "never", "do_sample": False,
    }  # fmt: skip
    theirs = generate(model, INPUTS, guide, **settings)
    ours = beam_search(model, INPUTS, k=3, max_new_tokens=STEPS, guide=guide)
    for number, best in enumerate(ours):
        # generate drops texts that end beside its beam, so it may miss one of ours
        kept = set(theirs[3 * number : 3 * number + 3])
        assert len(kept & {text.tokens for text in best}) >= 2
        assert best[0].tokens == theirs[3 * number]


def test_sampling(pair):
    model, guide = pair
    torch.manual_seed(0)
    theirs = generate(model, INPUTS[:1], guide, do_sample=True, top_k=0, num_return_sequences=800)
    settings = {"max_new_tokens": STEPS, "seed": 0, "guide": guide, "batch_size": 800}
    (ours,) = sample(model, INPUTS[:1], n=800, **settings)
    counts = [Counter(text[:2] for text in some) for some in ([o.tokens for o in ours], theirs)]
    common = [text for text, count in counts[0].items() if count + counts[1][text] >= 15]
    assert len(common) > 3
    rows = [[count[text] for text in common] for count in counts]
    total = [a + b for a, b in zip(*rows, strict=True)]
    shares = [sum(row) / sum(total) for row in rows]
    expected = [share * both for share in shares for both in total]
    assert chisquare(rows[0] + rows[1], expected, ddof=len(common)).pvalue > 0.001


def test_a_grammar_inside_generate(pair):
    model, guide = pair
    legal = {(30, 40, model.end_id), (30, 50, model.end_id), (90, 40, 40, model.end_id)}
    both = guide + GUIDES["grammar"](one_of(legal))
    theirs = generate(model, INPUTS[:1], both, do_sample=True, num_return_sequences=20)
    assert set(theirs) <= legal


def test_one_processor_serves_many_calls_and_any_rows(pair):
    guide = pair[1]
    row = torch.tensor([[1, 5], [1, 5]])
    scores = torch.randn((2, 300), generator=torch.Generator().manual_seed(0))
    one = GuidedLogits(guide, INPUTS[:1], first=1)
    one(row[:, :1], scores)
    known = one(row, scores)
    torch.testing.assert_close(GuidedLogits(guide, INPUTS[:1], first=1)(row, scores), known)
    again = one(row[:, :1], scores)  # a new text: what it knew is forgotten
    torch.testing.assert_close(GuidedLogits(guide, INPUTS[:1], first=1)(row[:, :1], scores), again)
    assert not torch.allclose(known.exp(), again.exp(), atol=1e-3)
    with pytest.raises(ShapeError, match="3 rows for 2 inputs"):
        GuidedLogits(guide, INPUTS[:2])(torch.ones((3, 1), dtype=torch.long), scores[[0, 1, 1]])


def test_cached_equals_uncached(pair):
    # the same greedy texts, each step from nothing but the whole prefix
    model, guide = pair
    texts = sample(model, INPUTS, max_new_tokens=STEPS, temperature=0, seed=0, guide=guide)
    alone = [
        sample(model, [ids], max_new_tokens=STEPS, temperature=0, seed=0, guide=guide)[0]
        for ids in INPUTS
    ]
    assert [[text.tokens for text in some] for some in alone] == [
        [text.tokens for text in some] for some in texts
    ]
    for ids, (text,) in zip(INPUTS, texts, strict=True):
        total = 0.0
        for place, token in enumerate(text.tokens):
            prefix = text.tokens[:place]
            with torch.no_grad():
                row = torch.tensor([[*prefix, 0]])
                hidden = model.hidden_states(model.encode([ids]), torch.tensor([0]), row)[:, -1]
                log_p = model.logits(hidden).log_softmax(-1)[0]
                best = log_p.topk(10)
                grown = [(*prefix, candidate) for candidate in best.indices.tolist()]
                rewards = guide.model.rewards([ids] * 10, grown)
            scores = best.values + guide.weight * rewards
            chosen = best.indices.tolist().index(token)
            assert float(scores[chosen]) == pytest.approx(float(scores.max()), abs=1e-4)
            # and what the step by step scoring says of each candidate is the same
            state = guide.begin([ids], torch.tensor([0]))
            for before in prefix:
                state = guide.follow(state, torch.tensor([0]), torch.tensor([before]))
            stepwise, _ = guide.rescore(best.values[None], best.indices[None], None, state)
            torch.testing.assert_close(stepwise[0], scores, rtol=0, atol=1e-4)
            total += float(log_p[token])
        assert text.log_p == pytest.approx(total, abs=1e-3)
