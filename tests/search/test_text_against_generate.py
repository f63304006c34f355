"""Greedy texts and beams are those of transformers' generate, for each family of models."""

from __future__ import annotations

import pytest
import torch

from groot.models.loading import load_model
from groot.search.beams import beam_search
from groot.search.sampling import sample


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
