"""Losses of regression: how far predictions are from the targets, and likelihoods of counts and measurements.

All take `reduction`: "mean" (the default) and "sum" give a scalar, "none" gives the loss of each element. The mean over
an empty input raises. Targets that are not Tensors are converted to the dtype of the predictions.
"""

import math
from typing import Any

import numpy as np

from .. import _validation as check
from .._registry import differentiable
from ..tensor import Array
from .cases import POSITIVE, REAL, Case, Domain, each
from .elementwise import array_of, keep
from .reduced import REDUCTIONS, checked_targets, composed, reduced

# --- errors ----------------------------------------------------------------------------------------------------------


@composed(*each("N M, N M", reduction=REDUCTIONS))
def mse_loss(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """Mean squared error, (predictions - targets)**2.

    Args:
        predictions: any shape, floating point.
        targets: the same shape; differentiable too.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        TypeError: predictions are not floating point.
        ValueError: shapes differ, the mean is over no elements, or the reduction is unknown.

    >>> from tinygrad_np import Tensor
    >>> mse_loss(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(2., dtype=float32)
    """
    targets = checked_targets("mse_loss", predictions, targets)
    return reduced("mse_loss", reduction, lambda p, t: np.square(p - t), predictions, targets)


@composed(Case("N M, N M"))
def l1_loss(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """Mean absolute error, |predictions - targets|; the gradient is 0 where they are equal.

    Args:
        predictions, targets, reduction: as for `mse_loss`.

    Raises:
        TypeError, ValueError: as for `mse_loss`.

    >>> from tinygrad_np import Tensor
    >>> l1_loss(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(1., dtype=float32)
    """
    targets = checked_targets("l1_loss", predictions, targets)
    return reduced("l1_loss", reduction, lambda p, t: np.abs(p - t), predictions, targets)


@differentiable(
    lambda g, y, x, *, delta: g * np.clip(x, -delta, delta),
    jvp="elementwise",
    cases=each("*", delta=(0.5, 2.0)),
    name="huber_loss",
)
def _huber(x: Array, delta: float) -> Array:
    within = np.clip(x, -delta, delta)
    return np.asarray(within * (x - 0.5 * within) if delta < np.inf else 0.5 * x * x)


@composed(*each("N M, N M", delta=(0.5, 2.0)))
def huber_loss(predictions: Any, targets: Any, *, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Mean Huber loss: d**2 / 2 where d = |predictions - targets| <= delta, and delta * (d - delta / 2) elsewhere.

    Args:
        predictions, targets, reduction: as for `mse_loss`.
        delta: the error at which the loss changes from quadratic to linear, above 0.

    Raises:
        TypeError, ValueError: as for `mse_loss`, or delta is not above 0.

    Source: P. J. Huber, "Robust estimation of a location parameter" (1964).

    >>> from tinygrad_np import Tensor
    >>> huber_loss(Tensor([0.0, 0.0]), [1.0, 3.0], reduction="none")
    Tensor([0.5, 2.5], dtype=float32)
    """
    if type(delta) is not float or not delta > 0:  # an infinite delta gives half the squared error
        delta = check.real("huber_loss", "delta", delta, above=0)
    targets = checked_targets("huber_loss", predictions, targets)
    return reduced("huber_loss", reduction, lambda p, t: _huber(p - t, delta=delta), predictions, targets)


@composed(*each("N M, N M", beta=(0.5, 2.0)), Case("N M, N M", kwargs={"beta": 0, "reduction": "none"}))
def smooth_l1_loss(predictions: Any, targets: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Mean smooth absolute error: d**2 / (2 * beta) where d = |predictions - targets| < beta, d - beta / 2 elsewhere.

    It is `huber_loss` divided by its delta: the slope for large errors is 1, whatever beta is.

    Args:
        predictions, targets, reduction: as for `mse_loss`.
        beta: the error at which the loss changes from quadratic to linear, at least 0; 0 gives `l1_loss`.

    Raises:
        TypeError, ValueError: as for `mse_loss`, or beta is less than 0.

    Source: R. Girshick, "Fast R-CNN" (2015), equation 3, where beta is 1.

    >>> from tinygrad_np import Tensor
    >>> smooth_l1_loss(Tensor([0.0, 0.0]), [1.0, 3.0], reduction="none", beta=2.0)
    Tensor([0.25, 2.  ], dtype=float32)
    """
    beta = check.real("smooth_l1_loss", "beta", beta, at_least=0)
    targets = checked_targets("smooth_l1_loss", predictions, targets)

    def loss(p: Any, t: Any) -> Any:
        return _huber(p - t, delta=beta) / beta if beta else np.abs(p - t)

    return reduced("smooth_l1_loss", reduction, loss, predictions, targets)


# --- likelihoods -----------------------------------------------------------------------------------------------------


def _stirling(t: Any) -> Any:
    """log(t!) for t > 1 by Stirling's formula, and 0 up to 1."""
    large = array_of(t) > 1
    t = np.where(large, t, 1)
    return keep(t * np.log(t) - t + 0.5 * np.log(2 * math.pi * t), large)


@composed(
    *each("N M, N M", domains=(REAL, Domain(1.2, 5)), full=(False, True)),
    *each("N M, N M", domains=(POSITIVE,), log_input=(False,), eps=(0.1,), reduction=("none",)),
)
def poisson_nll_loss(
    predictions: Any,
    targets: Any,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Mean negative log-likelihood of counts under Poisson distributions, without log(targets!) unless `full`.

    The loss of an element is exp(predictions) - targets * predictions, or predictions - targets * log(predictions +
    eps) for rates that are predicted themselves.

    Args:
        predictions: logarithms of rates, or rates of at least 0; any shape, floating point.
        targets: counts, the same shape; differentiable too.
        log_input: whether the predictions are logarithms.
        full: add Stirling's approximation of log(targets!) for targets above 1.
        eps: what is added to rates before their logarithm is taken, above 0.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        TypeError: predictions are not floating point.
        ValueError: shapes differ, the mean is over no elements, or an option is invalid.

    Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 4.3, for the Poisson distribution.

    >>> from tinygrad_np import Tensor
    >>> poisson_nll_loss(Tensor([0.0, 1.0]), [1, 2], reduction="none")
    Tensor([1.      , 0.718282], dtype=float32)
    """
    name = "poisson_nll_loss"
    check.boolean(name, "log_input", log_input)
    check.boolean(name, "full", full)
    eps = check.real(name, "eps", eps, above=0)
    targets = checked_targets(name, predictions, targets)

    def loss(p: Any, t: Any) -> Any:
        if log_input:  # where no event is expected and none occurs, 0 * -inf would be NaN
            losses = np.exp(p) - t * keep(p, (array_of(t) != 0) | np.isfinite(array_of(p)))
        else:
            losses = p - t * np.log(p + eps)
        return losses + _stirling(t) if full else losses

    return reduced(name, reduction, loss, predictions, targets)


def _variances(name: str, predictions: Any, var: Any) -> Any:
    """Variances checked to be at least 0, in the shape of the predictions or one that broadcasts to it."""
    var = check.real_array(name, "var", var, predictions.dtype)
    shape, full = var.shape, predictions.shape
    if shape and (len(shape) != len(full) or any(n not in (1, m) for n, m in zip(shape, full, strict=True))):
        hint = "; write var[..., np.newaxis]" if shape == full[:-1] else ""
        raise ValueError(f"{name}: var must have the shape of the predictions, {full}, or 1 in it, not {shape}{hint}")
    if np.any(negative := array_of(var) < 0):
        raise ValueError(f"{name}: var must be at least 0, not {array_of(var)[negative].ravel()[0].item()}")
    return var


@composed(
    *each("N M, N M, N M", domains=(REAL, REAL, POSITIVE), full=(False, True)),
    Case("N M, N M, N 1", kwargs={"eps": 0.01, "reduction": "none"}, domains=(REAL, REAL, POSITIVE)),
)
def gaussian_nll_loss(
    predictions: Any, targets: Any, var: Any, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Mean negative log-likelihood under normal distributions, (log(var) + (predictions - targets)**2 / var) / 2.

    Args:
        predictions: the means, any shape, floating point.
        targets: the same shape; differentiable too.
        var: the variances, at least 0: a number, or an array in the shape of the predictions, where any axis may have
            length 1; differentiable too. Those below eps count as eps, and have the gradient that eps has: so they can
            grow.
        full: add the constant log(2 * pi) / 2.
        eps: the smallest variance, above 0.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        TypeError: predictions are not floating point.
        ValueError: shapes do not match, a variance is negative, the mean is over no elements, or an option is invalid.

    Source: D. A. Nix and A. S. Weigend, "Estimating the mean and variance of the target probability distribution"
    (1994), equation 3.

    >>> from tinygrad_np import Tensor
    >>> gaussian_nll_loss(Tensor([1.0, 1.0]), [1.0, 3.0], [1.0, 4.0], reduction="none")
    Tensor([0.       , 1.1931472], dtype=float32)
    """
    name = "gaussian_nll_loss"
    check.boolean(name, "full", full)
    eps = check.real(name, "eps", eps, above=0)
    targets = checked_targets(name, predictions, targets)
    var = _variances(name, predictions, var)

    def loss(p: Any, t: Any, v: Any) -> Any:
        small = array_of(v) < eps
        if np.any(small):
            v = v + np.where(small, eps - array_of(v), 0).astype(v.dtype)
        losses = 0.5 * (np.log(v) + np.square(p - t) / v)
        return losses + 0.5 * math.log(2 * math.pi) if full else losses

    return reduced(name, reduction, loss, predictions, targets, var)
