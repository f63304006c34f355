"""What the search benchmark compares: shapes of models, texts, and ways to decode them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from side_by_side import Rates

from groot.config import Config
from groot.models.ctranslate2_export import CTranslate2Model, convert_to_ctranslate2
from groot.models.text_model import TextModel
from groot.recipes.make_writer import make_labeler
from groot.search.label_search import Effort, Found, label_search
from groot.types import Example
from groot.writer.labeler import Labeler

SHAPES = ("embedded", "t5-small", "mt5-small")


def make_shape(shape: str, train: Sequence[Example]) -> Labeler:
    """A labeler of a shape with random weights; its tokenizer is trained on the texts."""
    labeler = make_labeler(Config(), train)
    if shape == "embedded":
        return labeler
    tokenizer = labeler.model.tokenizer
    common: dict[str, Any] = {
        "d_model": 512,
        "d_kv": 64,
        "dropout_rate": 0.0,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(1)
    model: Any
    if shape == "t5-small":
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(vocab_size=32_128, d_ff=2048, num_layers=6, num_heads=8, **common)
        )
    else:
        model = transformers.MT5ForConditionalGeneration(
            transformers.MT5Config(
                vocab_size=250_112,
                d_ff=1024,
                num_layers=8,
                num_heads=6,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=False,
                **common,
            )
        )
    return labeler.with_model(TextModel(model.eval(), tokenizer))


@dataclass(frozen=True)
class Texts:
    """Texts ready for every contender.

    Args:
        labeler: the model with its grammar.
        examples: the texts, in the order given.
        inputs: token ids of each.
        n_slots: decisions of each.
        n_tokens: length of each target in tokens, end included.
    """

    labeler: Labeler
    examples: tuple[Example, ...]
    inputs: tuple[tuple[int, ...], ...]
    n_slots: tuple[int, ...]
    n_tokens: tuple[int, ...]

    def part(self, places: Sequence[int]) -> Texts:
        """Some of them."""
        rows = ([of[i] for i in places] for of in (self.examples, self.inputs, self.n_slots))
        examples, inputs, slots = map(tuple, rows)
        return Texts(self.labeler, examples, inputs, slots, tuple(self.n_tokens[i] for i in places))


def ready(labeler: Labeler, examples: Sequence[Example]) -> Texts:
    """Encode texts for a labeler; labels are tokens of their own, so the lengths are known."""
    codec, form = labeler.codec, labeler.form
    assert codec.grammar.one_token_symbols
    slots = tuple(form.slots(example) for example in examples)
    return Texts(
        labeler,
        tuple(examples),
        tuple(tuple(codec.input_ids(example)) for example in examples),
        slots,
        tuple(n + sum(map(len, codec.glue_ids(n))) for n in slots),
    )


def by_length(texts: Texts, batch_size: int) -> list[Texts]:
    """Batches of similar length, for all contenders alike; ordinary use would not sort."""
    order = sorted(range(len(texts.inputs)), key=lambda i: (texts.n_slots[i], len(texts.inputs[i])))
    return [texts.part(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]


def search(texts: Texts, k: int, *, batch_size: int = 64, **settings: Any) -> list[Found]:
    """groot: width k and no second search, so that as many prefixes are kept as generate keeps."""
    settings = {"width": k, "max_width": k, **settings}
    labeler = texts.labeler
    return label_search(
        labeler.model,
        labeler.codec,
        texts.inputs,
        texts.n_slots,
        k=k,
        effort=Effort(**settings),
        batch_size=batch_size,
    )


@torch.no_grad()
def generate(
    batch: Texts,
    k: int,
    *,
    is_constrained: bool,
    with_log_p: bool = False,
    **more: Any,
) -> tuple[list[list[list[int]]], list[list[float]]]:
    """transformers: k targets of each text of a batch in tokens, and their log_p if asked for.

    Args:
        is_constrained: by the grammar. Otherwise the model writes what it likes, and exactly as
            many tokens as the longest target of the batch has: left to itself, one with random
            weights would end nowhere or anywhere.
        more: settings of generate.
    """
    model: Any = batch.labeler.model.model
    ids, mask = batch.labeler.model.pad(batch.inputs)
    settings = {"max_new_tokens": max(batch.n_tokens), "do_sample": False, **more}
    if is_constrained:
        settings["prefix_allowed_tokens_fn"] = allowed_tokens(batch)
    else:
        settings["min_new_tokens"] = max(batch.n_tokens)
    if k > 1:
        settings |= {"length_penalty": 0.0, "early_stopping": "never"}
    out = model.generate(
        input_ids=ids,
        attention_mask=mask.long(),
        num_beams=k,
        num_return_sequences=k,
        return_dict_in_generate=True,
        output_scores=with_log_p,  # keeps every step's scores, so not where memory is measured
        **settings,
    )
    rows = [until(row[1:], batch.labeler.model.end_id) for row in out.sequences.tolist()]
    scores = out.sequences_scores.tolist() if with_log_p and k > 1 else [math.nan] * len(rows)
    starts = range(0, len(rows), k)
    return [rows[i : i + k] for i in starts], [scores[i : i + k] for i in starts]


def until(row: list[int], end: int) -> list[int]:
    """A row up to its end token, that included."""
    return row[: row.index(end) + 1] if end in row else row


def allowed_tokens(batch: Texts) -> Callable[[int, torch.Tensor], list[int]]:
    """The grammar as generate's prefix_allowed_tokens_fn; constant time per call.

    A target is glue, choice, glue, choice, ...; the state behind a choice follows from its token.
    """
    codec, end = batch.labeler.codec, [batch.labeler.model.end_id]
    grammar = codec.grammar
    after = {
        token: state
        for tokens, states in zip(grammar.tokens, grammar.next_states, strict=True)
        for token, state in zip(tokens, states, strict=True)
    }
    legal = [list(tokens) for tokens in grammar.tokens]
    # per text and place: a forced token, or where the choice before this one stands (0: none)
    plans: list[list[list[int] | int]] = []
    for n in batch.n_slots:
        plan: list[list[int] | int] = []
        last = 0
        for slot, glue in enumerate(codec.glue_ids(n)):
            plan += [[token] for token in glue]
            if slot < n:
                plan.append(last)
                last = len(plan)  # place in the row, whose first token is the decoder's start
        plans.append(plan)

    def allowed(text: int, row: torch.Tensor) -> list[int]:
        place = len(row) - 1
        if place >= len(plans[text]):
            return end
        here = plans[text][place]
        if isinstance(here, list):
            return here
        return legal[after[int(row[here])]] if here else legal[0]

    return allowed


def translator(texts: Texts, folder: Path) -> CTranslate2Model:
    """CTranslate2 with the same weights in float32, converted on the spot."""
    labeler = texts.labeler
    convert_to_ctranslate2(labeler.model, folder, codec=labeler.codec)
    return CTranslate2Model(folder, labeler.codec, threads=torch.get_num_threads())


def translate(model: CTranslate2Model, batch: Texts, k: int) -> object:
    """CTranslate2 without a grammar: as many tokens as plain generate."""
    longest = max(batch.n_tokens)
    return model.search(batch.inputs, k=k, max_new_tokens=longest, min_new_tokens=longest)


def translate_legal(model: CTranslate2Model, batch: Texts, k: int) -> object:
    """CTranslate2 held to the grammar as groot exports it, see grammar_rules."""
    return model.search_legal(batch.inputs, batch.n_slots, k=k)


def floor(texts: Texts, k: int, rates: Rates) -> dict[str, float]:
    """The least that label search must compute and move, and how long that takes at the rates.

    Counted: the encoder over real input tokens, cross-attention keys and values once per text, per
    slot the kept prefixes (never more than there are legal ones), two tokens each (the choice and
    the sentinel behind it), attention over what is there, logits of the allowed tokens only.
    Bytes: the weights once per batch of 64, keys and values once per slot.
    """
    config = texts.labeler.model.config
    inner = config.num_heads * config.d_kv
    gates = 2 if config.is_gated_act else 1
    d, ff = config.d_model, config.d_ff
    projections = 4 * d * inner  # q, k, v, o
    feed_forward = (gates + 1) * d * ff
    choices = texts.labeler.codec.is_allowed
    operations = moved = 0.0
    encoder_weights = config.num_layers * (projections + feed_forward)
    step_weights = config.num_decoder_layers * (projections + 2 * d * inner + feed_forward)
    for batch in by_length(texts, 64):
        moved += 4 * (encoder_weights + 2 * config.num_decoder_layers * d * inner + step_weights)
        for ids, n in zip(batch.inputs, batch.n_slots, strict=True):
            s = len(ids)
            operations += 2 * s * encoder_weights + 4 * config.num_layers * s * s * inner
            operations += 4 * config.num_decoder_layers * s * d * inner
            for slot, rows in zip(range(n), kept_prefixes(texts, k), strict=False):
                tokens = rows if slot == 0 else 2 * rows
                past = 2 * slot + 1
                operations += 2 * tokens * step_weights
                operations += 4 * config.num_decoder_layers * tokens * (past + s) * inner
                operations += 2 * rows * d * choices.shape[1]
                moved += 8 * config.num_decoder_layers * inner * (rows * past + s)
    return {
        "operations": operations,
        "bytes": moved,
        "seconds": rates.seconds(operations, moved),
    }


def kept_prefixes(texts: Texts, k: int) -> Iterator[int]:
    """How many prefixes are kept before each slot: 1, then at most k of the legal ones."""
    grammar = texts.labeler.codec.grammar
    per_state = {0: 1}
    while True:
        yield min(k, sum(per_state.values()))
        following: dict[int, int] = {}
        for state, count in per_state.items():
            for after in grammar.next_states[state]:
                following[after] = min(k, following.get(after, 0) + count)
        per_state = following
