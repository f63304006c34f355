import random

import pytest

from groot.data.held_out import split_off_test
from groot.errors import DataError
from groot.evaluation.duplicates import text_key
from groot.types import Example

# every fifth text stands three times, in other letters too
EXAMPLES = [
    Example(text, id=f"{number}-{copy}")
    for number in range(200)
    for copy, text in enumerate((f"Text {number}", f"text  {number}", f"TEXT {number}"))
    if number % 5 == 0 or copy == 0
]


@pytest.mark.parametrize("seed", range(5))
def test_no_text_is_on_both_sides(seed):
    left, test = split_off_test(EXAMPLES, 0.2, seed)
    assert {text_key(x.text) for x in left}.isdisjoint(text_key(x.text) for x in test)
    assert sorted(x.id for x in [*left, *test]) == sorted(x.id for x in EXAMPLES)
    assert 0.2 * len(EXAMPLES) <= len(test) < 0.2 * len(EXAMPLES) + 3
    ids = [x.id for x in EXAMPLES]
    for side in (left, test):
        assert [x.id for x in side] == [i for i in ids if i in {x.id for x in side}]  # their order


def test_it_is_the_same_again_in_any_order_and_another_by_another_seed():
    test = {x.id for x in split_off_test(EXAMPLES, 0.2, 3)[1]}
    assert {x.id for x in split_off_test(EXAMPLES, 0.2, 3)[1]} == test
    shuffled = random.Random(0).sample(EXAMPLES, len(EXAMPLES))
    assert {x.id for x in split_off_test(shuffled, 0.2, 3)[1]} == test
    assert {x.id for x in split_off_test(EXAMPLES, 0.2, 4)[1]} != test


def test_something_is_left_to_learn_from():
    left, test = split_off_test([Example("a"), Example("b")], 0.9)
    assert (len(left), len(test)) == (1, 1)
    for share in (0, 1, -0.1):
        with pytest.raises(DataError, match="between 0 and 1"):
            split_off_test(EXAMPLES, share)
    with pytest.raises(DataError, match="1 different"):
        split_off_test([Example("a"), Example("A ")], 0.5)
