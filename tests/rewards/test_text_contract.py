"""What every reward of free text promises, on random texts and broken ones."""

import math
import random

import pytest

from groot.errors import ConfigError, RewardError
from groot.rewards import TEXT_REWARDS, parse_rewards
from groot.rewards.parse import names_text_reward
from groot.types import Candidate, Example, Span

WORDS = ("play", "nina", "Simone,", "the", "the", "é😀", "\n", "now.")


class WordLabels:
    """A judge that finds a label in each known word: a table in the place of a labeler."""

    def __init__(self):
        self.calls = []

    def __call__(self, texts, *, top_k=1):
        self.calls.append(list(texts))
        return [[Candidate("", self.spans(text), log_p=-0.1)] for text in texts]

    def spans(self, text):
        found = {"nina": "artist", "now.": "time", "play": "verb"}
        return tuple(Span(0, 1, found[word]) for word in text.split() if word in found)


SPECS = {
    "length": "length:2-4",
    "wanted_words": "wanted_words:play,now",
    "forbidden_words": "forbidden_words:the",
    "distinct": "distinct:2",
    "labeler_judge": "labeler_judge:runs/slots:3",
}


@pytest.fixture
def part_of(monkeypatch):
    monkeypatch.setattr(
        "groot.rewards.labeler_judge.LabelerJudge.mark", property(lambda self: "folder")
    )
    judge = WordLabels()

    def make(spec):
        return parse_rewards([spec], open_labeler=lambda folder: judge).parts[0]

    return make


def test_every_reward_of_the_table_is_tried():
    assert set(SPECS) == set(TEXT_REWARDS)


@pytest.mark.parametrize("name", SPECS)
def test_contract(name, part_of):
    rng = random.Random(name)
    part, example = part_of(SPECS[name]), Example("", reference="play nina now.")
    for _ in range(100):
        texts = [" ".join(rng.choices(WORDS, k=rng.randint(0, 9))) for _ in range(5)]
        candidates = [*(Candidate(text, text) for text in texts), Candidate("play play", None)]
        rewards = part.native(example, candidates)
        assert all(isinstance(value, float) and math.isfinite(value) for value in rewards)
        assert all(0.0 <= value <= 1.0 for value in rewards)
        assert rewards[-1] == 0.0 == min(rewards)
        order = rng.sample(range(len(candidates)), len(candidates))
        again = part.native(example, [candidates[place] for place in order])
        assert again == [rewards[place] for place in order]
        assert part.native(example, []) == []
        assert part.score([example, example], [candidates, []]) == [rewards, []]


@pytest.mark.parametrize("name", SPECS)
def test_spans_are_refused(name, part_of):
    with pytest.raises(RewardError, match=r"for free text, and was given spans or classes"):
        part_of(SPECS[name]).native(Example("play", id="7"), [Candidate("", (Span(0, 4, "a"),))])


@pytest.mark.parametrize("name", SPECS)
def test_specs_add_up_with_weights_and_are_known_as_ours(name, part_of):
    assert part_of(f"{SPECS[name]}=0.5").name == SPECS[name]
    assert names_text_reward(SPECS[name])
    assert not names_text_reward(f"my_{name}.py:score")


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("length:9-4", "length:4-12"),
        ("length", "length:4-12"),
        ("wanted_words:a b", "single words"),
        ("forbidden_words:", "single words"),
        ("distinct:0", "distinct:2"),
        ("labeler_judge:", "folder of a labeler"),
        ("labeler_judge:runs/slots:0", "at least 1"),
        ("labeler_judge:runs/slots", "open_labeler=groot.load"),
    ],
)
def test_wrong_settings_say_what_is_wanted(spec, wanted):
    with pytest.raises(ConfigError, match=wanted):
        parse_rewards([spec])
