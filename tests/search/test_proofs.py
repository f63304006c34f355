from __future__ import annotations

from groot.search.found import Found
from groot.search.proofs import proofs


def of(width: int, exact: bool) -> Found:
    return Found((("O",),), (-0.5,), exact, width)


def test_shares_add_up_over_the_widths_and_unproven_texts_stay_out():
    found = [of(3, True)] * 6 + [of(12, True)] * 3 + [of(48, False)]
    counted = proofs(found)
    assert counted.by_width == ((3, 0.6), (12, 0.9), (48, 0.9))
    assert counted.proven == 0.9
    # 10 searches at width 3, 4 at 12, 1 at 48
    assert counted.searches == 1.5
    assert counted.relative_width == (10 * 3 + 4 * 12 + 48) / (10 * 3)


def test_no_texts_need_no_proof():
    assert proofs([]).proven == 1.0
    assert proofs([]).by_width == ()
