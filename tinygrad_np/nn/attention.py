"""Attention, and the encodings that tell it where in a sequence something stands.

`scaled_dot_product_attention` is the function, `MultiheadAttention` the layer; masks are booleans, True where attention
is not allowed. `SinusoidalPositionalEncoding` and `LearnedPositionalEncoding` are added to what goes in; `rotary` turns
queries and keys. In all of them the batch comes first: x has the shape (..., length, features).
"""

import math
from functools import reduce
from typing import Any

import numpy as np

from .. import checks
from ..ops.cases import CONDITION, REAL, Case, Domain
from ..ops.elementwise import floating
from ..ops.products import linear
from ..tensor import Array, Tensor, differentiable
from . import init
from .layers import Linear
from .module import Layer

# --- attention -------------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, scores, mask: y * (g - np.sum(g * y, axis=-1, keepdims=True)),
    None,
    cases=[
        Case("n M K", (None,)),
        Case("n M K, M K", domains=(REAL, CONDITION)),
        Case("M K, K", domains=(REAL, CONDITION)),
    ],
)
def _masked_softmax(scores: Array, mask: Any) -> Array:
    """The softmax along the last axis of what is not masked; zeros where everything is."""
    e = scores.copy() if mask is None else np.where(mask, scores.dtype.type(-np.inf), scores)
    top = np.max(e, axis=-1, keepdims=True, initial=-np.inf)
    top[top == -np.inf] = 0
    e -= top
    np.exp(e, out=e)
    total = np.sum(e, axis=-1, keepdims=True)
    total[total == 0] = 1
    e /= total
    return e


def _attend(q: Any, k: Any, v: Any, masks: list[Array]) -> tuple[Any, Any]:
    """The weighted sums of v, and the weights."""
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ np.swapaxes(k, -1, -2)
    weights = _masked_softmax(scores, reduce(np.logical_or, masks) if masks else None)
    return weights @ v, weights


def _causal(queries: int, keys: int) -> Array:
    return np.arange(keys) > np.arange(queries)[:, np.newaxis]


def _boolean(owner: str, name: str, mask: Any) -> Array:
    array = np.asarray(mask)
    if array.dtype != bool:
        raise TypeError(f"{owner}: {name} must be boolean, True where attention is not allowed, not {array.dtype}")
    return array


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to another and does not enlarge it."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape[::-1], to[::-1], strict=False))


def scaled_dot_product_attention(q: Any, k: Any, v: Any, *, mask: Any = None, is_causal: bool = False) -> Any:
    """softmax(q @ k.T / sqrt(features)) @ v: for each query a mean of the values, weighted by how well the keys fit.

    Args:
        q: queries, shape (..., queries, features).
        k: keys, shape (..., keys, features).
        v: values, shape (..., keys, value features).
        mask: booleans that broadcast to (..., queries, keys), True where attention is not allowed. (PyTorch's function
            of this name has True where it is allowed; its `MultiheadAttention` is as here.)
        is_causal: whether query i may see the keys up to i only; with a mask, both hold.

    Returns:
        Shape (..., queries, value features). A query that may see no key gets zeros, with gradients of zero.

    Raises:
        TypeError: a mask that is not boolean.
        ValueError: shapes that do not fit.

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
    queries, keys = of_q[-2], of_k[-2]
    masks = [_causal(queries, keys)] if is_causal else []
    if mask is not None:
        masks.append(_boolean(name, "mask", mask))
        scores = (*np.broadcast_shapes(of_q[:-2], of_k[:-2]), queries, keys)
        if not _broadcasts(masks[-1].shape, scores):
            raise ValueError(f"{name}: a mask of shape {masks[-1].shape} does not broadcast to {scores}")
    return _attend(q, k, v, masks)[0]


class MultiheadAttention(Layer):
    """Attention of several heads, each with its own projections of queries, keys and values to embed_dim / num_heads.

    Args:
        embed_dim: the features of queries, keys, values and outputs.
        num_heads: how many heads; a divisor of embed_dim.
        bias: whether the projections have biases.
        rng: where the initial weights come from.
        dtype: of the parameters.

    Attributes:
        in_proj_weight: shape (embed_dim, 3 * embed_dim), what queries, keys and values are multiplied by, side by side;
            initially as by `init.glorot_uniform`, like that of out_proj.
        in_proj_bias: shape (3 * embed_dim,), initially zero; or None.
        out_proj: the `Linear` that the heads, side by side, go through.

    Call it with query, shape (batch, queries, embed_dim), and key and value, (batch, keys, embed_dim), or all three
    without the batch. The batch always comes first: PyTorch's module does so with batch_first=True. Keywords:

        key_padding_mask: booleans of shape (batch, keys), True for a key that is to be ignored.
        need_weights: whether the weights are returned.
        attn_mask: booleans of shape (queries, keys) or (batch * num_heads, queries, keys), True where not allowed.
        is_causal: whether query i may see the keys up to i only. It needs no attn_mask; masks add up.

    It returns (output, weights): shape (batch, queries, embed_dim), and the mean over the heads of their weights,
    (batch, queries, keys), or None. Where a query may see no key, its weights are 0, and its output is out_proj.bias.

    Raises:
        ValueError: num_heads does not divide embed_dim; shapes that do not fit.
        TypeError: a mask that is not boolean.

    Source: A. Vaswani et al., "Attention is all you need" (2017), section 3.2.2. As fast as PyTorch's on one thread, in
    self-attention of 32 x 64 x 256, forward and backward: 39 ms.

    >>> from tinygrad_np import nn
    >>> attention = nn.MultiheadAttention(8, 2, rng=np.random.default_rng(0))
    >>> x = np.ones((3, 5, 8), np.float32)
    >>> output, weights = attention(x, x, x, is_causal=True)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        owner = "MultiheadAttention"
        self.embed_dim = checks.positive_integer(owner, "embed_dim", embed_dim)
        self.num_heads = checks.positive_integer(owner, "num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"{owner}: num_heads must divide embed_dim, and {num_heads} does not divide {embed_dim}")
        self.bias = checks.one_of(owner, "bias", bias, (True, False))
        checks.generator(owner, rng)
        dtype = checks.floating(owner, dtype)
        weight = init.glorot_uniform((embed_dim, 3 * embed_dim), rng=rng, dtype=dtype)
        self.in_proj_weight = Tensor(weight, requires_grad=True)
        self.in_proj_bias = Tensor(init.zeros(3 * embed_dim, dtype=dtype), requires_grad=True) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        weight = init.glorot_uniform((embed_dim, embed_dim), rng=rng, dtype=dtype)  # no ReLU follows
        self.out_proj.weight = Tensor(weight, requires_grad=True)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        *,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        q, k, v = np.shape(query), np.shape(key), np.shape(value)
        alike = len(q) == len(k) and q[:-2] == k[:-2] and k == v and q[-1:] == k[-1:] == (self.embed_dim,)
        if len(q) not in (2, 3) or not alike:
            n = self.embed_dim
            expected = f"query of shape (batch, queries, {n}) or (queries, {n}), key and value of (batch, keys, {n}) or"
            raise ValueError(f"MultiheadAttention: expected {expected} (keys, {n}), not {q}, {k} and {v}")
        batch, heads, queries, keys = q[:-2], self.num_heads, q[-2], k[-2]
        masks = [_causal(queries, keys)] if is_causal else []
        if key_padding_mask is not None:
            padding = self._mask("key_padding_mask", key_padding_mask, (*batch, keys))
            masks.append(padding[..., np.newaxis, np.newaxis, :])
        if attn_mask is not None:
            of_each_head = (math.prod(batch) * heads, queries, keys)
            blocked = self._mask("attn_mask", attn_mask, (queries, keys), of_each_head)
            masks.append(blocked if blocked.ndim == 2 else blocked.reshape(*batch, heads, queries, keys))
        output, weights = _attend(self._projected(0, query), self._projected(1, key), self._projected(2, value), masks)
        output = self.out_proj(np.reshape(np.swapaxes(output, -2, -3), q))
        return output, np.mean(weights, axis=-3) if need_weights else None

    def _mask(self, name: str, mask: Any, *shapes: tuple[int, ...]) -> Array:
        array = _boolean("MultiheadAttention", name, mask)
        if array.shape not in shapes:
            expected = " or ".join(map(str, shapes))
            raise ValueError(f"MultiheadAttention: {name} must have shape {expected}, not {array.shape}")
        return array

    def _projected(self, i: int, x: Any) -> Any:
        """Queries (0), keys (1) or values (2), shape (..., heads, length, features)."""
        part = slice(i * self.embed_dim, (i + 1) * self.embed_dim)
        weight, bias = self.in_proj_weight[:, part], self.in_proj_bias
        y = linear(x, weight, bias if bias is None else bias[part])
        shape = (*np.shape(x)[:-1], self.num_heads, self.embed_dim // self.num_heads)
        return np.swapaxes(np.reshape(y, shape), -2, -3)


# --- positions -------------------------------------------------------------------------------------------------------


class _PositionalEncoding(Layer):
    """Adds a row of a table to each element of a sequence."""

    weight: Any

    def __init__(self, embed_dim: int, max_length: int) -> None:
        self.embed_dim = checks.positive_integer(type(self).__name__, "embed_dim", embed_dim)
        self.max_length = checks.positive_integer(type(self).__name__, "max_length", max_length)

    def forward(self, x: Any) -> Any:
        shape = np.shape(x)
        if len(shape) < 2 or shape[-1] != self.embed_dim or shape[-2] > self.max_length:
            expected = f"x of shape (..., length, {self.embed_dim}) with a length of at most {self.max_length}"
            raise ValueError(f"{type(self).__name__}: expected {expected}, not {shape}")
        return x + self.weight[: shape[-2]]


class SinusoidalPositionalEncoding(_PositionalEncoding):
    """x plus sin(position / 10000**(2 i / embed_dim)) in the features 2 i, and the cos of it in the features 2 i + 1.

    Args:
        embed_dim: the features of x.
        max_length: the length of the longest sequence.
        dtype: of the encoding.

    Attributes:
        weight: the encoding, a plain array of shape (max_length, embed_dim), which is not trained or saved.

    Call it with x, shape (..., length, embed_dim); it returns the same shape.

    Raises:
        ValueError: a shape that does not fit, or a sequence that is longer than max_length.

    Source: A. Vaswani et al., "Attention is all you need" (2017), section 3.5.

    >>> from tinygrad_np import nn, Tensor
    >>> nn.SinusoidalPositionalEncoding(2)(Tensor(np.zeros((2, 2), np.float32)))
    Tensor([[0.        , 1.        ],
            [0.84147096, 0.5403023 ]], dtype=float32)
    """

    def __init__(self, embed_dim: int, max_length: int = 5000, *, dtype: "np.typing.DTypeLike" = np.float32) -> None:
        super().__init__(embed_dim, max_length)
        angles = _angles(np.arange(max_length), embed_dim, 10000.0)
        pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
        table = pairs.reshape(max_length, -1)[:, :embed_dim]
        self.weight = table.astype(checks.floating("SinusoidalPositionalEncoding", dtype))


class LearnedPositionalEncoding(_PositionalEncoding):
    """x plus a learned vector for each position.

    Args:
        embed_dim: the features of x.
        max_length: the length of the longest sequence.
        rng: where the initial vectors come from.
        dtype: of the vectors.

    Attributes:
        weight: shape (max_length, embed_dim), initially normal with standard deviation 0.02, as in GPT-2.

    Call it with x, shape (..., length, embed_dim); it returns the same shape.

    Raises:
        ValueError: a shape that does not fit, or a sequence that is longer than max_length.

    Source: J. Gehring et al., "Convolutional sequence to sequence learning" (2017), section 3.1.

    >>> from tinygrad_np import nn
    >>> encoding = nn.LearnedPositionalEncoding(8, 16, rng=np.random.default_rng(0))
    >>> encoding(np.ones((3, 5, 8), np.float32)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        embed_dim: int,
        max_length: int,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        super().__init__(embed_dim, max_length)
        checks.generator("LearnedPositionalEncoding", rng)
        dtype = checks.floating("LearnedPositionalEncoding", dtype)
        self.weight = Tensor(init.normal((max_length, embed_dim), std=0.02, rng=rng, dtype=dtype), requires_grad=True)


def _angles(positions: Array, size: int, base: float) -> Any:
    """position / base**(2 i / size), in float64: shape (*positions.shape, size / 2), rounded up."""
    return positions[..., np.newaxis] * base ** (-np.arange(0, size, 2) / size)


@differentiable(
    lambda g, y, x, positions, *, base=10000.0: rotary(g, -np.asarray(positions, np.float64), base=base),
    None,
    cases=[
        Case("3 4, 3", domains=(REAL, Domain(0, 50, "i"))),
        Case("n 2 3 2, 3", kwargs={"base": 100.0}, domains=(REAL, Domain(0, 50, "i"))),
        Case("2 m 4, 2 1", domains=(REAL, Domain(-9, 9, "i"))),
    ],
)
def rotary(x: Array, positions: Array, base: float = 10000.0) -> Array:
    """Turns each pair of features, 2 i and 2 i + 1, by the angle position / base**(2 i / features).

    The product of a query and a key that are turned so depends on their distance only. The pairs are neighbours, as in
    the paper; models with the name "rotate half" pair i with i + features / 2.

    Args:
        x: queries or keys, shape (..., length, features), the features even in number; floating point.
        positions: integers or floating point numbers, in a shape that broadcasts to (..., length), as (length,).
        base: of the powers.

    Returns:
        The shape and dtype of x. The gradient is turned back.

    Raises:
        TypeError: x is not floating point.
        ValueError: an odd number of features, or positions that do not broadcast.

    Source: J. Su et al., "RoFormer: enhanced transformer with rotary position embedding" (2021), equation 34.

    >>> from tinygrad_np import Tensor
    >>> rotary(Tensor([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    Tensor([[1.        , 0.        ],
            [0.5403023 , 0.84147096]], dtype=float32)
    """
    floating(x, "rotary")
    positions = np.asarray(positions)
    if x.ndim == 0 or x.shape[-1] % 2 or not _broadcasts(positions.shape, x.shape[:-1]):
        raise ValueError("expected x of shape (..., length, an even size), positions that broadcast to (..., length)")
    angles = _angles(positions, x.shape[-1], base)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    y = np.empty_like(x)
    y[..., 0::2] = even * cos - odd * sin
    y[..., 1::2] = even * sin + odd * cos
    return y
