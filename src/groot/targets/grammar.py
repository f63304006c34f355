"""Grammars: what may follow a prefix of a target, as tables that all texts of a format share.

A target is a row of *slots* (one per word for Sentinel+Tag, one in all for classes). Before each
slot stand forced symbols, its *glue*; in a slot the writer walks through a small automaton until a
choice closes it. So the only decisions are those inside the slots; everything else is forced and
has probability one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from groot.errors import ModelError

END = "</s>"


class Symbol(str):
    """A piece of an input or target that is no word of the user's: a sentinel, a label, the end."""

    __slots__ = ()


def is_sentinel(symbol: str) -> bool:
    """True for the symbol that stands before a word: `<s0>`, `<s1>`, ...

    >>> is_sentinel("<s12>"), is_sentinel("<s>")
    (True, False)
    """
    return re.fullmatch(r"<s[0-9]+>", symbol) is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that may be written in a state.

    Args:
        symbol: what is written.
        state: the state afterwards.
        closes: True where the slot ends with it, so that glue follows.
    """

    symbol: Symbol
    state: int
    closes: bool


@dataclass(frozen=True, slots=True)
class SlotGrammar:
    """The automaton of a slot: `choices[state]` may follow in that state; state 0 is the first."""

    choices: tuple[tuple[Choice, ...], ...]

    def walk(self, path: Sequence[str], n_slots: int) -> bool:
        """True where the symbols of path fill exactly n_slots slots by legal choices."""
        state, closed = 0, 0
        for symbol in path:
            for choice in self.choices[state]:
                if choice.symbol == symbol:
                    break
            else:
                return False
            if closed == n_slots:
                return False
            state = choice.state
            closed += choice.closes
        return closed == n_slots


# a symbol's ids, the state before each, whether the slot closes with it, the state behind it
Move = tuple[tuple[int, ...], tuple[int, ...], bool, int]


@dataclass(frozen=True, slots=True)
class TokenGrammar:
    """A slot grammar in token ids; symbols of several tokens share their beginnings (a trie).

    Args:
        tokens: per state, the token ids that may follow.
        next_states: per state and token, the state afterwards.
        closes: per state and token, True where the slot ends with it.
        symbols: per state and token, the symbol that it completes, or None inside a symbol.
        one_token_symbols: True where each symbol is one token, so that all texts keep step.
    """

    tokens: tuple[tuple[int, ...], ...]
    next_states: tuple[tuple[int, ...], ...]
    closes: tuple[tuple[bool, ...], ...]
    symbols: tuple[tuple[str | None, ...], ...]
    one_token_symbols: bool
    _moves: dict[tuple[int, str], Move | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    def encode(
        self,
        path: Sequence[str],
        glue: Sequence[Sequence[int]],
        ids_of: Callable[[str], Sequence[int]],
    ) -> EncodedTarget:
        """Spell a legal path as token ids.

        Args:
            path: the chosen symbols, in order.
            glue: the forced ids before each slot, and last those behind the last slot.
            ids_of: token ids of a symbol.

        Raises:
            ValueError: if the path is not legal.
        """
        tokens, positions, states = list(glue[0]), list[int](), list[int]()
        state, slot = 0, 0
        for symbol in path:
            move = self._moves.get((state, symbol))
            if move is None:
                move = self._moves[state, symbol] = self._move(state, ids_of(symbol))
            if move is None:
                message = f"{symbol!r} may not follow {' '.join(path)!r} in slot {slot}"
                raise ValueError(message)
            spelled, before, closes, state = move
            positions += range(len(tokens), len(tokens) + len(spelled))
            tokens += spelled
            states += before
            if closes:
                slot += 1
                tokens += glue[slot]
        return EncodedTarget(tuple(tokens), tuple(positions), tuple(states))

    def _move(self, state: int, ids: Sequence[int]) -> Move | None:
        """What a symbol of these ids does in a state; None where it is not legal there."""
        before, closes = [], False
        for token in ids:
            if token not in self.tokens[state]:
                return None
            taken = self.tokens[state].index(token)
            before.append(state)
            closes, state = self.closes[state][taken], self.next_states[state][taken]
        return tuple(ids), tuple(before), closes, state


@dataclass(frozen=True, slots=True)
class EncodedTarget:
    """A target in token ids.

    Args:
        tokens: [T] the whole target, end included.
        decisions: [D] positions in tokens of those that were not forced.
        states: [D] grammar state in which each decision was made.
    """

    tokens: tuple[int, ...]
    decisions: tuple[int, ...]
    states: tuple[int, ...]

    @classmethod
    def free(cls, tokens: Sequence[int]) -> EncodedTarget:
        """A free text: each of its tokens is a decision, and there is one state.

        >>> EncodedTarget.free([7, 8]).decisions
        (0, 1)
        """
        return cls(tuple(tokens), tuple(range(len(tokens))), (0,) * len(tokens))


def spell(grammar: SlotGrammar, ids_of: Callable[[str], Sequence[int]]) -> TokenGrammar:
    """Turn a grammar over symbols into one over token ids.

    Args:
        grammar: the grammar.
        ids_of: token ids of a symbol, at least one; no symbol of a state may begin another's ids.

    Raises:
        ModelError: if a symbol has no ids, or its ids begin those of another symbol.
    """
    tokens: list[list[int]] = [[] for _ in grammar.choices]
    nexts: list[list[int]] = [[] for _ in grammar.choices]
    closes: list[list[bool]] = [[] for _ in grammar.choices]
    symbols: list[list[str | None]] = [[] for _ in grammar.choices]
    one_token = True
    for first_state, choices in enumerate(grammar.choices):
        for choice in choices:
            ids = list(ids_of(choice.symbol))
            if not ids:
                raise ModelError(
                    f"label {choice.symbol!r} has no tokens in this model's vocabulary"
                )
            one_token = one_token and len(ids) == 1
            state = first_state
            for token in ids[:-1]:
                if token in tokens[state]:
                    at = tokens[state].index(token)
                    if symbols[state][at] is not None:
                        raise ModelError(
                            f"the tokens of {symbols[state][at]!r} begin {choice.symbol!r}"
                        )
                else:
                    at = len(tokens[state])
                    for table in (tokens, nexts, closes, symbols):
                        table.append([])
                    tokens[state].append(token)
                    nexts[state].append(len(tokens) - 1)
                    closes[state].append(False)
                    symbols[state].append(None)
                state = nexts[state][at]
            if ids[-1] in tokens[state]:
                raise ModelError(
                    f"the tokens of {choice.symbol!r} begin or equal those of another label; give"
                    " the labels tokens of their own with --label-style token"
                )
            tokens[state].append(ids[-1])
            nexts[state].append(choice.state)
            closes[state].append(choice.closes)
            symbols[state].append(choice.symbol)
    return TokenGrammar(
        tuple(map(tuple, tokens)),
        tuple(map(tuple, nexts)),
        tuple(map(tuple, closes)),
        tuple(map(tuple, symbols)),
        one_token,
    )
