"""Tiny models of every supported family, built from configs: no network, a second each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groot.models.families import FAMILIES

pytest_plugins = [
    "fixtures.command_line",
    "fixtures.runs",
    "fixtures.toy_models",
]

TEXTS = [
    "play nina simone in the kitchen please",
    "book a table for two at nine near the river",
    "what is the weather in paris in may",
    "o i artist city of the year",
] * 3


def tiny_model(model_type: str, vocabulary: int, pad: int, end: int) -> Any:
    """A model of the family with random weights and about ten thousand parameters."""
    import torch  # here, so that tests without models do not wait for it
    import transformers as hf

    t5 = {
        "vocab_size": vocabulary, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
        "num_heads": 4, "dropout_rate": 0.0, "pad_token_id": pad, "eos_token_id": end,
        "decoder_start_token_id": pad,
    }  # fmt: skip
    bart = {
        "vocab_size": vocabulary, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48, "max_position_embeddings": 256, "dropout": 0.0,
        "pad_token_id": pad, "bos_token_id": end, "eos_token_id": end,
        "decoder_start_token_id": end, "forced_eos_token_id": None,
    }  # fmt: skip
    llama = {
        "vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 8, "max_position_embeddings": 256, "pad_token_id": pad, "eos_token_id": end,
        "bos_token_id": end, "tie_word_embeddings": True,
    }  # fmt: skip
    gpt2 = {
        "vocab_size": vocabulary, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256,
        "bos_token_id": end, "eos_token_id": end, "pad_token_id": pad,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    }  # fmt: skip
    torch.manual_seed(7)
    match model_type:
        case "t5":
            return hf.T5ForConditionalGeneration(hf.T5Config(**t5))
        case "mt5":
            return hf.MT5ForConditionalGeneration(
                hf.MT5Config(**t5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
            )
        case "bart":
            return hf.BartForConditionalGeneration(hf.BartConfig(**bart))
        case "gpt2":
            return hf.GPT2LMHeadModel(hf.GPT2Config(**gpt2))
        case "llama":
            return hf.LlamaForCausalLM(hf.LlamaConfig(**llama))
        case "qwen2":
            return hf.Qwen2ForCausalLM(hf.Qwen2Config(**llama))
        case "qwen3":
            return hf.Qwen3ForCausalLM(hf.Qwen3Config(**llama))
    raise AssertionError(f"no tiny model for {model_type}")


@pytest.fixture(scope="session")
def make_model_folder() -> Callable[[str, Path], Path]:
    """Call it with a family and a folder: writes what save_pretrained would, with a tokenizer."""

    def make(model_type: str, folder: Path) -> Path:
        from groot.models.embedded import train_tokenizer

        tokenizer = train_tokenizer(TEXTS, vocabulary_size=300)
        model = tiny_model(
            model_type, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id
        )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def model_folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_model_folder: Callable[[str, Path], Path],
) -> Path:
    """A folder that save_pretrained wrote, for each family in the table."""
    return make_model_folder(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def make_encoder_folder() -> Callable[..., Path]:
    """Call it with "bert" or "deberta-v2" and a folder: an encoder without a head.

    num_labels adds the head of a classifier of texts with so many labels.
    """

    def make(model_type: str, folder: Path, num_labels: int = 0) -> Path:
        import torch
        import transformers as hf

        from groot.models.embedded import train_tokenizer

        tokenizer = train_tokenizer(TEXTS, vocabulary_size=280)
        config = hf.AutoConfig.for_model(
            model_type, vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1,
            num_attention_heads=2, intermediate_size=16, max_position_embeddings=64,
            pad_token_id=tokenizer.pad_token_id, num_labels=num_labels or 2,
        )  # fmt: skip
        auto = hf.AutoModelForSequenceClassification if num_labels else hf.AutoModel
        torch.manual_seed(3)
        auto.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


SENTENCES = [
    "play nina simone",
    "play nina simone in may",
    "book a table",
    "book a table for two",
]


@pytest.fixture(scope="session")
def tiny_generator() -> Callable[[str], Any]:
    """Call it with "causal" or "encoder-decoder": a generator that writes the SENTENCES.

    Its prompts are "play" and "book". It was trained for a second, so its texts have sense and an
    end, and neither is certain. Do not change its weights.
    """
    made: dict[str, Any] = {}

    def make(shape: str) -> Any:
        if shape not in made:
            made[shape] = fitted_generator(shape)
        return made[shape]

    return make


def fitted_generator(shape: Any) -> Any:
    """A small generator after sixty steps on SENTENCES."""
    import torch

    from groot.models.embedded_text import make_text_model
    from groot.models.text_scoring import token_log_p
    from groot.writer.generator import Generator

    model = make_text_model(
        SENTENCES * 3, shape=shape, vocabulary_size=300, width=32, encoder_layers=1, layers=1,
        heads=2, feed_forward=64, positions=96, dropout=0.0,
    )  # fmt: skip
    made = Generator(model, max_prompt_tokens=16, max_new_tokens=24, reward_specs=["length:2-4"])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    targets = [made.prompts.target_ids(text) for text in SENTENCES]
    inputs = [made.input_ids(text.split()[0]) for text in SENTENCES]
    for _ in range(60):
        log_p, is_token = token_log_p(model, inputs, targets, range(len(SENTENCES)))
        loss = -log_p.sum() / is_token.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    model.eval()
    return made
