"""Attention in groups: against plain attention text by text, its gradient, fewer bits."""

from __future__ import annotations

import pytest
import torch

from groot.models.t5.attention import Group, attend, layout

HEADS, SIZE = 2, 3
# of each group, how many rows each text asks with and how many each is asked about
GROUPS = [([4, 3], [5, 5]), ([1], [2]), ([2, 2, 1], [1, 3, 2])]


def laid(lengths: list[int]):
    """The layout of texts of these lengths, and which places hold rows."""
    is_row = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    place = is_row.flatten().nonzero()[:, 0]
    return layout(place, len(lengths), max(lengths), HEADS), is_row


def problem(dtype: torch.dtype):
    """Queries, keys, values, a learnt bias for each group, and the groups given such biases."""
    torch.manual_seed(1)
    n_asking, n_asked = (sum(sum(group[part]) for group in GROUPS) for part in (0, 1))
    rows = [torch.randn(n, HEADS * SIZE, dtype=dtype) for n in (n_asking, n_asked, n_asked)]
    biases = [torch.randn(1, HEADS, max(a), max(b), dtype=dtype) for a, b in GROUPS]

    def groups(biases):
        found = []
        for (asking, asked), bias in zip(GROUPS, biases, strict=True):
            hidden = ~laid(asked)[1][:, None, None, :]
            bias = bias.masked_fill(hidden, torch.finfo(bias.dtype).min)
            found.append(Group(laid(asking)[0], laid(asked)[0], bias))
        return found

    return rows, biases, groups


def plainly(queries, keys, values, biases):
    """Text by text and head by head."""
    mixed, first, second = [], 0, 0
    for (asking, asked), bias in zip(GROUPS, biases, strict=True):
        for a, b in zip(asking, asked, strict=True):
            heads = []
            for head in range(HEADS):
                part = slice(head * SIZE, (head + 1) * SIZE)
                scores = queries[first : first + a, part] @ keys[second : second + b, part].T
                weights = (scores + bias[0, head, :a, :b]).softmax(-1)
                heads.append(weights @ values[second : second + b, part])
            mixed.append(torch.cat(heads, dim=1))
            first, second = first + a, second + b
    return torch.cat(mixed)


def test_groups_attend_as_texts_do_one_by_one_with_the_same_gradient():
    rows, biases, groups = problem(torch.float64)
    inputs = [one.requires_grad_() for one in (*rows, *biases)]
    found = attend(*rows, groups(biases), share=0.0)
    wanted = plainly(*rows, biases)
    torch.testing.assert_close(found, wanted)
    weights = torch.randn_like(wanted)
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((wanted * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("share", [0.2, 0.7])  # few places are named, and a mask
def test_the_gradient_with_dropout_is_that_of_the_same_draw(share):
    rows, biases, groups = problem(torch.float64)

    def function(queries, keys, values, *some):
        torch.manual_seed(5)
        return attend(queries, keys, values, groups(some), share=share)

    inputs = tuple(one.requires_grad_() for one in (*rows, *biases))
    assert torch.autograd.gradcheck(function, inputs)
    torch.manual_seed(6)
    assert not torch.equal(function(*inputs), attend(*rows, groups(biases), share=share))


def test_rows_in_fewer_bits_attend_with_a_bias_in_more_and_give_gradients_in_their_own():
    rows, biases, groups = problem(torch.float32)
    few = [one.to(torch.bfloat16).requires_grad_() for one in rows]
    bias = [one.requires_grad_() for one in biases]
    with torch.autocast("cpu", torch.bfloat16):
        found = attend(*few, groups(bias), share=0.0)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), plainly(*rows, biases), atol=0.05, rtol=0.05)
    found.float().sum().backward()
    assert all(one.grad is not None and one.grad.dtype == one.dtype for one in (*few, *bias))


def test_keys_in_other_bits_than_queries_are_taken_as_they_are():
    rows, biases, groups = problem(torch.float32)
    mixed = [rows[0], rows[1].to(torch.bfloat16), rows[2]]
    found = attend(*mixed, groups(biases), share=0.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plainly(*rows, biases), atol=0.05, rtol=0.05)
