"""The embedded generators: a small T5 or a small GPT-2 made on the spot, for free text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from groot.models.embedded import Size, build, train_byte_pairs
from groot.models.families import Architecture
from groot.models.prompts import SEPARATOR
from groot.models.text_model import TextModel


def train_text_tokenizer(texts: Iterable[str], *, vocabulary_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer whose ids give every text back as it was, white space included.

    Args:
        texts: prompts and references of the training set.
        vocabulary_size: pieces at most; a piece occurs at least twice in the texts.

    >>> tokenizer = train_text_tokenizer(["play nina"], vocabulary_size=300)
    >>> tokenizer.decode(tokenizer.encode("two  lines\\nof é"))
    'two  lines\\nof é'
    """
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return train_byte_pairs(texts, words, vocabulary_size=vocabulary_size, more_symbols=[SEPARATOR])


def make_text_model(
    texts: Iterable[str],
    *,
    shape: Architecture = "encoder-decoder",
    vocabulary_size: int = 4000,
    positions: int = 512,
    seed: int = 0,
    **sizes: Any,
) -> TextModel:
    """A small model with random weights, and a tokenizer that is trained on the texts.

    Args:
        texts: prompts and references of the training set.
        shape: "encoder-decoder" is a T5, "causal" a GPT-2.
        vocabulary_size: pieces of the tokenizer at most.
        positions: tokens of prompt and text together at most, causal only; a T5 has no limit.
        seed: of the weights; the global random state is left as it was.
        sizes: fields of `Size`, of which a text model has 4 layers and 0.1 dropout by default.
    """
    size = Size(**{"layers": 4, "dropout": 0.1, **sizes})
    tokenizer = train_text_tokenizer(texts, vocabulary_size=vocabulary_size)
    if shape == "encoder-decoder":
        model: Any = build(tokenizer, [], size=size, seed=seed)
        return TextModel(model, tokenizer)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=positions,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        n_inner=size.feed_forward,
        resid_pdrop=size.dropout,
        embd_pdrop=size.dropout,
        attn_pdrop=size.dropout,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    return TextModel(model, tokenizer)
