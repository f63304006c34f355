"""The one check that every objective makes."""

from __future__ import annotations

from torch import Tensor

from groot.errors import ShapeError


def check_same_shape(**tensors: Tensor) -> None:
    """Check that tensors are [B, K], all of one shape.

    Raises:
        ShapeError: naming each argument with its shape.
    """
    shapes = {tuple(tensor.shape) for tensor in tensors.values()}
    if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
        seen = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
        raise ShapeError(f"expected tensors of one shape [B, K], got {seen}")
