"""Guessing and checking gives what one step per slot gives, on models with strong dependence."""

from __future__ import annotations

import random

import pytest

from groot.search import label_search as search_module
from groot.search.label_search import Effort, label_search
from groot.targets import SentinelTags, SingleClass

from .test_label_search import ONE_TOKEN, Spelling, TableModel


@pytest.mark.parametrize("sharpness", [0.3, 3.0])
def test_labels_and_log_p_equal_those_of_stepping(monkeypatch, sharpness):
    spelling, model = Spelling(SentinelTags(("a", "b")), ONE_TOKEN), TableModel(80, sharpness)
    rng = random.Random(1)
    lengths = [rng.randint(1, 9) for _ in range(12)]
    inputs = [(number,) for number in range(len(lengths))]

    def search(texts_in_parallel: int):
        monkeypatch.setattr(search_module, "TEXTS_IN_PARALLEL", texts_in_parallel)
        return label_search(
            model, spelling, inputs, lengths, k=1, effort=Effort(width=1, max_width=0)
        )

    stepped = search(0)
    for found, other, n in zip(search(64), stepped, lengths, strict=True):
        assert found.paths == other.paths
        assert len(found.paths[0]) == n
        assert found.log_p == pytest.approx(other.log_p, abs=1e-5)
        assert found.exact == other.exact
    assert not all(found.exact for found in stepped)


def test_one_class_takes_one_pass():
    spelling, model = Spelling(SingleClass(("a", "b")), ONE_TOKEN), TableModel(60, 1.0)
    (found,) = label_search(model, spelling, [(4,)], [1], k=1, effort=Effort(width=1, max_width=0))
    assert found.paths[0][0] in ("a", "b")
    assert found.exact
