"""Each family of encoders on a tiny model: word states that no other text and no padding moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, PreTrainedTokenizerFast

from groot.errors import ModelError
from groot.models.aligned.folders import load_aligned, save_aligned
from groot.models.aligned.labeler import AlignedLabeler
from groot.models.aligned.pretrained import (
    ENCODER_FAMILIES,
    PretrainedEncoder,
    add_lora,
    load_encoder,
    windows,
)

PLACES = 24  # that the tiny encoders have
SMALL: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "embedding_size": 16, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24,
    "d_model": 16, "d_ff": 24, "d_kv": 8, "num_layers": 2, "num_heads": 2,
    "relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"],
    "global_attn_every_n_layers": 2, "local_attention": 4, "pad_token_id": 1,
}  # fmt: skip
TEXTS = (("play", "nina", "simone"), ("a",), ("unplayable", "東京", "now", "a", "play", "."))


def tokenizer(*, is_half: bool) -> PreTrainedTokenizerFast:
    """Bytes with a few merges; the special tokens of BERT, or of T5."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([" ".join(words) for words in TEXTS] * 5, trainer)
    ends = {"eos_token": "</s>"} if is_half else {"cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", pad_token="<pad>", **ends
    )


@pytest.fixture(params=list(ENCODER_FAMILIES))
def encoder(request: pytest.FixtureRequest) -> PretrainedEncoder:
    family, spelling = (
        ENCODER_FAMILIES[request.param],
        tokenizer(is_half=request.param in {"t5", "mt5"}),
    )
    known = AutoConfig.for_model(request.param)
    sizes = {name: size for name, size in SMALL.items() if hasattr(known, name)}
    bound = "max_position_embeddings"
    if hasattr(known, bound):
        sizes[bound] = PLACES + family.first_place
    config = AutoConfig.for_model(request.param, vocab_size=len(spelling), **sizes)
    torch.manual_seed(0)
    kind = AutoModelForTextEncoding if family.is_half else AutoModel
    return PretrainedEncoder(kind.from_config(config).eval(), spelling)


def test_a_words_state_does_not_depend_on_other_texts_or_padding(
    encoder: PretrainedEncoder,
) -> None:
    with torch.no_grad():
        together = encoder(TEXTS)
        assert together.shape == (3, 6, encoder.size)
        for row, words in enumerate(TEXTS):
            alone = encoder([words])[0]
            torch.testing.assert_close(alone, together[row, : len(words)], rtol=1e-4, atol=1e-5)
            assert not together[row, len(words) :].any()
            assert alone.std() > 0.01
        changed = encoder([TEXTS[0], ("now", "now", "now", "now"), TEXTS[2]])
    torch.testing.assert_close(changed[0, :3], together[0, :3], rtol=1e-4, atol=1e-5)


def test_words_see_both_sides(encoder: PretrainedEncoder) -> None:
    with torch.no_grad():
        states = encoder([("a", "b", "c"), ("x", "b", "c"), ("a", "b", "x")])
    assert not torch.allclose(states[0, 1], states[1, 1], atol=1e-4)
    assert not torch.allclose(states[0, 1], states[2, 1], atol=1e-4)


def test_long_texts_are_read_in_windows(encoder: PretrainedEncoder) -> None:
    words = [f"w{n}" for n in range(600)] if encoder.capacity > PLACES else TEXTS[2] * 20
    pieces = [len(encoder.pieces(word)) for word in words]
    cut = windows(pieces, encoder.capacity)
    assert len(cut) > 1
    with torch.no_grad():
        states = encoder([words])[0]
        for window in (cut[0], cut[len(cut) // 2], cut[-1]):
            part = encoder([words[window.first : window.end]])[0]
            first, end = window.owned
            torch.testing.assert_close(
                states[first:end],
                part[first - window.first : end - window.first],
                rtol=1e-4,
                atol=1e-5,
            )
    assert bool((states.std(1) > 0).all())


def test_a_saved_labeler_comes_back(encoder: PretrainedEncoder, tmp_path: Path) -> None:
    made = AlignedLabeler(encoder, ("O", "B-x", "I-x"), ("a", "b"), hidden=8).eval()
    save_aligned(made, tmp_path)
    before, after = made.tables(TEXTS), load_aligned(tmp_path).tables(TEXTS)
    for saved, loaded in zip(before, after, strict=True):
        assert (saved == loaded).all()


@pytest.mark.parametrize("family", ["bert"])
def test_lora_trains_adapters_and_is_merged_when_saved(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    spelling = tokenizer(is_half=False)
    sizes = {
        name: size for name, size in SMALL.items() if hasattr(AutoConfig.for_model(family), name)
    }
    config = AutoConfig.for_model(family, vocab_size=len(spelling), **sizes)
    made = PretrainedEncoder(AutoModel.from_config(config).eval(), spelling)
    n_weights = sum(weight.numel() for weight in made.parameters())
    before = made(TEXTS).detach()
    add_lora(made, r=2, alpha=4, dropout=0.0)
    torch.testing.assert_close(made(TEXTS), before)
    trained = [weight for weight in made.parameters() if weight.requires_grad]
    assert 0 < sum(weight.numel() for weight in trained) < n_weights / 2
    torch.manual_seed(1)
    for weight in trained:
        torch.nn.init.normal_(weight, std=0.1)
    changed = made(TEXTS).detach()
    assert not torch.allclose(changed, before, atol=1e-3)
    made.save(tmp_path)
    torch.testing.assert_close(load_encoder(tmp_path).eval()(TEXTS), changed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("capacity", [3, 4, 7, 50])
def test_windows_own_each_word_once_and_hold_what_they_own(capacity: int) -> None:
    generator = torch.Generator().manual_seed(capacity)
    for n_words in (1, 2, 9, 40):
        pieces = torch.randint(1, capacity + 1, (n_words,), generator=generator).tolist()
        cut = windows(pieces, capacity)
        owned = [word for window in cut for word in range(*window.owned)]
        assert owned == list(range(n_words))
        for window in cut:
            assert sum(pieces[window.first : window.end]) <= capacity
            assert window.first <= window.owned[0] <= window.owned[1] <= window.end


def test_other_families_and_texts_without_words_are_refused(tmp_path: Path) -> None:
    AutoConfig.for_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'gpt2' are not supported"):
        load_encoder(tmp_path)
    with pytest.raises(ModelError, match="is missing"):
        load_encoder(tmp_path / "nowhere")
