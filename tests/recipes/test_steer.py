"""Steering a frozen labeler: learnt on held-out texts, and the guide says what was learnt."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from groot.config import load_config
from groot.data.sample import read_sample
from groot.errors import ConfigError, DataError
from groot.guides.saved_guides import load_guide
from groot.outputs.choose import expected_rewards
from groot.recipes.start import make_labeler
from groot.recipes.steer import (
    SteerSettings,
    _candidates,
    _cautious,
    learn_guide,
    train_steering,
)
from groot.rewards import parse_rewards
from groot.rewards.compose import OwnPart, Reward
from groot.writer.folders import load


def new_labeler(*settings):
    small = ["model.width=32", "model.feed_forward=32", "model.vocabulary_size=300", *settings]
    made = make_labeler(load_config(settings=small), read_sample("train").examples[:60])
    with torch.no_grad():  # untrained, it finds all labels alike
        table = made.model.model.get_input_embeddings().weight
        table += torch.randn(table.shape, generator=torch.Generator().manual_seed(1))
    made.model.eval()
    return made


@pytest.fixture(scope="module")
def labeler():
    return new_labeler()


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
        assert results["texts"] == 40
        assert len(results["tried"]) == 8
        (best,) = [
            one
            for one in results["tried"]
            if all(one[name] == results[name] for name in ("strength", "weight", "choose"))
        ]
        assert best["weight"] == guide.weight
        guided, unguided = results["guided"][best["choose"]], results["unguided"]["top"]
        assert guided["reward"] == pytest.approx(best["reward"])
        moved = results["difference"]["reward"]
        assert moved["difference"] == pytest.approx(guided["reward"] - unguided["reward"])
        assert 0 <= moved["p_value"] <= 1
        assert results["metric"] == "micro F0.5"
        assert guided["metric"] == pytest.approx(best["metric"])
        assert guided["metric"] > unguided["metric"]
        assert guided["reward"] > unguided["reward"] + 0.05
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


def test_of_what_is_as_good_as_the_best_the_lightest_is_chosen():
    means = {(0.1, 1.0, "mbr"): 0.52, (0.1, 0.5, "top"): 0.47, (0.3, 0.5, "mbr"): 0.48}
    means[0.1, 0.25, "mbr"] = 0.44

    def gains(spread):
        return lambda entry: np.array([0.1 + spread, 0.1 - spread] * 50)

    assert _cautious(means, gains(0.01)) == (0.1, 1.0, "mbr")
    assert _cautious(means, gains(0.5)) == (0.3, 0.5, "mbr")  # standard error 0.05
    assert _cautious(means, gains(1.0)) == (0.1, 0.25, "mbr")


def test_from_a_folder_to_a_folder(labeler, tmp_path):
    labeler.save(tmp_path / "labeler")
    lines = []
    for example in read_sample("dev").examples[:30]:
        spans = [{"start": s.start, "end": s.end, "label": s.label} for s in example.spans]
        lines.append(json.dumps({"text": example.text, "spans": spans}) + "\n")
    (tmp_path / "dev.jsonl").write_text("".join(lines))
    out = tmp_path / "steered"
    results = train_steering(
        tmp_path / "labeler",
        tmp_path / "dev.jsonl",
        out=out,
        reward_specs=["f0.5"],
        settings=SETTINGS,
    )
    assert json.loads((out / "results.json").read_text()) == results
    again = load(tmp_path / "labeler")
    guide = load_guide(out / "guide", again)
    assert (guide.name, guide.weight) == ("pargs", results["weight"])
    assert guide.model.kind == "additive"
    assert again("play nina simone", guide=guide)[0][0].log_p is not None


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
    always = {"top": {"reward": 100.0}, "mbr": {"reward": 100.0}}
    assert results["unguided"] == results["guided"] == always
    assert results["metric"] is None
    nothing = Reward([OwnPart("none", lambda _, some: [None] * len(some))], [1.0])
    with pytest.raises(DataError, match="candidate with a reward"):
        learn_guide(labeler, examples, nothing, settings=SETTINGS)


@pytest.mark.parametrize("is_known", [True, False])
def test_expected_rewards_are_those_that_mbr_goes_by(labeler, is_known):
    examples = read_sample("dev").examples[:12]
    found = labeler.candidates(examples, k=6)
    found[0] = found[0][:2]  # padding

    def odd(example, some):  # no pairwise form, and missing for some
        return [None if len(one.spans) == 1 else float(len(example.gold)) for one in some]

    with parse_rewards(["f0.5"]) as known:
        reward = known if is_known else Reward([OwnPart("odd", odd)], [1.0])
        held = _candidates(labeler, examples, found, reward)
        rows = held.expected(held.log_p).tolist()
        for row, example, some in zip(rows, examples, found, strict=True):
            wanted = expected_rewards(example, some, reward)
            wanted = [-math.inf if value is None else value for value in wanted]
            assert row[: len(some)] == pytest.approx(wanted)
            assert row[len(some) :] == [-math.inf] * (6 - len(some))


def test_what_cannot_be_learnt_from_is_refused(labeler):
    examples = read_sample("dev").examples
    with parse_rewards(["f0.5"]) as reward:
        with pytest.raises(DataError, match="too few to learn from"):
            learn_guide(labeler, examples[:1], reward)
        words = new_labeler("model.label_style=words")
        with pytest.raises(ConfigError, match="labels of one token each"):
            learn_guide(words, examples, reward)
    with pytest.raises(ConfigError, match="folds=1"):
        SteerSettings(folds=1)
    with pytest.raises(ConfigError, match="above 0"):
        SteerSettings(strengths=(0.0,))
