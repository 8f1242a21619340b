"""Basic layers: `Linear`, `Bilinear`, `Embedding`, `EmbeddingBag`, `Flatten`, `Identity`, `Upsample`, `Dropout`."""

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .. import _validation as check
from ..ops.elementwise import keep
from ..ops.products import linear
from ..ops.resampling import CHECKS, check_together, resample
from ..tensor import Array, Tensor, as_array
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

    def forward(self, x: Any) -> Tensor:
        y = linear(x, self.weight, self.bias)
        if y.dtype is not self.weight.dtype:
            hint_if_wider(self, x, self.weight)
        return y


class Bilinear(Layer):
    """`x1 @ weight[k] @ x2 + bias[k]` for each output k.

    Args:
        in1_features, in2_features: the size of the last axis of the two inputs, whose other axes are the same.
        out_features: the size of the last axis of the output.
        bias: whether to add a bias.
        rng: the generator of the initial weights.
        dtype: the dtype of weight and bias.

    Attributes:
        weight: shape (out_features, in1_features, in2_features), initially uniform between +-1 / sqrt(in1_features).
        bias: shape (out_features,), initially in the same way; or None.

    Raises:
        ValueError, TypeError: an argument is invalid, or the inputs have other shapes.

    >>> layer = Bilinear(3, 4, 2, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 3), np.float32), np.ones((5, 4), np.float32)).shape
    (5, 2)
    """

    _checks: ClassVar[check.Checks] = dict.fromkeys(
        ("in1_features", "in2_features", "out_features"), check.positive_integer
    )
    _fixed = frozenset(_checks)

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        bias = check.boolean("Bilinear", "bias", bias)
        check.generator("Bilinear", "rng", rng)
        check.floating_dtype("Bilinear", "dtype", dtype)
        bound = 1 / math.sqrt(self.in1_features)
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Tensor(init.uniform(shape, -bound, bound, rng=rng, dtype=dtype), requires_grad=True)
        of_bias = init.uniform(self.out_features, -bound, bound, rng=rng, dtype=dtype) if bias else None
        self.bias = Tensor(of_bias, requires_grad=True) if bias else None

    def forward(self, x1: Any, x2: Any) -> Tensor:
        x1, x2 = (check.floating("Bilinear", "the input", as_array(x)) for x in (x1, x2))
        outputs, first, second = self.weight.shape
        if x1.shape[-1:] != (first,) or x2.shape[-1:] != (second,) or x1.shape[:-1] != x2.shape[:-1]:
            raise ValueError(
                f"Bilinear: expected inputs of shape (..., {first}) and (..., {second}), not {x1.shape} and {x2.shape}"
            )
        matrix = np.reshape(np.transpose(self.weight, (1, 0, 2)), (first, outputs * second))
        y = np.matvec(np.reshape(x1 @ matrix, (*x1.shape[:-1], outputs, second)), x2)
        return y if self.bias is None else y + self.bias


def _index(owner: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{owner}: {name} must be an integer, not {value!r}")
    return int(value)


def _as_indices(owner: str, value: Any, count: int) -> Array:
    """The input of an embedding as an array of integers from 0 to count - 1."""
    if type(value) is Tensor:
        value = value.data
    indices = np.asarray(value, int if type(value) is list and not value else None)
    if indices.dtype.kind not in "iu":
        whole = indices.dtype.kind == "f" and np.array_equal(indices, np.trunc(indices))
        raise TypeError(f"{owner} takes integers, not {indices.dtype}{'; write x.astype(int)' * whole}")
    if indices.size and not 0 <= indices.min() <= indices.max() < count:
        wrong = indices.min() if indices.min() < 0 else indices.max()
        raise IndexError(f"{owner}: index {wrong} is out of range, expected 0 to {count - 1}")
    return indices


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

    def forward(self, indices: Any) -> Tensor:
        indices = _as_indices("Embedding", indices, self.num_embeddings)
        vectors = self.weight[indices]
        if self.padding_idx is None:
            return vectors
        padding = (indices == self.padding_idx % self.num_embeddings)[..., np.newaxis]  # it may have been assigned
        y: Any = np.where(padding, self.weight.detach()[self.padding_idx], vectors)
        return y


class EmbeddingBag(Layer):
    """The sum, mean or maximum of the learned vectors of each bag of integer indices.

    Args:
        num_embeddings: the number of vectors; indices are from 0 to num_embeddings - 1.
        embedding_dim: the length of each vector.
        mode: "sum", "mean" or "max".
        padding_idx: an index that counts for nothing, neither in sums nor in means; a negative one counts from the end.
        include_last_offset: whether the last of the offsets is the end of the last bag, rather than a bag's start.
        rng: the generator of the initial vectors.
        dtype: the dtype of the vectors.

    Attributes:
        weight: shape (num_embeddings, embedding_dim), initially standard normal, and zero at padding_idx.

    The input is a matrix of integers, one bag a row; or a vector of the indices of all bags, with `offsets`, where each
    bag begins. For "sum", `per_sample_weights` has a factor for each index. The output has shape (bags, embedding_dim);
    an empty bag gives zeros. Among equal maxima the gradient is split evenly.

    Raises:
        ValueError, TypeError: an argument is invalid, or the input is not integers, or offsets or weights do not fit.
        IndexError: an index of the input, or padding_idx, is out of range.

    >>> layer = EmbeddingBag(10, 4, rng=np.random.default_rng(0))
    >>> layer([[1, 2, 9]]).shape, layer([1, 2, 9], offsets=[0, 0, 2]).shape
    ((1, 4), (3, 4))
    """

    _checks: ClassVar[check.Checks] = {
        "num_embeddings": check.positive_integer,
        "embedding_dim": check.positive_integer,
        "mode": partial(check.one_of, choices=("sum", "mean", "max")),
        "padding_idx": check.optional(_index),
        "include_last_offset": check.boolean,
    }
    _fixed = frozenset({"num_embeddings", "embedding_dim"})

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        mode: str = "mean",
        padding_idx: int | None = None,
        include_last_offset: bool = False,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.num_embeddings, self.embedding_dim, self.mode = num_embeddings, embedding_dim, mode
        self.padding_idx, self.include_last_offset = padding_idx, include_last_offset
        check.generator("EmbeddingBag", "rng", rng)
        check.floating_dtype("EmbeddingBag", "dtype", dtype)
        weight = init.normal((num_embeddings, embedding_dim), rng=rng, dtype=dtype)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise IndexError(
                    f"EmbeddingBag: padding_idx {padding_idx} is out of range for {num_embeddings} vectors"
                )
            weight[padding_idx] = 0
            self.padding_idx = padding_idx % num_embeddings
        self.weight = Tensor(weight, requires_grad=True)

    def forward(self, indices: Any, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        indices = _as_indices("EmbeddingBag", indices, self.num_embeddings)
        if per_sample_weights is not None:
            per_sample_weights = as_array(per_sample_weights)
            if self.mode != "sum":
                raise ValueError(f'EmbeddingBag: per_sample_weights need mode "sum", not {self.mode!r}')
            if per_sample_weights.shape != indices.shape:
                raise ValueError(
                    "EmbeddingBag: per_sample_weights must have the shape of the indices,"
                    f" {indices.shape}, not {per_sample_weights.shape}"
                )
            per_sample_weights = np.reshape(per_sample_weights, -1)
        starts = self._starts(indices, offsets)
        indices = indices.reshape(-1)
        bags = len(starts)
        lengths = np.diff(starts, append=len(indices))
        if self.padding_idx is not None:
            used = indices != self.padding_idx % self.num_embeddings
            kept = np.add.accumulate(np.append(0, used))
            lengths = kept[starts + lengths] - kept[starts]
            indices = indices[used]
            per_sample_weights = None if per_sample_weights is None else per_sample_weights[used]
        filled = np.flatnonzero(lengths)
        if len(filled) == 0:
            return self.weight[0] * np.zeros((bags, self.embedding_dim), self.weight.dtype)
        lengths = lengths[filled]
        y = self._reduced(indices, lengths, per_sample_weights)
        return y if len(filled) == bags else Tensor(np.zeros((bags, self.embedding_dim), y.dtype)).at[filled].set(y)

    def _starts(self, indices: Array, offsets: Any) -> Array:
        """Where each bag begins in the indices of all bags."""
        if indices.ndim == 2:
            if offsets is not None:
                raise ValueError("EmbeddingBag: a matrix has one bag a row; leave offsets out")
            return np.asarray(np.arange(len(indices)) * indices.shape[1])
        if indices.ndim != 1:
            raise ValueError(f"EmbeddingBag: expected indices of shape (bags, n) or (n,), not {indices.shape}")
        if offsets is None:
            raise ValueError("EmbeddingBag: a vector of indices needs offsets=, where each bag begins")
        given = check.integers("EmbeddingBag", "offsets", check.indices(getattr(offsets, "data", offsets)))
        if (
            given.ndim != 1
            or given[:1].tolist() != [0]
            or (np.diff(given.astype(np.intp)) < 0).any()
            or given[-1] > len(indices)
        ):
            raise ValueError(
                f"EmbeddingBag: offsets must rise from 0 to at most {len(indices)}, the number of indices,"
                f" not {given.tolist()!s:.60}"
            )
        starts: Array = given.astype(np.intp)
        if self.include_last_offset:
            if starts[-1] != len(indices):
                raise ValueError(f"EmbeddingBag: the last offset must be {len(indices)}, the end, not {starts[-1]}")
            starts = starts[:-1]
        return starts

    def _reduced(self, indices: Array, lengths: Array, per_sample_weights: Any) -> Any:
        """Of bags that are not empty."""
        starts = np.cumsum(lengths) - lengths
        if self.mode == "max":  # each bag as long as the longest, filled up with its first index
            place = np.arange(lengths.max())
            valid = place < lengths[:, np.newaxis]
            vectors = self.weight[indices[starts[:, np.newaxis] + np.where(valid, place, 0)]]
            return np.max(np.where(valid[..., np.newaxis], vectors, -np.inf), axis=1)
        vectors = self.weight[indices]
        if per_sample_weights is not None:
            vectors = vectors * per_sample_weights[:, np.newaxis]
        sums = np.add.reduceat(vectors, starts, axis=0)
        return sums / lengths[:, np.newaxis].astype(sums.dtype) if self.mode == "mean" else sums


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

    def forward(self, x: Any) -> Tensor:
        shape = np.shape(x)
        start = normalize_axis_index(self.start_axis, len(shape), "Flatten: start_axis")
        end = normalize_axis_index(self.end_axis, len(shape), "Flatten: end_axis")
        if start > end:
            raise ValueError(
                f"Flatten: end_axis {self.end_axis} is before start_axis {self.start_axis} in shape {shape}"
            )
        y: Any = np.reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))
        return y


class Identity(Layer):
    """The input itself, to take the place of a layer.

    >>> from tinygrad_np import nn
    >>> nn.Identity()(3.0)
    3.0
    """

    def forward(self, x: Any) -> Tensor:
        return x


class Upsample(Layer):
    """Sequences, images or volumes of another size; see `interpolate`, whose options these are.

    Raises:
        ValueError: an option is impossible.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Upsample(scale_factor=2, mode="bilinear")(Tensor(np.ones((1, 3, 4, 5)))).shape
    (1, 3, 8, 10)
    """

    _checks: ClassVar[check.Checks] = CHECKS

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
    ) -> None:
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners
        check_together("Upsample", size, scale_factor, mode, align_corners)

    def forward(self, x: Any) -> Tensor:
        return resample("Upsample", x, self.size, self.scale_factor, self.mode, self.align_corners)


DROPPED = partial(check.real, at_least=0, below=1)  # the check of a probability


def dropped(x: Any, p: float, rng: "np.random.Generator", axes: int | None = None) -> Any:
    """x with elements, or parts along its first axes, set to 0 with probability p, and the others times 1 / (1 - p)."""
    if p == 0:
        return x
    shape = np.shape(x)
    lead = shape[:axes]
    kept = rng.random(lead, np.float32) >= p
    return keep(x, np.reshape(kept, (*lead, *[1] * (len(shape) - len(lead))))) * (1 / (1 - p))


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

    def forward(self, x: Any) -> Tensor:
        return dropped(x, self.p, self.rng) if self.training else x


class _ChannelDropout(Dropout):
    """Base class: drops whole channels."""

    expected: ClassVar[str]

    def forward(self, x: Any) -> Tensor:
        shape = np.shape(x)
        if len(shape) != 1 + self.expected.count(","):
            raise ValueError(f"{type(self).__name__}: expected an input of shape {self.expected}, not {shape}")
        return dropped(x, self.p, self.rng, axes=2) if self.training else x


class Dropout1d(_ChannelDropout):
    """`Dropout` of whole channels of sequences, of shape (batch, channels, length), whose elements are much alike.

    Source: J. Tompson et al., "Efficient object localization using convolutional networks" (2014), section 3.2.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Dropout1d(0.5, rng=np.random.default_rng(0))(Tensor(np.ones((1, 4, 2))))
    Tensor([[[2., 2.],
             [2., 2.],
             [2., 2.],
             [0., 0.]]], dtype=float64)
    """

    expected = "(batch, channels, length)"


class Dropout2d(_ChannelDropout):
    """`Dropout1d` for images, of shape (batch, channels, height, width).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Dropout2d(0.5, rng=np.random.default_rng(0))(Tensor(np.ones((1, 2, 8, 8)))).shape
    (1, 2, 8, 8)
    """

    expected = "(batch, channels, height, width)"
