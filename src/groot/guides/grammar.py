"""A grammar as a guide: what it does not allow is not written. It goes with every other guide."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from groot.guides.guide import Guide, Prefixes
from groot.models.step import Spelling
from groot.targets.grammar import TokenGrammar


class Legal(Protocol):
    """A place in a grammar."""

    def tokens(self) -> Iterable[int]:
        """Ids that may come next; at least one until the text has ended."""

    def after(self, token: int) -> Legal:
        """The place behind one of them; any place behind another token, such as padding."""


class Grammar(Guide):
    """log p on the grammar, -inf off it.

    Args:
        start: for the token ids of an input, where its grammar begins: `label_grammar(...)`,
            `one_of(...)`, or any function of one's own.

    >>> grammar = Grammar(one_of([(5, 6, 1), (5, 7, 1)]))
    >>> state = grammar.begin([[9]], torch.tensor([0]))
    >>> state = grammar.follow(state, torch.tensor([0]), torch.tensor([5]))
    >>> [token for token, legal in enumerate(grammar.allowed(None, state)[0].tolist()) if legal]
    [6, 7]
    """

    name = "grammar"
    title = "grammar"

    def __init__(self, start: Callable[[Sequence[int]], Legal]) -> None:
        self.start = start

    def begin(self, inputs: Sequence[Sequence[int]], rows: Tensor) -> Any:
        """Where each of N empty texts stands."""
        starts = [self.start(ids) for ids in inputs]
        return _State([starts[row] for row in rows.tolist()], rows.device)

    def allowed(self, prefixes: Prefixes | None, state: Any) -> Tensor:
        """[N, V'] bool: which tokens may follow."""
        mask: Tensor = state.mask()
        return mask

    def rescore(
        self, log_p: Tensor, tokens: Tensor, prefixes: Prefixes, state: Any
    ) -> tuple[Tensor, Any]:
        """log_p, or -inf off the grammar."""
        mask = state.mask()
        # one column more, for the tokens that are further on than any allowed one
        mask = pad(mask, (0, 1), value=False)
        is_legal = mask.gather(1, tokens.clamp(max=mask.shape[1] - 1))
        return log_p.masked_fill(~is_legal, -math.inf), state

    def follow(self, state: Any, index: Tensor, tokens: Tensor) -> Any:
        """Each place, one token further."""
        pairs = zip(index.tolist(), tokens.tolist(), strict=True)
        return _State([state.places[row].after(token) for row, token in pairs], index.device)


class _State:
    """The places of N texts, and their mask, made once."""

    def __init__(self, places: Sequence[Legal], device: torch.device) -> None:
        self.places = places
        self.device = device
        self._mask: Tensor | None = None

    def mask(self) -> Tensor:
        if self._mask is None:
            rows = [list(place.tokens()) for place in self.places]
            width = max((token for row in rows for token in row), default=0) + 1
            mask = torch.zeros((len(rows), width), dtype=torch.bool)
            for row, tokens in enumerate(rows):
                mask[row, tokens] = True
            self._mask = mask.to(self.device)
        return self._mask


@dataclass(slots=True)
class _Node:
    """A place in a tree of texts."""

    children: dict[int, _Node] = field(default_factory=dict)

    def tokens(self) -> Iterable[int]:
        return self.children

    def after(self, token: int) -> _Node:
        return self.children.get(token, _Node())


def one_of(texts: Iterable[Sequence[int]]) -> Callable[[Sequence[int]], Legal]:
    """A grammar of listed texts, in token ids, end token included; the same for every input."""
    root = _Node()
    for text in texts:
        node = root
        for token in text:
            node = node.children.setdefault(token, _Node())
    return lambda ids: root


@dataclass(frozen=True, slots=True)
class _InTarget:
    """A place in a label target: the state of the grammar, the slot, and what is forced next."""

    grammar: TokenGrammar
    glue: Sequence[tuple[int, ...]]
    state: int
    slot: int
    forced: tuple[int, ...]

    def tokens(self) -> Iterable[int]:
        if self.forced:
            return self.forced[:1]
        return () if self.slot == len(self.glue) - 1 else self.grammar.tokens[self.state]

    def after(self, token: int) -> _InTarget:
        if self.forced:
            return _InTarget(self.grammar, self.glue, self.state, self.slot, self.forced[1:])
        if token not in self.tokens():
            return self
        at = list(self.grammar.tokens[self.state]).index(token)
        closes = self.grammar.closes[self.state][at]
        slot = self.slot + closes
        forced = tuple(self.glue[slot]) if closes else ()
        state = self.grammar.next_states[self.state][at]
        return _InTarget(self.grammar, self.glue, state, slot, forced)


def label_grammar(
    codec: Spelling, slots_of: Callable[[Sequence[int]], int]
) -> Callable[[Sequence[int]], Legal]:
    """The grammar of a label format.

    Args:
        codec: spells it in token ids.
        slots_of: how many slots the target of an input, in token ids, has.
    """

    def start(ids: Sequence[int]) -> Legal:
        glue = codec.glue_ids(slots_of(ids))
        return _InTarget(codec.grammar, glue, 0, 0, tuple(glue[0]))

    return start
