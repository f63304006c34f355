"""The T5 code of groot against the model's own: encoder, steps, moved, cut."""

from __future__ import annotations

import pytest
import torch

from groot.models.loading import load_model
from groot.models.t5 import encoding, weights
from groot.models.t5.weights import Prepared

ROWS = [[5, 6, 7, 8, 9, 10, 11], [12, 13, 14], [15, 16, 17, 18]]


@pytest.fixture(scope="module", params=["t5", "mt5"])
def model(request, tmp_path_factory, make_model_folder):
    folder = make_model_folder(request.param, tmp_path_factory.mktemp(f"passes-{request.param}"))
    return load_model(folder).eval()


@pytest.fixture(params=["ready weights", "own modules"])
def is_light(request, model, monkeypatch) -> bool:
    """Both ways to hold the weights: copied for a small model, as they are for a large one."""
    if request.param == "own modules":
        monkeypatch.setattr(weights, "LIGHT", 0)
    model._prepared.clear()
    yield request.param == "ready weights"
    model._prepared.clear()


def own(model, tokens: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Hidden states by the transformers decoder."""
    with torch.enable_grad():  # the way that training takes
        return model.hidden_states(model.encode(ROWS), rows, tokens).detach()


@pytest.mark.parametrize("at_a_time", [384, 12])
@pytest.mark.parametrize("lengths", [[7, 3, 4], [7, 7, 6], [5, 5], [16, 16], [17, 15, 33, 1]])
@torch.no_grad()
def test_encoder_equals_the_models_own(model, is_light, lengths, at_a_time, monkeypatch):
    """Much padding, little padding, none; all texts at once, and some at a time."""
    monkeypatch.setattr(encoding, "TOKENS_AT_A_TIME", at_a_time)
    rows = [list(range(5 + n, 5 + 2 * n)) for n in lengths]
    with torch.enable_grad():
        plain = model.encode(rows)
    fast = model.encode(rows)
    assert torch.equal(plain.mask, fast.mask)
    torch.testing.assert_close(
        fast.states[fast.mask], plain.states[plain.mask].detach(), atol=2e-5, rtol=1e-4
    )


@pytest.mark.parametrize("has_lexicon", [False, True])
@torch.no_grad()
def test_steps_moved_and_cut_equal_one_plain_pass(model, is_light, has_lexicon):
    lexicon = torch.tensor([3, 20, 21, 22, 23, 24]) if has_lexicon else None
    rows = torch.arange(3)
    first = torch.tensor([[20], [21], [22]])
    decoding, hidden = model.begin(model.encode(ROWS), rows, first, lexicon=lexicon)
    assert (decoding.words is not None) == (has_lexicon and is_light)
    torch.testing.assert_close(hidden[:, :1], own(model, first, rows), atol=5e-5, rtol=1e-4)
    # two rows a text, then more tokens, then the last text leaves, then a step is taken back
    decoding.reorder(torch.tensor([0, 0, 1, 1, 2, 2]), slice(None))
    more = torch.tensor([[21, 3], [22, 23], [24, 24], [20, 21], [3, 3], [22, 21]])
    decoding.advance(more)
    decoding.reorder(torch.tensor([1, 0, 3, 3]), slice(2))
    wrong = torch.tensor([[23], [23], [23], [23]])
    decoding.advance(wrong)
    decoding.rewind(3)
    last = torch.tensor([[24, 20], [21, 20], [22, 3], [23, 24]])
    hidden = decoding.advance(last, at=slice(-1, None))
    assert hidden.shape[1] == 1
    kept, texts = torch.tensor([1, 0, 3, 3]), torch.tensor([0, 0, 1, 1])
    whole = torch.cat([first[texts], more[kept], last], dim=1)
    after = torch.cat([whole, whole[:, :1]], dim=1)  # one more, to be predicted
    torch.testing.assert_close(hidden, own(model, after, texts)[:, -1:], atol=5e-5, rtol=1e-4)


@torch.no_grad()
def test_rows_that_leave_at_the_end_and_rows_that_move_keep_what_they_saw(model, is_light):
    """Rows leave by a slice, which moves nothing; then all move, twice, into room left over."""
    rows, first = torch.arange(3), torch.tensor([[20], [21], [22]])
    decoding, _ = model.begin(model.encode(ROWS), rows, first)
    decoding.reorder(slice(2), slice(2))
    decoding.advance(torch.tensor([[23, 24], [24, 3]]))
    decoding.reorder(torch.tensor([0, 0, 1, 1]), slice(None))
    decoding.advance(torch.tensor([[20], [21], [22], [23]]))
    decoding.reorder(torch.tensor([1, 0, 3, 2]), slice(None))
    decoding.advance(torch.tensor([[3], [3], [20], [20]]))
    decoding.reorder(torch.tensor([0, 2]))
    hidden = decoding.advance(torch.tensor([[22, 21], [23, 21]]), at=slice(-1, None))
    whole = torch.tensor([[20, 23, 24, 21, 3, 22, 21, 3], [21, 24, 3, 23, 20, 23, 21, 3]])
    torch.testing.assert_close(
        hidden, own(model, whole, torch.tensor([0, 1]))[:, -1:], atol=5e-5, rtol=1e-4
    )


@pytest.mark.parametrize("has_lexicon", [False, True])
@torch.no_grad()
def test_a_tree_in_a_row_equals_its_targets_one_by_one(model, is_light, has_lexicon):
    lexicon = torch.tensor([3, 20, 21, 22, 23, 24]) if has_lexicon else None
    memory = model.encode(ROWS[:1])
    decoding, _ = model.begin(memory, torch.tensor([0]), torch.tensor([[20, 3]]), lexicon=lexicon)
    # start 20 3 is there; behind 20 come 21 22 and 23, and behind 21 of the first of them 24
    tokens, places = torch.tensor([[21, 22, 23, 24]]), torch.tensor([0, 1, 2, 2, 3, 2, 3])
    sees = torch.tensor([
        [1, 1, 0, 1, 1, 0, 0],  # the later token of the same branch: of no consequence
        [1, 1, 0, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 1, 0],
        [1, 1, 0, 1, 0, 0, 1],
    ]).bool()  # fmt: skip
    at = torch.tensor([0, 1, 2, 3])
    hidden = decoding.grow(tokens, places, sees, at=at)
    more = decoding.grow(
        torch.tensor([[22]]),
        torch.cat([places, torch.tensor([4])]),
        torch.tensor([[1, 1, 0, 1, 0, 0, 1, 1]]).bool(),
        at=torch.tensor([0]),
    )
    found = torch.cat([hidden, more], dim=1)[0]
    for state, target in zip(found, ([20, 21], [20, 21, 22], [20, 23], [20, 21, 24],
                                     [20, 21, 24, 22]), strict=True):  # fmt: skip
        whole = torch.tensor([[*target, 3]])
        wanted = own(model, whole, torch.tensor([0]))[0, -1]
        torch.testing.assert_close(state, wanted, atol=5e-5, rtol=1e-4)


@torch.no_grad()
def test_matrices_give_the_same_product_for_few_rows_and_for_many(monkeypatch):
    monkeypatch.setattr(weights, "LARGE", 0)
    torch.manual_seed(1)
    plain = torch.randn(48, 64)
    matrix = weights.Matrix(plain)
    for n in (1, 2, weights.FEW, weights.FEW + 1):
        rows, residual = torch.randn(n, 48), torch.randn(n, 64)
        torch.testing.assert_close(matrix.times(rows), rows @ plain, atol=1e-4, rtol=1e-4)
        wanted = residual + rows @ plain
        found = matrix.add_times(residual, rows)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
        assert found.data_ptr() == residual.data_ptr()
        assert (matrix._strips is None) == (n == 1)  # one row is read best as it lies


@torch.no_grad()
def test_rows_that_are_not_told_are_found_out(model, is_light):
    rows = torch.arange(3)
    first = torch.tensor([[20], [21], [22]])
    decoding, _ = model.begin(model.encode(ROWS), rows, first)
    decoding.reorder(torch.tensor([0, 2, 2]))  # text 1 leaves, text 2 has two rows
    more = torch.tensor([[23], [24], [21]])
    hidden = decoding.advance(more)
    texts = torch.tensor([0, 2, 2])
    after = torch.cat([first[texts], more, more], dim=1)
    torch.testing.assert_close(hidden, own(model, after, texts)[:, -1:], atol=5e-5, rtol=1e-4)


@torch.no_grad()
def test_changed_weights_are_seen(model):
    stack = model._parts[2]
    prepared = Prepared()
    ready = prepared.of(stack)
    assert prepared.of(stack) is ready
    weight = stack.block[0].layer[0].SelfAttention.o.weight
    weight.mul_(1.0)
    assert prepared.of(stack) is not ready
