"""DPO and GRPO on tiny generators: what is preferred gets likelier, what pays more frequent."""

import json

import pytest
import torch

from groot.data.preferences import Preference
from groot.engine.ledger import read_ledger
from groot.errors import ConfigError, DataError
from groot.models.loading import load_model
from groot.recipes.tune_losses import PromptTexts, dpo_loss, grpo_loss, token_log_ps
from groot.recipes.tune_text import TuneSettings, tune_text
from groot.rewards.compose import OwnPart, Reward
from groot.types import Example
from groot.writer.folders import load_generator
from groot.writer.generator import Generator

PAIRS = [
    Preference(prompt, "play it", "book a table")
    for prompt in ("may", "nina", "river", "city", "song", "nine", "two", "paris", "o", "i")
]


def brevity(example, candidates):
    """Minus the characters of a text, ended or not: nothing is worth more than an empty one."""
    return [-float(len(candidate.text)) for candidate in candidates]


@pytest.fixture(scope="module", params=["gpt2", "t5"])
def folder(make_model_folder, tmp_path_factory, request):
    at = tmp_path_factory.mktemp(request.param)
    model = load_model(make_model_folder(request.param, at / "plain"))
    Generator(model, max_prompt_tokens=12, max_new_tokens=16).save(at / "generator")
    return at / "generator"


def gap(folder):
    """log_p of what is chosen - of what is rejected, mean over prompts."""
    scores = load_generator(folder).score(
        [pair.prompt for pair in PAIRS], [["play it", "book a table"]] * len(PAIRS)
    )
    return sum(chosen - rejected for chosen, rejected in scores) / len(scores)


def test_dpo_raises_what_is_chosen_above_what_is_rejected(folder, tmp_path):
    out = tmp_path / "dpo"
    settings = TuneSettings(passes=6, batch_size=4, learning_rate=3e-3, evaluations=2)
    found = tune_text(folder, out=out, settings=settings, preferences=PAIRS)
    assert (found["pairs"], found["held_out"]) == (9, 1)
    assert found["best"] < found["before"]
    assert gap(out / "model") > gap(folder) + 0.5
    ledger = read_ledger(out / "model")
    assert ledger.seen([pair.prompt for pair in PAIRS]) == {"learnt_from": 9, "chosen_on": 1}
    assert load_generator(out).ledger == ledger
    assert json.loads((out / "results-tune.json").read_text()) == found
    # a finished run gives its results again, and other data are refused
    assert tune_text(folder, out=out, settings=settings, preferences=PAIRS) == found
    with pytest.raises(Exception, match="other settings or data"):
        tune_text(folder, out=out, settings=settings, preferences=PAIRS[1:])


def test_grpo_raises_the_reward_of_samples(folder, tmp_path):
    examples = [Example(text, id=text) for text in ("may", "nina", "river", "city", "song", "nine")]
    settings = TuneSettings(
        objective="grpo",
        passes=1,
        rounds=4,
        prompts_per_round=5,
        group=6,
        batch_size=2,
        learning_rate=3e-3,
        kl=0.0,
    )
    reward = Reward([OwnPart("brevity", brevity)])
    found = tune_text(
        folder, out=tmp_path / "grpo", settings=settings, examples=examples, reward=reward
    )
    assert len(found["by_round"]) == 5
    assert found["best"] > found["before"]
    assert found["best"] == max(found["by_round"])
    tuned = load_generator(tmp_path / "grpo")
    assert tuned.max_new_tokens == 16
    assert tuned.ledger.seen([one.text for one in examples]) == {"learnt_from": 5, "chosen_on": 1}


@pytest.fixture(scope="module")
def generator(folder):
    return load_generator(folder)


CASES = [([7, 8, 9], ((20, 21, 3), (22, 3))), ([10, 11], ((23, 24), (25, 26, 27, 3)))]


def items_of(generator, *, old=True):
    log_ps = token_log_ps(generator, CASES)
    return [
        PromptTexts(ids, targets, (1.0, 0.0), log_p if old else (), log_p)
        for (ids, targets), log_p in zip(CASES, log_ps, strict=True)
    ]


def test_both_losses_are_at_their_known_value_before_the_first_step(generator):
    generator.model.eval()
    with torch.no_grad():
        # ratios to the frozen model are 1: log 2 for each pair, and no advantage moves anything
        found = dpo_loss(generator.model, items_of(generator, old=False), beta=0.5)
        torch.testing.assert_close(found, torch.full((2,), 2.0).log(), atol=1e-5, rtol=0)
        found = grpo_loss(generator.model, items_of(generator), kl=0.1, clip=0.2)
        # advantages 1 and -1 of equal weight, ratios 1, distance 0
        torch.testing.assert_close(found, torch.zeros(2), atol=1e-5, rtol=0)


def test_a_step_down_the_loss_lifts_the_better_text(folder):
    generator = load_generator(folder)
    generator.model.eval()
    items = items_of(generator)
    grpo_loss(generator.model, items, kl=0.0, clip=0.2).sum().backward()
    with torch.no_grad():
        for parameter in generator.model.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad / parameter.grad.norm().clamp(min=1e-9)
    for item, (better, worse) in zip(items, token_log_ps(generator, CASES), strict=True):
        lifts = [
            sum(now) / len(now) - sum(before) / len(before)
            for now, before in zip((better, worse), item.reference_log_p, strict=True)
        ]
        assert lifts[0] > lifts[1]


def test_what_cannot_be_learnt_from_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="dpo learns from preferences"):
        tune_text(folder, out=tmp_path / "a", settings=TuneSettings())
    with pytest.raises(ConfigError, match="give prompts and a reward"):
        tune_text(folder, out=tmp_path / "b", settings=TuneSettings(objective="grpo"))
    long = [Preference(prompt, "play nina simone " * 9, "o") for prompt in ("may", "nina")]
    with pytest.raises(DataError, match="more than 16 tokens"):
        tune_text(folder, out=tmp_path / "c", settings=TuneSettings(), preferences=long)
    with pytest.raises(ConfigError) as error:
        TuneSettings(objective="ppo", group=1, beta=0.0, held_out=1.0)
    for part in ("want dpo or grpo", "group=1", "beta=0.0", "held_out=1.0"):
        assert part in str(error.value)
