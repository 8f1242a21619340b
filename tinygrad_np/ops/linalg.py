"""Products of matrices."""

from typing import Any

import numpy as np

from ..tensor import Array, differentiable, primitive
from .cases import Case


def _column(x: Any) -> Any:
    return np.expand_dims(x, -1)


def _left(g: Any, a: Any, b: Any) -> Any:
    """The gradient of `a @ b` with respect to a; a vector stands for a row on the left and a column on the right."""
    if np.ndim(b) == 1:
        return _column(g) * b
    if np.ndim(a) == 1:
        return np.squeeze(b @ _column(g), -1)
    return g @ np.swapaxes(b, -1, -2)


def _right(g: Any, a: Any, b: Any) -> Any:
    if np.ndim(a) == 1:
        return _column(a) * np.expand_dims(g, -2) if np.ndim(b) > 1 else g * a
    if np.ndim(b) == 1:
        return np.squeeze(np.swapaxes(a, -1, -2) @ _column(g), -1)
    return np.swapaxes(a, -1, -2) @ g


primitive(
    np.matmul,
    lambda g, y, a, b: _left(g, a, b),
    lambda g, y, a, b: _right(g, a, b),
    cases=[
        Case(shapes)
        for shapes in ("n k, k m", "k, k", "n k, k", "k, k m", "b n k, k m", "n k, b k m", "k, b k m", "b n k, k")
    ]
    + [Case("b 1 n k, c k m"), Case("1 n k, b k m")],
)


def _rows(x: Any) -> Any:
    """As a matrix, all axes but the last in one."""
    return x if x.ndim == 2 else np.reshape(x, (-1, x.shape[-1]))


@differentiable(
    lambda g, y, x, weight, bias: g @ weight.T,
    lambda g, y, x, weight, bias: _rows(x).T @ _rows(g),
    lambda g, y, x, weight, bias: g,  # the walk sums over the batch
    cases=[Case(shapes) for shapes in ("N K, K M, M", "K, K M, M", "B N K, K M, M")],
)
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """`x @ weight + bias` as one operation; the sum is written over the product.

    Args:
        x: shape (..., in_features).
        weight: shape (in_features, out_features).
        bias: shape (out_features,).

    Raises:
        ValueError: shapes that do not fit.

    >>> from tinygrad_np import Tensor
    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[1.0], [1.0]]), Tensor([0.5]))
    Tensor([[3.5]], dtype=float32)
    """
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[0] or bias.shape != weight.shape[1:]:
        raise ValueError("expected x of shape (..., in), a weight of (in, out) and a bias of (out,)")
    y = x @ weight
    return np.add(y, bias, out=y) if y.dtype == bias.dtype else y + bias
