"""A label grammar as tensors: what each decision allows, what it forces, where it leads.

A *decision* is a token that the grammar does not force. After it, everything up to the next
decision follows: the rest of the label (a trie whose unique continuations are forced), and where
the slot ends, the glue before the next one.
"""

from __future__ import annotations

import math
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from groot.models.step import Spelling


class LabelTables:
    """Tables of a grammar over its states (rows) and the columns A of `choice_ids`.

    Args:
        codec: the grammar in token ids.
        device: of the tensors.
    """

    def __init__(self, codec: Spelling, device: torch.device) -> None:
        self.device = device
        self.grammar = codec.grammar
        self.choice_ids = codec.choice_ids.to(device)
        allowed = codec.is_allowed
        self.n_columns = len(codec.choice_ids)
        # [states, A] added to logits: 0 where a token may follow, else -inf
        self.blocked = torch.zeros(allowed.shape).masked_fill(~allowed, -math.inf).to(device)
        self._runs = self._follow([int(token) for token in codec.choice_ids])
        # [states, A] state after the decision and what it forces
        self.next_states = torch.zeros(allowed.shape, dtype=torch.long)
        # [states, A] 1 where the slot ends with it
        self.closes = torch.zeros(allowed.shape, dtype=torch.long)
        # [states, A] index into `symbols` of what is said by it; 0 is nothing
        self.says = torch.zeros(allowed.shape, dtype=torch.long)
        self.symbols: list[tuple[str, ...]] = [()]
        index_of: dict[tuple[str, ...], int] = {(): 0}
        for place, (_, state, closes, symbols) in self._runs.items():
            if symbols not in index_of:
                index_of[symbols] = len(self.symbols)
                self.symbols.append(symbols)
            self.next_states[place] = state
            self.closes[place] = int(closes)
            self.says[place] = index_of[symbols]
        self.next_states = self.next_states.to(device)
        self.closes, self.says = self.closes.to(device), self.says.to(device)
        self._known: set[int] = set()
        self._lexicon: Tensor | None = None
        self._layouts: dict[tuple[tuple[int, ...], ...], tuple[Tensor, Tensor]] = {}

    def _follow(
        self, ids: list[int]
    ) -> dict[tuple[int, int], tuple[tuple[int, ...], int, bool, tuple[str, ...]]]:
        """For each state and column: forced tokens behind it, next state, closes, symbols said."""
        grammar, column_of = self.grammar, {token: column for column, token in enumerate(ids)}
        runs = {}
        for first, tokens in enumerate(grammar.tokens):
            for at, token in enumerate(tokens):
                state, place, forced = first, at, []
                symbols: list[str] = []
                while True:
                    symbol, closes = grammar.symbols[state][place], grammar.closes[state][place]
                    symbols += [] if symbol is None else [symbol]
                    state, place = grammar.next_states[state][place], 0
                    if closes or len(grammar.tokens[state]) != 1:
                        break
                    forced.append(grammar.tokens[state][0])
                runs[first, column_of[token]] = (tuple(forced), state, closes, tuple(symbols))
        return runs

    @cached_property
    def keeps_step(self) -> bool:
        """Whether each slot of each text takes one decision of one token."""
        return all(closes and not forced for forced, _, closes, _ in self._runs.values())

    @cached_property
    def open_behind(self) -> Tensor | None:
        """[A + 1, A] the row of `blocked` behind each token, last that of the start.

        None where it does not follow from the token alone.
        """
        reached: dict[int, set[int]] = {self.n_columns: {0}}
        for (_, column), (_, state, _, _) in self._runs.items():
            reached.setdefault(column, set()).add(state)
        if any(len(states) > 1 for states in reached.values()):
            return None
        after = [min(reached.get(column, {0})) for column in range(self.n_columns + 1)]
        return self.blocked[after]

    @cached_property
    def first_column(self) -> int:
        """The column of the first token that may come first."""
        return int(torch.searchsorted(self.choice_ids, self.grammar.tokens[0][0]))

    @cached_property
    def names(self) -> np.ndarray:
        """[A] the symbol that each token says, for a grammar that `keeps_step`."""
        indices = self.says.max(0).values.cpu().numpy()  # a token says the same in every state
        return np.array([self.symbols[index][:1] or ("",) for index in indices], dtype=object)[:, 0]

    @cached_property
    def forced(self) -> tuple[Tensor, Tensor]:
        """Tokens forced behind each decision [states, A, R], padded, and how many [states, A]."""
        longest = max((len(run[0]) for run in self._runs.values()), default=0)
        tokens = torch.zeros((*self.next_states.shape, longest), dtype=torch.long)
        counts = torch.zeros(self.next_states.shape, dtype=torch.long)
        for place, (forced, *_) in self._runs.items():
            tokens[place][: len(forced)] = torch.tensor(forced, dtype=torch.long)
            counts[place] = len(forced)
        return tokens.to(self.device), counts.to(self.device)

    def lexicon(self, glue: list[tuple[int, ...]]) -> Tensor:
        """Every token that a target with this glue can hold, and maybe more, ascending.

        The same tensor as before wherever it holds them all.
        """
        ids = {token for part in glue for token in part}
        if self._lexicon is None or not ids <= self._known:
            self._known |= ids
            self._known.update(token for tokens in self.grammar.tokens for token in tokens)
            with torch.inference_mode(False):
                self._lexicon = torch.tensor(sorted(self._known), device=self.device)
        return self._lexicon

    def layout(self, glue: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """Of slots with this glue before them: tokens [T] up to the last choice, and its places.

        Returns:
            the forced tokens, with anything where a choice stands, and the place [slots] of each
            choice, of which the last is T.
        """
        if tuple(glue) not in self._layouts:
            places = np.cumsum([len(ids) for ids in glue]) + np.arange(len(glue))
            tokens = np.zeros(places[-1], dtype=np.int64)
            tokens[np.setdiff1d(np.arange(places[-1]), places)] = [i for ids in glue for i in ids]
            with torch.inference_mode(False):
                self._layouts[tuple(glue)] = (
                    torch.from_numpy(tokens).to(self.device),
                    torch.from_numpy(places).to(self.device),
                )
        return self._layouts[tuple(glue)]


_READY: WeakKeyDictionary[Spelling, dict[torch.device, LabelTables]] = WeakKeyDictionary()


def tables_of(codec: Spelling, device: torch.device) -> LabelTables:
    """The tables of a codec's grammar, made once."""
    ready = _READY.setdefault(codec, {})
    if device not in ready:
        # a codec keeps its tensors, which training uses too
        with torch.inference_mode(False), torch.no_grad():
            ready[device] = LabelTables(codec, device)
    return ready[device]
