from __future__ import annotations

from groot.search.found import Found
from groot.search.proofs import Width, proofs


def of(width: int, exact: bool, followed: int = 0) -> Found:
    return Found((("O",),), (-0.5,), exact, width, followed=followed)


def test_shares_add_up_over_the_widths_and_unproven_texts_stay_out():
    found = [of(3, True)] * 5 + [of(3, True, 2)] + [of(12, True)] * 3 + [of(48, False)]
    counted = proofs(found)
    assert counted.widths == (Width(3, 0.5, 0.6), Width(12, 0.9, 0.9), Width(48, 0.9, 0.9))
    assert (counted.texts, counted.proven) == (10, 9)
    assert counted.as_json()["by_width"][0] == {"width": 3, "searched": 0.5, "followed": 0.6}
    assert counted.line() == (
        "proven: 9 of 10 texts; 50.0 % at width 3 (followed up: 60.0 %), 90.0 % at width 12,"
        " 90.0 % at width 48"
    )


def test_no_texts_need_no_proof():
    assert proofs([]).proven == proofs([]).texts == 0
    assert proofs([]).widths == ()


def test_a_text_that_a_narrow_search_left_unproven_counts_at_no_width():
    counted = proofs([of(3, False), of(12, True)])
    assert counted.widths == (Width(3, 0.0, 0.0), Width(12, 0.5, 0.5))
