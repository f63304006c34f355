"""Grammars as guides: of labels, of listed texts, of one's own."""

from __future__ import annotations

import pytest
import torch

from fixtures.labelers import random_labeler
from groot.data.sample import read_sample
from groot.guides import GUIDES
from groot.guides.grammar import Grammar, label_grammar, one_of
from groot.reward_models.prefix_model import RewardModel
from groot.search.beams import beam_search
from groot.search.label_search import label_search
from groot.search.sampling import sample


@pytest.fixture(scope="module", params=["token", "words"])
def labeler(request):
    return random_labeler(f"model.label_style={request.param}")


def test_a_label_grammar_with_beams_is_label_search(labeler):
    codec, model = labeler.codec, labeler.model
    examples = [one for one in read_sample("train").examples if len(one.words) <= 3][:6]
    inputs = [codec.input_ids(example) for example in examples]
    slots = {tuple(ids): codec.form.slots(one) for ids, one in zip(inputs, examples, strict=True)}
    guide = Grammar(label_grammar(codec, lambda ids: slots[tuple(ids)]))
    found = label_search(model, codec, inputs, [slots[tuple(ids)] for ids in inputs], k=3)
    # far wider than label search needs: it keeps one prefix per decision, this one per token
    beams = beam_search(model, inputs, k=40, max_new_tokens=40, guide=guide)
    for example, best, texts in zip(examples, found, beams, strict=True):
        assert best.exact
        assert best.log_p[0] > best.log_p[1] + 1e-3 > best.log_p[2] + 2e-3
        legal = [codec.encode_path(example, path).tokens for path in best.paths]
        assert [tuple(text.tokens) for text in texts[:3]] == [tuple(tokens) for tokens in legal]
        assert all(text.is_finished for text in texts)


@pytest.mark.parametrize("is_steered", [False, True])
def test_samples_keep_to_the_label_grammar(labeler, is_steered):
    codec = labeler.codec
    example = read_sample("train").examples[0]
    ids = codec.input_ids(example)
    guide = grammar = Grammar(label_grammar(codec, lambda ids: codec.form.slots(example)))
    if is_steered:  # a frozen labeler under a reward model of partial targets
        guide = grammar + GUIDES["pargs"](RewardModel(labeler.model, "partial"))
    (texts,) = sample(labeler.model, [ids], n=20, max_new_tokens=200, seed=0, guide=guide)
    assert len({text.tokens for text in texts}) > 1
    for text in texts:
        assert text.is_finished
        place = grammar.start(ids)
        for token in text.tokens:
            assert token in place.tokens()
            place = place.after(token)
        assert not list(place.tokens())


def test_scores_off_the_grammar_are_minus_infinity_for_any_token():
    guide = Grammar(one_of([(1, 2, 0), (1, 3, 0)]))
    state = guide.begin([[9], [9]], torch.tensor([0, 1]))
    state = guide.follow(state, torch.tensor([0, 1, 1]), torch.tensor([1, 1, 7]))
    tokens = torch.tensor([[0, 2, 900]] * 3)
    scores, _ = guide.rescore(torch.zeros((3, 3)), tokens, None, state)
    off = -torch.inf
    assert scores.tolist() == [[off, 0.0, off], [off, 0.0, off], [off, off, off]]


def test_a_grammar_of_ones_own(toy):
    class Counted:
        """Two words of the same kind, then the end."""

        def __init__(self, first=None, count=0):
            self.first, self.count = first, count

        def tokens(self):
            if self.count == 2:
                return [toy.END]
            return [1, 2] if self.first is None else [self.first]

        def after(self, token):
            return Counted(token, self.count + 1)

    drawn = sample(
        toy.model(), [[0]], n=50, max_new_tokens=3, seed=0, guide=Grammar(lambda ids: Counted())
    )[0]
    assert {text.tokens for text in drawn} == {(1, 1, toy.END), (2, 2, toy.END)}
