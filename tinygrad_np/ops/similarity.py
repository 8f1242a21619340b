"""Similarity and distance of vectors, and the losses by which such vectors are learned.

The losses take `reduction`: "mean" (the default) and "sum" give a scalar, "none" gives one loss per example. The mean
over an empty input raises.
"""

import math
from typing import Any

import numpy as np

from .. import _validation as check
from .._registry import in_float32
from .cases import NONZERO, UNIT, Case, Domain, each
from .elementwise import relu
from .losses import cross_entropy
from .reduced import check_reduction, checked_targets, composed, reduced, signs

# --- operations ------------------------------------------------------------------------------------------------------


def norm_order(owner: str, name: str, value: Any) -> float:
    """The order of a norm, a number above 0 that may be infinite."""
    return math.inf if isinstance(value, float) and value == math.inf else check.real(owner, name, value, above=0)


def _pair(name: str, x: Any, y: Any) -> Any:
    """The second vectors, checked to broadcast with the first ones, which are floating point."""
    check.floating(name, "x", x)
    y = check.real_array(name, "y", y, x.dtype)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise ValueError(f"{name}: x of shape {x.shape} and y of shape {y.shape} do not broadcast") from None
    return y


def _axis(name: str, axis: Any, shape: tuple[int, ...]) -> int:
    number = check.integer(name, "axis", axis)
    if not -len(shape) <= number < len(shape):
        raise ValueError(f"{name}: axis {number} is not one of the {len(shape)} axes of shape {shape}")
    return number


@in_float32
def _unit(x: Any, p: float, axis: int, eps: float) -> Any:
    return x / np.maximum(np.linalg.norm(x, p, axis=axis, keepdims=True), eps)


@composed(
    *each("N M", domains=(NONZERO,), axis=(0, -1)),
    *each("3 2", domains=(NONZERO,), p=(1, 3.0, math.inf)),
    Case("N M", kwargs={"eps": 20.0}),
)
def normalize(x: Any, axis: int = -1, *, p: float = 2.0, eps: float = 1e-12) -> Any:
    """x / max(norm, eps), for the norms of order p along an axis: vectors of length 1.

    Vectors shorter than eps are divided by eps. There, also at 0, the gradient is g / eps: finite, but large.

    Args:
        x: any shape with at least one axis, floating point.
        axis: the axis along which the vectors lie.
        p: the order of the norm, above 0; it may be infinite.
        eps: the smallest norm to divide by, above 0.

    Raises:
        TypeError, ValueError: x is not floating point, or an option is invalid.

    >>> from tinygrad_np import Tensor
    >>> normalize(Tensor([[3.0, 4.0], [0.0, 0.0]]))
    Tensor([[0.6, 0.8],
            [0. , 0. ]], dtype=float32)
    """
    check.floating("normalize", "x", x)
    p, eps = norm_order("normalize", "p", p), check.real("normalize", "eps", eps, above=0)
    return _unit(x, p, _axis("normalize", axis, x.shape), eps)


@in_float32
def _cosine(x: Any, y: Any, axis: int, eps: float) -> Any:
    return np.sum(_unit(x, 2, axis, eps) * _unit(y, 2, axis, eps), axis=axis)


@composed(
    *each("N M, N M", domains=(NONZERO,), axis=(0, -1)),
    Case("N 1 M, N 2 M", domains=(NONZERO,)),
    Case("N M, N M", kwargs={"eps": 20.0}),
)
def cosine_similarity(x: Any, y: Any, axis: int = -1, *, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors, x @ y / (max(|x|, eps) * max(|y|, eps)).

    That of a vector of zeros is 0, and its gradient is y / (eps * |y|): finite, but large.

    Args:
        x: vectors along an axis, floating point.
        y: the same shape, or one that broadcasts with it; differentiable too.
        axis: the axis along which the vectors lie, after broadcasting.
        eps: the smallest length to divide by, above 0.

    Returns:
        Numbers from -1 to 1, in the shape that x and y broadcast to, without the axis.

    Raises:
        TypeError, ValueError: x is not floating point, shapes do not broadcast, or an option is invalid.

    >>> from tinygrad_np import Tensor
    >>> cosine_similarity(Tensor([[1.0, 0.0], [3.0, 4.0]]), [[0.0, 2.0], [6.0, 8.0]])
    Tensor([0., 1.], dtype=float32)
    """
    name = "cosine_similarity"
    y = _pair(name, x, y)
    shape = np.broadcast_shapes(x.shape, y.shape)
    axis = _axis(name, axis, shape) % len(shape) - len(shape)  # from the end, since broadcasting adds axes in front
    if min(x.ndim, y.ndim) < -axis or x.shape[axis] != y.shape[axis]:
        raise ValueError(f"{name}: vectors must have one length along the axis, not shapes {x.shape} and {y.shape}")
    eps = check.real(name, "eps", eps, above=0)
    return _cosine(x, y, axis, eps)


@in_float32
def _distance(x: Any, y: Any, p: float, eps: float, keepdims: bool = False) -> Any:
    return np.linalg.norm(x - y + eps, p, axis=-1, keepdims=keepdims)


def _apart(*arrays: Any) -> tuple[Any, ...]:
    """The arguments of a case, of which each is larger by 7 than that before: no difference is near 0."""
    return tuple(x + 7 * i for i, x in enumerate(arrays))


@composed(
    *each("N M, N M", prepare=_apart, p=(1, 2), keepdims=(False, True)),
    Case("2 3, 2 3", kwargs={"p": math.inf}, prepare=_apart),
    Case("N 1 M, 2 M", kwargs={"p": 3.5, "eps": 0.0}, prepare=_apart),
)
def pairwise_distance(x: Any, y: Any, *, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> Any:
    """The distance between vectors, the norm of order p of x - y + eps over the last axis.

    Args:
        x: vectors along the last axis, floating point.
        y: the same shape, or one that broadcasts with it; differentiable too.
        p: the order of the norm, above 0; it may be infinite.
        eps: what is added to differences, so that equal vectors have a gradient. With 0 it is the exact distance, and
            equal vectors have a gradient of 0.
        keepdims: keep the last axis, with length 1.

    Raises:
        TypeError, ValueError: x is not floating point, shapes do not broadcast, or an option is invalid.

    >>> from tinygrad_np import Tensor
    >>> pairwise_distance(Tensor([[3.0, 4.0], [1.0, 1.0]]), [0.0, 0.0], eps=0)
    Tensor([5.       , 1.4142135], dtype=float32)
    """
    name = "pairwise_distance"
    y = _pair(name, x, y)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"{name}: expected vectors along the last axis, not shapes {x.shape} and {y.shape}")
    p, eps = norm_order(name, "p", p), check.real(name, "eps", eps)
    check.boolean(name, "keepdims", keepdims)
    return _distance(x, y, p, eps, keepdims)


# --- losses ----------------------------------------------------------------------------------------------------------


def _with_signs(first: Any, second: Any, numbers: Any) -> tuple[Any, ...]:
    return first, second, 2 * numbers - 1


@composed(
    *(
        Case("N M, N M, N", (), options, (NONZERO, NONZERO, Domain(0, 2, "i")), prepare=_with_signs)
        for options in ({}, {"margin": -0.3, "reduction": "none"})
    )
)
def cosine_embedding_loss(
    first: Any, second: Any, targets: Any, *, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """Mean of 1 - cosine for pairs of vectors that are alike, and of max(0, cosine - margin) for others.

    Args:
        first: shape (..., features), floating point.
        second: the same shape; differentiable too.
        targets: shape (...); 1 for pairs that are alike, -1 for others; without a gradient.
        margin: the cosine up to which pairs that are not alike are far enough apart, from -1 to 1.
        reduction: "mean", "sum", or "none" for the loss of each pair.

    Raises:
        TypeError: vectors are not floating point, or targets require a gradient.
        ValueError: shapes do not match, a target is neither 1 nor -1, the mean is over no pairs, or an option is
            invalid.

    >>> from tinygrad_np import Tensor
    >>> x, y = Tensor([[1.0, 0.0], [1.0, 0.0]]), [[0.0, 1.0], [2.0, 0.0]]
    >>> cosine_embedding_loss(x, y, [1, -1], margin=0.25, reduction="none")
    Tensor([1.  , 0.75], dtype=float32)
    """
    name = "cosine_embedding_loss"
    margin = check.real(name, "margin", margin, at_least=-1, at_most=1)
    second = checked_targets(name, first, second, "first", "second")
    _refuse_numbers(name, first)
    targets = signs(name, targets, first.shape[:-1], first.dtype)

    def loss(a: Any, b: Any, t: Any) -> Any:
        cosine = _cosine(a, b, -1, 1e-8)
        return np.where(t == 1, 1 - cosine, relu(cosine - margin))

    return reduced(name, reduction, loss, first, second, targets)


def _refuse_numbers(name: str, x: Any) -> None:
    if x.ndim == 0:
        raise ValueError(f"{name}: expected vectors of shape (..., features), not a number")


def _triplets(anchor: Any, positive: Any, negative: Any) -> tuple[Any, ...]:
    """The arguments of a case, far apart in directions that differ, the negative closer to the positive."""
    steps = np.arange(negative.shape[-1] if negative.ndim else 1)
    return anchor, positive + 7, negative + (9 + 5 * steps).astype(negative.dtype)


@composed(
    *each("N 3, N 3, N 3", domains=(UNIT,), prepare=_triplets, p=(1, 2.0), swap=(False, True), margin=(100.0,)),
    Case("N 2, N 2, N 2", (), {"reduction": "none", "eps": 0.0, "margin": 90, "p": 3.0}, (UNIT,), _triplets),
)
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Mean of max(0, distance to the positive - distance to the negative + margin), each from the anchor.

    Args:
        anchor: shape (..., features), floating point.
        positive: vectors that are like the anchors, the same shape; differentiable too.
        negative: vectors that are not, the same shape; differentiable too.
        margin: by how much the negative is to be further away, at least 0.
        p, eps: as for `pairwise_distance`.
        swap: take the distance from the positive to the negative where it is less than that from the anchor.
        reduction: "mean", "sum", or "none" for the loss of each triplet.

    Raises:
        TypeError: the anchors are not floating point.
        ValueError: shapes differ, the mean is over no triplets, or an option is invalid.

    Source: F. Schroff, D. Kalenichenko and J. Philbin, "FaceNet: a unified embedding for face recognition and
    clustering" (2015), there with squared distances; swap: V. Balntas et al., "Learning local feature descriptors with
    triplets and shallow convolutional neural networks" (2016), section 3.

    >>> from tinygrad_np import Tensor
    >>> triplet_margin_loss(Tensor([[0.0, 0.0]]), [[3.0, 4.0]], [[0.0, 5.5]], eps=0)
    Tensor(0.5, dtype=float32)
    """
    name = "triplet_margin_loss"
    margin = check.real(name, "margin", margin, at_least=0)
    p, eps = norm_order(name, "p", p), check.real(name, "eps", eps)
    check.boolean(name, "swap", swap)
    positive = checked_targets(name, anchor, positive, "anchor", "positive")
    negative = checked_targets(name, anchor, negative, "anchor", "negative")
    _refuse_numbers(name, anchor)

    def loss(a: Any, b: Any, c: Any) -> Any:
        far = _distance(a, c, p, eps)
        if swap:
            far = np.minimum(far, _distance(b, c, p, eps))
        return relu(_distance(a, b, p, eps) - far + margin)

    return reduced(name, reduction, loss, anchor, positive, negative)


@composed(
    *each("3 M, 3 M", domains=(NONZERO,), temperature=(0.5, 2.0)),
    Case("2 3, 2 3", kwargs={"reduction": "none"}, domains=(NONZERO,)),
)
def nt_xent_loss(first: Any, second: Any, *, temperature: float = 0.5, reduction: str = "mean") -> Any:
    """Mean cross-entropy of finding each view's partner among all views of a batch, by cosines / temperature.

    Args:
        first: representations of one view of each example, shape (batch, features), floating point.
        second: those of the other view, the same shape; differentiable too.
        temperature: by what the cosines are divided, above 0.
        reduction: "mean", "sum", or "none" for losses of shape (2 * batch,), those of the first views first.

    Raises:
        TypeError: the representations are not floating point.
        ValueError: shapes differ or are not (batch, features), the batch is empty, or an option is invalid.

    Source: T. Chen et al., "A simple framework for contrastive learning of visual representations" (2020), equation 1.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> nt_xent_loss(x, x, temperature=0.01).item() < 1e-40
    True
    """
    name = "nt_xent_loss"
    temperature = check.real(name, "temperature", temperature, above=0)
    check_reduction(name, reduction)
    second = checked_targets(name, first, second, "first", "second")
    if first.ndim != 2 or len(first) == 0:
        raise ValueError(
            f"{name}: expected views of shape (batch, features) with a batch at least 1, not {first.shape}"
        )
    batch = len(first)
    partners = np.roll(np.arange(2 * batch), batch)
    itself = np.eye(2 * batch, dtype=bool)

    @in_float32
    def loss(a: Any, b: Any) -> Any:
        views = _unit(np.concatenate([a, b]), 2, -1, 1e-12)
        # Divided before the product, which is the larger array.
        cosines = (views / temperature) @ views.T
        return cross_entropy(np.where(itself, -np.inf, cosines), partners, reduction=reduction)

    return loss(first, second)
