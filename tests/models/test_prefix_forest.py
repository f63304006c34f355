"""Prefix trees of targets: which nodes there are, and who looks at whom."""

from __future__ import annotations

import random

import pytest
import torch

from groot.models import prefix_forest
from groot.models.prefix_forest import PrefixForest


def random_targets(seed: int, n: int = 12, texts: int = 4):
    rng = random.Random(seed)
    rows = [rng.randrange(texts) for _ in range(n)]
    targets = [[rng.randrange(3) for _ in range(rng.randrange(1, 7))] for _ in range(n)]
    places = [sorted(rng.sample(range(len(t)), rng.randrange(1, len(t) + 1))) for t in targets]
    width, most = max(map(len, targets)), max(map(len, places))
    tokens = torch.full((n, width), 9)
    positions = torch.zeros((n, most), dtype=torch.long)
    is_asked = torch.zeros((n, most), dtype=torch.bool)
    for i, (target, some) in enumerate(zip(targets, places, strict=True)):
        tokens[i, : len(target)] = torch.tensor(target)
        positions[i, : len(some)] = torch.tensor(some)
        is_asked[i, : len(some)] = True
    return rows, targets, places, (torch.tensor(rows), tokens, positions, is_asked)


def prefixes_seen(forest: PrefixForest, *, asked: bool) -> list[tuple[int, tuple[int, ...]]]:
    """For each node that looks, its text and the tokens it sees, from the chunks alone."""
    seen, first = [], 0
    for chunk in forest.chunks(asked=asked):
        at = {int(place): first + i for i, place in enumerate(chunk.place)}
        by_place: dict[int, dict[int, int]] = {}
        for pair, distance in zip(
            chunk.pairs.seen.tolist(), chunk.pairs.distance.tolist(), strict=True
        ):
            place, other = divmod(pair, chunk.width)
            tree = place // chunk.pairs.width
            by_place.setdefault(place, {})[distance] = at[tree * chunk.width + other]
        for place in chunk.pairs.place.tolist():
            nodes = by_place[place]
            assert sorted(nodes) == list(range(len(nodes)))
            path = [int(forest.tokens[nodes[d]]) for d in reversed(range(len(nodes)))]
            assert path[0] == -1
            seen.append((int(chunk.texts[place // chunk.pairs.width]), tuple(path[1:])))
        first += len(chunk.place)
    assert first == len(forest.tokens)
    return seen


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("chunk_pairs", [1, 60, 1 << 16])
def test_each_choice_sees_its_own_prefix_and_nothing_else(monkeypatch, seed, chunk_pairs):
    monkeypatch.setattr(prefix_forest, "CHUNK_PAIRS", chunk_pairs)
    rows, targets, places, given = random_targets(seed)
    forest = PrefixForest(*given)
    seen = prefixes_seen(forest, asked=True)
    assert len(seen) == len(forest.asked)
    for i, some in enumerate(places):
        for j, position in enumerate(some):
            wanted = (rows[i], tuple(targets[i][:position]))
            assert seen[int(forest.place[i, j])] == wanted
    nodes = prefixes_seen(forest, asked=False)
    wanted = {
        (row, tuple(target[:length]))
        for row, target, some in zip(rows, targets, places, strict=True)
        for length in range(max(some) + 1)
    }
    assert len(nodes) == len(set(nodes))
    assert set(nodes) == wanted


def test_without_sharing_each_target_has_its_own_nodes():
    _, _, places, given = random_targets(3)
    forest = PrefixForest(*given, shares=False)
    assert len(forest.tokens) == sum(max(some) + 1 for some in places)
    assert len(forest.asked) == sum(map(len, places))


def test_nothing_asked_is_an_empty_forest():
    none = torch.zeros((2, 1), dtype=torch.bool)
    forest = PrefixForest(torch.tensor([0, 1]), torch.tensor([[1], [2]]), none.long(), none)
    assert len(forest.tokens) == len(forest.asked) == 0
    assert forest.place.tolist() == [[0], [0]]
    assert list(forest.chunks(asked=True)) == []
