"""A language model and reward models that are tables over every prefix of a tiny vocabulary."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch

END = 0


def child(prefix, token, n_tokens):
    """The number of a prefix grown by a token; 0 is the empty one."""
    return prefix * n_tokens + token + 1


class ToyModel:
    """Logits from a table [inputs, prefixes, V]; an input is the number of its table."""

    training = False
    device = torch.device("cpu")
    end_id = END

    def __init__(self, tables):
        self.tables = tables
        self.n_tokens = tables.shape[2]
        self.begun = 0

    def train(self, mode=True):
        self.training = mode

    def encode(self, inputs):
        return torch.tensor([ids[0] for ids in inputs])

    def begin(self, memory, rows, tokens):
        self.begun += 1
        decoding = ToyDecoding(self, memory[rows])
        first = decoding.hidden()[:, None]
        if tokens.shape[1] == 0:
            return decoding, first
        return decoding, torch.cat([first, decoding.advance(tokens)], dim=1)

    def logits(self, hidden, ids=None):
        return hidden if ids is None else hidden[..., ids]

    def log_p(self, number, text):
        """[T] log-probability of each token of a text."""
        prefix, values = 0, []
        for token in text:
            values.append(self.tables[number, prefix].log_softmax(0)[token])
            prefix = child(prefix, token, self.n_tokens)
        return torch.stack(values)


class ToyDecoding:
    def __init__(self, model, numbers):
        self.model, self.numbers = model, numbers
        self.prefixes = torch.zeros_like(numbers)

    def hidden(self):
        return self.model.tables[self.numbers, self.prefixes]

    def advance(self, tokens):
        seen = []
        for column in tokens.T:
            self.prefixes = child(self.prefixes, column, self.model.n_tokens)
            seen.append(self.hidden())
        return torch.stack(seen, dim=1)

    def reorder(self, index):
        self.numbers, self.prefixes = self.numbers[index], self.prefixes[index]


class ToyReward:
    """Rewards from a table [inputs, prefixes], with the methods of a reward model."""

    def __init__(self, table, n_tokens, kind):
        self.table, self.n_tokens, self.kind = table, n_tokens, kind
        self.asked = []

    def begin(self, inputs, rows):
        return ToyScoring(self, torch.tensor([ids[0] for ids in inputs])[rows])

    def rewards(self, inputs, outputs):
        return torch.stack(
            [self.prefix_reward(i[0], o) for i, o in zip(inputs, outputs, strict=True)]
        )

    def prefix_reward(self, number, text):
        prefix = 0
        for token in text:
            prefix = child(prefix, token, self.n_tokens)
        return self.table[number, prefix]


class ToyScoring:
    def __init__(self, model, numbers):
        self.model, self.numbers = model, numbers
        self.prefixes = torch.zeros_like(numbers)

    def score(self, tokens):
        self.model.asked.append(tokens)
        places = child(self.prefixes[:, None], tokens, self.model.n_tokens)
        return self.model.table[self.numbers[:, None], places]

    def score_all(self):
        return self.score(torch.arange(self.model.n_tokens).expand(len(self.numbers), -1))

    def advance(self, index, tokens):
        self.numbers = self.numbers[index]
        self.prefixes = child(self.prefixes[index], tokens, self.model.n_tokens)


def n_prefixes(n_tokens, length):
    return sum(n_tokens**size for size in range(length + 1))


def toy_model(n_tokens=3, length=3, n_inputs=1, sharpness=1.0, seed=0):
    """A model with random tables for texts of at most `length` tokens."""
    generator = torch.Generator().manual_seed(seed)
    shape = (n_inputs, n_prefixes(n_tokens, length), n_tokens)
    return ToyModel(sharpness * torch.randn(shape, generator=generator))


def toy_reward(n_tokens=3, length=3, n_inputs=1, kind="partial", seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (n_inputs, n_prefixes(n_tokens, length))
    return ToyReward(torch.randn(shape, generator=generator), n_tokens, kind)


def all_texts(n_tokens, length):
    """Every text that ends, or is cut at `length` tokens."""
    words = range(1, n_tokens)
    for size in range(length):
        for start in itertools.product(words, repeat=size):
            yield (*start, END)
    yield from itertools.product(words, repeat=length)


@pytest.fixture(scope="session")
def toy():
    return SimpleNamespace(
        END=END, Model=ToyModel, Reward=ToyReward, model=toy_model, reward=toy_reward,
        all_texts=all_texts, child=child, n_prefixes=n_prefixes,
    )  # fmt: skip
