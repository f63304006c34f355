"""Decisions and what they force, worked out by hand for a small trie."""

from __future__ import annotations

import torch

from groot.search.label_tables import LabelTables, tables_of
from groot.targets.grammar import Choice, SlotGrammar, Symbol, TokenGrammar, spell

IDS = {"O": (1,), "city": (2, 3, 9), "code": (2, 4, 9), "stop": (5,)}


class Spelled:
    def __init__(self, grammar: SlotGrammar) -> None:
        self.grammar: TokenGrammar = spell(grammar, lambda symbol: IDS[symbol])
        tokens = sorted({token for some in self.grammar.tokens for token in some})
        self.choice_ids = torch.tensor(tokens)
        self.is_allowed = torch.tensor(
            [[token in some for token in tokens] for some in self.grammar.tokens]
        )

    def glue_ids(self, n_slots: int) -> list[tuple[int, ...]]:
        return [(50 + slot,) for slot in range(n_slots)] + [(99,)]


def slot_grammar(*names: str) -> SlotGrammar:
    return SlotGrammar((tuple(Choice(Symbol(name), 0, True) for name in names),))


def test_only_branching_tokens_are_decisions():
    codec = Spelled(slot_grammar("O", "city", "code"))
    tables = LabelTables(codec, torch.device("cpu"))
    assert not tables.keeps_step
    column = {int(token): at for at, token in enumerate(codec.choice_ids)}
    forced, counts = tables.forced
    # behind 2 there are two ways: nothing is forced, nothing is said, the slot stays open
    assert counts[0, column[2]] == 0
    assert tables.closes[0, column[2]] == 0
    assert tables.symbols[tables.says[0, column[2]]] == ()
    inside = int(tables.next_states[0, column[2]])
    # behind 3 only 9 may follow, which closes the slot and says "city"
    assert forced[inside, column[3], : counts[inside, column[3]]].tolist() == [9]
    assert tables.closes[inside, column[3]] == 1
    assert tables.symbols[tables.says[inside, column[3]]] == ("city",)
    assert tables.next_states[inside, column[3]] == 0
    assert tables.lexicon([(50,), (99,)]).tolist() == [1, 2, 3, 4, 9, 50, 99]


def test_labels_of_one_token_keep_step_and_tables_are_made_once():
    codec = Spelled(slot_grammar("O", "stop"))
    tables = tables_of(codec, torch.device("cpu"))
    assert tables.keeps_step
    assert tables.open_behind is not None
    assert torch.equal(tables.open_behind, torch.zeros((3, 2)))  # two tokens and the start
    assert tables.names.tolist() == ["O", "stop"]
    assert tables_of(codec, torch.device("cpu")) is tables
    assert torch.equal(tables.blocked, torch.zeros((1, 2)))


def test_a_lexicon_grows_and_else_stays_the_same_tensor():
    tables = LabelTables(Spelled(slot_grammar("O", "stop")), torch.device("cpu"))
    first = tables.lexicon([(50,), (51,), (99,)])
    assert tables.lexicon([(50,), (99,)]) is first
    assert set(tables.lexicon([(52,)]).tolist()) == {*first.tolist(), 52}


def test_a_layout_holds_what_is_forced_and_where_the_choices_stand():
    tables = LabelTables(Spelled(slot_grammar("O", "stop")), torch.device("cpu"))
    tokens, places = tables.layout([(50, 51), (), (52,)])
    assert places.tolist() == [2, 3, 5]
    assert tokens[[0, 1, 4]].tolist() == [50, 51, 52]
    assert len(tokens) == 5
