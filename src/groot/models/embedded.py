"""The embedded default: a small T5 made on the spot that learns a labelling from nothing.

Its tokenizer is trained on the training text. What it must not have to discover is *alignment*:
that the decoder, standing at sentinel i, should look at the encoder's sentinel i. So it starts
aligned. The first `code` dimensions of the residual stream carry, at each sentinel, a positional
code whose inner products with the other codes nearly cancel; no layer's output writes there at the
start; and cross-attention queries and keys are one and the same projection of those dimensions.
Relative-position biases start so that each encoder head looks at some neighbours. All of it stays
trainable, and the result is an ordinary T5 folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

PAD, END_TOKEN, UNKNOWN = "<pad>", "</s>", "<unk>"

# Which neighbours each head looks at first, in pieces (encoder) and in target tokens (decoder).
ENCODER_OFFSETS: tuple[list[int], ...] = ([1], [-1, -2], [2, 3], [], [-1], [2], [-3, -4], [4, 5])
DECODER_OFFSETS: tuple[list[int], ...] = ([-1], [-1], [-3], [-2], [-1], [-5], [0], [])


# Dimensions that carry the positional code of the sentinels; even.
CODE = 32


@dataclass(frozen=True, slots=True)
class Size:
    """The size of an embedded network.

    Args:
        width: of a hidden state.
        encoder_layers: of the encoder, where there is one.
        layers: of the decoder.
        heads, feed_forward: of each layer.
        dropout: share of the hidden units that a step drops.
    """

    width: int = 128
    encoder_layers: int = 3
    layers: int = 1
    heads: int = 4
    feed_forward: int = 512
    dropout: float = 0.2


def train_tokenizer(texts: Iterable[str], *, vocabulary_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of a text's words; nothing is ever out of its alphabet.

    Args:
        texts: training texts, words separated by white space.
        vocabulary_size: pieces at most; a piece occurs at least twice in the texts.
    """
    words = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    return train_byte_pairs(texts, words, vocabulary_size=vocabulary_size)


def train_byte_pairs(
    texts: Iterable[str],
    words: pre_tokenizers.PreTokenizer,
    *,
    vocabulary_size: int,
    more_symbols: Sequence[str] = (),
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, trained on texts that `words` splits.

    Args:
        texts: training texts.
        words: what pieces never reach across; its last part is a ByteLevel.
        vocabulary_size: pieces at most; a piece occurs at least twice in the texts.
        more_symbols: special tokens beside padding, end and unknown.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            min_frequency=2,
            special_tokens=[PAD, END_TOKEN, UNKNOWN, *more_symbols],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END_TOKEN,
        unk_token=UNKNOWN,
        extra_special_tokens=list(more_symbols),
        clean_up_tokenization_spaces=False,
    )


def build(
    tokenizer: PreTrainedTokenizerFast,
    sentinels: Sequence[int],
    *,
    size: Size = Size(),
    seed: int = 0,
) -> T5ForConditionalGeneration:
    """A small T5 that starts aligned.

    Args:
        tokenizer: its tokenizer, symbols added. sentinels: token ids of the sentinels, in order;
        may be empty (classes), then no code is set. size: of the network. seed: of the random
        initial weights; the global random state is left as it was.
    """
    config = T5Config(  # type: ignore[call-arg]
        vocab_size=len(tokenizer),
        d_model=size.width,
        d_kv=size.width // size.heads,
        d_ff=size.feed_forward,
        num_layers=size.encoder_layers,
        num_decoder_layers=size.layers,
        num_heads=size.heads,
        feed_forward_proj="relu",
        dropout_rate=size.dropout,
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(config)
        with torch.no_grad():
            if sentinels:
                _align(model, sentinels, CODE)
            _look_at_neighbours(model)
    return model


def sentinel_code(count: int, size: int) -> Tensor:
    """Positional codes [count, size] with unit mean square whose inner products nearly cancel.

    Cosines and sines at evenly spread frequencies, so that the product of two codes is a
    Dirichlet kernel of their distance: `size` on the diagonal, small off it.
    """
    frequencies = math.pi * (torch.arange(size // 2) + 0.5) / (size // 2)
    angles = torch.arange(count)[:, None] * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1) * math.sqrt(2)


def _align(model: Any, sentinels: Sequence[int], code: int) -> None:
    config = model.config
    weight = model.shared.weight
    weight[:, :code] = 0
    ids = torch.tensor(list(sentinels))
    weight[ids] *= 0.1
    weight[ids, :code] = sentinel_code(len(ids), code) * math.sqrt(config.d_model / code)
    for stack in (model.encoder, model.decoder):
        for name, parameter in stack.named_parameters():
            if name.endswith((".o.weight", ".wo.weight")):
                parameter[:code] = 0  # nothing writes over the code
    for block in model.decoder.block:
        attention = block.layer[1].EncDecAttention
        projection = torch.zeros_like(attention.q.weight).view(config.num_heads, config.d_kv, -1)
        for head in range(config.num_heads):
            if config.d_kv >= code:
                projection[head, :code, :code] = torch.eye(code)
            else:
                basis = torch.linalg.qr(torch.randn(code, config.d_kv))[0]
                projection[head, :, :code] = basis.T * math.sqrt(code / config.d_kv)
        attention.q.weight.copy_(projection.view_as(attention.q.weight) * 0.5)
        attention.k.weight.copy_(projection.view_as(attention.k.weight) * 0.5)


def _look_at_neighbours(model: Any, strength: float = 4.0) -> None:
    for stack, offsets in ((model.encoder, ENCODER_OFFSETS), (model.decoder, DECODER_OFFSETS)):
        attention = stack.block[0].layer[0].SelfAttention
        for head, wanted in enumerate(offsets[: model.config.num_heads]):
            for offset in wanted:
                bucket = attention._relative_position_bucket(
                    torch.tensor([[offset]]),
                    bidirectional=not attention.is_decoder,
                    num_buckets=attention.relative_attention_num_buckets,
                    max_distance=attention.relative_attention_max_distance,
                )
                attention.relative_attention_bias.weight[bucket.item(), head] += strength


def parameter_groups(
    model: nn.Module, *, learning_rate: float, embedding_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for AdamW: embeddings and position biases learn `embedding_rate` times as fast.

    Weight decay touches matrices only, never embeddings, position biases or norms.
    """
    fast: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if "shared" in name or "relative_attention_bias" in name:
            fast.append(parameter)
        else:
            (matrices if parameter.ndim > 1 else vectors).append(parameter)
    return [
        {"params": fast, "lr": learning_rate * embedding_rate, "weight_decay": 0.0},
        {"params": matrices, "lr": learning_rate, "weight_decay": weight_decay},
        {"params": vectors, "lr": learning_rate, "weight_decay": 0.0},
    ]


def count_parameters(model: nn.Module) -> int:
    """Number of weights, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
