"""Losses with a margin: they are 0, or nearly so, for examples that are right by enough.

All take `reduction`: "mean" (the default) and "sum" give a scalar, "none" gives one loss per element or example. The
mean over an empty input raises. Targets are 1 or -1, and have no gradient. Where a loss becomes 0, its gradient is 0.
"""

from typing import Any

import numpy as np

from .. import _validation as check
from ..tensor import Tensor
from .cases import REAL, Case, Domain
from .elementwise import array_of, keep, relu
from .reduced import checked_targets, composed, constants, reduced, signs
from .special import softplus

SIGNS = Domain(0, 2, "i")


def _with_signs(*arrays: Any) -> tuple[Any, ...]:
    """The arguments of a case, whose last array, of 0 and 1, becomes one of -1 and 1."""
    *others, numbers = arrays
    return *others, 2 * numbers - 1


def _case(shapes: str, domain: Domain = REAL, **options: Any) -> Case:
    domains = *[domain] * shapes.count(","), SIGNS
    return Case(shapes, (), options, domains, prepare=_with_signs)


def _power(name: str, p: Any) -> int:
    return int(check.one_of(name, "p", p, (1, 2)))


@composed(_case("N M, N M"), _case("N M, N M", p=2, margin=0.3, reduction="none"))
def hinge_loss(predictions: Any, targets: Any, *, p: int = 1, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Mean hinge loss, max(0, margin - targets * predictions)**p.

    Args:
        predictions: any shape, floating point.
        targets: the same shape; 1 or -1; without a gradient.
        p: 1, or 2 for the squared hinge loss.
        margin: from where on a prediction is right by enough.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        TypeError: predictions are not floating point, or targets require a gradient.
        ValueError: shapes differ, a target is neither 1 nor -1, the mean is over no elements, or an option is invalid.

    Source: C. Cortes and V. Vapnik, "Support-vector networks" (1995).

    >>> from tinygrad_np import Tensor
    >>> hinge_loss(Tensor([2.0, 0.5, 0.5]), [1, 1, -1], reduction="none")
    Tensor([0. , 0.5, 1.5], dtype=float32)
    """
    name = "hinge_loss"
    p, margin = _power(name, p), check.real(name, "margin", margin)
    check.floating(name, "predictions", predictions)
    targets = signs(name, targets, predictions.shape, predictions.dtype)

    def loss(x: Any, t: Any) -> Any:
        missing = relu(margin - t * x)
        return missing if p == 1 else np.square(missing)

    return reduced(name, reduction, loss, predictions, targets)


@composed(_case("N M, N M"), _case("N M, N M", margin=2.5, reduction="none"))
def hinge_embedding_loss(predictions: Any, targets: Any, *, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Mean loss of distances: the prediction where the target is 1, and max(0, margin - prediction) where it is -1.

    Args:
        predictions: usually distances between pairs; any shape, floating point.
        targets: the same shape; 1 for pairs that are alike, -1 for others; without a gradient.
        margin: the distance from which on pairs that are not alike are far enough apart.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        TypeError, ValueError: as for `hinge_loss`.

    Source: R. Hadsell, S. Chopra and Y. LeCun, "Dimensionality reduction by learning an invariant mapping" (2006), here
    without squares.

    >>> from tinygrad_np import Tensor
    >>> hinge_embedding_loss(Tensor([0.25, 0.25, 2.0]), [1, -1, -1], reduction="none")
    Tensor([0.25, 0.75, 0.  ], dtype=float32)
    """
    name = "hinge_embedding_loss"
    margin = check.real(name, "margin", margin)
    check.floating(name, "predictions", predictions)
    targets = signs(name, targets, predictions.shape, predictions.dtype)

    def loss(x: Any, t: Any) -> Any:
        return keep(x, t == 1) + keep(relu(margin - x), t == -1)

    return reduced(name, reduction, loss, predictions, targets)


@composed(_case("N M, N M"), _case("N M, N M", reduction="none"))
def soft_margin_loss(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """Mean logistic loss, log(1 + exp(-targets * predictions)), which does not overflow.

    Args:
        predictions, targets, reduction: as for `hinge_loss`.

    Raises:
        TypeError, ValueError: as for `hinge_loss`.

    Source: T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning (2009), section 10.6.

    >>> from tinygrad_np import Tensor
    >>> soft_margin_loss(Tensor([1000.0, 0.0, -1000.0]), [1, 1, 1], reduction="none")
    Tensor([0.000000e+00, 6.931472e-01, 1.000000e+03], dtype=float32)
    """
    name = "soft_margin_loss"
    check.floating(name, "predictions", predictions)
    targets = signs(name, targets, predictions.shape, predictions.dtype)
    return reduced(name, reduction, lambda x, t: softplus(-t * x), predictions, targets)


@composed(_case("N M, N M, N M"), _case("N M, N M, N M", margin=0.7, reduction="none"))
def margin_ranking_loss(first: Any, second: Any, targets: Any, *, margin: float = 0.0, reduction: str = "mean") -> Any:
    """Mean ranking loss, max(0, margin - targets * (first - second)).

    Args:
        first: any shape, floating point.
        second: the same shape; differentiable too.
        targets: the same shape; 1 where the first is to be larger, -1 where the second is; without a gradient.
        margin: by how much it is to be larger.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        TypeError, ValueError: as for `hinge_loss`.

    Source: R. Herbrich, T. Graepel and K. Obermayer, "Large margin rank boundaries for ordinal regression" (2000).

    >>> from tinygrad_np import Tensor
    >>> margin_ranking_loss(Tensor([3.0, 1.0]), [1.0, 3.0], [1, 1], reduction="none")
    Tensor([0., 2.], dtype=float32)
    """
    name = "margin_ranking_loss"
    margin = check.real(name, "margin", margin)
    second = checked_targets(name, first, second, "first", "second")
    targets = signs(name, targets, first.shape, first.dtype)
    return reduced(name, reduction, lambda a, b, t: relu(margin - t * (a - b)), first, second, targets)


@composed(
    *(
        Case("N 3, N", (), options, (REAL, Domain(0, 3, "i")))
        for options in ({}, {"p": 2, "margin": 0.4, "weight": np.array([0.5, 2.0, 0.0]), "reduction": "none"})
    )
)
def multi_margin_loss(
    predictions: Any, labels: Any, *, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Mean hinge loss of classes, the sum of max(0, margin - right + other)**p over the other classes / classes.

    Here `right` is the score of the right class, `other` that of another one, and `classes` the number of all.

    Args:
        predictions: a score for each class, shape (batch, classes), floating point.
        labels: the correct classes, shape (batch,), integers from 0 to classes - 1.
        p: 1, or 2 for squares.
        margin: by how much the right class is to be ahead.
        weight: the weight of each class, shape (classes,). The mean is not divided by these weights.
        reduction: "mean", "sum", or "none" for the loss of each example.

    Raises:
        TypeError: predictions are not floating point.
        ValueError: shapes do not match, labels are out of range, the mean is over no examples, or an option is invalid.

    Source: K. Crammer and Y. Singer, "On the algorithmic implementation of multiclass kernel-based vector machines"
    (2001), with the sum of J. Weston and C. Watkins (1999) in the place of the maximum.

    >>> from tinygrad_np import Tensor
    >>> multi_margin_loss(Tensor([[3.0, 2.5, 0.0]]), [0])
    Tensor(0.16666667, dtype=float32)
    """
    name = "multi_margin_loss"
    p, margin = _power(name, p), check.real(name, "margin", margin)
    check.floating(name, "predictions", predictions)
    labels = check.indices(array_of(labels) if type(labels) is Tensor else labels)
    if predictions.ndim != 2 or labels.shape != predictions.shape[:1]:
        shapes = f"{predictions.shape} and {labels.shape}"
        raise ValueError(f"{name}: predictions must have shape (batch, classes) and labels (batch,), not {shapes}")
    classes = predictions.shape[1]
    check.labels(name, "labels", labels, classes)
    if weight is not None:
        weight = constants(name, "weight", check.weights(name, "weight", weight), (classes,), predictions.dtype)
        weight = weight[labels][:, np.newaxis]
    others = np.arange(classes) != labels[:, np.newaxis]

    def loss(x: Any) -> Any:
        right = np.take_along_axis(x, labels[:, np.newaxis], axis=1)
        missing = keep(relu(margin - right + x), others)
        losses = missing if p == 1 else np.square(missing)
        return np.sum(losses if weight is None else losses * weight, axis=1) / classes

    return reduced(name, reduction, loss, predictions)
