"""Basic layers: `Linear`, `Embedding`, `Flatten` and `Dropout`."""

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .. import _validation as check
from ..ops.elementwise import keep
from ..ops.products import linear
from ..tensor import Tensor
from . import init
from .module import Layer, hint_if_wider


class Linear(Layer):
    """`x @ weight + bias`.

    Args:
        in_features, out_features: the size of the last axis of the input and of the output.
        bias: whether to add a bias.
        rng: the generator of the initial weights.
        dtype: the dtype of weight and bias.

    Attributes:
        weight: shape (in_features, out_features), initially normal with variance 2 / in_features, which preserves the
            scale of activations through ReLU layers (He et al. 2015, "Delving deep into rectifiers", equation 10).
        bias: shape (out_features,), initially zero; or None.

    Raises:
        ValueError, TypeError: an argument is invalid.

    >>> layer = Linear(3, 2, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    _checks: ClassVar[check.Checks] = {"in_features": check.positive_integer, "out_features": check.positive_integer}
    _fixed = frozenset(_checks)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        bias = check.boolean("Linear", "bias", bias)
        check.generator("Linear", "rng", rng)
        check.floating_dtype("Linear", "dtype", dtype)
        weight = init.he_normal((in_features, out_features), rng=rng, dtype=dtype)
        self.weight = Tensor(weight, requires_grad=True)
        self.bias = Tensor(init.zeros(out_features, dtype=dtype), requires_grad=True) if bias else None

    def forward(self, x: Any) -> Any:
        y = linear(x, self.weight, self.bias)
        if y.dtype is not self.weight.dtype:
            hint_if_wider(self, x, self.weight)
        return y


def _index(owner: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{owner}: {name} must be an integer, not {value!r}")
    return int(value)


class Embedding(Layer):
    """A table of learned vectors, looked up by integer index.

    Args:
        num_embeddings: the number of vectors; indices are from 0 to num_embeddings - 1.
        embedding_dim: the length of each vector.
        padding_idx: an index whose vector gets no gradient; a negative one counts from the end.
        rng: the generator of the initial vectors.
        dtype: the dtype of the vectors.

    Attributes:
        weight: shape (num_embeddings, embedding_dim), initially standard normal, and zero at padding_idx.

    The input is integers of any shape; the output has one more axis, of length embedding_dim.

    Raises:
        ValueError, TypeError: an argument is invalid, or the input is not integers.
        IndexError: an index of the input, or padding_idx, is out of range.

    >>> layer = Embedding(10, 4, rng=np.random.default_rng(0))
    >>> layer([[1, 2, 9]]).shape
    (1, 3, 4)
    """

    _checks: ClassVar[check.Checks] = {
        "num_embeddings": check.positive_integer,
        "embedding_dim": check.positive_integer,
        "padding_idx": check.optional(_index),
    }
    _fixed = frozenset({"num_embeddings", "embedding_dim"})

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        check.generator("Embedding", "rng", rng)
        check.floating_dtype("Embedding", "dtype", dtype)
        weight = init.normal((num_embeddings, embedding_dim), rng=rng, dtype=dtype)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise IndexError(f"Embedding: padding_idx {padding_idx} is out of range for {num_embeddings} vectors")
            weight[padding_idx] = 0
            self.padding_idx = padding_idx % num_embeddings
        self.weight = Tensor(weight, requires_grad=True)

    def forward(self, indices: Any) -> Any:
        if type(indices) is Tensor:
            indices = indices.data
        indices = np.asarray(indices, int if type(indices) is list and not indices else None)
        if indices.dtype.kind not in "iu":
            whole = indices.dtype.kind == "f" and np.array_equal(indices, np.trunc(indices))
            raise TypeError(f"Embedding takes integers, not {indices.dtype}{'; write x.astype(int)' * whole}")
        if indices.size and not 0 <= indices.min() <= indices.max() < self.num_embeddings:
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise IndexError(f"Embedding: index {wrong} is out of range, expected 0 to {self.num_embeddings - 1}")
        vectors = self.weight[indices]
        if self.padding_idx is None:
            return vectors
        padding = (indices == self.padding_idx % self.num_embeddings)[..., np.newaxis]  # it may have been assigned
        return np.where(padding, self.weight.detach()[self.padding_idx], vectors)


class Flatten(Layer):
    """Merge the axes from start_axis to end_axis, inclusive, into one; by default all but the first, the batch axis.

    Raises:
        ValueError: the input has no such axis, or end_axis is before start_axis.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Flatten()(Tensor(np.ones((2, 3, 4)))).shape
    (2, 12)
    """

    _checks: ClassVar[check.Checks] = {"start_axis": check.integer, "end_axis": check.integer}

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis, self.end_axis = start_axis, end_axis

    def forward(self, x: Any) -> Any:
        shape = np.shape(x)
        start = normalize_axis_index(self.start_axis, len(shape), "Flatten: start_axis")
        end = normalize_axis_index(self.end_axis, len(shape), "Flatten: end_axis")
        if start > end:
            raise ValueError(
                f"Flatten: end_axis {self.end_axis} is before start_axis {self.start_axis} in shape {shape}"
            )
        return np.reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


DROPPED = partial(check.real, at_least=0, below=1)  # the check of a probability


def dropped(x: Any, p: float, rng: "np.random.Generator") -> Any:
    """x with elements set to 0 with probability p, and the others scaled by 1 / (1 - p)."""
    if p == 0:
        return x
    return keep(x, rng.random(np.shape(x), np.float32) >= p) * (1 / (1 - p))


class Dropout(Layer):
    """In training mode, set each element to 0 with probability p, and scale the others by 1 / (1 - p).

    In evaluation mode (`eval()`) it returns its input. A generator in the same state drops the same elements.

    Args:
        p: the probability of dropping an element, at least 0 and below 1.
        rng: the generator of the masks; each call draws a new one.

    Raises:
        ValueError, TypeError: an argument is invalid.

    Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014), section
    4; elements are scaled in training rather than in evaluation, as in section 10.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Dropout(0.5, rng=np.random.default_rng(0))(Tensor(np.ones(4)))
    Tensor([2., 2., 2., 0.], dtype=float64)
    """

    _checks: ClassVar[check.Checks] = {"p": DROPPED, "rng": check.generator}

    def __init__(self, p: float = 0.5, *, rng: "np.random.Generator") -> None:
        self.p, self.rng = p, rng

    def forward(self, x: Any) -> Any:
        return dropped(x, self.p, self.rng) if self.training else x
