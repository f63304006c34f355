"""A reward model with another tokenizer: the same text, the same reward; bytes are held back."""

from __future__ import annotations

import pytest
import torch

from groot.errors import ModelError
from groot.guides.pargs import Pargs
from groot.models.embedded_text import make_text_model
from groot.models.loading import load_model
from groot.models.prompts import Prompts
from groot.reward_models.prefix_model import RewardModel
from groot.reward_models.retokenising import Retokenising, check_same_tokens, has_same_tokens

TEXTS = ["naïve café", "東京 is far", "play 🎷 in the kitchen", "na", "cafés in the city"] * 2


def small(texts, **settings):
    return make_text_model(
        texts, shape="causal", width=16, layers=1, heads=2, feed_forward=16, positions=128,
        vocabulary_size=280, **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def writer() -> Prompts:
    """The prompts of a generator whose tokens are mostly bytes."""
    return Prompts(small(TEXTS).tokenizer, is_causal=True)


@pytest.fixture(scope="module")
def model() -> RewardModel:
    return RewardModel(small([text[::-1] for text in TEXTS], seed=1), "partial").eval()


@torch.no_grad()
@pytest.mark.parametrize("text", ["café", "東京 🎷", "na\ufffdve", ""])
def test_a_prefix_has_the_reward_of_its_text_and_lacking_bytes_wait(writer, model, text):
    rewards = Retokenising(model, writer)
    inputs, output = [writer.input_ids("a naïve prompt")], writer.target_ids(text)
    found, is_real = rewards.prefix_rewards(inputs, [output])
    assert is_real.all()
    raw = text.encode()
    read = 0  # bytes of the text so far
    pieces = [len(writer.tokenizer.convert_ids_to_tokens(one)) for one in output[:-1]]
    for place, piece in enumerate(pieces):  # a token of byte-level BPE has a sign for each byte
        read += piece
        so_far = raw[:read].decode("utf-8", "ignore").removesuffix("\ufffd")
        if so_far:
            wanted, _ = model.read_texts(["a naïve prompt"], [so_far], [False])
            assert found[0, place].item() == pytest.approx(wanted.item(), abs=1e-5)
        else:
            assert found[0, place].item() == 0
    whole = model.text_rewards(["a naïve prompt"], [text])
    assert found[0, -1].item() == pytest.approx(whole.item(), abs=1e-5)
    assert rewards.rewards(inputs, [output]).item() == pytest.approx(whole.item(), abs=1e-5)


@torch.no_grad()
def test_step_by_step_follows_beams_and_counts_its_cost(writer, model):
    rewards = Retokenising(model, writer)
    inputs = [writer.input_ids("one"), writer.input_ids("two é")]
    scoring = rewards.begin(inputs, torch.tensor([0, 1]))
    # neither is merged: two bytes of one character, two letters
    first, second = writer.target_ids("ü"), writer.target_ids("zq")
    assert (len(first), len(second)) == (3, 3)
    scoring.advance(torch.tensor([0, 1]), torch.tensor([first[0], second[0]]))
    scoring.advance(torch.tensor([1, 0, 0]), torch.tensor([second[1], first[1], second[0]]))
    found = scoring.score(torch.tensor([[writer.end_id, second[0]]] * 3))
    starts = [("two é", "zq"), ("one", "ü"), ("one", "\ufffdz")]  # the last is no whole character
    # each prompt is read once; row by row, "one" is read four times
    read = -3 * len(model.prompts.input_ids("one")) - len(model.prompts.input_ids("two é"))
    for row, (prompt, start) in enumerate(starts):
        for column, (text, is_whole) in enumerate(((start, True), (start + "z", False))):
            wanted, cost = model.read_texts([prompt], [text], [is_whole])
            assert found[row, column].item() == pytest.approx(wanted.item(), abs=1e-5)
            read += cost
    assert (scoring.calls, scoring.tokens) == (1, read)


class Listening(RewardModel):
    """Remembers the outputs that it is asked about."""

    heard: list[tuple[str, bool]]

    def read_texts(self, prompts, outputs, is_finished):
        self.heard += zip(outputs, is_finished, strict=True)
        return super().read_texts(prompts, outputs, is_finished)


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [1, 128])
@pytest.mark.parametrize(
    "text",
    ["👩🏽‍🚀 and 👨‍👩‍👧", "在東京，下雨。", "e\u0301a\u0308o\u0323\u0302", "नमस्ते", "Zürich 🎷"],
)
def test_a_guide_never_hears_half_a_character(writer, text, batch_size):
    listening = Listening(small([text, *TEXTS], seed=1), "partial").eval()
    listening.heard = []
    guide = Pargs(Retokenising(listening, writer, batch_size=batch_size), weight=2.0)
    output = writer.target_ids(text)
    assert len(output) > len(text)  # characters are split over tokens
    one, inputs = torch.tensor([0]), [writer.input_ids(text)]
    state = guide.begin(inputs, one)
    for token in output:
        scores, state = guide.rescore(torch.zeros(1, 1), torch.tensor([[token]]), None, state)
        assert scores.isfinite().all()
        state = guide.follow(state, one, torch.tensor([token]))
    assert listening.heard[-1] == (text, True)
    for heard, is_whole in listening.heard:
        assert text.startswith(heard)
        assert is_whole == (heard == text and (heard, is_whole) == listening.heard[-1])


def test_equal_tokens_are_told_from_others(make_model_folder, tmp_path, writer, model):
    backbone = load_model(make_model_folder("gpt2", tmp_path))
    own = RewardModel(backbone, "partial")
    assert has_same_tokens(own, Prompts(backbone.tokenizer, is_causal=True))
    assert not has_same_tokens(own, Prompts(backbone.tokenizer, is_causal=True, separator="may"))
    check_same_tokens(own, own.prompts)
    with pytest.raises(ModelError, match="Retokenising"):
        check_same_tokens(model, writer)


def test_the_prompt_comes_back_without_what_ends_it(writer, model):
    rewards = Retokenising(model, writer)
    for prompt in ("a naïve prompt", "", "東京"):
        assert rewards.prompt_text(writer.input_ids(prompt)) == prompt
