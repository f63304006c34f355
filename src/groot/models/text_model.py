"""A model as three things: inputs encoded once, hidden states of targets, decoding steps.

Encoder-decoder and causal models look the same from outside: what is encoded once is the encoder's
output for the one kind and the prompt's keys and values for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache

from groot.models.families import family_of
from groot.models.t5.decoding import T5Decoding
from groot.models.t5.encoding import t5_encode
from groot.models.t5.weights import LARGE, Prepared, versions


@dataclass(frozen=True, slots=True)
class Memory:
    """Inputs, encoded.

    Args:
        states: [B, S, d] encoder output; for causal models the last hidden state, [B, 1, d].
        mask: [B, S] bool, True for real input tokens.
        cache: keys and values of the prompt, causal models only.
    """

    states: Tensor
    mask: Tensor
    cache: DynamicCache | None = None


class TextModel(nn.Module):
    """A transformers model with its tokenizer, taken apart by family.

    Args:
        model: an encoder-decoder or causal language model of a known family; LoRA-wrapped or not.
        tokenizer: its tokenizer, with an end token.

    Raises:
        ModelError: if the architecture is not in the tested list.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        core = model.get_base_model() if hasattr(model, "peft_config") else model
        self.family = family_of(core.config.model_type)
        # held outside the module tree: parameters are reached once, through self.model
        self._parts: tuple[Any, Any, Any] = (
            core,
            attrgetter(self.family.encoder)(core) if self.family.encoder else None,
            attrgetter(self.family.decoder)(core),
        )
        self._prepared = Prepared()
        config = core.config
        is_scaled = getattr(config, "scale_decoder_outputs", False)
        self._scale = config.d_model**-0.5 if is_scaled else None
        self._is_biased = hasattr(core, "final_logits_bias")
        # of the output layer, see `_head_rows`
        self._rows: tuple[Tensor, object, tuple[Tensor, Tensor | None]] | None = None
        self.end_id = int(tokenizer.eos_token_id)
        self.pad_id = int(
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_id
        )
        self.train(model.training)  # what is loaded does not learn until it is told to

    @property
    def config(self) -> Any:
        """The transformers config."""
        return self._parts[0].config

    @property
    def is_causal(self) -> bool:
        """True for causal models, whose input is a prompt."""
        return self.family.architecture == "causal"

    def train(self, mode: bool = True) -> TextModel:
        """Switch dropout on or off."""
        if mode:
            self._prepared.clear()
        super().train(mode)
        return self

    def _is_fast(self) -> bool:
        """Whether a pass may go over groot's own T5 code: nothing to learn, nothing to drop."""
        is_t5 = self.config.model_type in ("t5", "mt5")
        return is_t5 and not self.training and not torch.is_grad_enabled()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def grows(self) -> bool:
        """Whether the decodings that `begin` returns can hold a tree of targets in a row.

        It pays where a pass is spent on reading weights that no cache keeps.
        """
        return self._is_fast() and self.config.d_model * self.config.d_ff >= LARGE

    def pad(self, rows: Sequence[Sequence[int]], *, left: bool = False) -> tuple[Tensor, Tensor]:
        """Token ids and mask [N, T] of rows of different lengths."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)[:, None]
        places = np.arange(lengths.max(initial=0))[None]
        mask = places >= places.size - lengths if left else places < lengths
        ids = np.full(mask.shape, self.pad_id, dtype=np.int64)
        ids[mask] = [token for row in rows for token in row]
        return torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def encode(self, inputs: Sequence[Sequence[int]]) -> Memory:
        """Run the encoder, or the prompt, once per input.

        Args:
            inputs: token ids of each input.
        """
        ids, mask = self.pad(inputs, left=self.is_causal)
        _, encoder, decoder = self._parts
        if self._is_fast():
            return Memory(t5_encode(self._prepared.of(encoder), ids, mask), mask)
        if not self.is_causal:
            states = encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            return Memory(states, mask)
        cache = DynamicCache()
        out = decoder(
            input_ids=ids,
            attention_mask=mask.long(),
            position_ids=(mask.long().cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
        )
        return Memory(out.last_hidden_state[:, -1:], mask, out.past_key_values)

    def hidden_states(self, memory: Memory, rows: Tensor, tokens: Tensor) -> Tensor:
        """Hidden states [N, T, d] whose logits predict tokens [N, T], each given those before it.

        Args:
            memory: of B inputs.
            rows: [N] which input each target belongs to.
            tokens: [N, T] target ids, padded on the right with anything.
        """
        _, _, decoder = self._parts
        if not self.is_causal:
            start = torch.full_like(tokens[:, :1], self.config.decoder_start_token_id)
            out = decoder(
                input_ids=torch.cat([start, tokens[:, :-1]], dim=1),
                encoder_hidden_states=memory.states[rows],
                encoder_attention_mask=memory.mask[rows].long(),
                use_cache=False,
            )
            return out.last_hidden_state
        first = memory.states[rows]
        if tokens.shape[1] == 1:
            return first
        out = self._prompted(select(memory.cache, rows), memory.mask[rows], tokens[:, :-1], 0)
        return torch.cat([first, out.last_hidden_state], dim=1)

    def _prompted(self, cache: Any, prompt_mask: Tensor, tokens: Tensor, done: int) -> Any:
        """One pass over target tokens [N, m] behind a prompt and `done` earlier target tokens."""
        _, _, decoder = self._parts
        n, m = tokens.shape
        seen = torch.ones((n, done + m), dtype=torch.bool, device=tokens.device)
        positions = prompt_mask.sum(1, keepdim=True) + torch.arange(
            done, done + m, device=tokens.device
        )
        return decoder(
            input_ids=tokens,
            attention_mask=torch.cat([prompt_mask, seen], dim=1).long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )

    def begin(
        self,
        memory: Memory,
        rows: Tensor,
        tokens: Tensor,
        *,
        lexicon: Tensor | None = None,
        at: Tensor | slice | None = None,
    ) -> tuple[Decoding | T5Decoding, Tensor]:
        """Start decoding for N targets that begin with tokens [N, m].

        Args:
            lexicon: ids of the only tokens that will be fed, where they are known, ascending.
            at: the only ones of the m + 1 hidden states that are wanted.

        Returns:
            the decoding, and hidden states [N, m + 1, d]: the first m predict tokens, the last
            predicts what follows.
        """
        if self.is_causal:
            decoding = Decoding(self, select(memory.cache, rows), memory.mask[rows], None, 0)
            hidden = memory.states[rows]
            if tokens.shape[1]:
                hidden = torch.cat([hidden, decoding.advance(tokens)], dim=1)
            return decoding, hidden if at is None else hidden[:, at]
        start = torch.full((len(rows), 1), self.config.decoder_start_token_id, device=tokens.device)
        tokens = torch.cat([start, tokens], dim=1)
        if self._is_fast():
            fast = T5Decoding(
                self._prepared.of(self._parts[2]),
                memory.states,
                memory.mask,
                rows,
                start_id=self.config.decoder_start_token_id,
                lexicon=lexicon,
            )
            return fast, fast.advance(tokens, at=at)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        decoding = Decoding(self, cache, memory.mask[rows], memory.states[rows], 0)
        return decoding, decoding.advance(tokens, at=at)

    def logits(self, hidden: Tensor, ids: Tensor | None = None) -> Tensor:
        """Logits of hidden states [..., d] over the vocabulary, or over the tokens `ids` only."""
        head = self._parts[0].get_output_embeddings()
        if ids is not None:
            return nn.functional.linear(hidden, *self._head_rows(head, ids))
        if self._scale is not None:
            hidden = hidden * self._scale
        logits: Tensor = head(hidden)
        return logits if self._bias is None else logits + self._bias[0]

    @property
    def _bias(self) -> Tensor | None:
        """[1, V] what some families add to their logits."""
        return self._parts[0].final_logits_bias if self._is_biased else None

    def _head_rows(self, head: Any, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weight [A, d] and bias [A] of the output layer for the tokens `ids` [A], scale included.

        Kept until any of them changes, where nothing is to be learnt.
        """
        biases = [part for part in (head.bias, self._bias) if part is not None]
        is_kept = not torch.is_grad_enabled() and not ids.is_inference()
        now = versions([head.weight, ids, *biases]) if is_kept else None
        if is_kept and self._rows is not None:
            known, then, rows = self._rows
            if known is ids and then == now:
                return rows
        weight = head.weight[ids] if self._scale is None else head.weight[ids] * self._scale
        bias = None
        for part in biases:
            bias = part.view(-1)[ids] if bias is None else bias + part.view(-1)[ids]
        rows = weight, bias
        if is_kept:
            self._rows = ids, now, rows
        return rows


@dataclass(eq=False)
class Decoding:
    """Targets being written, token by token, with their keys and values."""

    owner: TextModel
    cache: Any
    mask: Tensor
    states: Tensor | None
    done: int

    def advance(self, tokens: Tensor, *, at: Tensor | slice | None = None) -> Tensor:
        """Feed tokens [N, m]; hidden states [N, m, d], the j-th predicts what follows token j.

        Args:
            at: the only ones of the m that are wanted.
        """
        if self.owner.is_causal:
            out = self.owner._prompted(self.cache, self.mask, tokens, self.done)
        else:
            _, _, decoder = self.owner._parts
            out = decoder(
                input_ids=tokens,
                encoder_hidden_states=self.states,
                encoder_attention_mask=self.mask.long(),
                past_key_values=self.cache,
                use_cache=True,
            )
        self.done += tokens.shape[1]
        hidden: Tensor = out.last_hidden_state
        return hidden if at is None else hidden[:, at]

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens of each target, the start token not counted."""
        kept = length if self.owner.is_causal else length + 1
        cache = self.cache
        if isinstance(cache, EncoderDecoderCache):
            cache = cache.self_attention_cache
        cache.crop(kept - self.done)  # a negative number is what to take away
        self.done = kept

    def reorder(self, index: Tensor | slice, texts: Tensor | slice | None = None) -> None:
        """Keep the targets `index` [N'], in that order, repeats allowed.

        Args:
            texts: which texts are kept, where that is known; not needed here.
        """
        if isinstance(self.cache, EncoderDecoderCache):
            updated = dict(self.cache.is_updated)
            self.cache = EncoderDecoderCache(
                select(self.cache.self_attention_cache, index),
                select(self.cache.cross_attention_cache, index),
            )
            self.cache.is_updated = updated
        else:
            self.cache = select(self.cache, index)
        self.mask = self.mask[index]
        if self.states is not None:
            self.states = self.states[index]


def select(cache: Any, index: Tensor | slice) -> DynamicCache:
    """A new cache with the rows `index` of another, which stays as it is."""
    return DynamicCache([(layer.keys[index], layer.values[index]) for layer in cache.layers])


def set_dropout(model: nn.Module, share: float) -> None:
    """Set every dropout of a model, also those that attention keeps as plain numbers."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)
