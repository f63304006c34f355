"""What every reward of the table promises, on random gold and random candidates."""

import math
import random

import pytest

from groot.rewards import REWARDS, parse_rewards
from groot.rewards.cost_table import CostTable
from groot.targets.sentinel_tags import SentinelTags
from groot.types import Candidate, Example, Span

WORDS = ("play", "nina", "simone", "loud", "jazz")
STARTS = (0, 5, 10, 17, 22)
TEXT = " ".join(WORDS)
LABELS = ("artist", "song", "genre")
TABLE = CostTable({"default": {"missing": 1.0}, "artist": {"missing": 3.0, "spurious": 9.0}})

ALL = {
    **{name: REWARDS[name] for name in REWARDS},
    "f0.25": parse_rewards(["f0.25"]).parts[0].native,
    "cost table": TABLE,
}


def random_spans(rng):
    spans, word = [], 0
    while word < len(WORDS):
        last = min(word + rng.randint(1, 2), len(WORDS)) - 1
        if rng.random() < 0.5:
            spans.append(Span(STARTS[word], STARTS[last] + len(WORDS[last]), rng.choice(LABELS)))
        word = last + 1
    return tuple(spans)


def random_classes(rng):
    return tuple(rng.sample(LABELS, rng.randint(0, 3)))


def cases(name, rng):
    """An example with its gold as a candidate, some legal ones and two malformed ones."""
    is_classes = name.startswith("class_")
    draw = random_classes if is_classes else random_spans
    gold = draw(rng)
    example = Example(
        TEXT,
        WORDS,
        STARTS,
        classes=gold if is_classes else None,
        spans=None if is_classes else gold,
    )
    legal = [Candidate("", draw(rng)) for _ in range(4)]
    junk = [Candidate(" ".join(rng.choices((*LABELS, "<s0>", "I", "O"), k=9)), None)] * 2
    return example, Candidate("", gold), legal, junk


@pytest.mark.parametrize("name", ALL)
def test_contract(name):
    rng = random.Random(name)
    for _ in range(200):
        example, gold, legal, junk = cases(name, rng)
        candidates = [gold, *legal, *junk]
        rewards = ALL[name](example, candidates)
        assert len(rewards) == len(candidates)
        assert all(isinstance(value, float) and math.isfinite(value) for value in rewards)
        assert rewards[0] == max(rewards)
        nothing = ALL[name](example, [Candidate("", ())])
        assert all(value <= min(max(rewards[:-2]), nothing[0]) for value in rewards[-2:])
        order = rng.sample(range(len(candidates)), len(candidates))
        again = ALL[name](example, [candidates[i] for i in order])
        assert again == [rewards[i] for i in order]
        assert ALL[name](example, []) == []


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("class_")])
def test_targets_built_to_game_the_metric_gain_nothing(name):
    """Illegal tags, repeated spans, empty output, copies of labels, through the real format."""
    gold = (Span(5, 16, "artist"), Span(22, 26, "genre"))
    example = Example(TEXT, WORDS, STARTS, spans=gold)
    label_format = SentinelTags(LABELS)
    right = label_format.encode(example, gold)
    games = [
        "", " ", "artist genre", "artist " * 40, right + " " + right, right[: len(right) // 2],
        right.replace("I", "artist"), right.replace("O", "I"), right.replace("<s1>", "<s2>"),
        right + " <s5> artist", right.upper(), "<s0>", right.replace(" ", ""),
    ]  # fmt: skip
    candidates = [Candidate(game, label_format.decode(game, example)) for game in games]
    best = ALL[name](example, [Candidate(right, label_format.decode(right, example))])[0]
    rewards = ALL[name](example, candidates)
    for candidate, value in zip(candidates, rewards, strict=True):
        assert value <= best
        if candidate.output is None:
            assert value <= ALL[name](example, [Candidate("", ())])[0]
    spans_twice = Candidate("", gold + gold)
    assert ALL[name](example, [spans_twice])[0] <= best
