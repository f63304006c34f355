"""What was dropped is followed up: the same top k as by brute force, without a wider search."""

from __future__ import annotations

import pytest

from groot.search import follow_up
from groot.search.label_search import Effort, label_search

from .test_label_search import SPELLINGS, TableModel, all_targets

SLOTS = [4, 2, 1, 3, 4, 4, 2, 3]  # of more texts than greedy search guesses and checks


@pytest.fixture
def patient(monkeypatch):
    """Everything that was dropped is followed up, however much it is."""
    monkeypatch.setattr(follow_up, "MORE", 1000)
    monkeypatch.setattr(follow_up, "PASSES", 1000)
    monkeypatch.setattr("groot.search.label_search.DROPPED", 1000)


def searched(model, *, k, width, max_width, texts=8, n_proven=None):
    spelling = SPELLINGS["one token a label"][0]()
    inputs = [(number,) for number in range(texts)]
    found = label_search(
        model, spelling, inputs, SLOTS[:texts],
        k=k, effort=Effort(n_proven=n_proven, width=width, max_width=max_width),
    )  # fmt: skip
    truths = [
        all_targets(model, spelling, ids, n) for ids, n in zip(inputs, SLOTS[:texts], strict=True)
    ]
    return found, truths


@pytest.mark.parametrize("texts", [3, 8], ids=["guessed and checked", "slot by slot"])
@pytest.mark.parametrize(("k", "width"), [(1, 1), (2, 2), (3, 5)])
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("grows", [False, True])
@pytest.mark.usefixtures("patient")
def test_the_top_k_are_the_true_ones(texts, k, width, sharpness, grows):
    model = TableModel(60, sharpness, grows=grows)
    found, truths = searched(model, k=k, width=width, max_width=2 * width, texts=texts)
    for one, truth in zip(found, truths, strict=True):
        assert one.exact
        assert one.width == width  # nothing was searched wider
        assert one.paths == tuple(path for _, path in truth[:k])
        assert one.log_p == pytest.approx([log_p for log_p, _ in truth[:k]], abs=1e-4)
    if sharpness < 1:
        assert sum(one.followed for one in found) > 0


def test_a_better_target_than_the_first_is_found():
    model, changed = TableModel(60, 1.0), 0
    narrow, truths = searched(model, k=1, width=1, max_width=1)
    found, _ = searched(model, k=1, width=1, max_width=64)
    for before, after, truth in zip(narrow, found, truths, strict=True):
        assert before.followed == 0
        assert after.paths[0] == truth[0][1]
        changed += before.paths != after.paths
    assert changed > 0


@pytest.mark.parametrize(("more", "passes"), [(-2, 9), (0, 9), (9, 0), (9, 1)])
def test_a_text_with_too_many_prefixes_is_searched_wider(more, passes, monkeypatch):
    monkeypatch.setattr(follow_up, "MORE", more)
    monkeypatch.setattr(follow_up, "PASSES", passes)
    found, truths = searched(TableModel(60, 0.4), k=2, width=2, max_width=128)
    assert any(one.width > 2 for one in found)
    assert all(one.followed <= passes * (one.width + more) for one in found)
    for one, truth in zip(found, truths, strict=True):
        assert one.exact
        assert one.paths == tuple(path for _, path in truth[:2])


@pytest.mark.usefixtures("patient")
def test_a_prefix_that_was_dropped_without_a_note_prevents_a_proof(monkeypatch):
    monkeypatch.setattr("groot.search.label_search.DROPPED", 1)
    found, truths = searched(TableModel(60, 0.4), k=1, width=1, max_width=128)
    assert any(one.width > 1 for one in found)
    for one, truth in zip(found, truths, strict=True):
        assert one.exact
        assert one.paths[0] == truth[0][1]


@pytest.mark.usefixtures("patient")
def test_only_as_many_as_asked_for_are_proven():
    model = TableModel(60, 1.0)
    every, truths = searched(model, k=3, width=3, max_width=6)
    first, _ = searched(model, k=3, width=3, max_width=6, n_proven=1)
    assert sum(one.followed for one in first) < sum(one.followed for one in every)
    for one, truth in zip(first, truths, strict=True):
        assert one.exact
        assert one.paths[0] == truth[0][1]
        assert len(one.paths) == min(3, len(truth))
        assert list(one.log_p) == sorted(one.log_p, reverse=True)


def test_the_narrowest_search_follows_nothing_up():
    found, _ = searched(TableModel(60, 0.4), k=2, width=2, max_width=2)
    assert not all(one.exact for one in found)
    assert all(one.followed == 0 for one in found)
