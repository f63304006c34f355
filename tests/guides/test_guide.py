"""A sum of guides asks for as little as the most modest of its parts."""

import pytest
import torch

from groot.errors import ConfigError
from groot.guides import GUIDES, Guide, Prefixes, SumOfGuides
from groot.guides.grammar import one_of


class Still(Guide):
    """log p as it is."""

    name = "still"

    def __init__(self, *, n_candidates=None, temperature=1.0, allows=None, steers_labels=False):
        self.n_candidates = n_candidates
        self.temperature = temperature
        self.allows = allows
        self.steers_labels = steers_labels

    def allowed(self, prefixes, state):
        return self.allows

    def rescore(self, log_p, tokens, prefixes, state):
        return log_p, state


@pytest.mark.parametrize("counts", [(20, 5, None), (None, 5, 20), (5, None, None)])
def test_a_sum_re_scores_as_few_candidates_as_the_guide_that_asks_for_the_fewest(counts):
    assert SumOfGuides([Still(n_candidates=count) for count in counts]).n_candidates == 5
    assert (Still() + Still()).n_candidates is None  # nobody asks for fewer than all


def test_one_greedy_guide_makes_a_sum_greedy():
    for temperatures in [(0.0, 1.0, 0.7), (1.0, 0.7, 0.0)]:
        guides = [Still(temperature=temperature) for temperature in temperatures]
        assert SumOfGuides(guides).temperature == 0.0
    assert (Still(temperature=0.7) + Still(temperature=2.0)).temperature == 0.7


def test_a_sum_steers_labels_where_all_of_its_parts_do():
    able, unable = Still(steers_labels=True), Still()
    assert (able + able).steers_labels
    assert not (able + unable).steers_labels
    assert not (unable + able).steers_labels


def test_a_sum_of_sums_is_one_sum():
    guides = [Still() for _ in range(3)]
    assert (guides[0] + (guides[1] + guides[2])).guides == tuple(guides)
    with pytest.raises(ConfigError, match="at least one guide"):
        SumOfGuides([])


def test_a_sum_allows_what_all_of_its_parts_allow():
    """Masks of several widths: what lies beyond the shorter one is not allowed by its guide."""
    prefixes = Prefixes([[3]], torch.tensor([0]), torch.zeros((1, 0), dtype=torch.long))
    wide = Still(allows=torch.tensor([[True, True, False, True]]))
    narrow = Still(allows=torch.tensor([[False, True, True]]))
    for both in (wide + narrow, narrow + wide, wide + Still() + narrow):
        allowed = both.allowed(prefixes, both.begin([[3]], prefixes.rows))
        assert allowed.tolist() == [[False, True, False]]
    alone = Still() + Still()
    assert alone.allowed(prefixes, alone.begin([[3]], prefixes.rows)) is None


def test_a_guide_of_a_function_is_made_in_python_only():
    with pytest.raises(ConfigError, match="'grammar' is made of a function"):
        GUIDES["grammar"].made_of(None)
    assert GUIDES["grammar"](one_of([(5, 1)])).parts() == {}
