"""Dropout that draws what it drops: the shares, the mean, the gradient, the seed."""

from __future__ import annotations

import math

import pytest
import torch

from groot.models.dropout import draw_dropped, dropout


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.7])
def test_each_element_is_dropped_with_the_share_asked_for_and_the_mean_stays(share):
    torch.manual_seed(1)
    dropped = dropout(torch.ones(400, 500), share, is_training=True)
    deviation = math.sqrt(share * (1 - share) / dropped.numel())
    assert float((dropped == 0).float().mean()) == pytest.approx(share, abs=5 * deviation)
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - share)))


def test_neighbours_and_rows_are_dropped_independently():
    torch.manual_seed(2)
    gone = dropout(torch.ones(500, 500), 0.2, is_training=True) == 0
    for one, other in ((gone[:, 1:], gone[:, :-1]), (gone[1:], gone[:-1])):
        assert float((one & other).float().mean()) == pytest.approx(0.04, abs=0.002)
    per_row = gone.float().sum(1)
    assert float(per_row.var()) == pytest.approx(500 * 0.2 * 0.8, rel=0.35)


def test_the_gradient_passes_where_the_element_stayed():
    torch.manual_seed(3)
    hidden = torch.randn(20, 30, requires_grad=True)
    dropped = dropout(hidden, 0.3, is_training=True)
    dropped.sum().backward()
    torch.testing.assert_close(hidden.grad * hidden, dropped)


def test_the_seed_decides_and_nothing_is_dropped_outside_training():
    hidden = torch.randn(50)
    drawn = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        drawn.append(dropout(hidden, 0.4, is_training=True))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert dropout(hidden, 0.4, is_training=False) is hidden
    assert dropout(hidden, 0.0, is_training=True) is hidden
    assert len(draw_dropped(0, 0.1)) == 0
