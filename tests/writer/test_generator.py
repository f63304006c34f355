"""What a user holds for free text: writing, scoring, saving, opening."""

import json
import math

import pytest

import groot
from groot.errors import ConfigError, ModelError
from groot.models.embedded_text import make_text_model
from groot.models.loading import add_symbols, load_model
from groot.targets import SingleClass
from groot.types import Candidate, Example
from groot.writer.folders import holds_generator, load, load_labeler
from groot.writer.generator import Generator
from groot.writer.labeler import Labeler
from groot.writer.text_notation import best_first

TEXTS = ["play nina simone", "play nina simone in may", "book a table", "book a table for two"]


@pytest.fixture(scope="module", params=["encoder-decoder", "causal"])
def generator(request, tiny_generator):
    return tiny_generator(request.param)


@pytest.mark.parametrize("method", ["sample", "beam"])
def test_log_p_is_that_of_the_whole_text_with_its_end(generator, method):
    found = generator.write(["play", "book"], n=3, method=method, seed=3)
    assert [len(some) for some in found] == [3, 3]
    for prompt, some in zip(["play", "book"], found, strict=True):
        whole = [one for one in some if not one.is_malformed]
        assert whole
        for one in whole:
            assert one.target == one.output == one.text
            # exact where the text is spelled as the tokenizer would: samples need not be
            score = generator.score([prompt], [[one.text]])[0][0]
            if generator.prompts.text(generator.prompts.target_ids(one.text)) == one.text:
                assert score <= 0
            if method == "beam" and one is whole[0]:
                assert math.isclose(score, one.log_p, abs_tol=1e-3)


def test_beams_come_best_first_and_greedy_is_one_text(generator):
    beams = generator.write("play", n=4, method="beam")[0]
    log_p = [one.log_p for one in beams]
    assert log_p == sorted(log_p, reverse=True)
    greedy = generator.write("play", method="greedy")[0]
    assert len(greedy) == 1
    assert greedy[0].text in TEXTS
    with pytest.raises(ConfigError, match="the same text"):
        generator.write("play", n=2, method="greedy")


def test_samples_follow_the_seed_and_the_empty_prompt_works(generator):
    def draw(seed):
        return [one.text for one in generator.write("", n=8, seed=seed)[0]]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_a_text_without_an_end_is_malformed_and_still_there(generator):
    one = generator.write("play", method="greedy", max_new_tokens=2)[0][0]
    assert one.is_malformed
    assert one.text
    assert "play nina simone".startswith(one.text)


def test_scores_of_many_texts_equal_those_of_each(generator):
    prompts, texts = ["play", "", "book"], [TEXTS[:3], [], [TEXTS[3], ""]]
    together = generator.score(prompts, texts, batch_size=2)
    assert [len(some) for some in together] == [3, 0, 2]
    for prompt, some, scores in zip(prompts, texts, together, strict=True):
        for text, score in zip(some, scores, strict=True):
            assert math.isclose(generator.score([prompt], [[text]])[0][0], score, abs_tol=1e-3)


def test_saved_and_opened_it_writes_the_same(generator, tmp_path):
    generator.save(tmp_path / "model")
    for folder in (tmp_path / "model", tmp_path):  # a run's folder holds model/
        assert holds_generator(folder)
        opened = groot.load(folder)
        assert isinstance(opened, Generator)
        assert opened.write("play", n=3, seed=5) == generator.write("play", n=3, seed=5)
    assert opened.reward_specs == ("length:2-4",)
    assert opened.reward().score([Example("")], [[Candidate("", "a b")]]) == [[1.0]]
    assert opened.max_new_tokens == 24
    with pytest.raises(ModelError, match="holds a generator of free text, not a labeler"):
        load_labeler(tmp_path)


def test_a_broken_folder_is_named(generator, tmp_path):
    generator.save(tmp_path)
    settings = json.loads((tmp_path / "groot.json").read_text())
    (tmp_path / "groot.json").write_text(json.dumps(settings | {"max_new_tokens": 0}))
    with pytest.raises(ModelError, match=r"missing or wrong: max_new_tokens"):
        load(tmp_path)
    with pytest.raises(ModelError, match="no labeler here"):
        load(tmp_path / "nowhere")


def test_code_that_a_folder_names_is_not_run(generator, tmp_path):
    with_code = Generator(
        generator.model, max_prompt_tokens=16, max_new_tokens=24, reward_specs=["mine.py:score"]
    )
    with_code.save(tmp_path)
    with pytest.raises(ModelError, match=r"no\s+code is run because a folder says so"):
        load(tmp_path).reward()


def test_a_labelers_folder_opens_as_a_labeler(make_model_folder, tmp_path):
    model = load_model(make_model_folder("t5", tmp_path / "base"))
    form = SingleClass(["a", "b"])
    add_symbols(model, form, label_style="token", max_words=4)
    Labeler(model, form, window_words=4, window_overlap=1).save(tmp_path / "made")
    assert isinstance(groot.load(tmp_path / "made"), Labeler)


def test_mbr_chooses_by_expected_reward(generator):
    found = generator.label(
        [Example("play")], top_k=2, choose="mbr", reward=["exact"], mbr_candidates=4
    )[0]
    assert len(found) == 2
    best = generator.write("play", n=4, method="beam")[0][0]
    assert found[0].text == best.text  # of exact match, the likeliest text is expected most


def test_positions_are_checked():
    model = make_text_model(TEXTS, shape="causal", vocabulary_size=300, width=8, layers=1, heads=2,
                            feed_forward=8, positions=32)  # fmt: skip
    with pytest.raises(ModelError, match=r"has 32\s+positions"):
        Generator(model, max_prompt_tokens=16, max_new_tokens=16)


def test_best_first_keeps_a_text_once_with_its_best_log_p():
    some = [Candidate("a", "a", -2.0), Candidate("a", "a", -1.0), Candidate("a", None, -3.0)]
    assert best_first(some) == [some[1], some[2]]
