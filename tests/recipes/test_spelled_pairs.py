"""Preferences in token ids: rewards and conversations are kept, and what is no pair is told."""

import sys

import pytest

from groot.data.preferences import Preference
from groot.models.loading import load_model
from groot.recipes.spelled_pairs import SpelledPair, prefix_speller
from groot.reward_models.prefix_model import RewardModel
from groot.types import Span
from groot.writer.text_notation import TextNotation


@pytest.fixture(scope="module")
def model(make_model_folder, tmp_path_factory):
    return RewardModel(load_model(make_model_folder("gpt2", tmp_path_factory.mktemp("m"))), "value")


def speller(model, *, max_new_tokens=sys.maxsize):
    return prefix_speller(
        model,
        TextNotation(model.prompts, max_prompt_tokens=4, max_new_tokens=max_new_tokens),
    )


@pytest.mark.parametrize(
    ("rewards", "wanted"), [((0.9, 0.2), (0.9, 0.2)), ((0.9, None), (1, 0)), ((None, None), (1, 0))]
)
def test_rewards_are_those_of_the_pair_or_1_and_0(model, rewards, wanted):
    item = speller(model)(Preference("play", "nina", "paris", *rewards))
    assert item == SpelledPair(
        model.prompts.input_ids("play"),
        model.prompts.target_ids("nina"),
        model.prompts.target_ids("paris"),
        *wanted,
    )


def test_a_conversation_is_read_in_the_chat_template(model, monkeypatch):
    messages = ({"role": "user", "content": "play it"},)
    pair = Preference("play it", "nina", "paris", messages=messages)
    plain = speller(model)(pair)
    assert plain.input_ids == model.prompts.input_ids("play it", limit=4)
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{% endfor %}"
    monkeypatch.setattr(model.tokenizer, "chat_template", template)
    assert speller(model)(pair).input_ids == model.conversation_ids(messages) != plain.input_ids


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (Preference("a", "what is it", "b"), "more tokens than the generator writes"),
        (Preference("a", "i", "i"), "the same tokens"),
        (
            Preference("a", "b", "c", chosen_output=(Span(0, 1, "x"),), rejected_output=()),
            "its outputs are labels",
        ),
    ],
)
def test_what_is_no_pair_is_told(model, pair, reason):
    assert reason in speller(model, max_new_tokens=3)(pair)
