"""The certificate, proven by brute force over every target of a model that is a table."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch

from groot.search.label_search import Effort, label_search
from groot.targets import MultiClass, SentinelTags, SingleClass
from groot.targets.grammar import spell


class TableModel:
    """Logits that depend on the whole prefix in a random but repeatable way."""

    training = False
    device = torch.device("cpu")

    def __init__(self, n_tokens: int, sharpness: float, *, grows: bool = False) -> None:
        self.n_tokens = n_tokens
        self.sharpness = sharpness
        self.grows = grows
        self.passes = 0

    def train(self, mode: bool = True) -> None:
        self.training = mode

    def encode(self, inputs):
        return [tuple(ids) for ids in inputs]

    def begin(self, memory, rows, tokens, *, lexicon=None, at=None):
        lexicon = None if lexicon is None else set(lexicon.tolist())
        decoding = TableDecoding(self, [memory[row] for row in rows.tolist()], lexicon)
        first = decoding.states()[:, None]
        if tokens.shape[1]:
            first = torch.cat([first, decoding.advance(tokens)], dim=1)
        return decoding, first if at is None else first[:, at]

    def logits(self, hidden, ids=None):
        return hidden if ids is None else hidden[..., ids]

    def row(self, prefix: tuple[int, ...]) -> list[float]:
        rng = random.Random(repr(prefix))
        return [self.sharpness * rng.gauss(0, 1) for _ in range(self.n_tokens)]


class TableDecoding:
    def __init__(self, model: TableModel, prefixes: list[tuple[int, ...]], lexicon) -> None:
        self.model = model
        self.prefixes = prefixes
        self.lexicon = lexicon
        self.start = len(prefixes[0]) if prefixes else 0
        self.row: list[int] = []  # the tokens of the first target, or of a tree of them

    def states(self):
        return torch.tensor([self.model.row(prefix) for prefix in self.prefixes])

    def advance(self, tokens, *, at=None):
        seen = []
        assert tokens.numel() > 0
        self.model.passes += 1
        self.row += tokens[0].tolist()
        for column in tokens.T.tolist():
            pairs = zip(self.prefixes, column, strict=True)
            self.prefixes = [(*prefix, token) for prefix, token in pairs]
            seen.append(self.states())
        return torch.stack(seen, dim=1)[:, slice(None) if at is None else at]

    def reorder(self, index, texts=None):
        if isinstance(index, slice):
            self.prefixes = self.prefixes[index]
        else:
            self.prefixes = [self.prefixes[i] for i in index.tolist()]

    def rewind(self, length):
        self.prefixes = [prefix[: self.start + length] for prefix in self.prefixes]

    def grow(self, tokens, places, sees, *, at):
        """Each token's own target is what it sees, in the order of places, up to itself."""
        self.model.passes += 1
        done = len(self.row)
        self.row += tokens[0].tolist()
        places, inputs = places.tolist()[1:], self.prefixes[0][: self.start]
        states = []
        for number, seen in enumerate(sees[:, 1:].tolist(), start=done):
            own = [i for i, is_seen in enumerate(seen) if is_seen and places[i] <= places[number]]
            own.sort(key=lambda i: places[i])
            assert [places[i] for i in own] == list(range(1, len(own) + 1))
            states.append(self.model.row((*inputs, *(self.row[i] for i in own))))
        return torch.tensor(states)[None, at]


class Spelling:
    """A format in ids: sentinels from 50 on, the end is 1, labels as given."""

    def __init__(self, form, label_ids) -> None:
        self.form = form
        self.ids = label_ids
        self.grammar = spell(form.grammar, self.ids_of)
        tokens = {token for some in self.grammar.tokens for token in some}
        self.choice_ids = torch.tensor(sorted(tokens))
        places = {int(token): place for place, token in enumerate(self.choice_ids)}
        self.is_allowed = torch.zeros((len(self.grammar.tokens), len(places)), dtype=torch.bool)
        for state, some in enumerate(self.grammar.tokens):
            self.is_allowed[state, [places[token] for token in some]] = True

    def ids_of(self, symbol):
        if symbol == "</s>":
            return (1,)
        if symbol.startswith("<s"):
            return (50 + int(symbol[2:-1]),)
        return self.ids[symbol]

    def glue_ids(self, n_slots):
        return [
            tuple(i for symbol in self.form.glue(slot, n_slots) for i in self.ids_of(symbol))
            for slot in range(n_slots + 1)
        ]


def all_targets(model, spelling, input_ids, n_slots):
    """Every legal path with its log_p, best first."""
    form, grammar = spelling.form, spelling.grammar
    symbols = sorted({c.symbol for choices in form.grammar.choices for c in choices})
    longest = n_slots if not isinstance(form, MultiClass) else len(form.labels) + 1
    found = []
    for length in range(longest + 1):
        for path in itertools.product(symbols, repeat=length):
            if not form.grammar.walk(path, n_slots):
                continue
            target = grammar.encode(path, spelling.glue_ids(n_slots), spelling.ids_of)
            state_at = dict(zip(target.decisions, target.states, strict=True))
            total = 0.0
            for place, token in enumerate(target.tokens):
                row = torch.tensor(model.row((*input_ids, *target.tokens[:place])))
                if place in state_at:
                    allowed = list(grammar.tokens[state_at[place]])
                    total += float(row[allowed].log_softmax(0)[allowed.index(token)])
            found.append((total, path))
    return sorted(found, reverse=True)


ONE_TOKEN = {"O": (10,), "I": (11,), "a": (12,), "b": (13,)}
PIECES = {"O": (10,), "I": (11,), "a": (12, 20), "b": (12, 21, 22)}
SPELLINGS = {
    "one token a label": (lambda: Spelling(SentinelTags(("a", "b")), ONE_TOKEN), 4),
    "labels of pieces": (lambda: Spelling(SentinelTags(("a", "b")), PIECES), 3),
    "one class": (lambda: Spelling(SingleClass(("O", "I", "a")), PIECES), 1),
    "several classes": (lambda: Spelling(MultiClass(("O", "I", "a")), {**PIECES, ".": (30,)}), 1),
}


@pytest.mark.parametrize("kind", list(SPELLINGS))
@pytest.mark.parametrize("sharpness", [0.3, 2.0])
@pytest.mark.parametrize("grows", [False, True])
def test_a_certified_result_is_the_true_top_k(kind, sharpness, grows):
    make, n_slots = SPELLINGS[kind]
    spelling, model = make(), TableModel(60, sharpness, grows=grows)
    proven = 0
    for number in range(8):
        truth = all_targets(model, spelling, (number,), n_slots)
        for k, width in ((1, 1), (3, 3), (3, 12), (3, 300)):
            (found,) = label_search(
                model, spelling, [(number,)], [n_slots],
                k=k, effort=Effort(width=width, max_width=width),
            )  # fmt: skip
            best = [log_p for log_p, _ in truth[:k]]
            assert all(a <= b + 1e-4 for a, b in zip(found.log_p, best, strict=False))
            assert list(found.log_p) == sorted(found.log_p, reverse=True)
            if found.exact:
                proven += 1
                assert found.paths == tuple(path for _, path in truth[:k])
                assert found.log_p == pytest.approx(best, abs=1e-4)
    assert proven >= 8


@pytest.mark.parametrize("kind", ["one token a label", "labels of pieces"])
def test_a_text_without_certificate_is_searched_wider_until_it_has_one(kind):
    make, n_slots = SPELLINGS[kind]
    spelling, model = make(), TableModel(60, 0.2)
    inputs = [(number,) for number in range(6)]
    narrow = label_search(
        model, spelling, inputs, [n_slots] * 6, k=4, effort=Effort(width=4, max_width=4)
    )
    wide = label_search(
        model, spelling, inputs, [n_slots] * 6, k=4, effort=Effort(width=4, max_width=1024)
    )
    assert not all(found.exact for found in narrow)
    assert all(found.exact for found in wide)
    assert any(found.width > 4 for found in wide)
    for ids, found in zip(inputs, wide, strict=True):
        truth = all_targets(model, spelling, ids, n_slots)
        assert found.paths == tuple(path for _, path in truth[:4])


@pytest.mark.parametrize("kind", list(SPELLINGS))
def test_only_the_first_targets_may_be_asked_to_be_proven(kind):
    make, n_slots = SPELLINGS[kind]
    spelling, model = make(), TableModel(60, 2.0)
    inputs = [(number,) for number in range(8)]
    slots = [n_slots] * 8
    first = label_search(model, spelling, inputs, slots, k=3, effort=Effort(3, 3, n_proven=1))
    every = label_search(model, spelling, inputs, slots, k=3, effort=Effort(3, 3))
    assert [one.paths for one in first] == [one.paths for one in every]
    assert all(one.exact for one, all_ in zip(first, every, strict=True) if all_.exact)
    for ids, one in zip(inputs, first, strict=True):
        if one.exact:
            assert one.paths[0] == all_targets(model, spelling, ids, n_slots)[0][1]
    if kind == "one token a label":  # to prove the first takes less than to prove all three
        assert sum(one.exact for one in first) > sum(one.exact for one in every)
    assert any(one.exact for one in first)


def test_texts_of_different_lengths_in_one_batch_do_not_disturb_each_other():
    spelling, model = SPELLINGS["one token a label"][0](), TableModel(60, 1.0)
    lengths = [3, 0, 1, 4, 2, 4]
    inputs = [(number,) for number in range(len(lengths))]
    together = label_search(
        model, spelling, inputs, lengths, k=2, effort=Effort(width=4, max_width=64)
    )
    for ids, n_slots, found in zip(inputs, lengths, together, strict=True):
        (alone,) = label_search(
            model, spelling, [ids], [n_slots], k=2, effort=Effort(width=4, max_width=64)
        )
        assert found.paths == alone.paths
        assert found.log_p == pytest.approx(alone.log_p, abs=1e-5)
        assert all(len(path) == n_slots for path in found.paths)


def test_fewer_targets_than_k_are_all_returned_and_proven():
    spelling, model = SPELLINGS["one class"][0](), TableModel(60, 1.0)
    (found,) = label_search(model, spelling, [(1,)], [1], k=10)
    assert len(found.paths) == 3
    assert found.exact
    assert sum(map(math.exp, found.log_p)) == pytest.approx(1.0, abs=1e-5)
