"""A test set cut from labelled data, for want of one that was given."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from groot.errors import DataError
from groot.evaluation.duplicates import text_key
from groot.types import Example


def split_off_test(
    examples: Sequence[Example], share: float = 0.1, seed: int = 0
) -> tuple[list[Example], list[Example]]:
    """Cut a test set from examples; a text and its duplicates are on one side.

    Texts are taken in the order of a hash of the seed and the text, so that the same texts are cut
    whatever their order, until the test set has at least the share of the examples; the largest
    part stays for training.

    Args:
        share: of the examples that the test set is to have, between 0 and 1.
        seed: another one cuts other texts.

    Returns:
        the examples that are left, and the test set, both in their order.

    Raises:
        DataError: if the share is none, or there are fewer than 2 different texts.
    """
    if not 0 < share < 1:
        raise DataError(
            f"a test set with a share of {share} of the data: it must lie between 0 and 1."
        )
    keys = [text_key(example.text) for example in examples]
    order = sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode()).digest())
    if len(order) < 2:
        raise DataError(
            f"no test set can be cut from {len(examples)} examples with {len(order)} different"
            " texts.\n  Give more data, or a test set."
        )
    copies = Counter(keys)
    test_keys: set[str] = set()
    n_test = 0
    for key in order[:-1]:  # one text at least is left
        if n_test >= share * len(examples):
            break
        test_keys.add(key)
        n_test += copies[key]
    is_test = [key in test_keys for key in keys]
    sides = [
        [example for example, held in zip(examples, is_test, strict=True) if held == side]
        for side in (False, True)
    ]
    return sides[0], sides[1]
