"""Steering a frozen labeler: learnt on held-out texts, and the guide says what was learnt."""

import dataclasses
import json

import pytest
import torch

from fixtures.labelers import random_labeler
from fixtures.labelled_files import write_spans
from groot.data.sample import read_sample
from groot.engine.ledger import Ledger, read_ledger, write_ledger
from groot.errors import ConfigError, DataError
from groot.guides.saved_guides import load_guide
from groot.recipes.steer import SteerSettings, learn_guide, train_steering
from groot.rewards import parse_rewards
from groot.rewards.compose import OwnPart, Reward
from groot.writer.folders import load


@pytest.fixture(scope="module")
def labeler():
    return random_labeler()


SETTINGS = SteerSettings(
    num_candidates=8, strengths=(0.01, 0.1), weights=(1.0, 2.0), folds=2, iterations=15
)


def test_a_head_learns_what_is_rewarded_and_the_guide_says_it(labeler):
    texts = [one for one in read_sample("dev").examples if len(one.words) > 3][:40]
    # an untrained labeler says labels at random; right is the candidate that says the fewest
    examples = [
        dataclasses.replace(text, spans=min((one.spans for one in some), key=len))
        for text, some in zip(texts, labeler.candidates(texts, k=8), strict=True)
    ]
    with parse_rewards(["f0.5"]) as reward:
        guide, results = learn_guide(labeler, examples, reward, settings=SETTINGS)
        assert (results["texts"], results["judged"]) == (40, 20)
        assert len(results["tried"]) == 8
        assert len(results["by_fold"]) == 1
        assert results["weight"] == guide.weight
        assert results["metric"] == "micro F0.5"
        guided = results["guided"]
        for choose, unguided in results["unguided"].items():
            for name, moved in results["difference"][choose].items():
                assert moved["difference"] == pytest.approx(guided[name] - unguided[name])
        assert guided["metric"] > results["unguided"]["top"]["metric"]
        assert guided["reward"] > results["unguided"]["top"]["reward"] + 0.05
        assert results["gains"] is (results["difference"]["top"]["reward"]["p_value"] < 0.05)
        before = labeler.label(examples, probability_candidates=0)
        after = labeler.label(examples, guide=guide, guide_width=8, probability_candidates=0)
        means = [
            sum(value for (value,) in reward.score(examples, found)) / len(examples)
            for found in (before, after)
        ]
    assert means[1] > means[0] + 0.02
    # the head on the labeler's states is what was fitted: prefixes add up to the whole
    codec = labeler.codec
    (best, *_), example = after[0], examples[0]
    target = list(codec.encode(example, best.output).tokens)
    rewards, _ = guide.model.prefix_rewards([codec.input_ids(example)], [target])
    steps = guide.model.begin([codec.input_ids(example)], torch.tensor([0]))
    for place, token in enumerate(target[:-1]):
        scored = steps.score(torch.tensor([[token]]))
        torch.testing.assert_close(scored[0, 0], rewards[0, place], atol=1e-4, rtol=1e-4)
        steps.advance(torch.tensor([0]), torch.tensor([token]))


def steered(folder, examples, out):
    """The results of steering the labeler in a folder by these examples."""
    data = write_spans(out.with_suffix(".jsonl"), examples)
    return train_steering(folder, data, out=out, reward_specs=["f0.5"], settings=SETTINGS)


def test_from_a_folder_to_a_folder(labeler, tmp_path):
    labeler.save(tmp_path / "labeler")
    out = tmp_path / "steered"
    results = steered(tmp_path / "labeler", read_sample("dev").examples[:30], out)
    assert json.loads((out / "results.json").read_text()) == results
    again = load(tmp_path / "labeler")
    guide = load_guide(out / "guide", again)
    assert (guide.name, guide.weight) == ("pargs", results["weight"])
    assert guide.model.kind == "additive"
    assert again("play nina simone", guide=guide)[0][0].log_p is not None


def test_a_guide_remembers_its_texts_and_numbers_say_what_the_labeler_knew(labeler, tmp_path):
    labeler.save(tmp_path / "labeler")
    examples = read_sample("dev").examples[:30]
    write_ledger(
        tmp_path / "labeler",
        Ledger().with_texts("learnt_from", [example.text for example in examples[:3]]),
    )
    out = tmp_path / "steered"
    results = steered(tmp_path / "labeler", examples, out)
    assert results["seen_before"] == ["3 of 30 texts stand among those that the model learnt from."]
    seen = read_ledger(out / "guide").seen([example.text for example in examples])
    assert seen == {"learnt_from": 30, "chosen_on": 30}
    assert read_ledger(out / "guide").seen(["a text of tomorrow"]) == {}


def test_what_has_no_reward_is_left_out_and_never_counts_as_0(labeler):
    examples = read_sample("dev").examples[:20]

    class Odd:
        """100, but missing for each second text and for the likeliest candidate."""

        def __init__(self):
            self.number = {example.id: place for place, example in enumerate(examples)}

        def __call__(self, example, candidates):
            if self.number[example.id] % 2:
                return [None] * len(candidates)
            return [None] + [100.0] * (len(candidates) - 1)

    reward = Reward([OwnPart("odd", Odd())], [1.0])
    _, results = learn_guide(labeler, examples, reward, settings=SETTINGS)
    assert (results["texts"], results["left_out"]) == (10, 10)
    always = {"reward": 100.0}
    assert results["unguided"] == {"top": always, "mbr": always}
    assert results["guided"] == always
    assert results["gains"] is False
    assert results["metric"] is None
    nothing = Reward([OwnPart("none", lambda _, some: [None] * len(some))], [1.0])
    with pytest.raises(DataError, match="candidate with a reward"):
        learn_guide(labeler, examples, nothing, settings=SETTINGS)


def test_what_cannot_be_learnt_from_is_refused(labeler):
    examples = read_sample("dev").examples
    with parse_rewards(["f0.5"]) as reward:
        with pytest.raises(DataError, match="too few to learn from"):
            learn_guide(labeler, examples[:1], reward)
        words = random_labeler("model.label_style=words")
        with pytest.raises(ConfigError, match="labels of one token each"):
            learn_guide(words, examples, reward)
