"""Beams: what is proven is the truth, and diverse beams differ."""

from __future__ import annotations

import pytest

from groot.errors import ConfigError
from groot.search.beams import beam_search


@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_beams_with_a_proof_are_the_true_top_k(toy, sharpness):
    model = toy.model(n_tokens=4, length=4, n_inputs=25, sharpness=sharpness)
    texts = list(toy.all_texts(4, 4))
    proven = 0
    found = beam_search(model, [[i] for i in range(25)], k=4, max_new_tokens=4, batch_size=7)
    for number, best in enumerate(found):
        truth = sorted((float(model.log_p(number, text).sum()) for text in texts), reverse=True)
        assert [b.log_p for b in best] == sorted((b.log_p for b in best), reverse=True)
        for rank, text in enumerate(best):
            true_log_p = float(model.log_p(number, text.tokens).sum())
            assert text.log_p == pytest.approx(true_log_p, abs=1e-5)
            if text.is_exact:
                proven += 1
                assert text.log_p == pytest.approx(truth[rank], abs=1e-5)
    assert proven > 10


@pytest.mark.parametrize("sharpness", [0.3, 4.0])
def test_no_narrow_beam_claims_what_is_not_the_true_top_k(toy, sharpness):
    """Narrow beams drop several prefixes in each step: the best that was ever dropped counts."""
    model = toy.model(n_tokens=6, length=4, n_inputs=20, sharpness=sharpness)
    texts = list(toy.all_texts(6, 4))
    truths = [
        sorted((float(model.log_p(number, text).sum()) for text in texts), reverse=True)
        for number in range(20)
    ]
    claimed = missed = 0
    for k in (1, 2, 3):
        found = beam_search(model, [[i] for i in range(20)], k=k, max_new_tokens=4)
        for best, truth in zip(found, truths, strict=True):
            log_p = [text.log_p for text in best]
            if best[-1].is_exact:
                claimed += 1
                assert log_p == pytest.approx(truth[:k], abs=1e-5)
            missed += log_p != pytest.approx(truth[:k], abs=1e-5)
            # a certificate of a text holds for those above it
            assert [text.is_exact for text in best] == sorted(
                (text.is_exact for text in best), reverse=True
            )
    assert claimed  # a search that proves nothing proves nothing wrong
    assert missed  # and there was something to be wrong about


def test_a_beam_that_drops_nothing_is_exact(toy):
    model, texts = toy.model(n_tokens=3, length=3), list(toy.all_texts(3, 3))
    (found,) = beam_search(model, [[0]], k=len(texts), max_new_tokens=3)
    assert all(text.is_exact for text in found)
    assert {text.tokens for text in found} == set(texts)


def test_diverse_beams_take_other_tokens(toy):
    model = toy.model(n_tokens=5, length=3, n_inputs=4)
    inputs = [[i] for i in range(4)]
    plain = beam_search(model, inputs, k=4, max_new_tokens=3)
    assert beam_search(model, inputs, k=4, max_new_tokens=3, groups=1, diversity=0.7) == plain
    # one beam a group and no end token among the best: first tokens differ where it pays
    far = beam_search(model, inputs, k=4, max_new_tokens=3, groups=4, diversity=50.0)
    for some in far:
        assert not any(text.is_exact for text in some)
        firsts = [text.tokens[0] for text in some if text.tokens[0] != toy.END]
        assert len(set(firsts)) == len(firsts)
    # without a penalty, every group finds the same
    for some in beam_search(model, inputs, k=4, max_new_tokens=3, groups=2):
        assert [text.tokens for text in some[::2]] == [text.tokens for text in some[1::2]]


def test_mistakes(toy):
    for settings, said in [
        ({"groups": 3}, "3 groups cannot share 4"),
        ({"diversity": -0.5}, "diversity is -0.5"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
    ]:
        with pytest.raises(ConfigError, match=said):
            beam_search(toy.model(), [[0]], **{"k": 4, "max_new_tokens": 2, **settings})
