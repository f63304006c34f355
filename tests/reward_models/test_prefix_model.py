"""Reward models of every family: one pass equals a row per prefix, step by step equals one pass."""

from __future__ import annotations

import random

import pytest
import torch

from groot.errors import ModelError, ShapeError
from groot.models.loading import load_model
from groot.reward_models.kinds import REWARD_KINDS
from groot.reward_models.prefix_model import RewardModel, load_reward_model

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
PROMPTS = ("play nina simone", "may", "what is the weather in paris")
ROWS = [0, 0, 1, 2]


def random_rows(lengths: list[int], seed: int = 3) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(5, 290) for _ in range(length)] for length in lengths]


@pytest.fixture(scope="module", params=["partial", "vocabulary", "additive"])
def model(model_folder, request) -> RewardModel:
    made = RewardModel(load_model(model_folder), request.param).eval()
    if made.kind == "additive":  # which begins with zeros
        torch.nn.init.normal_(made.head.weight, generator=torch.Generator().manual_seed(4))
    return made


def inputs_of(model: RewardModel) -> list[list[int]]:
    return [model.prompts.input_ids(prompt) for prompt in PROMPTS]


def slow_prefix_rewards(model: RewardModel, input_ids: list[int], output: list[int]) -> list[float]:
    """Each prefix in a pass of its own through the plain transformers model."""
    found = []
    hf = model.backbone.model
    for end in range(1, len(output) + 1):
        seen, last = output[:end], output[end - 1]
        if model.backbone.is_causal:
            ids = torch.tensor([input_ids + seen])
            out = hf(input_ids=ids, output_hidden_states=True, use_cache=False)
            hidden = out.hidden_states[-1]
        else:
            start = model.backbone.config.decoder_start_token_id
            out = hf(
                input_ids=torch.tensor([input_ids]),
                decoder_input_ids=torch.tensor([[start, *seen]]),
                output_hidden_states=True,
                use_cache=False,
            )
            hidden = out.decoder_hidden_states[-1]
        if model.kind == "vocabulary":
            found.append(out.logits[0, -2, last].item())
        elif model.kind == "additive":
            before = found[-1] if found else 0.0
            found.append(before + (model.head.weight[last] @ hidden[0, -2]).item())
        else:
            assert model.head is not None
            found.append((hidden[0, -1] @ model.head.weight[0]).item())
    return found


@torch.no_grad()
def test_one_pass_gives_what_a_pass_per_prefix_gives(model):
    inputs, outputs = inputs_of(model), random_rows([5, 1, 3])
    rewards, is_real = model.prefix_rewards(inputs, outputs)
    assert is_real.tolist() == [[True] * 5, [True] + [False] * 4, [True] * 3 + [False] * 2]
    for row, (input_ids, output) in enumerate(zip(inputs, outputs, strict=True)):
        wanted = torch.tensor(slow_prefix_rewards(model, input_ids, output))
        torch.testing.assert_close(rewards[row, : len(output)], wanted, **CLOSE)
    assert not rewards[~is_real].any()
    whole = model.rewards(inputs, outputs)
    torch.testing.assert_close(whole, rewards.gather(1, torch.tensor([[4], [0], [2]]))[:, 0])


@torch.no_grad()
def test_step_by_step_gives_what_one_pass_gives(model):
    """Beams that fork, swap places and are dropped; kept tokens scored just before, or not."""
    inputs, rows = inputs_of(model), list(ROWS)
    outputs: list[list[int]] = [[] for _ in rows]
    scoring = model.begin(inputs, torch.tensor(rows))
    rng = random.Random(5)

    def check(tokens: list[list[int]], found: torch.Tensor) -> None:
        for column in range(len(tokens[0])):
            longer = [[*output, row[column]] for output, row in zip(outputs, tokens, strict=True)]
            wanted = model.rewards([inputs[row] for row in rows], longer)
            torch.testing.assert_close(found[:, column], wanted, **CLOSE)

    steps = (  # which prefixes stay, and with which of the three candidates; -1: another token
        ([0, 1, 2, 3], [0, 2, 1, 0]),
        ([1, 0, 2, 3], [0, 0, 1, 2]),
        ([0, 0, 2, 3], [0, 1, -1, 2]),
        ([1, 3], [2, 2]),
        ([0, 1], [-1, -1]),
    )
    for index, choices in steps:
        tokens = [rng.sample(range(5, 290), 3) for _ in rows]
        check(tokens, scoring.score(torch.tensor(tokens)))
        kept = [
            rng.randrange(5, 290) if choice < 0 else tokens[at][choice]
            for at, choice in zip(index, choices, strict=True)
        ]
        scoring.advance(torch.tensor(index), torch.tensor(kept))
        rows = [rows[at] for at in index]
        outputs = [[*outputs[at], token] for at, token in zip(index, kept, strict=True)]
    tokens = [rng.sample(range(5, 290), 3) for _ in rows]
    check(tokens, scoring.score(torch.tensor(tokens)))


@torch.no_grad()
def test_prefixes_may_begin_with_tokens_and_advance_without_scoring(model):
    inputs = inputs_of(model)
    starts = random_rows([4, 4, 4])
    scoring = model.begin(inputs, torch.arange(3), torch.tensor(starts))
    longer = [[*start, 7] for start in starts]
    wanted = model.rewards(inputs, longer)
    torch.testing.assert_close(scoring.score(torch.full((3, 1), 7))[:, 0], wanted, **CLOSE)
    scoring = model.begin(inputs, torch.arange(3), torch.tensor(starts))
    scoring.advance(torch.tensor([2, 1]), torch.tensor([7, 7]))
    again = model.rewards([inputs[2], inputs[1]], [[*longer[2], 9], [*longer[1], 9]])
    torch.testing.assert_close(scoring.score(torch.full((2, 1), 9))[:, 0], again, **CLOSE)


@torch.no_grad()
def test_the_whole_vocabulary_is_scored_at_once_or_refused(model):
    inputs = inputs_of(model)
    scoring = model.begin(inputs, torch.arange(3))
    if model.kind == "partial":
        with pytest.raises(ModelError, match="not the whole vocabulary"):
            scoring.score_all()
        return
    scores = scoring.score_all()
    named = torch.tensor([[8, 200], [8, 200], [8, 200]])
    torch.testing.assert_close(scoring.score(named), scores.gather(1, named))
    torch.testing.assert_close(scores[:, 200], model.rewards(inputs, [[200]] * 3), **CLOSE)
    if model.kind == "additive":
        return
    outputs = random_rows([3, 1, 2])
    rewards, best, is_real = model.rewards_and_best_next(inputs, outputs)
    torch.testing.assert_close(rewards, model.prefix_rewards(inputs, outputs)[0], **CLOSE)
    scoring.advance(torch.arange(3), torch.tensor([output[0] for output in outputs]))
    torch.testing.assert_close(best[:, 0], scoring.score_all().amax(1), **CLOSE)
    assert not best[~is_real].any()


def test_a_step_costs_its_candidates_and_no_more(model):
    scoring = model.begin(inputs_of(model), torch.tensor(ROWS))
    tokens = torch.tensor(random_rows([3, 3, 3, 3]))
    for _ in range(4):
        scoring.score(tokens)
        scoring.advance(torch.arange(4), tokens[:, 1])
    # 4 steps of 4 rows: 3 candidates each, or the one that is kept
    per_row = 3 if model.kind == "partial" else 1
    assert (scoring.calls, scoring.tokens) == (4, 4 * 4 * per_row)


def test_a_saved_model_gives_the_same_bits(model, tmp_path):
    model.save(tmp_path / "reward")
    again = load_reward_model(tmp_path / "reward")
    assert (again.kind, again.prompts.separator) == (model.kind, model.prompts.separator)
    outputs = random_rows([5, 1, 3])
    with torch.no_grad():
        before = model.prefix_rewards(inputs_of(model), outputs)[0]
        assert torch.equal(again.prefix_rewards(inputs_of(again), outputs)[0], before)


@pytest.fixture(scope="module")
def gpt2(make_model_folder, tmp_path_factory):
    return make_model_folder("gpt2", tmp_path_factory.mktemp("gpt2"))


@pytest.mark.parametrize("kind", REWARD_KINDS)
def test_every_kind_is_saved_and_loaded(gpt2, kind, tmp_path):
    model = RewardModel(load_model(gpt2), kind).eval()
    model.save(tmp_path)
    texts = ["play nina simone"], ["in paris"]
    with torch.no_grad():
        assert torch.equal(
            load_reward_model(tmp_path).text_rewards(*texts), model.text_rewards(*texts)
        )


def test_the_reward_of_a_text_reads_the_end_token(gpt2):
    model = RewardModel(load_model(gpt2), "partial").eval()
    inputs = [model.prompts.input_ids("play")]
    output = [*model.tokenizer.encode("in may", add_special_tokens=False), model.backbone.end_id]
    with torch.no_grad():
        wanted = model.rewards(inputs, [output])
        torch.testing.assert_close(model.text_rewards(["play"], ["in may"]), wanted)
        assert model.rewards(inputs, [output[:-1]]).item() != wanted.item()


@torch.no_grad()
def test_a_prefix_without_tokens_has_no_reward_and_prompts_are_counted_once(gpt2):
    model = RewardModel(load_model(gpt2), "partial").eval()
    prompt, output = (len(model.prompts.input_ids("play")), len(model.prompts.target_ids("may")))
    found, read = model.read_texts(["play"] * 3, ["", "may", ""], [False, True, True])
    assert found[0].item() == 0
    wanted = model.text_rewards(["play"] * 2, ["may", ""])
    torch.testing.assert_close(found[1:], wanted)
    assert read == prompt + output + 1
    assert model.read_texts(["play"], [""], [False])[1] == 0


def test_bad_input_is_refused(gpt2, tmp_path):
    model = RewardModel(load_model(gpt2), "value").eval()
    with pytest.raises(ShapeError, match="1 inputs but 2 outputs"):
        model.rewards([[1]], [[1], [2]])
    with pytest.raises(ShapeError, match="without tokens"):
        model.rewards([[1], [1]], [[1], []])
    with pytest.raises(ModelError, match="kind 'full'"):
        RewardModel(load_model(gpt2), "full")
    with pytest.raises(ModelError, match="does not score all"):
        model.rewards_and_best_next([[1]], [[1]])
    long = model.begin([[1] * 255], torch.tensor([0]))
    long.advance(torch.tensor([0]), torch.tensor([9]))
    with pytest.raises(ShapeError, match="256 positions"):
        long.score(torch.tensor([[9]]))


def test_folders_that_hold_no_reward_model_are_refused(gpt2, tmp_path):
    with pytest.raises(ModelError, match="no reward model here"):
        load_reward_model(gpt2)
    RewardModel(load_model(gpt2), "value").save(tmp_path)
    settings = tmp_path / "groot.json"
    good = settings.read_text()
    for old, new, message in (
        ('"reward model"', '"labeler"', "something else"),
        ('"value"', '"valu"', "kind 'valu'"),
        ('"version": 1', '"version": 2', "version 2"),
    ):
        settings.write_text(good.replace(old, new))
        with pytest.raises(ModelError, match=message):
            load_reward_model(tmp_path)
    settings.write_text(good)
    (tmp_path / "reward_head.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read"):
        load_reward_model(tmp_path)
