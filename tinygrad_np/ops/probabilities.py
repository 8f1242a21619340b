"""Losses of probabilities: binary cross-entropy, Kullback-Leibler divergence, focal losses, dice.

All take `reduction`: "mean" (the default) and "sum" give a scalar, "none" gives one loss per element or example. The
mean over an empty input raises. Targets that are not Tensors are converted to the dtype of the predictions.
"""

import math
from typing import Any

import numpy as np

from .. import _validation as check
from .._registry import differentiable
from ..tensor import Array, Tensor
from .cases import POSITIVE, REAL, Case, Domain, each
from .elementwise import array_of, keep, over_slope, zero_at
from .examples import FIRST
from .losses import check_class_shapes, class_labels, cross_entropy
from .reduced import check_reduction, checked_targets, composed, constants, reduced
from .special import one_hot, sigmoid, softplus

WEIGHT = np.array([0.5, 2.0, 0.0])
PROBABILITY = Domain(0.05, 0.95)

# --- binary cross-entropy --------------------------------------------------------------------------------------------


def _broadcasting(owner: str, name: str, weight: Any, logits: Any, at_least: float) -> Any:
    if type(weight) is not Tensor:  # which may be a variable of any sign
        weight = np.asarray(check.weights(owner, name, weight, at_least), logits.dtype)
    kept = logits.shape[logits.ndim - weight.ndim :] if weight.ndim <= logits.ndim else None
    if kept is None or any(n not in (1, m) for n, m in zip(weight.shape, kept, strict=True)):
        shapes = f"{logits.shape}, not have shape {weight.shape}"
        raise ValueError(f"{owner}: {name} must broadcast to the shape of the logits, {shapes}")
    return weight


@differentiable(
    lambda g, y, x, positive, negative: g * (negative * sigmoid(x) - positive * sigmoid(-x)),
    lambda g, y, x, positive, negative: g * softplus(-x),
    lambda g, y, x, positive, negative: g * softplus(x),
    jvp="elementwise",
    cases=[Case("*, *, *")],
    name="binary_cross_entropy_with_logits",
)
def _binary_cross_entropy(x: Array, positive: Array, negative: Array) -> Array:
    """-positive * log(sigmoid(x)) - negative * log(1 - sigmoid(x)), without overflow or cancellation."""
    both = np.log1p(np.exp(-np.abs(x)))
    losses = [np.maximum(-x, 0) + both, np.maximum(x, 0) + both]
    if not np.isfinite(x).all():  # a loss without weight is 0, but 0 * inf would be NaN
        losses = [
            keep(*np.broadcast_arrays(part, w != 0)) for part, w in zip(losses, (positive, negative), strict=True)
        ]
    return np.asarray(positive * losses[0] + negative * losses[1])


@composed(
    Case("N M, N M"),
    Case("N 3 2, N 3 2", kwargs={"weight": WEIGHT[:, np.newaxis], "pos_weight": WEIGHT[:2], "reduction": "none"}),
)
def binary_cross_entropy_with_logits(
    logits: Any, targets: Any, *, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """Mean binary cross-entropy of logits, as one operation that does not overflow.

    The loss of an element is -targets * log(sigmoid(logits)) - (1 - targets) * log(1 - sigmoid(logits)).

    Args:
        logits: any shape, floating point.
        targets: the same shape; 0 or 1, or probabilities; differentiable too.
        weight: the weight of each element, in a shape that broadcasts to that of the logits.
        pos_weight: the weight of the positive class relative to the negative one, in a shape that broadcasts likewise.
        reduction: "mean", over the number of elements; "sum"; or "none" for the loss of each element.

    Raises:
        TypeError: logits are not floating point.
        ValueError: shapes do not match, the mean is over no elements, or the reduction is unknown.

    Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), equation 4.90.

    >>> from tinygrad_np import Tensor
    >>> binary_cross_entropy_with_logits(Tensor([1e4, -1e4, 0.0]), [1, 1, 0], reduction="none")
    Tensor([0.000000e+00, 1.000000e+04, 6.931472e-01], dtype=float32)
    """
    name = "binary_cross_entropy_with_logits"
    targets = checked_targets(name, logits, targets)
    if pos_weight is not None:
        pos_weight = _broadcasting(name, "pos_weight", pos_weight, logits, at_least=0)
    if weight is not None:
        weight = _broadcasting(name, "weight", weight, logits, at_least=-math.inf)  # an advantage may be negative

    def loss(logits: Any, targets: Any) -> Any:
        positive, negative = targets, 1 - targets
        if pos_weight is not None:
            positive = positive * pos_weight
        if weight is not None:
            positive, negative = positive * weight, negative * weight
            if type(weight) is not Tensor:
                logits = keep(logits, weight != 0)
        elif pos_weight is None:
            return _binary_cross_entropy(logits, positive, negative)
        # What has no weight does not count, even if it is NaN; but derivatives by the weights do not exist there.
        uncounted = np.isnan(logits) & (array_of(positive) == 0) & (array_of(negative) == 0)
        return zero_at(_binary_cross_entropy(keep(logits, ~uncounted), positive, negative), uncounted)

    return reduced(name, reduction, loss, logits, targets)


# --- focal losses ----------------------------------------------------------------------------------------------------


def _focused_slope(x: Any, gamma: float) -> Any:
    """(1 - exp(-x))**gamma * (1 + gamma * x / (exp(x) - 1))."""
    inside = np.clip(x, float(np.finfo(x.dtype).eps), 1e4)  # between the limits of the last term, which are 1 and 0
    rate = inside * np.exp(-inside) / -np.expm1(-inside)
    return np.power(-np.expm1(-x), gamma) * (1 + gamma * rate)


@differentiable(
    lambda g, y, x, *, gamma=2.0: g * _focused_slope(x, gamma),
    jvp="elementwise",
    wide=True,
    cases=each("*", domains=(POSITIVE,), gamma=(0.5, 2.0)),
    name="sigmoid_focal_loss",
)
def _focused(x: Array, gamma: float = 2.0) -> Array:
    """A cross-entropy x = -log(p) times (1 - p)**gamma, without the cancellation of 1 - p near 0."""
    return np.asarray(x * np.power(-np.expm1(-x), gamma))


@composed(
    *(
        Case("N M, N M", (), options, (REAL, Domain(0, 2, "i")))
        for options in ({}, {"alpha": None, "gamma": 1.5, "reduction": "none"}, {"gamma": 0, "reduction": "sum"})
    )
)
def sigmoid_focal_loss(
    logits: Any, targets: Any, *, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean"
) -> Any:
    """Mean binary cross-entropy of logits times (1 - p)**gamma, for the probability p of the right class.

    What is certain already counts little, so that a rare class is not outweighed by many easy examples of the other.

    Args:
        logits: any shape, floating point.
        targets: the same shape; 0 or 1; without a gradient.
        alpha: the weight of the positive class, from 0 to 1; that of the negative class is 1 - alpha. None for neither.
        gamma: how much what is certain is discounted, at least 0; 0 is binary cross-entropy.
        reduction: "mean", over the number of elements; "sum"; or "none" for the loss of each element.

    Raises:
        TypeError: logits are not floating point, or targets require a gradient.
        ValueError: shapes differ, a target is neither 0 nor 1, the mean is over no elements, or an option is invalid.

    Source: T.-Y. Lin et al., "Focal loss for dense object detection" (2017), equation 5.

    >>> from tinygrad_np import Tensor
    >>> sigmoid_focal_loss(Tensor([0.0, 4.0, -4.0]), [1, 1, 1], alpha=None, reduction="none")
    Tensor([1.732868e-01, 5.871572e-06, 3.874907e+00], dtype=float32)
    """
    name = "sigmoid_focal_loss"
    gamma = check.real(name, "gamma", gamma, at_least=0)
    if alpha is not None:
        alpha = check.real(name, "alpha", alpha, at_least=0, at_most=1)
    check.floating(name, "logits", logits)
    targets = constants(name, "targets", targets, logits.shape, logits.dtype)
    wrong = (targets != 0) & (targets != 1)
    if wrong.any():
        raise ValueError(f"{name}: targets must be 0 or 1, not {targets[wrong][0].item()}")

    def loss(logits: Any, targets: Any) -> Any:
        losses = _focused(softplus(logits * (1 - 2 * targets)), gamma=gamma)
        return losses if alpha is None else losses * np.where(targets == 1, alpha, 1 - alpha).astype(targets.dtype)

    return reduced(name, reduction, loss, logits, targets)


@composed(
    *(
        Case(shapes, (), options, (REAL, Domain(0, 3, "i")))
        for shapes, options in (
            ("N 3, N", {}),
            ("N 3 2, N 2", {"alpha": WEIGHT, "gamma": 0.5, "reduction": "none"}),
            ("N 3, N", {"gamma": 0, "ignore_index": 1, "reduction": "sum"}),
        )
    )
)
def softmax_focal_loss(
    logits: Any,
    labels: Any,
    *,
    alpha: Any = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """Mean cross-entropy times (1 - p)**gamma, for the probability p of the right class.

    Args:
        logits, labels, ignore_index: as for `cross_entropy`; the labels are integers.
        alpha: the weight of each class, shape (classes,). The mean is not divided by these weights.
        gamma: how much what is certain is discounted, at least 0; 0 is cross-entropy.
        reduction: "mean", over the labels that are not ignored; "sum"; or "none" for losses in the shape of the labels.

    Raises:
        TypeError, ValueError: as for `cross_entropy`, or gamma is less than 0.

    Source: T.-Y. Lin et al., "Focal loss for dense object detection" (2017), equation 5.

    >>> from tinygrad_np import Tensor
    >>> softmax_focal_loss(Tensor([[0.0, 0.0], [4.0, 0.0]]), [0, 0], reduction="none")
    Tensor([1.732868e-01, 5.871572e-06], dtype=float32)
    """
    name = "softmax_focal_loss"
    gamma = check.real(name, "gamma", gamma, at_least=0)
    check_reduction(name, reduction)
    numbers = class_labels(name, "logits", logits, labels)
    check_class_shapes(name, "logits", logits, numbers, reduction)
    check.integer(name, "ignore_index", ignore_index)
    kept = numbers != ignore_index
    check.labels(name, "labels", np.where(kept, numbers, 0), logits.shape[1])
    entropies = cross_entropy(logits, numbers, ignore_index=ignore_index, reduction="none")
    scale = np.ones(numbers.shape, logits.dtype)
    if alpha is not None:
        alpha = np.asarray(check.weights(name, "alpha", alpha))
        if alpha.shape != logits.shape[1:2]:
            raise ValueError(f"{name}: alpha must have shape {logits.shape[1:2]}, one per class, not {alpha.shape}")
        scale = alpha[np.where(kept, numbers, 0)].astype(logits.dtype)
    if reduction == "mean" and not kept.any():
        raise ValueError(f"{name}: the mean is undefined: every label is ignored")

    def loss(entropies: Any, scale: Any) -> Any:
        losses = _focused(entropies, gamma=gamma) * scale
        return np.sum(losses) / int(np.count_nonzero(kept)) if reduction == "mean" else losses

    return reduced(name, "none" if reduction == "mean" else reduction, loss, entropies, scale)


# --- overlap ---------------------------------------------------------------------------------------------------------


def _masks(name: str, probabilities: Any, targets: Any) -> Any:
    """Targets in the shape of the probabilities: as they are given, or one-hot along axis 1 of integer labels."""
    check.floating(name, "probabilities", probabilities)
    if probabilities.ndim < 2:
        shape = probabilities.shape
        raise ValueError(f"{name}: probabilities must have shape (batch, classes, ...), not {shape}")
    targets = targets if hasattr(targets, "dtype") else np.asarray(targets)
    if targets.dtype.kind in "iu" and targets.shape == (*probabilities.shape[:1], *probabilities.shape[2:]):
        labels = check.labels(name, "targets", array_of(targets), probabilities.shape[1])
        return np.moveaxis(one_hot(labels, probabilities.shape[1], probabilities.dtype), -1, 1)
    return checked_targets(name, probabilities, targets, "probabilities")


@composed(
    *each("N C 2 M, N C 2 M", domains=(PROBABILITY,), squared=(False, True)),
    Case("N C M, N C M", kwargs={"smooth": 0.1, "reduction": "none"}, domains=(PROBABILITY,)),
)
def dice_loss(
    probabilities: Any, targets: Any, *, smooth: float = 1.0, squared: bool = False, reduction: str = "mean"
) -> Any:
    """Mean of 1 - (2 * overlap + smooth) / (area + area of the target + smooth), for each example and class.

    The overlap is the sum of probabilities * targets over all axes after the first two, an area the sum of the
    probabilities, or of their squares.

    Args:
        probabilities: from 0 to 1, such as `sigmoid(logits)` or `softmax(logits, axis=1)`, shape (batch, classes, ...).
        targets: the same shape, 0 or 1 or probabilities, and differentiable too; or integer labels from 0 to classes -
            1, shape (batch, ...).
        smooth: keeps a class that is absent from dividing by 0, above 0. Such a class has a loss of 0 if its
            probabilities are all 0.
        squared: whether areas are sums of squares.
        reduction: "mean", "sum", or "none" for losses of shape (batch, classes).

    Raises:
        TypeError: probabilities are not floating point.
        ValueError: shapes do not match, labels are out of range, the mean is over nothing, or an option is invalid.

    Source: F. Milletari, N. Navab and S.-A. Ahmadi, "V-Net: fully convolutional neural networks for volumetric medical
    image segmentation" (2016), section 3, with sums of squares.

    >>> from tinygrad_np import Tensor
    >>> dice_loss(Tensor([[[1.0, 1.0, 0.0, 0.0]]]), [[[1, 0, 0, 0]]])
    Tensor(0.25, dtype=float32)
    """
    name = "dice_loss"
    smooth = check.real(name, "smooth", smooth, above=0)
    check.boolean(name, "squared", squared)
    targets = _masks(name, probabilities, targets)

    def loss(p: Any, t: Any) -> Any:
        axes = tuple(range(2, p.ndim))
        overlap = np.sum(p * t, axis=axes)
        areas = np.sum(p * p + t * t if squared else p + t, axis=axes)
        return (areas - 2 * overlap) / (areas + smooth)

    return reduced(name, reduction, loss, probabilities, targets)


# --- divergence ------------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, x: over_slope(g, x, x), examples=FIRST, cases=[Case("*", domains=(POSITIVE,))], name="kl_div"
)
def _log(x: Array) -> Array:
    """log(x), whose derivative does not count where nothing depends on it, also at 0."""
    return np.asarray(np.log(x))


def _times_log_slope(g: Any, x: Any) -> Any:
    unused = (array_of(x) == 0) & (array_of(g) == 0)  # there 0 * -inf would be NaN
    return zero_at(g, unused) * (_log(np.where(unused, 1, x)) + 1)


@differentiable(
    lambda g, y, x: _times_log_slope(g, x), examples=FIRST, cases=[Case("*", domains=(POSITIVE,))], name="kl_div"
)
def _times_log(x: Array) -> Array:
    """x * log(x), with its limit 0 at 0, where the gradient is minus infinity."""
    return np.asarray(x * np.log(np.where(x == 0, 1, x)))


@composed(
    *each("N M, N M", domains=(REAL, POSITIVE), reduction=("mean", "batchmean")),
    Case("N M, N M", kwargs={"log_target": True, "reduction": "none"}),
)
def kl_div(log_probabilities: Any, targets: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence, targets * (log(targets) - log_probabilities), averaged over all elements by default.

    Args:
        log_probabilities: any shape, floating point.
        targets: the same shape; probabilities, or log-probabilities if `log_target`; differentiable too. Where the
            target probability is 0 the loss is 0, whatever the prediction.
        reduction: "batchmean" for the divergence as it is defined, the sum divided by the length of axis 0; "mean",
            over the number of elements; "sum"; or "none" for the loss of each element.
        log_target: whether the targets are log-probabilities.

    Raises:
        TypeError: log_probabilities are not floating point.
        ValueError: shapes differ, the mean is over no elements, or the reduction is unknown.

    Source: S. Kullback and R. A. Leibler, "On information and sufficiency" (1951), equation 2.4.

    >>> from tinygrad_np import Tensor
    >>> kl_div(Tensor(np.log([[0.5, 0.5]])), [[0.0, 1.0]], reduction="batchmean")
    Tensor(0.69314718, dtype=float64)
    """

    def loss(log_probabilities: Any, targets: Any) -> Any:
        if log_target:
            possible = targets > -np.inf
            return np.exp(targets) * (keep(targets, possible) - keep(log_probabilities, possible))
        counted = (targets != 0) | np.isfinite(log_probabilities)
        return _times_log(targets) - targets * keep(log_probabilities, counted)

    check.boolean("kl_div", "log_target", log_target)
    targets = checked_targets("kl_div", log_probabilities, targets)
    if reduction != "batchmean":
        return reduced("kl_div", reduction, loss, log_probabilities, targets)
    shape = log_probabilities.shape
    if not shape or not shape[0]:
        raise ValueError(f"kl_div: 'batchmean' needs a batch of at least 1 along axis 0, not shape {shape}")
    return reduced("kl_div", "sum", lambda p, t: loss(p, t) / shape[0], log_probabilities, targets)
