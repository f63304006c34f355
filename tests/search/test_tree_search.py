"""Guessed beams that are checked many at a time give what one step per slot gives."""

from __future__ import annotations

import random

import pytest
import torch

from groot.models import text_model
from groot.search import tree_search
from groot.search.label_search import Effort, label_search
from groot.targets import SentinelTags, SingleClass
from groot.writer.writer import example_of

from .test_against_generate import TEXTS, make_labeler
from .test_label_search import ONE_TOKEN, Spelling, TableModel


class LastChoiceModel(TableModel):
    """Logits that depend on the place and the last choice alone, so that guesses come true."""

    def row(self, prefix):
        return super().row((len(prefix), prefix[0], prefix[-2:]))


@pytest.mark.parametrize("tokens_a_pass", [1, 7, 64])
@pytest.mark.parametrize("sharpness", [0.3, 3.0])
@pytest.mark.parametrize(("k", "width"), [(1, 1), (1, 4), (3, 3), (5, 9), (16, 16)])
def test_the_result_is_that_of_stepping(monkeypatch, k, width, sharpness, tokens_a_pass):
    monkeypatch.setattr(tree_search, "TOKENS_A_PASS", tokens_a_pass)
    spelling = Spelling(SentinelTags(("a", "b")), ONE_TOKEN)
    rng = random.Random(1)
    for number in range(8):
        n_slots = rng.randint(1, 12)
        stepped, guessed = (
            label_search(
                TableModel(80, sharpness, grows=grows), spelling, [(number,)], [n_slots],
                k=k, effort=Effort(width=width, max_width=0),
            )[0]
            for grows in (False, True)
        )  # fmt: skip
        assert guessed.paths == stepped.paths
        assert guessed.log_p == pytest.approx(stepped.log_p, abs=1e-5)
        assert guessed.exact == stepped.exact


def test_it_takes_fewer_passes_than_slots_and_the_fewest_where_guesses_come_true():
    spelling = Spelling(SentinelTags(("a", "b")), ONE_TOKEN)
    passes = {}
    for make in (TableModel, LastChoiceModel):
        for grows in (False, True):
            model = make(80, 2.0, grows=grows)
            label_search(model, spelling, [(3,)], [12], k=2, effort=Effort(width=2, max_width=0))
            passes[make, grows] = model.passes
    assert passes[TableModel, False] == 12
    assert passes[TableModel, True] < 12
    assert passes[LastChoiceModel, True] < passes[TableModel, True]


def test_one_slot_takes_one_pass():
    spelling = Spelling(SingleClass(("a", "b")), ONE_TOKEN)
    model = TableModel(60, 1.0, grows=True)
    (found,) = label_search(model, spelling, [(4,)], [1], k=2, effort=Effort(width=2, max_width=0))
    assert sorted(found.paths) == [("a",), ("b",)]
    assert found.exact


@pytest.mark.parametrize("family", ["t5", "mt5"])
def test_the_lists_of_a_t5_are_those_of_stepping(family, tmp_path, make_model_folder, monkeypatch):
    labeler = make_labeler(
        make_model_folder(family, tmp_path), SentinelTags(("artist", "city name")), "token"
    )
    examples = [example_of(text) for text in (*TEXTS, "play nina may o paris may play")]
    grown = []

    def search(large: int):
        monkeypatch.setattr(text_model, "LARGE", large)
        grown.append(labeler.model.eval().grows)
        return [
            label_search(
                labeler.model, labeler.codec, [labeler.codec.input_ids(one)],
                [labeler.form.slots(one)], k=5, effort=Effort(width=5, max_width=0),
            )[0]
            for one in examples
        ]  # fmt: skip

    with torch.no_grad():
        for guessed, stepped in zip(search(0), search(10**9), strict=True):
            assert guessed.paths == stepped.paths
            assert guessed.log_p == pytest.approx(stepped.log_p, abs=1e-4)
    assert grown == [True, False]
