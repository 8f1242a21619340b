"""Scaled dot-product attention, and rotary position encodings.

Masks are boolean, True where attention is not allowed.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from .. import _validation as check
from .._machine.fused import multiply
from .._machine.threads import blocks, run
from .._messages import with_hints
from .._registry import differentiable, in_float32
from ..tensor import Array, Tensor
from .cases import CONDITION, REAL, Case, Domain, each
from .examples import ATTENTION, STACKED
from .recurrence import recorded
from .special import below

# --- attention -------------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, scores, mask: y * (g - np.sum(g * y, axis=-1, keepdims=True)),
    None,
    reads=("y",),
    wide=True,
    cases=[
        Case("n M K", (None,)),
        Case("n M K, M K", domains=(REAL, CONDITION)),
        Case("M K, K", domains=(REAL, CONDITION)),
    ],
    name="scaled_dot_product_attention",
)
def _masked_softmax(scores: Array, mask: Any) -> Array:
    """Softmax over the unmasked elements of the last axis; zeros where all are masked."""
    e = scores.copy() if mask is None else np.where(mask, scores.dtype.type(-np.inf), scores)
    top = np.max(e, axis=-1, keepdims=True, initial=-np.inf)
    top[top == -np.inf] = 0
    e = below(e, top, out=e)
    np.exp(e, out=e)
    total = np.sum(e, axis=-1, keepdims=True)
    total[total == 0] = 1
    e /= total
    return e


@in_float32
def attend(q: Any, k: Any, v: Any, mask: Array | None, change: Callable[[Any], Any] | None = None) -> tuple[Any, Any]:
    """Attention outputs, the weighted sums of v, and the attention weights, which a function may change before."""
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ np.swapaxes(k, -1, -2)
    weights = _masked_softmax(scores, mask)
    weights = change(weights) if change else weights
    return weights @ v, weights


def by_head(projected: Sequence[Any], heads: int) -> list[Any]:
    """Views of queries, keys and values, shape (..., heads, length, features), of three arrays or side by side in one.

    The arrays have shape (..., length, heads * features).
    """
    if len(projected) == 1:
        size = projected[0].shape[-1] // 3
        projected = [projected[0][..., i * size : (i + 1) * size] for i in range(3)]
    return [np.swapaxes(np.reshape(x, (*x.shape[:-1], heads, x.shape[-1] // heads)), -2, -3) for x in projected]


def side_by_side(x: Any) -> Any:
    """Shape (..., length, heads * features), from (..., heads, length, features)."""
    x = np.swapaxes(x, -2, -3)
    return np.reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def _with_one_batch_axis(projected: Sequence[Array], heads: int) -> list[Array]:
    """`by_head` with the axes in front of the heads merged into one."""
    return by_head([x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]) for x in projected], heads)


BLOCK = 1 << 17  # scores per block: 512 KB of float32; with 2**16, 10 % more time


def _pieces(scores: Array) -> list[tuple[slice, slice]]:
    """Slices of the batch and of the heads, so that the scores of a piece stay in a level-2 cache."""
    batch, heads, keys, queries = scores.shape
    of_heads = blocks(heads, keys * queries, BLOCK)
    return [(i, j) for i in blocks(batch, heads * keys * queries, BLOCK) for j in of_heads]


def _over_keys(values: Array) -> Array:
    """Sums over the keys, by a product with ones, which is more accurate than to add them one by one."""
    *shape, keys, queries = values.shape
    sums = np.empty((*shape, 1, queries), values.dtype)
    multiply(np.ones((*shape, 1, keys), values.dtype), values, sums)
    return sums


def _attention_back(
    g: Any, y: Any, projected: Sequence[Any], needed: tuple[bool, ...], heads: int, mask: Any, saved: Any
) -> Sequence[Any]:
    if saved is None:
        return recorded(lambda *inputs: side_by_side(attend(*by_head(inputs, heads), mask)[0]), projected, needed, g)
    q, k, v = _with_one_batch_axis(projected, heads)
    gradients = [np.empty(x.shape, y.dtype) for x in projected]
    to_q, to_k, to_v = _with_one_batch_axis(gradients, heads)
    to_output, *_ = _with_one_batch_axis([g] * 3, heads)
    scale = 1 / math.sqrt(q.shape[-1])

    def work(piece: tuple[slice, slice]) -> None:
        weights = saved[piece]
        to_scores = np.empty_like(weights)
        multiply(v[piece], np.swapaxes(to_output[piece], -1, -2), to_scores)
        to_scores -= _over_keys(weights * to_scores)
        to_scores *= weights
        to_scores *= scale
        multiply(weights, to_output[piece], to_v[piece])
        multiply(to_scores, q[piece], to_k[piece])
        multiply(np.swapaxes(to_scores, -1, -2), k[piece], to_q[piece])

    run(work, _pieces(saved))
    return [x if is_needed else None for x, is_needed in zip(gradients, needed, strict=True)]


@differentiable(
    joint=lambda g, y, *projected, needed, heads, mask=None, saved: _attention_back(
        g, y, projected, needed, heads, mask, saved
    ),
    wide=True,
    examples=ATTENTION,
    cases=[
        *each("n M 4, n K 4, n K 2", heads=(1, 2)),
        Case("M 4, K 4, K 3", kwargs={"heads": 1, "mask": np.array(True)}),
        Case("2 3 6", kwargs={"heads": 2, "mask": np.array([[False, True, True], [True] * 3, [False] * 3])}),
    ],
    name="scaled_dot_product_attention",
)
def attention(*projected: Array, heads: int, mask: Array | None = None) -> tuple[Array, Array]:
    """The outputs of `attend` for all heads side by side, and the weights; the scores never leave the cache.

    Weights have shape (batch, heads, keys, queries): over an axis that is not the last one, maxima take less time.

    Args:
        *projected: what `by_head` takes.
        heads: the number of heads.
        mask: booleans that broadcast to (..., heads, queries, keys), or None.
    """
    if any(x.shape[:-2] != projected[0].shape[:-2] for x in projected) or projected[0].shape[-1] == 0:
        raise ValueError("expected arrays of as many sequences, with at least one feature")
    q, k, v = _with_one_batch_axis(projected, heads)
    dtype = np.result_type(*projected, np.float16)
    y = np.empty((*projected[0].shape[:-1], heads * v.shape[-1]), dtype)
    output, *_ = _with_one_batch_axis([y] * 3, heads)
    batch, _, queries, features = q.shape
    all_weights = np.empty((batch, heads, k.shape[-2], queries), dtype)
    if mask is not None:
        mask = np.broadcast_to(mask, (*projected[0].shape[:-2], heads, queries, k.shape[-2]))
        mask = np.swapaxes(mask.reshape(batch, *mask.shape[-3:]), -1, -2)

    def work(piece: tuple[slice, slice]) -> None:
        weights = all_weights[piece]
        multiply(k[piece], np.swapaxes(q[piece] * (1 / math.sqrt(features)), -1, -2), weights)
        if mask is not None:
            np.copyto(weights, -np.inf, where=mask[piece])
        top = np.max(weights, axis=-2, keepdims=True, initial=-np.inf)
        top[top == -np.inf] = 0
        np.exp(below(weights, top, out=weights), out=weights)
        total = _over_keys(weights)
        total[total == 0] = 1
        weights *= 1 / total
        multiply(np.swapaxes(weights, -1, -2), v[piece], output[piece])

    run(work, _pieces(all_weights))
    return y, all_weights


def causal(queries: int, keys: int) -> Array:
    return np.arange(keys) > np.arange(queries)[:, np.newaxis]


def any_of(masks: list[Array]) -> Array | None:
    return reduce(np.logical_or, masks) if masks else None


def boolean(owner: str, name: str, mask: Any) -> Array:
    array = mask.data if type(mask) is Tensor else np.asarray(mask)
    if array.dtype != bool:
        raise TypeError(
            f"{owner}: {name} must be boolean, True where attention is not allowed, not {array.dtype}; write"
            f" {name} == 0 or {name} < 0, whichever means that"
        )
    return array


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to exactly the shape `to`."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape[::-1], to[::-1], strict=False))


@with_hints()
def scaled_dot_product_attention(q: Any, k: Any, v: Any, *, mask: Any = None, is_causal: bool = False) -> Any:
    """softmax(q @ k.T / sqrt(features)) @ v: for each query, a mean of the values weighted by how well keys match.

    Args:
        q: queries, shape (..., queries, features).
        k: keys, shape (..., keys, features).
        v: values, shape (..., keys, value features).
        mask: booleans that broadcast to (..., queries, keys), True where attention is not allowed. (In PyTorch's
            function of this name True means allowed; in its `MultiheadAttention` it means not allowed, as here.)
        is_causal: whether query i may attend only to keys up to i; if a mask is given too, both apply.

    Returns:
        Shape (..., queries, value features). A query whose keys are all masked gets zeros, with gradients of zero, if
        the keys and values are finite.

    Raises:
        TypeError: the mask is not boolean.
        ValueError: shapes do not match.

    Source: A. Vaswani et al., "Attention is all you need" (2017), equation 1.

    >>> from tinygrad_np import nn, Tensor
    >>> q, k, v = Tensor([[1.0, 0.0]]), Tensor([[9.0, 0.0], [9.0, 9.0]]), Tensor([[1.0], [3.0]])
    >>> nn.scaled_dot_product_attention(q, k, v)
    Tensor([[2.]], dtype=float32)
    >>> nn.scaled_dot_product_attention(q, k, v, is_causal=True)
    Tensor([[1.]], dtype=float32)
    """
    name, of_q, of_k, of_v = "scaled_dot_product_attention", np.shape(q), np.shape(k), np.shape(v)
    if min(len(of_q), len(of_k), len(of_v)) < 2 or of_q[-1] != of_k[-1] or of_k[-2] != of_v[-2]:
        expected = "q of shape (..., queries, features), k of (..., keys, features), v of (..., keys, value features)"
        raise ValueError(f"{name}: expected {expected}, not {of_q}, {of_k} and {of_v}")
    if of_q[-1] == 0:
        raise ValueError(f"{name}: q and k need at least one feature, not shapes {of_q} and {of_k}")
    queries, keys = of_q[-2], of_k[-2]
    masks = [causal(queries, keys)] if is_causal else []
    batch = np.broadcast_shapes(of_q[:-2], of_k[:-2], of_v[:-2])
    if mask is not None:
        masks.append(boolean(name, "mask", mask))
        scores = (*np.broadcast_shapes(of_q[:-2], of_k[:-2]), queries, keys)
        if not _broadcasts(masks[-1].shape, scores):
            raise ValueError(f"{name}: a mask of shape {masks[-1].shape} does not broadcast to {scores}")
    blocked = any_of(masks)
    if blocked is not None and blocked.ndim > 2:
        blocked = np.expand_dims(blocked, -3)  # the one head
    given = [x if np.shape(x)[:-2] == batch else np.broadcast_to(x, (*batch, *np.shape(x)[-2:])) for x in (q, k, v)]
    return attention(*given, heads=1, mask=blocked)


# --- rotary position encodings ---------------------------------------------------------------------------------------


def angles(positions: Array, size: int, base: float) -> Any:
    """position / base**(2 i / size), in float64: shape (*positions.shape, size / 2), rounded up."""
    return positions[..., np.newaxis] * base ** (-np.arange(0, size, 2) / size)


@differentiable(
    lambda g, y, x, positions, *, base=10000.0: rotary(g, -np.asarray(positions, np.float64), base=base),
    None,
    wide=True,
    examples=STACKED,
    cases=[
        Case("3 4, 3", domains=(REAL, Domain(0, 50, "i"))),
        Case("n 2 3 2, 3", kwargs={"base": 100.0}, domains=(REAL, Domain(0, 50, "i"))),
        Case("2 m 4, 2 1", domains=(REAL, Domain(-9, 9, "i"))),
    ],
)
def rotary(x: Array, positions: Array, base: float = 10000.0) -> Array:
    """Rotary position encoding: rotate each pair of features (2 i, 2 i + 1) by position / base**(2 i / features).

    The dot product of a rotated query and a rotated key depends only on their relative position. As in the paper, a
    pair is two adjacent features; "rotate half" models pair i with i + features / 2 instead.

    Args:
        x: queries or keys, shape (..., length, features), with an even number of features; floating point.
        positions: integers or floating point numbers, in a shape that broadcasts to (..., length), such as (length,).
        base: the base of the frequencies.

    Returns:
        An array with the shape and dtype of x. The gradient is rotated back.

    Raises:
        TypeError: x is not floating point.
        ValueError: the number of features is odd, or positions do not broadcast.

    Source: J. Su et al., "RoFormer: enhanced transformer with rotary position embedding" (2021), equation 34.

    >>> from tinygrad_np import Tensor
    >>> rotary(Tensor([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    Tensor([[1.        , 0.        ],
            [0.5403023 , 0.84147096]], dtype=float32)
    """
    check.floating("rotary", "x", x)
    check.real("rotary", "base", base, above=0)
    positions = np.asarray(positions)
    if x.ndim == 0 or x.shape[-1] % 2 or not _broadcasts(positions.shape, x.shape[:-1]):
        raise ValueError(
            "expected x of shape (..., length, features), with an even number of features,"
            " and positions that broadcast to (..., length)"
        )
    angle = angles(positions, x.shape[-1], base)
    cos, sin = np.cos(angle).astype(x.dtype), np.sin(angle).astype(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    y = np.empty_like(x)
    y[..., 0::2] = even * cos - odd * sin
    y[..., 1::2] = even * sin + odd * cos
    return y
