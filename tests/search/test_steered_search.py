"""Label search under rewards of prefixes: by enumeration, and against the guides of free text."""

from __future__ import annotations

import pytest
import torch

from fixtures.labelers import random_labeler
from groot.errors import ConfigError
from groot.guides import GUIDES
from groot.guides.grammar import Grammar, label_grammar
from groot.reward_models.prefix_model import RewardModel
from groot.search.label_search import Effort, label_search
from groot.search.sampling import sample
from groot.search.steered_search import steered_search
from groot.writer.writer import example_of


def new_labeler(*settings):
    return random_labeler(
        "model.encoder_layers=1", "model.window_words=6", "model.window_overlap=2", *settings
    )


@pytest.fixture(scope="module")
def labeler():
    return new_labeler()


@pytest.fixture(scope="module")
def examples():
    texts = ("in may", "play it", "book nina simone", "paris", "play nina in may")
    return [example_of(text) for text in texts]


@pytest.fixture(scope="module")
def judge(labeler):
    """Scores the labeler's targets by a head of its own."""
    return RewardModel(new_labeler().model, "partial")


def search(labeler, examples, guide, **settings):
    inputs = [labeler.codec.input_ids(example) for example in examples]
    slots = [labeler.form.slots(example) for example in examples]
    return steered_search(labeler.model, labeler.codec, inputs, slots, guide=guide, **settings)


@pytest.mark.parametrize("kind", ["partial", "vocabulary"])
def test_a_beam_that_holds_all_finds_the_best_of_all(kind, labeler, examples):
    model = RewardModel(new_labeler().model, kind)
    guide = GUIDES["pargs" if kind == "partial" else "farma"](model, weight=3.0, n_candidates=100)
    codec, some = labeler.codec, examples[:2]
    found = search(labeler, some, guide, k=5, width=2000)
    for example, best in zip(some, found, strict=True):
        input_ids, slots = codec.input_ids(example), labeler.form.slots(example)
        (every,) = label_search(
            labeler.model, codec, [input_ids], [slots], k=2000, effort=Effort(width=2000)
        )
        assert every.exact
        targets = [codec.encode_path(example, path) for path in every.paths]
        # the end token is forced, and forced tokens are not scored
        written = [list(target.tokens[:-1]) for target in targets]
        rewards = model.rewards([input_ids] * len(written), written)
        scores = torch.tensor(every.log_p) + 3.0 * rewards
        top = scores.topk(5)
        torch.testing.assert_close(torch.tensor(best.scores), top.values, atol=1e-3, rtol=1e-4)
        assert best.paths[0] == every.paths[int(top.indices[0])]
        assert best.log_p[0] == pytest.approx(every.log_p[int(top.indices[0])], abs=1e-3)
        assert not best.exact


def test_a_beam_of_one_is_the_greedy_policy_of_the_guide(labeler, examples, judge):
    guide = GUIDES["pargs"](judge, weight=4.0, temperature=0.0)
    codec = labeler.codec
    found = search(labeler, examples, guide, width=1)
    plain = search(labeler, examples, GUIDES["pargs"](judge, weight=0.0), width=1)
    for example, one in zip(examples, found, strict=True):
        slots = labeler.form.slots(example)
        grammar = Grammar(label_grammar(codec, lambda ids, slots=slots: slots))
        ids = codec.input_ids(example)
        ((text,),) = sample(
            labeler.model, [ids], max_new_tokens=60, temperature=0, seed=0, guide=grammar + guide
        )
        assert text.tokens == tuple(codec.encode_path(example, one.paths[0]).tokens)
    assert [one.paths for one in plain] != [one.paths for one in found]


def test_without_weight_it_is_label_search(labeler, examples, judge):
    guide = GUIDES["pargs"](judge, weight=0.0, n_candidates=100)
    found = search(labeler, examples, guide, k=3, width=300, batch_size=2)
    inputs = [labeler.codec.input_ids(example) for example in examples]
    slots = [labeler.form.slots(example) for example in examples]
    wanted = label_search(
        labeler.model, labeler.codec, inputs, slots, k=3, effort=Effort(width=300)
    )
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.log_p == pytest.approx(theirs.log_p, abs=1e-4)


def test_a_labeler_takes_a_guide_for_texts_of_any_length(labeler, judge):
    texts = ["", "in may", "play nina simone in paris and book it in may please"]
    guide = GUIDES["pargs"](judge, weight=4.0)
    steered = labeler(texts, top_k=2, guide=guide)
    assert [len(some) for some in steered] == [1, 2, 2]
    plain = labeler(texts, top_k=2)
    assert [[one.output for one in some] for some in steered] != [
        [one.output for one in some] for some in plain
    ]
    for text, some in zip(texts, steered, strict=True):
        for candidate in some:
            assert candidate.log_p <= 1e-4
            assert all(text[span.start : span.end] == span.text for span in candidate.spans)
    # by expected reward, with the guide's own weight on each candidate
    chosen = labeler(texts, top_k=16, guide=guide, choose="mbr", reward=["f0.5"])
    ranked = labeler(texts, top_k=16, guide=guide)
    for some, others in zip(chosen, ranked, strict=True):
        assert {one.output: one.log_p for one in some} == {o.output: o.log_p for o in others}
    assert [some[0].output for some in chosen] != [some[0].output for some in ranked]


def test_what_does_not_fit_is_refused(labeler, examples, judge):
    guide = GUIDES["pargs"](judge)
    with pytest.raises(ConfigError, match="k is 3, width is 2"):
        search(labeler, examples, guide, k=3, width=2)
    with pytest.raises(ConfigError, match="'implicit' does not steer labels"):
        search(labeler, examples, guide + GUIDES["implicit"](labeler.model))
    words = new_labeler("model.label_style=words")
    with pytest.raises(ConfigError, match="labels of one token each"):
        search(words, examples, guide)
