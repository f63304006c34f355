"""What one row writes, and how the frozen model reads it."""

import pytest
import torch

from groot.guides import Written
from groot.rewards.compose import OwnPart, Reward
from groot.studies.guide_entries import Contenders, EntrySettings, make_entry
from groot.studies.guide_writing import (
    Entry,
    WritingSettings,
    gold_rewards,
    mean_reward_of,
    read_by_frozen,
    write_run,
)
from groot.writer.generator import Generator


def reward_for_short(example, candidates):
    """One over the words of a text; a text without an end gets 0."""
    return [0.0 if c.output is None else 1 / (1 + len(c.text.split())) for c in candidates]


def test_a_guide_that_wants_short_texts_gets_them(generator, contenders, prompts):
    short = Reward([OwnPart("short", reward_for_short)])
    entry = make_entry(
        "best_of_n",
        Contenders(generator, contenders.reward_models, settings=EntrySettings(n_samples=8)),
    )

    def judge(inputs, outputs):
        return torch.tensor([-float(len(output)) for output in outputs])

    entry.guide.reward = judge
    plain = mean_reward_of(make_entry("top_k", contenders), prompts, short)
    assert mean_reward_of(entry, prompts, short) > plain


def test_fluency_of_others_is_measured_under_the_frozen_model(generator, prompts):
    other = generator.with_model(generator.model)
    text = generator.prompts.target_ids("play it")
    written = [[Written(tuple(text), -99.0, True)]]
    log_p, n_tokens = read_by_frozen(generator, other, prompts[:1], written)
    wanted = generator.score(prompts[:1], [["play it"]])[0]
    assert log_p[0] == pytest.approx(wanted, abs=1e-4)
    assert n_tokens == [[len(text)]]
    assert read_by_frozen(generator, generator, prompts[:1], written) == ([[-99.0]], n_tokens)


def test_a_text_is_as_fluent_whatever_tokens_its_writer_cuts_it_into(
    generator, prompts, other_tokens, reward
):
    """Nats of the frozen model's tokens, per token of the frozen model's."""
    coarse = Generator(other_tokens, max_prompt_tokens=20, max_new_tokens=8)
    spelled = [one.prompts.target_ids("play it again") for one in (generator, coarse)]
    assert len(spelled[1]) < len(spelled[0])  # "play it" is one token there
    for is_finished, extra in ((True, 0), (False, -1)):
        read = [
            read_by_frozen(
                generator,
                writer,
                prompts[:1],
                [[Written(tuple(ids if is_finished else ids[:-1]), -1.0, is_finished)]],
            )
            for writer, ids in zip(
                (generator.with_model(generator.model), coarse), spelled, strict=True
            )
        ]
        assert read[0][1] == read[1][1] == [[len(spelled[0]) + extra]]
        assert read[0][0][0] == pytest.approx(read[1][0][0], abs=1e-4)
    run = write_run(generator, Entry(coarse), prompts, reward, WritingSettings(n_samples=1))
    for (text,), (count,) in zip(run.texts, run.n_tokens, strict=True):
        whole = len(generator.prompts.target_ids(text))
        assert count in (whole, whole - 1)  # one that was cut has no end


def test_a_text_that_was_cut_before_its_end_is_malformed_for_the_reward(generator, prompts):
    short = Reward([OwnPart("short", reward_for_short)])
    ids = tuple(generator.prompts.target_ids("play it"))
    written = [[Written(ids, -1.0, True), Written(ids[:-1], -1.0, False)]]
    assert gold_rewards(generator, prompts[:1], written, short) == [[pytest.approx(1 / 3), 0.0]]
