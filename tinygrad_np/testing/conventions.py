"""Gradients that are a convention or easy to get wrong, as tables for the tests and for OPERATIONS.md.

- `CONVENTIONS`: each gradient holds exactly, for an output gradient of ones, and is computed without a warning.
- `REFUSED`: what raises an error, where a gradient would not be right.
- `TRAPS`: expressions whose gradient is useless, in this package as in all others, and what to write instead.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..ops.activations import (
    SELU_ALPHA,
    SELU_SCALE,
    celu,
    elu,
    hardsigmoid,
    hardswish,
    hardtanh,
    mish,
    prelu,
    relu6,
    selu,
    softsign,
)
from ..ops.elementwise import relu
from ..ops.losses import cross_entropy
from ..ops.margins import hinge_loss
from ..ops.probabilities import binary_cross_entropy_with_logits, kl_div
from ..ops.regression import gaussian_nll_loss, huber_loss, l1_loss
from ..ops.similarity import cosine_similarity, normalize, pairwise_distance, triplet_margin_loss
from ..ops.special import erf, gelu, leaky_relu, log_softmax, logsumexp, sigmoid, silu, softmax, softplus
from ..tensor import Tensor, grad

INF, NAN = np.inf, np.nan


class Convention(NamedTuple):
    """A function, its inputs, and their required gradients; `peers_disagree` if another framework gives others."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    gradients: tuple[Any, ...]
    peers_disagree: bool = False
    dtype: str = "float64"


class Refused(NamedTuple):
    """A call that raises this kind of error, with a message that contains this text."""

    name: str
    function: Callable[[], Any]
    error: type[Exception]
    message: str


class Trap(NamedTuple):
    """An expression of one input, its gradient there; and what to write instead, with its gradient."""

    name: str
    function: Callable[[Any], Any]
    input: Any
    gradient: Any
    instead: str
    replacement: Callable[[Any], Any]
    right: Any


def _slope(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The gradient of a function as a function, whose own gradient is the sum of the rows of the Hessian."""

    def slope(x: Any) -> Any:
        y = function(x)
        return grad(y, x, np.ones(y.shape), create_graph=True)

    return slope


def _repeated(step: Callable[[Any], Any], times: int) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        for _ in range(times):
            x = step(x)
        return x

    return function


def _projection(x: Any) -> Any:
    """The element [2, 0] of the projection on the eigenvectors of the two smallest eigenvalues."""
    v = np.linalg.eigh(x).eigenvectors[:, :2]
    return (v @ v.T)[2, 0]


def _by_eigh(x: Any) -> Any:
    w, v = np.linalg.eigh(x)
    return v * w**2 @ v.T


CONVENTIONS = [
    Convention("x * x * x at 2", lambda x: x * x * x, (2.0,), (12.0,)),
    Convention("b = a + a, c = b + b", lambda a: (lambda b: b + b)(a + a), (1.0,), (4.0,)),
    Convention("(3,1) + (1,4)", np.add, (np.ones((3, 1)), np.ones((1, 4))), ([[4.0]] * 3, [[3.0] * 4])),
    Convention("(3,) * (1,3)", np.multiply, (np.ones(3), np.ones((1, 3))), ([1, 1, 1], [[1, 1, 1]])),
    Convention("a * b, 0-d", np.multiply, (2.0, 3.0), (3.0, 2.0)),
    Convention("sum of shape (0,3)", np.sum, (np.ones((0, 3)),), (np.ones((0, 3)),)),
    Convention("maximum at a tie", np.maximum, ([1, 2], [1, 1]), ([0.5, 1], [0.5, 0]), True),
    Convention("minimum at a tie", np.minimum, ([1, 2], [1, 1]), ([0.5, 0], [0.5, 1]), True),
    Convention("max of [1,3,3]", np.max, ([1, 3, 3],), ([0, 0.5, 0.5],), True),
    Convention(
        "max along an axis",
        lambda x: np.max(x, axis=1),
        ([[1, 3, 3], [2, 2, 0]],),
        ([[0, 0.5, 0.5], [0.5, 0.5, 0]],),
        True,
    ),
    Convention("min of [1,1,3]", np.min, ([1, 1, 3],), ([0.5, 0.5, 0],), True),
    Convention("clip to [0,1]", lambda x: np.clip(x, 0, 1), ([-1, 0, 0.5, 1, 2],), ([0, 1, 1, 1, 0],), True),
    Convention("relu at 0", relu, ([-1, 0, 1],), ([0, 0, 1],)),
    Convention("elu at 0, alpha 2", lambda x: elu(x, alpha=2.0), ([-INF, 0, 1],), ([0, 2, 1],)),
    Convention("celu at 0, alpha 2", lambda x: celu(x, alpha=2.0), ([-INF, 0, 1],), ([0, 1, 1],)),
    Convention("selu at 0", selu, ([-INF, 0, 1],), ([0, SELU_SCALE * SELU_ALPHA, SELU_SCALE],)),
    Convention("prelu at 0", prelu, ([-1, 0, 1], [0.25]), ([0.25, 0.25, 1], [-1])),
    Convention("hardtanh at its bounds", hardtanh, ([-2, -1, 0, 1, INF],), ([0, 0, 1, 0, 0],), True),
    Convention("relu6 at its bounds", relu6, ([-1, 0, 3, 6, INF],), ([0, 0, 1, 0, 0],), True),
    Convention("hardsigmoid at its bounds", hardsigmoid, ([-INF, -3, 0, 3],), ([0, 0, 1 / 6, 0],), True),
    Convention("hardswish at its bounds", hardswish, ([-INF, -3, 0, 3, INF],), ([0, 0, 0.5, 1, 1],), True),
    Convention("abs at 0", np.abs, ([-1, 0, 1],), ([-1, 0, 1],)),
    Convention("sign", np.sign, ([-1, 0, 1],), ([0, 0, 0],)),
    Convention("sqrt at 0", np.sqrt, ([0, 4],), ([INF, 0.25],)),
    Convention("sinc at 0", np.sinc, ([0.0],), ([0.0],)),
    Convention("x**0 at 0", lambda x: x**0, ([0, 2],), ([0, 0],)),
    Convention("x**y at x = 0, y = 0, 1, 2", np.power, ([0, 0, 0], [0, 1, 2]), ([0, 1, 0], [0, 0, 0])),
    Convention(
        "slope by x of x**y at x = 0, y = 0, 1, 2",
        lambda x, y: grad(x**y, x, np.ones(x.shape), create_graph=True),
        ([0, 0, 0], [0, 1, 2]),
        ([0, 0, 2], [NAN, NAN, 0]),
        True,
    ),
    Convention(
        "slope by y of x**y at x = 0, y = 0, 1, 2",
        lambda x, y: grad(x**y, y, np.ones(x.shape), create_graph=True),
        ([0, 0, 0], [0, 1, 2]),
        ([NAN, NAN, 0], [0, 0, 0]),
        True,
    ),
    Convention("(-2)**2", lambda x: x**2, (-2.0,), (-4.0,)),
    Convention("prod of [0,2,3]", np.prod, ([0, 2, 3],), ([6, 0, 0],)),
    Convention("prod of [0,0,3]", np.prod, ([0, 0, 3],), ([0, 0, 0],)),
    Convention("cumprod of [2,0,3,0,4]", np.cumprod, ([2, 0, 3, 0, 4],), ([1, 8, 0, 0, 0],)),
    Convention("cumsum of [1,2,3]", np.cumsum, ([1, 2, 3],), ([3, 2, 1],)),
    Convention("var of [1,2,4], ddof=1", lambda x: np.var(x, ddof=1), ([1, 2, 4],), ([-4 / 3, -1 / 3, 5 / 3],)),
    Convention("std of [2,2]", np.std, ([2, 2],), ([0, 0],), True),
    Convention("norm of zeros", np.linalg.norm, ([0.0, 0.0],), ([0, 0],), True),
    Convention("arctan2(0, 0)", np.arctan2, (0.0, 0.0), (0.0, 0.0), True),
    Convention("logaddexp(-inf, -inf)", np.logaddexp, (-INF, -INF), (0.5, 0.5), True),
    Convention(
        "cross_entropy, logits [[1e4,-1e4]] twice, labels 0 and 1",
        lambda x: cross_entropy(x, [0, 1]),
        ([[1e4, -1e4]] * 2,),
        ([[0, 0], [0.5, -0.5]],),
    ),
    Convention("sigmoid at -1000 and 1000", sigmoid, ([-1000, 1000],), ([0, 0],)),
    Convention("tanh at -1000 and 1000", np.tanh, ([-1000, 1000],), ([0, 0],)),
    Convention("softmax of [-1000,1000]", softmax, ([-1000, 1000],), ([0, 0],)),
    Convention("x[[0,0,1]] of three", lambda x: x[[0, 0, 1]], ([5, 6, 7],), ([2, 1, 0],)),
    Convention(
        "sort of [3,1,1], times [1,2,3]", lambda x: np.sort(x) * np.array([1, 2, 3]), ([3, 1, 1],), ([3, 1, 2],), True
    ),
    Convention(
        "where(x > 0, sqrt(where(x > 0, x, 1)), 0)",
        lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0),
        ([-1, 0, 4],),
        ([0, 0, 0.25],),
    ),
    Convention("where(x > 0, sqrt(x), 0)", lambda x: np.where(x > 0, np.sqrt(x), 0), ([0, 4],), ([0, 0.25],), True),
    Convention("sqrt(relu(x))", lambda x: np.sqrt(relu(x)), ([-1, 4],), ([0, 0.25],)),
    Convention("sqrt(maximum(x, 0))", lambda x: np.sqrt(np.maximum(x, 0)), ([-1, 4],), ([0, 0.25],)),
    Convention("sqrt(clip(x, 0, 9))", lambda x: np.sqrt(np.clip(x, 0, 9)), ([-1, 4],), ([0, 0.25],)),
    Convention("det of [[1,2],[2,4]]", np.linalg.det, ([[1, 2], [2, 4]],), ([[4, -2], [-2, 1]],), True),
    Convention(
        "eigenvalues of the identity, their sum", lambda x: np.sum(np.linalg.eigvalsh(x)), (np.eye(2),), (np.eye(2),)
    ),
    Convention("sum of a 0-d Tensor, axis 0", lambda x: np.sum(x, axis=0), (2.0,), (1.0,)),
    Convention(
        "norm, keepdims", lambda x: np.linalg.norm(x, axis=1, keepdims=True), ([[3, 4]],), ([[0.6, 0.8]],), True
    ),
    Convention("diag of 2 x 3", np.diag, ([[1, 2, 3], [4, 5, 6]],), ([[1, 0, 0], [0, 1, 0]],), True),
    Convention("repeat, axis -1", lambda x: np.repeat(x, 2, axis=-1), ([[1, 2]],), ([[2, 2]],), True),
    Convention("tile of rank 3", lambda x: np.tile(x, (2, 1, 3)), ([[[1, 2]]],), ([[[6, 6]]],), True),
    Convention(
        "einsum 'i,i' with a broadcast 1", lambda a, b: np.einsum("i,i", a, b), ([2], [1, 3, 5]), ([9], [2, 2, 2]), True
    ),
    Convention(
        "where with (3,1) and 0-d",
        lambda a, b: np.where([[True], [False], [True]], a, b),
        ([[1], [2], [3]], 4.0),
        ([[1], [0], [1]], 1.0),
        True,
    ),
    Convention("10,000 times y = y / 2 + y / 2", _repeated(lambda y: y * 0.5 + y * 0.5, 10_000), (1.0,), (1.0,)),
    Convention("a chain of 100,000 operations", _repeated(np.negative, 100_000), (1.0,), (1.0,)),
    Convention("h = x * x, used twice", lambda x: (lambda h: h * 1 + h * 2)(x * x), (2.0,), (12.0,)),
    *(
        Convention(f"{name} in float32", function, ([1.0, 3.0],), (gradient,), dtype="float32")
        for name, function, gradient in (
            ("x * 2.0 + 1", lambda x: x * 2.0 + 1, [2, 2]),
            ("x**2", lambda x: x**2, [2, 6]),
            ("mean", np.mean, [0.5, 0.5]),
            ("var", np.var, [-1, 1]),
            ("max", np.max, [0, 1]),
            ("where(x > 2, x, 0.0)", lambda x: np.where(x > 2, x, 0.0), [0, 1]),
        )
    ),
    Convention("mean of shape (0,3), axis 1", lambda x: np.mean(x, axis=1), (np.ones((0, 3)),), (np.ones((0, 3)),)),
    Convention(
        "transpose with axes (-1, 0, 1), times [1,2] along the first",
        lambda x: np.transpose(x, (-1, 0, 1)) * np.array([1, 2]).reshape(2, 1, 1),
        ([[[3, 4]]],),
        ([[[1, 2]]],),
        True,
    ),
    Convention("sum, where=", lambda x: np.sum(x, where=[True, False]), ([2, 3],), ([1, 0],), True),
    Convention("prod, initial=5", lambda x: np.prod(x, initial=5), ([2, 3],), ([15, 10],)),
    Convention("max, initial=3", lambda x: np.max(x, initial=3), ([1, 3],), ([0, 0.5],), True),
    # ties, bounds and steps
    Convention(
        "leaky_relu at 0, slope 0.5", lambda x: leaky_relu(x, negative_slope=0.5), ([-1, 0, 1],), ([0.5, 0.5, 1],), True
    ),
    Convention("max of [1,nan,3]", np.max, ([1, NAN, 3],), ([0, 1, 0],), True),
    Convention("median of [1,nan,3]", np.median, ([1, NAN, 3],), ([0, 1, 0],), True),
    Convention("median of [1,3,3,2]", np.median, ([1, 3, 3, 2],), ([0, 0.5, 0, 0.5],), True),
    Convention("maximum.accumulate of [1,3,3]", np.maximum.accumulate, ([1, 3, 3],), ([1, 1.5, 0.5],), True),
    Convention("maximum.accumulate of [1,nan,3]", np.maximum.accumulate, ([1, NAN, 3],), ([1, 2, 0],), True),
    Convention("fmax.reduce of [1,nan,3]", np.fmax.reduce, ([1, NAN, 3],), ([0, 0, 1],)),
    Convention("nanmedian of [1,nan,3,3]", np.nanmedian, ([1, NAN, 3, 3],), ([0, 0, 1, 0],), True),
    Convention("quantile, its q, at an element", lambda q: np.quantile(np.array([1.0, 2, 4]), q), (0.5,), (3,), True),
    Convention("polymul with [1,2] of [0,1]", lambda p: np.polymul(p, [1.0, 2.0]), ([0, 1],), ([2, 3],)),
    Convention("ptp of [1,1,2]", np.ptp, ([1, 1, 2],), ([-0.5, -0.5, 1],)),
    Convention(
        "norm of order inf of [3,-3,1]", lambda x: np.linalg.norm(x, INF), ([3, -3, 1],), ([0.5, -0.5, 0],), True
    ),
    Convention("heaviside(x, 0.5) at 0", lambda x: np.heaviside(x, 0.5), ([0.0],), ([0.0],)),
    Convention("l1_loss where it is 0", lambda x: l1_loss(x, [1, 2], reduction="sum"), ([1, 3],), ([0, 1],)),
    Convention("huber_loss at delta", lambda x: huber_loss(x, [0, 0], reduction="sum"), ([1, -1],), ([1, -1],)),
    Convention("hinge_loss at the margin", lambda x: hinge_loss(x, [1, 1], reduction="none"), ([1, 0.5],), ([0, -1],)),
    Convention(
        "triplet_margin_loss where it becomes 0",
        lambda x: triplet_margin_loss(x, [[2.0]], [[-3.0]], eps=0, reduction="none"),
        ([[0.0]],),
        ([[0.0]],),
        True,
    ),
    Convention(
        "gaussian_nll_loss, its var, below eps = 0.5",
        lambda v: gaussian_nll_loss(np.ones(2), np.ones(2), v, eps=0.5, reduction="none"),
        ([0, 0.25],),
        ([1, 1],),
    ),
    Convention("normalize, eps=0.5, of zeros", lambda x: normalize(x, eps=0.5), ([0.0, 0.0],), ([2, 2],)),
    Convention(
        "cosine_similarity of zeros and [3,4], eps=0.5",
        lambda x, y: cosine_similarity(x, y, eps=0.5),
        ([0.0, 0.0], [3.0, 4.0]),
        ([1.2, 1.6], [0, 0]),
    ),
    Convention(
        "cosine_similarity of [0.3,0] and [0,2], eps=0.5",
        lambda x, y: cosine_similarity(x, y, eps=0.5),
        ([0.3, 0], [0, 2]),
        ([0, 2], [0.3, 0]),
        True,
    ),
    Convention("pairwise_distance 0, eps=0", lambda x: pairwise_distance(x, [1.0, 2.0], eps=0), ([1, 2],), ([0, 0],)),
    Convention("fmax with NaN", np.fmax, ([1, NAN], [NAN, 2]), ([1, 0], [0, 1])),
    Convention("maximum(x, 0) with NaN", lambda x: np.maximum(x, 0), ([NAN, 1],), ([0, 1],)),
    Convention("clip(x, 0, 2) with NaN", lambda x: np.clip(x, 0, 2), ([NAN, 1],), ([0, 1],)),
    Convention("nan_to_num", np.nan_to_num, ([NAN, INF, 1],), ([0, 0, 1],)),
    Convention("nansum with NaN", np.nansum, ([1, NAN],), ([1, 0],)),
    Convention("nanmean with NaN", np.nanmean, ([1, NAN, 3],), ([0.5, 0, 0.5],)),
    # infinite and far out
    Convention("cbrt at 0", np.cbrt, ([0, 8],), ([INF, 1 / 12],)),
    Convention("arcsin at 1", np.arcsin, ([1, 0],), ([INF, 1],)),
    Convention("exp at -inf, inf", np.exp, ([-INF, INF],), ([0, INF],)),
    Convention("log at inf", np.log, ([INF],), ([0],)),
    Convention("arctan, tanh at -inf, inf", lambda x: np.arctan(x) + np.tanh(x), ([-INF, INF],), ([0, 0],)),
    Convention("sigmoid, erf at -inf, inf", lambda x: sigmoid(x) + erf(x), ([-INF, INF],), ([0, 0],)),
    Convention("softplus at -inf, inf", softplus, ([-INF, INF],), ([0, 1],)),
    Convention("silu at -inf, inf", silu, ([-INF, INF],), ([0, 1],), True),
    Convention("mish at -inf, inf", mish, ([-INF, INF],), ([0, 1],), True),
    Convention("softsign at -inf, 0, inf", softsign, ([-INF, 0, INF],), ([0, 1, 0],), True),
    Convention("gelu at -inf, inf", gelu, ([-INF, INF],), ([0, 1],), True),
    *(
        Convention(f"slope of {name} at -inf, inf", _slope(function), ([-INF, INF],), ([0, 0],), peers_disagree)
        for name, function, peers_disagree in (
            ("sigmoid", sigmoid, False),
            ("tanh", np.tanh, False),
            ("softplus", softplus, False),
            ("arctan", np.arctan, True),
            ("silu", silu, True),
            ("gelu", gelu, True),
            ("mish", mish, True),
            ("softsign", softsign, True),
            ("elu", elu, False),
            ("hardswish", hardswish, True),
            ("erf", erf, True),
        )
    ),
    Convention("logaddexp(inf, inf)", np.logaddexp, (INF, INF), (0.5, 0.5), True),
    Convention("logaddexp(-inf, 0)", np.logaddexp, (-INF, 0.0), (0.0, 1.0)),
    Convention("logsumexp of [inf,2,3]", logsumexp, ([INF, 2, 3],), ([1, 0, 0],), True),
    Convention("logsumexp of [inf,inf,3]", logsumexp, ([INF, INF, 3],), ([0.5, 0.5, 0],), True),
    Convention("logsumexp of [-inf,-inf]", logsumexp, ([-INF, -INF],), ([0.5, 0.5],), True),
    Convention("logsumexp of [-inf,0,0]", logsumexp, ([-INF, 0, 0],), ([0, 0.5, 0.5],)),
    Convention("logsumexp of [1e300,1e300]", logsumexp, ([1e300, 1e300],), ([0.5, 0.5],), True),
    Convention("softmax of [inf,2], its first element", lambda x: softmax(x)[0], ([INF, 2],), ([0, 0],), True),
    Convention("softmax of [-inf,-inf], which is NaN", softmax, ([-INF, -INF],), ([NAN, NAN],)),
    Convention(
        "cross_entropy, logits [inf,0], label 0", lambda x: cross_entropy(x, [0]), ([[INF, 0]],), ([[0, 0]],), True
    ),
    Convention(
        "cross_entropy, logits [inf,0], label 1", lambda x: cross_entropy(x, [1]), ([[INF, 0]],), ([[1, -1]],), True
    ),
    Convention(
        "binary_cross_entropy_with_logits, targets 0, 0, 1, 1",
        lambda x: binary_cross_entropy_with_logits(x, [0, 0, 1, 1], reduction="sum"),
        ([-INF, INF, -INF, INF],),
        ([0, 1, -1, 0],),
    ),
    Convention("kl_div where the target is 0", lambda x: kl_div(x, [0, 1], reduction="sum"), ([-INF, 0],), ([0, -1],)),
    Convention("arctan2(inf, 1)", np.arctan2, (INF, 1.0), (0.0, 0.0), True),
    # a gradient of 0 at a kink, and no second derivative there
    Convention("hypot(0, 0)", np.hypot, (0.0, 0.0), (0.0, 0.0), True),
    Convention("hypot(-inf, 1)", np.hypot, (-INF, 1.0), (-1.0, 0.0), True),
    Convention("hypot(inf, inf)", np.hypot, (INF, INF), (NAN, NAN)),
    Convention("norm of [1,inf]", np.linalg.norm, ([1, INF],), ([0, 1],), True),
    Convention("norm of order 3 of [1,-inf]", lambda x: np.linalg.norm(x, 3), ([1, -INF],), ([0, -1],), True),
    Convention("norm of [inf,inf,1]", np.linalg.norm, ([INF, INF, 1],), ([NAN, NAN, 0],)),
    Convention("norm of order 3 of zeros", lambda x: np.linalg.norm(x, 3), ([0.0, 0.0],), ([0, 0],), True),
    Convention("norm of order 0.5 of [0,-4]", lambda x: np.linalg.norm(x, 0.5), ([0, -4],), ([0, -1],), True),
    Convention(
        "slope of the norm of order 1.5 of [0,4]",
        _slope(lambda x: np.linalg.norm(x, 1.5)),
        ([0, 4],),
        ([NAN, 0],),
        True,
    ),
    *(
        Convention(f"slope of {name}", _slope(function), ([0.0, 0.0],), ([NAN, NAN],), peers_disagree)
        for name, function, peers_disagree in (
            ("the norm of zeros", np.linalg.norm, False),
            ("hypot(0, 0)", lambda x: np.hypot(x[0], x[1]), True),
            ("arctan2(0, 0)", lambda x: np.arctan2(x[0], x[1]), False),
            ("std of equal numbers", np.std, True),
        )
    ),
    # products and matrices
    Convention("slope of prod of [0,0,3]", _slope(np.prod), ([0, 0, 3],), ([3, 3, 0],)),
    Convention("cumprod of [1e-200,1e-200,1]", np.cumprod, ([1e-200, 1e-200, 1],), ([1, 2e-200, 0],), True),
    Convention("cumprod of [1,0,1e300,1e300]", np.cumprod, ([1, 0, 1e300, 1e300],), ([1, INF, 0, 0],), True),
    Convention("det of a 3 x 3 matrix of ones", np.linalg.det, (np.ones((3, 3)),), (np.zeros((3, 3)),), True),
    Convention(
        "nuclear norm of diag(1, 0)", lambda x: np.linalg.norm(x, "nuc"), ([[1, 0], [0, 0]],), ([[1, 0], [0, 1]],)
    ),
    Convention(
        "projection on the eigenvectors of 1, element [2,0]",
        _projection,
        (np.diag([1.0, 1.0, 3.0]),),
        ([[0, 0, 0], [0, 0, 0], [-0.5, 0, 0]],),
        True,
    ),
    Convention(
        "an eigenvector of the identity",
        lambda x: np.linalg.eigh(x).eigenvectors[0] * np.array([1, 2]),
        (np.eye(2),),
        ([[NAN, 0], [NAN, NAN]],),
    ),
    Convention("QR of equal columns", lambda x: np.linalg.qr(x).R, (np.ones((2, 2)),), (np.full((2, 2), NAN),), True),
    Convention(
        "pinv of [[2,0],[0,0]], along matrices of rank 1",
        np.linalg.pinv,
        ([[2, 0], [0, 0]],),
        ([[-0.25, 0.25], [0.25, 0]],),
    ),
]


def _backward_twice() -> None:
    y = np.sum(Tensor([1.0], requires_grad=True))
    y.backward()
    y.backward()


def _gradient(function: Callable[[Any], Any], at: Any) -> Any:
    x = Tensor(np.array(at, np.float64), requires_grad=True)
    return grad(np.sum(function(x)), x)


REFUSED = [
    Refused("backward twice", _backward_twice, RuntimeError, "retain_graph=True"),
    Refused("max of shape (0,3)", lambda: np.max(Tensor(np.ones((0, 3)))), ValueError, "max of"),
    Refused("sqrt with where=", lambda: np.sqrt(Tensor([1.0]), where=np.array([True])), TypeError, "where="),
    Refused("sum with out=", lambda: np.sum(Tensor([1.0]), out=np.zeros(())), TypeError, "out="),
    Refused("x[0] = 1", lambda: Tensor([1.0]).__setitem__(0, 1), TypeError, "x.at[index].set(value)"),
    Refused(
        "x.at[[0, 0]].set(1)", lambda: Tensor([1.0]).at[np.array([0, 0])].set(np.ones(2)), ValueError, "twice"
    ),
    Refused("a gradient for integers", lambda: Tensor(np.array([1]), requires_grad=True), TypeError, "astype"),
    Refused("maximum of complex numbers", lambda: np.maximum(Tensor([1j]), 0), TypeError, "takes real numbers"),
    Refused(
        "gradient of a complex result", lambda: Tensor([1j], requires_grad=True).backward(), TypeError,
        "holomorphic_grad",
    ),
    Refused("masked arrays", lambda: Tensor(np.ma.masked_array([1.0], [True])), TypeError, "filled()"),
    Refused("inverse of a singular matrix", lambda: np.linalg.inv(Tensor(np.ones((2, 2)))), ValueError, "Singular"),
    Refused(
        "pinv that drops 0.95 beside 1",
        lambda: _gradient(lambda x: np.linalg.pinv(x, rcond=0.32), np.diag([3.0, 1.0, 0.95])),
        ValueError,
        "taken a singular value for 0",
    ),
    Refused(
        "a gradient of q where quantiles jump",
        lambda: _gradient(lambda q: np.quantile(np.array([1.0, 2.0]), q, method="lower"), np.array(0.5)),
        TypeError,
        "not differentiable in q",
    ),
    Refused(
        "slogdet of a singular matrix", lambda: _gradient(lambda x: np.linalg.slogdet(x)[1], np.ones((2, 2))),
        ValueError, "Singular",
    ),
    Refused(
        "third derivatives of det near a singular matrix of 5 rows",
        lambda: _gradient(_slope(_slope(np.linalg.det)), np.ones((5, 5))),
        ValueError,
        "third derivatives of det",
    ),
    Refused(
        "svd of 2 x 3, full_matrices=True", lambda: np.linalg.svd(Tensor(np.ones((2, 3)))),
        ValueError, "full_matrices=False",
    ),
    Refused(
        "cross_entropy where every label is ignored",
        lambda: cross_entropy(Tensor([[1.0, 2.0]]), np.array([-100])),
        ValueError,
        "the mean is undefined",
    ),
]  # fmt: skip

TRAPS = [
    Trap(
        "sqrt(square(0 * w).sum())", lambda w: np.sqrt(np.square(0 * w).sum()), [1, 2], [NAN, NAN],
        "np.linalg.norm(0 * w)", lambda w: np.linalg.norm(0 * w), [0, 0],
    ),
    Trap("(x**2)**0.5", lambda x: (x**2) ** 0.5, [0, 2], [NAN, 1], "np.abs(x)", np.abs, [0, 1]),
    Trap("sqrt(var(x))", lambda x: np.sqrt(np.var(x)), [2, 2], [NAN, NAN], "np.std(x)", np.std, [0, 0]),
    Trap(
        "x / norm(x)", lambda x: x / np.linalg.norm(x), [0, 0], [NAN, NAN],
        "x / np.sqrt(np.sum(x * x) + 1e-12)", lambda x: x / np.sqrt(np.sum(x * x) + 1e-12), [1e6, 1e6],
    ),
    Trap(
        "where(x > 0, sqrt(x), 0)", lambda x: np.where(x > 0, np.sqrt(x), 0), [-1, 4], [NAN, 0.25],
        "np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0)",
        lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0), [0, 0.25],
    ),
    Trap(
        "where(x > 0, log(x), 0)", lambda x: np.where(x > 0, np.log(x), 0), [0, 4], [NAN, 0.25],
        "np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0)",
        lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0), [0, 0.25],
    ),
    Trap(
        "where(x != 0, 1 / x, 0)", lambda x: np.where(x != 0, 1 / x, 0), [0, 2], [NAN, -0.25],
        "np.where(x != 0, 1 / np.where(x != 0, x, 1), 0)",
        lambda x: np.where(x != 0, 1 / np.where(x != 0, x, 1), 0), [0, -0.25],
    ),
    Trap(
        "nanmean(x**2)", lambda x: np.nanmean(x**2), [1, NAN], [2, NAN],
        "np.mean(x[~np.isnan(x)] ** 2)", lambda x: np.mean(x[~np.isnan(x)] ** 2), [2, 0],
    ),
    Trap(
        "sum(x**2 * mask)", lambda x: np.sum(np.square(x) * np.array([1, 0])), [1, INF], [2, NAN],
        "np.sum(np.square(np.where(mask, x, 0)))",
        lambda x: np.sum(np.square(np.where([True, False], x, 0))), [2, 0],
    ),
    Trap("1 / (1 + exp(-x))", lambda x: 1 / (1 + np.exp(-x)), [-1000], [NAN], "sigmoid(x)", sigmoid, [0]),
    Trap("log(1 + exp(x))", lambda x: np.log(1 + np.exp(x)), [1000], [NAN], "softplus(x)", softplus, [1]),
    Trap(
        "log(sigmoid(x))", lambda x: np.log(sigmoid(x)), [-1000], [NAN],
        "-softplus(-x)", lambda x: -softplus(-x), [1],
    ),
    Trap(
        "log(1 - sigmoid(x))", lambda x: np.log(1 - sigmoid(x)), [40], [-INF],
        "-softplus(x)", lambda x: -softplus(x), [-1],
    ),
    Trap(
        "log(softmax(x))", lambda x: np.log(softmax(x))[0], [0, 1000], [NAN, NAN],
        "log_softmax(x)", lambda x: log_softmax(x)[0], [1, -1],
    ),
    Trap(
        "exp(x) / sum(exp(x))", lambda x: (np.exp(x) / np.sum(np.exp(x)))[0], [1000, 1000], [NAN, NAN],
        "softmax(x)", lambda x: softmax(x)[0], [0.25, -0.25],
    ),
    Trap(
        "log(sum(exp(x)))", lambda x: np.log(np.sum(np.exp(x))), [1000, 1000], [NAN, NAN],
        "logsumexp(x)", logsumexp, [0.5, 0.5],
    ),
    Trap(
        "exp(sum(log(x)))", lambda x: np.exp(np.sum(np.log(x))), [0, 2, 3], [NAN, 0, 0],
        "np.prod(x)", np.prod, [6, 0, 0],
    ),
    Trap(
        "where(a > b, a, b) at a tie", lambda a: np.where(a > 1, a, 1), [1, 2], [0, 1],
        "np.maximum(a, b)", lambda a: np.maximum(a, 1), [0.5, 1],
    ),
    Trap(
        "x * (x == max(x)) at a tie", lambda x: np.sum(x * (x == np.max(x))), [2, 2], [1, 1],
        "np.max(x)", np.max, [0.5, 0.5],
    ),
    Trap(
        "arccos(u @ v), the angle of u = v = [1,0]", lambda u: np.arccos(u @ np.array([1.0, 0.0])), [1, 0], [-INF, NAN],
        "np.arctan2(np.abs(u[0] * v[1] - u[1] * v[0]), u @ v)", lambda u: np.arctan2(np.abs(u[1]), u[0]), [0, 0],
    ),
    Trap("sqrt(x)**2", lambda x: np.sqrt(x) ** 2, [0, 4], [0, 1], "x", lambda x: +x, [1, 1]),
    Trap(
        "slope of norm(x)**2", _slope(lambda x: np.linalg.norm(x) ** 2), [0, 0], [0, 0],
        "np.sum(x * x)", _slope(lambda x: np.sum(x * x)), [2, 2],
    ),
    Trap(
        "slope of sum((eigvalsh(x) - 1)**2) at the identity",
        _slope(lambda x: np.sum((np.linalg.eigvalsh(x) - 1) ** 2)), np.eye(2), [[2, 0], [0, 2]],
        "np.sum(np.square(x - np.eye(2)))", _slope(lambda x: np.sum(np.square(x - np.eye(2)))), [[2, 2], [2, 2]],
    ),
    Trap(
        "slope of sum(eigvalsh(x)**2) at the identity", _slope(lambda x: np.sum(np.linalg.eigvalsh(x) ** 2)), np.eye(2),
        [[NAN, 0], [NAN, NAN]], "np.sum(x * x)", _slope(lambda x: np.sum(x * x)), [[2, 2], [2, 2]],
    ),
    Trap(
        "v @ diag(w**2) @ v.T for eigenvalues w of the identity", _by_eigh, np.eye(2), [[NAN, 0], [NAN, NAN]],
        "np.linalg.matrix_power(x, 2)", lambda x: np.linalg.matrix_power(x, 2), [[2, 2], [2, 2]],
    ),
]  # fmt: skip
