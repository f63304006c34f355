"""Cheap scoring says what plain scoring says: log-probabilities, gradients, corners."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from groot.config import load_config
from groot.errors import ShapeError
from groot.models import prefix_forest, scoring
from groot.models.loading import add_lora, add_symbols, load_model
from groot.models.scoring import candidate_log_p, collate_targets, decision_log_p, packs
from groot.models.text_model import set_dropout
from groot.recipes.make_writer import make_labeler
from groot.rollouts.instances import example_of_words
from groot.targets import SentinelTags
from groot.writer.labeler import Labeler
from groot.writer.writer import example_of

TEXTS = ["play nina simone in paris", "may", "what is the weather in may please", "o paris"]


@pytest.fixture(scope="module", params=["token", "words"])
def labeler(model_folder, request) -> Labeler:
    model = load_model(model_folder)
    form = SentinelTags(("artist", "city name", "date"))
    add_symbols(model, form, label_style=request.param, max_words=16)
    model.eval()
    return Labeler(model, form, label_style=request.param, window_words=16, window_overlap=4)


@pytest.fixture(scope="module")
def embedded() -> Labeler:
    texts = [example_of_words(text.split(), [(0, 1, "date")]) for text in TEXTS]
    labeler = make_labeler(load_config(settings=["model.width=64"]), texts)
    torch.manual_seed(1)
    with torch.no_grad():  # as after some training: at first it has no opinion
        for weight in labeler.model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    labeler.model.eval()
    return labeler


def candidates_of(labeler: Labeler, count: int = 8):
    """Inputs, and of each up to `count` targets that differ late, early or hardly."""
    rng = random.Random(5)
    inputs, targets = [], []
    for text in TEXTS:
        example = example_of(text)
        paths: dict[tuple[str, ...], None] = {}
        for _ in range(count):
            state, path = 0, []
            for _ in example.words:
                choices = labeler.form.grammar.choices[state]
                choice = choices[0] if rng.random() < 0.6 else rng.choice(choices)
                path.append(choice.symbol)
                state = choice.state
            paths[tuple(path)] = None
        inputs.append(labeler.codec.input_ids(example))
        targets.append([labeler.codec.encode_path(example, path) for path in paths])
    return inputs, targets


def scored(labeler: Labeler) -> tuple[Tensor, dict[str, Tensor]]:
    """log_p [B, K], and the gradients of a sum of them with unequal weights."""
    inputs, targets = candidates_of(labeler)
    labeler.model.zero_grad()
    log_p, is_real = candidate_log_p(labeler.model, labeler.codec, inputs, targets)
    weights = torch.linspace(-1, 2, log_p.numel()).view(log_p.shape)
    (log_p * weights).masked_fill(~is_real, 0.0).sum().backward()
    return log_p.detach(), {
        name: weight.grad.clone()
        for name, weight in labeler.model.named_parameters()
        if weight.grad is not None
    }


def assert_same(labeler: Labeler, monkeypatch) -> None:
    log_p, _ = scored(labeler)
    with torch.no_grad():
        inputs, targets = candidates_of(labeler)
        without, _ = candidate_log_p(labeler.model, labeler.codec, inputs, targets)
    # gradients in double precision: in single, a relu near 0 is on in one and off in the other
    labeler.model.double()
    _, gradients = scored(labeler)
    monkeypatch.setattr(scoring, "packs", lambda model: False)
    _, plain_gradients = scored(labeler)
    labeler.model.float()
    plain, _ = scored(labeler)
    torch.testing.assert_close(log_p, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(without, plain, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == plain_gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in plain_gradients.values())
    for name, gradient in gradients.items():
        difference = float((gradient - plain_gradients[name]).abs().max())
        assert difference <= 1e-5 * largest, name


@pytest.mark.parametrize("chunk_pairs", [200, 1 << 16])
def test_every_family_scores_as_plainly(labeler, monkeypatch, chunk_pairs):
    monkeypatch.setattr(prefix_forest, "CHUNK_PAIRS", chunk_pairs)
    assert_same(labeler, monkeypatch)


def test_the_embedded_default_scores_as_plainly(embedded, monkeypatch):
    assert packs(embedded.model)
    assert_same(embedded, monkeypatch)


def test_training_without_dropout_scores_as_plainly(embedded, monkeypatch):
    set_dropout(embedded.model, 0.0)
    embedded.model.train()
    assert_same(embedded, monkeypatch)
    embedded.model.eval()


def test_adapters_score_as_plainly_and_get_gradients(model_folder, monkeypatch):
    model = load_model(model_folder)
    form = SentinelTags(("artist", "date"))
    add_symbols(model, form, label_style="token", max_words=16)
    model = add_lora(model, r=2, alpha=4, dropout=0.0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.eval()
    assert_same(Labeler(model, form, window_words=16, window_overlap=4), monkeypatch)


def test_dropout_follows_the_seed_and_keeps_the_mean(embedded):
    set_dropout(embedded.model, 0.1)
    inputs, targets = candidates_of(embedded)
    plain, _ = candidate_log_p(embedded.model, embedded.codec, inputs, targets)
    embedded.model.train()
    drawn = []
    for seed in [7, 7, *range(8, 40)]:
        torch.manual_seed(seed)
        drawn.append(candidate_log_p(embedded.model, embedded.codec, inputs, targets)[0].detach())
    embedded.model.eval()
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    spread = torch.stack(drawn[1:]).std(0).max()
    assert 0 < spread < 5
    assert (torch.stack(drawn[1:]).mean(0) - plain).abs().max() < 2 * spread


def test_a_block_with_a_hook_is_not_passed_by(embedded):
    core = embedded.model.model
    called = []
    handle = core.encoder.block[0].register_forward_hook(lambda *_: called.append(1))
    inputs, targets = candidates_of(embedded)
    assert not packs(embedded.model)
    candidate_log_p(embedded.model, embedded.codec, inputs, targets)
    handle.remove()
    assert called
    assert packs(embedded.model)


def test_texts_without_words_and_candidates_have_zero_log_p(embedded):
    example = example_of("")
    target = embedded.codec.encode_path(example, ())
    inputs = [embedded.codec.input_ids(example)] * 2
    log_p, is_real = candidate_log_p(embedded.model, embedded.codec, inputs, [[target], []])
    assert log_p.tolist() == [[0.0], [0.0]]
    assert is_real.tolist() == [[True], [False]]
    with pytest.raises(ShapeError, match="2 inputs but candidates of 1"):
        candidate_log_p(embedded.model, embedded.codec, inputs, [[target]])


def test_targets_of_a_text_need_not_stand_together(embedded):
    inputs, targets = candidates_of(embedded)
    flat = [(row, target) for row, some in enumerate(targets) for target in some]
    batch = collate_targets(embedded.model, [t for _, t in flat], [row for row, _ in flat])
    mixed = flat[::2] + flat[1::2]
    other = collate_targets(embedded.model, [t for _, t in mixed], [row for row, _ in mixed])
    with torch.no_grad():
        log_p, _ = decision_log_p(embedded.model, embedded.codec, inputs, batch)
        again, _ = decision_log_p(embedded.model, embedded.codec, inputs, other)
    log_p = torch.cat([log_p[::2], log_p[1::2]])
    torch.testing.assert_close(log_p, again, atol=1e-5, rtol=1e-5)
