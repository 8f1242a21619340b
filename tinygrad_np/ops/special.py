"""Special functions, mostly for neural networks: sigmoid, softplus, silu, gelu, erf, softmax, logsumexp and sinc."""

import math
from functools import cache
from typing import Any

import numpy as np

from .. import _validation as check
from .._machine.arrays import row_sums
from .._registry import differentiable, primitive
from ..tensor import Array, Tensor
from .cases import Case, each
from .elementwise import array_of, binary, is_complex, keep, unary, within
from .examples import along
from .pieces import in_pieces, in_rows, written
from .reductions import restore
from .rows import along_axis

# --- the logistic function and its relatives -------------------------------------------------------------------------


@cache
def _limit(dtype: Any) -> Any:
    return 1 - max(1e-4, float(np.finfo(dtype).eps) ** 0.5)


def saturated(y: Any) -> bool:
    """Whether 1 - y for a y up to 1 loses 4 digits, of float16 half of them, or is to be differentiated again."""
    return type(y) is Tensor or not np.maximum.reduce(y, None, initial=0) < _limit(y.dtype)


@differentiable(lambda g, y, x: -g * y * np.tanh(x), jvp="elementwise", cases=[Case("*")], name="tanh")
def _sech(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1 / np.cosh(x))


def _sigmoid_slope(y: Any, x: Any) -> Any:
    """y * (1 - y), also where y rounds to 1, and with derivatives that lose nothing near 0 either."""
    return np.square(0.5 * _sech(0.5 * x)) if saturated(y) else y * (1 - y)


def _sigmoid_back_into(g: Array, y: Array, x: Array, out: Array) -> None:
    if saturated(y):
        np.multiply(g, _sigmoid_slope(y, x), out=out)
    else:
        np.subtract(1, y, out=out)
        out *= y
        out *= g


def sigmoid_into(x: Array, out: Array) -> None:
    """Write sigmoid(x); exp(-x) may overflow, to a sigmoid of 0, which callers ignore by `np.errstate`."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    np.divide(1, out, out=out)


@differentiable(
    lambda g, y, x: in_pieces(lambda g, y, x: g * _sigmoid_slope(y, x), _sigmoid_back_into, g, y, x),
    wide=True,
    jvp="elementwise",
    cases=[Case("*")],
)
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), elementwise; it does not overflow.

    >>> from tinygrad_np import Tensor
    >>> sigmoid(Tensor([-1000.0, 0.0, 1000.0]))
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    check.floating("sigmoid", "x", x)
    with np.errstate(over="ignore"):  # 1 / inf is 0, as it should be; branching by np.where takes 7 times as long
        return in_pieces(_sigmoid, sigmoid_into, x)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _times(factor: float, x: Any) -> Any:
    """factor * x, which may be infinite."""
    with np.errstate(over="ignore"):
        return factor * x


def times_sigmoid(g: Any, x: Any, rate: float) -> Any:
    """g * sigmoid(rate * x)."""

    def into(g: Array, x: Array, out: Array) -> None:
        with np.errstate(over="ignore"):  # as in `sigmoid`
            np.multiply(x, -rate, out=out)
            np.exp(out, out=out)
            out += 1
        np.divide(g, out, out=out)

    return in_pieces(lambda g, x: g * sigmoid(_times(rate, x)), into, g, x)


def softplus_of_minus_abs_into(x: Array, out: Array, beta: float = 1.0) -> None:
    """Write log(1 + exp(-beta * |x|)) / beta."""
    np.abs(x, out=out)
    with np.errstate(over="ignore"):
        out *= -beta
    np.exp(out, out=out)
    np.log1p(out, out=out)
    if beta != 1:
        out /= beta


@differentiable(
    lambda g, y, x, *, beta=1.0: times_sigmoid(g, x, beta),
    wide=True,
    jvp="elementwise",
    cases=[Case("*"), Case("*", kwargs={"beta": 2.5})],
)
def softplus(x: Array, beta: float = 1.0) -> Array:
    """log(1 + exp(beta * x)) / beta, elementwise: a smooth relu, sharper for larger beta. It does not overflow.

    Raises:
        TypeError, ValueError: x is not floating point, or beta is not above 0.

    >>> from tinygrad_np import Tensor
    >>> softplus(Tensor([-1000.0, 0.0, 1000.0]))
    Tensor([0.000000e+00, 6.931472e-01, 1.000000e+03], dtype=float32)
    """
    check.floating("softplus", "x", x)
    if beta != 1:
        check.real("softplus", "beta", beta, above=0)

    def into(x: Array, out: Array) -> None:  # np.logaddexp: 12 times as long
        softplus_of_minus_abs_into(x, out, beta)
        out += np.clip(x, 0, math.inf)

    return np.asarray(written(into, x))


def _tanh_slope(y: Any, x: Any) -> Any:
    """1 - y * y, also where y rounds to 1 or -1."""
    square = y * y
    return np.square(_sech(x)) if saturated(square) else 1 - square


def _tanh_back_into(g: Array, y: Array, x: Array, out: Array) -> None:
    np.multiply(y, y, out=out)
    if saturated(out):
        np.square(_sech(x), out=out)
    else:
        np.subtract(1, out, out=out)
    out *= g


def _tanh_back(g: Any, y: Any, x: Any) -> Any:
    return in_pieces(lambda g, y, x: g * _tanh_slope(y, x), _tanh_back_into, g, y, x)


unary(np.tanh, lambda g, y, x: g * (1 - y * y) if is_complex(y) else _tanh_back(g, y, x), complex=True)


def _difference(a: Any, b: Any) -> Any:
    """a - b, but 0 where a and b are the same infinity."""
    return np.where(np.isinf(a) & (a == b), 0, a - b)


binary(
    np.logaddexp,
    lambda g, y, a, b: g * sigmoid(_difference(a, b)),
    lambda g, y, a, b: g * sigmoid(_difference(b, a)),
)
binary(
    np.logaddexp2,
    lambda g, y, a, b: g * sigmoid(_difference(a, b) * math.log(2)),
    lambda g, y, a, b: g * sigmoid(_difference(b, a) * math.log(2)),
)


def _bounded(x: Any) -> Any:
    """x within the numbers whose cube is finite. Beyond, sigmoid, erf and exp(-x * x) have their limits."""
    return within(x, np.cbrt(np.finfo(x.dtype).max))


def _times_probability(x: Array, p: Array, out: Array | None = None) -> Any:
    """x * p for a p that is 0 far below 0, at minus infinity as well."""
    finite = np.clip(x, np.finfo(x.dtype).min, np.inf, out=out)  # np.maximum takes 2.7 times as long
    return np.multiply(finite, p, out=out)


def _silu_slope(x: Any, saved: Any) -> Any:
    """sigmoid(x) * (1 + x * sigmoid(-x))."""
    x = _bounded(x)
    s = sigmoid(x) if saved is None else saved
    return s * (1 + x * (sigmoid(-x) if saturated(s) else 1 - s))


def _silu_back_into(g: Array, y: Array, x: Array, s: Array, out: Array) -> None:
    """Write g * (s + y * sigmoid(-x)). From y = x * s it takes fewer passes than from x, which may be infinite."""
    if saturated(s):
        np.multiply(_bounded(y), sigmoid(-x), out=out)
    else:
        np.subtract(1, s, out=out)
        out *= y
    out += s
    out *= g


def _silu_into(x: Array, y: Array, s: Array) -> None:
    sigmoid_into(x, s)
    _times_probability(x, s, out=y)


def _silu(x: Array) -> tuple[Array, Array]:
    s = _sigmoid(x)
    return _times_probability(x, s), s


@differentiable(
    lambda g, y, x, *, saved: in_pieces(lambda g, y, x, s: g * _silu_slope(x, s), _silu_back_into, g, y, x, saved),
    wide=True,
    jvp="elementwise",
    cases=[Case("*")],
)
def silu(x: Array) -> tuple[Array, Array]:
    """x * sigmoid(x), elementwise; also known as swish.

    Source: S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-weighted linear units for neural network function approximation
    in reinforcement learning" (2018), equation 6.

    >>> from tinygrad_np import Tensor
    >>> silu(Tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.2689414,  0.       ,  0.7310586], dtype=float32)
    """
    check.floating("silu", "x", x)
    with np.errstate(over="ignore"):
        return in_pieces(_silu, _silu_into, x, outputs=2)


@differentiable(
    lambda g, y, x, *, negative_slope=0.01: keep(g, x > 0) + keep(negative_slope * g, ~(x > 0)),
    jvp="elementwise",
    cases=[Case("*"), *each("*", negative_slope=(-0.5, 0.0, 2.0))],
)
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, negative_slope * x elsewhere; the gradient at 0 is negative_slope.

    Source: A. L. Maas, A. Y. Hannun and A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models"
    (2013), equation 2.

    >>> from tinygrad_np import Tensor
    >>> leaky_relu(Tensor([-1.0, 2.0]))
    Tensor([-0.01,  2.  ], dtype=float32)
    """
    if negative_slope == 0:  # 0 * inf would be NaN
        return np.maximum(x, 0)
    larger = np.maximum if negative_slope <= 1 else np.minimum
    return np.asarray(larger(x, negative_slope * x))


# --- the error function ----------------------------------------------------------------------------------------------

# erf(x) = tanh(x * p(x**2)) for |x| < LIMIT, with a relative error of at most 1e-7; from 4.23 on it is 1 in float32.
# The coefficients of p start at the lowest power. They were fitted to erf by least squares, reweighted to minimise the
# largest relative error. As a quotient of polynomials, erf would take ten more passes over an array.
LIMIT = 4.0
ERF = (1.12837927, 0.102769055, -0.000191827293, -0.000619789252, 8.76397472e-05, -5.66900823e-06, 1.41892589e-07)
ERF_OF_ROOT_HALF = tuple(c * 0.5 ** (k + 0.5) for k, c in enumerate(ERF))  # erf(x * sqrt(0.5)) in the same way


def _erf_into(x: Array, out: Array) -> None:
    _tanh_of_polynomial(x, ERF, LIMIT**2, np.empty_like(x), out)


def _tanh_of_polynomial(x: Array, coefficients: tuple[float, ...], limit: float, square: Array, out: Array) -> None:
    """Write tanh(x * p(x**2)), where x**2 counts as `limit` if it is larger; `square` is overwritten."""
    with np.errstate(over="ignore"):  # of huge x, whose tanh is 1 or -1
        np.clip(np.square(x, out=square), 0, limit, out=square)
        np.multiply(square, coefficients[-1], out=out)
        for coefficient in coefficients[-2:0:-1]:
            out += coefficient
            out *= square
        out += coefficients[0]
        out *= x
    np.tanh(out, out=out)


@differentiable(
    lambda g, y, x: g * (2 / math.sqrt(math.pi)) * np.exp(-np.square(_bounded(x))),
    cases=[Case("*")],
)
def erf(x: Array) -> Array:
    """The error function, 2 / sqrt(pi) * integral of exp(-t**2) from 0 to x, elementwise.

    In float32 the error is at most 8 units in the last place, and an element takes 2 ns. In other dtypes the values
    are exactly those of the C library, and an element takes 70 ns.

    >>> from tinygrad_np import Tensor
    >>> np.round(erf(Tensor([0.0, 1.0])).data, 5)
    array([0.    , 0.8427], dtype=float32)
    """
    check.floating("erf", "x", x)
    if x.dtype != np.float32:
        return _each(math.erf, x)
    return in_pieces(_erf, _erf_into, x)


def _erf(x: Array) -> Array:
    y = np.empty(x.shape, x.dtype)
    _erf_into(x, y)
    return y


def _each(function: Any, x: Array) -> Array:
    """A function of Python floats, for each element."""
    return np.fromiter(map(function, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)


def _normal_density(x: Any) -> Any:
    return np.exp(-0.5 * np.square(x)) / math.sqrt(2 * math.pi)


@differentiable(lambda g, y, x: g * _normal_density(_bounded(x)), jvp="elementwise", cases=[Case("*")], name="gelu")
def _normal_probability(x: Array) -> Array:
    """Standard normal CDF; except in float32 without the cancellation below 0."""
    if x.dtype != np.float32:
        return 0.5 * _each(math.erfc, x * -math.sqrt(0.5))
    p = np.empty(x.shape, x.dtype)
    _normal_probability_into(x, np.empty_like(p), p)
    return p


def _normal_probability_into(x: Array, square: Array, out: Array) -> None:
    """Write (1 + erf(x / sqrt(2))) / 2 of float32; `square` is overwritten."""
    _tanh_of_polynomial(x, ERF_OF_ROOT_HALF, 2 * LIMIT**2, square, out)
    out += 1
    out *= 0.5


SCALE, CUBIC = 2 * math.sqrt(2 / math.pi), 0.044715  # (1 + tanh(u)) / 2 is sigmoid(2 * u)


def _probability(x: Any, approximate: str) -> Any:
    """Standard normal CDF, exact or approximated by tanh."""
    if approximate == "none":
        return _normal_probability(x)
    with np.errstate(over="ignore"):
        return sigmoid(SCALE * (x + CUBIC * x * x * x))


def _gelu_slope(x: Any, approximate: str, saved: Any) -> Any:
    x = _bounded(x)
    p = _probability(x, approximate) if saved is None else saved
    if approximate == "none":
        return p + x * _normal_density(x)
    return p + x * p * _probability(-x, approximate) * (SCALE * (1 + 3 * CUBIC * np.square(x)))


def _gelu_back_into(g: Array, x: Array, p: Array, out: Array) -> None:
    x = np.asarray(_bounded(x))
    np.square(x, out=out)
    out *= -0.5
    np.exp(out, out=out)
    out *= 1 / math.sqrt(2 * math.pi)
    out *= x
    out += p
    out *= g


def _gelu_into(x: Array, y: Array, p: Array) -> None:
    _normal_probability_into(x, y, p)
    _times_probability(x, p, out=y)


def _tanh_probability_into(x: Array, out: Array) -> None:
    with np.errstate(over="ignore"):
        np.multiply(x, CUBIC, out=out)
        out *= x
        out *= x
        out += x
        out *= SCALE
        sigmoid_into(out, out)


def _gelu_tanh_back_into(g: Array, x: Array, p: Array, out: Array) -> None:
    x = np.asarray(_bounded(x))
    _tanh_probability_into(np.negative(x), out)
    out *= p
    out *= x
    np.square(x, out=x)
    x *= 3 * CUBIC
    x += 1
    x *= SCALE
    out *= x
    out += p
    out *= g


def _gelu_tanh_into(x: Array, y: Array, p: Array) -> None:
    _tanh_probability_into(x, p)
    _times_probability(x, p, out=y)


def _gelu(x: Array, approximate: str) -> tuple[Array, Array]:
    p = _probability(x, approximate)
    return _times_probability(x, p), p


def _gelu_back(g: Any, x: Any, saved: Any, approximate: str) -> Any:
    def back(g: Any, x: Any, p: Any) -> Any:
        return g * _gelu_slope(x, approximate, p)

    return in_pieces(back, _gelu_back_into if approximate == "none" else _gelu_tanh_back_into, g, x, saved)


@differentiable(
    lambda g, y, x, *, approximate="none", saved: _gelu_back(g, x, saved, approximate),
    wide=True,
    jvp="elementwise",
    cases=[Case("*"), Case("*", kwargs={"approximate": "tanh"})],
)
def gelu(x: Array, approximate: str = "none") -> tuple[Array, Array]:
    """x times the standard normal CDF of x, elementwise.

    Args:
        x: any shape, floating point.
        approximate: "none", by erf, or "tanh", 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))).

    Source: D. Hendrycks and K. Gimpel, "Gaussian error linear units" (2016), section 2.

    >>> from tinygrad_np import Tensor
    >>> np.round(gelu(Tensor([-1.0, 0.0, 1.0])).data, 5)
    array([-0.15866,  0.     ,  0.84134], dtype=float32)
    """
    check.floating("gelu", "x", x)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    if approximate == "none" and x.dtype != np.float32:
        return _gelu(x, approximate)
    into = _gelu_into if approximate == "none" else _gelu_tanh_into
    return in_pieces(lambda x: _gelu(x, approximate), into, x, outputs=2)


# --- softmax and its relatives ---------------------------------------------------------------------------------------


# Limits of float32 and float64, as arrays: comparing float32 with a Python number takes 0.5 us more.
LARGE = np.array(1e30, np.float32)  # below it, differences do not overflow
CERTAIN = np.array(1.25, np.float32)  # below it, log(1 + rest) loses more than 2 of the bits of the rest


def below(x: Array, top: Array, out: Array | None = None) -> Array:
    """x - top for the maximum of x. Where both are inf, it is 0; where all are -inf, NaN, as 0 / 0."""
    if b"\0" not in (np.abs(top) < LARGE).tobytes():  # .all() takes 1.4 us more
        return np.asarray(x - top if out is None else np.subtract(x, top, out=out))  # with out=None, 0.5 us more
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(np.isposinf(x), x.dtype.type(0), x - top)


def sum_of_others(values: Any, p: Any, axis: Any) -> Any:
    """The sum of those values whose probability is not above a half, along an axis that is kept."""
    return np.sum(keep(values, array_of(p) <= 0.5), axis=axis, keepdims=True)


def centred(g: Any, p: Any, axis: Any) -> Any:
    """g - p * sum(g) for probabilities p along an axis, also where 1 - p would lose digits."""
    total = np.sum(g, axis=axis, keepdims=True)
    if not saturated(p):
        return g - p * total
    others = g * sum_of_others(p, p, axis) - p * sum_of_others(g, p, axis)
    return np.where(array_of(p) > 0.5, others, g - p * total)


def _shares(x: Any, y: Any, axis: Any) -> Any:
    """The softmax of x from y = logsumexp(x); where y is infinite, even shares of the x that are equal to it.

    exp(x - y) is divided by its sum, since y may have been rounded by more than 1.
    """
    y = array_of(y)
    infinite = np.isinf(y)
    if not infinite.any():
        if type(x) is Tensor:  # whose derivative loses nothing
            return softmax(x, axis=axis)
        e = np.exp(x - y)
        return e / np.add.reduce(e, axis, keepdims=True)
    e = np.where(infinite, x == y, np.exp(np.where(infinite, 0, x - y)))
    return e / np.sum(e, axis=axis, keepdims=True)


def _softmax_vjp(g: Any, y: Any, x: Any, *, axis: Any = -1) -> Any:
    return in_rows(_softmax_back, _softmax_back_into, g, y, axis=axis)


def _softmax_back(g: Any, y: Any, axis: Any) -> Any:
    if saturated(y):  # the gradient is the same for g - constant; with that of the largest y, 1 - y does not occur
        g = g - np.sum(keep(g, array_of(y) > 0.5), axis=axis, keepdims=True)
    return y * (g - np.sum(g * y, axis=axis, keepdims=True))


def _softmax_back_into(g: Array, y: Array, out: Array) -> None:
    if saturated(y):
        out[...] = _softmax_back(g, y, -1)
    else:
        np.subtract(g, row_sums(g, y), out=out)
        out *= y


# Without subtracting the maximum first, exponentials up to here neither overflow nor underflow, nor do their products.
MODERATE = 20


def _softmax_into(x: Array, out: Array) -> None:
    if np.max(x) < MODERATE and np.min(x) > -MODERATE:
        np.exp(x, out=out)
    else:
        out[...] = below(x, np.maximum.reduce(x, 1, keepdims=True))
        np.exp(out, out=out)
    out /= row_sums(out)


@differentiable(
    _softmax_vjp,
    reads=("y",),
    wide=True,
    rows=along_axis,
    examples=along(-1),
    cases=[*each("N M", axis=(-1, 0, 1)), Case("M")],
)
def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along an axis; the maximum is subtracted first to avoid overflow.

    >>> from tinygrad_np import Tensor
    >>> softmax(Tensor([[0.0, 0.0], [1000.0, 0.0]]))
    Tensor([[0.5, 0.5],
            [1. , 0. ]], dtype=float32)
    """
    check.floating("softmax", "x", x)
    return in_rows(_softmax, _softmax_into, x, axis=axis)


def _softmax(x: Array, axis: int) -> Array:
    e: Array = below(x, np.maximum.reduce(x, axis, keepdims=True, initial=-np.inf))
    np.exp(e, out=e)
    e /= np.add.reduce(e, axis, keepdims=True)
    return e


@differentiable(
    lambda g, y, x, *, axis=None, keepdims=False: (
        restore(g, x, axis, keepdims) * _shares(x, restore(y, x, axis, keepdims), axis)
    ),
    wide=True,
    rows=along_axis,
    examples=along(None),
    cases=[*each("N M", axis=(None, 0, -1, (0, 1)), keepdims=(False, True)), Case("")],
)
def logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over one, several or all axes; the maximum is subtracted first to avoid overflow.

    >>> from tinygrad_np import Tensor
    >>> logsumexp(Tensor([1000.0, 1000.0]))
    Tensor(1000.6932, dtype=float32)
    """
    check.floating("logsumexp", "x", x)
    top = np.maximum.reduce(x, axis, keepdims=True, initial=-np.inf)
    if not (finite := np.isfinite(top)).all():
        top = np.where(finite, top, 0)  # inf - inf would be NaN
    with np.errstate(divide="ignore", over="ignore"):  # log(0) = -inf is right where every x is -inf
        e = np.exp(x - top)
        sums = np.add.reduce(e, axis, keepdims=True)
        y = np.log(sums) + top
    if (sums < 1.0005).any():  # log(1 + rest)
        small = (sums >= 1) & (sums < 1.0005)
        y = np.where(small, np.log1p(sum_of_others(e, np.where(small, e, 0), axis)) + top, y)
    return np.asarray(y if keepdims else y.squeeze(axis))


def _log_softmax_back_into(g: Array, y: Array, out: Array) -> None:
    np.exp(y, out=out)
    if saturated(out):
        out[...] = centred(g, out, 1)
    else:
        out *= row_sums(g)
        np.subtract(g, out, out=out)


def _log_softmax_into(x: Array, out: Array) -> None:
    if np.max(x) < CLOSE and np.min(x) > -CLOSE:
        np.subtract(x, np.log(row_sums(np.exp(x, out=out))), out=out)
        if np.max(out) < -0.25:
            return
    out[...] = _log_softmax(x, 1)


CLOSE = 6  # numbers from whose log(sum(exp)) no digits are lost that subtracting the maximum first would keep


@differentiable(
    lambda g, y, x, *, axis=-1: in_rows(
        lambda g, y, axis: centred(g, np.exp(y), axis), _log_softmax_back_into, g, y, axis=axis
    ),
    reads=("y",),
    wide=True,
    rows=along_axis,
    examples=along(-1),
    cases=[*each("N M", axis=(-1, 0, 1)), Case("M")],
)
def log_softmax(x: Array, axis: int = -1) -> Array:
    """log(softmax(x)) along an axis, without overflow.

    >>> from tinygrad_np import Tensor
    >>> log_softmax(Tensor([0.0, 1000.0]))
    Tensor([-1000.,     0.], dtype=float32)
    """
    check.floating("log_softmax", "x", x)
    return in_rows(_log_softmax, _log_softmax_into, x, axis=axis)


def _log_softmax(x: Array, axis: int) -> Array:
    y: Array = below(x, np.maximum.reduce(x, axis, keepdims=True, initial=-np.inf))
    if y.size:  # the log of an empty sum would warn
        e = np.asarray(np.exp(y))  # of a number, NumPy's is a scalar
        sums = np.add.reduce(e, axis, keepdims=True)
        y -= np.log(sums)
        certain = sums < CERTAIN
        if b"\1" in certain.tobytes():  # 13 us more for 64 x 10, 60 for 64 x 1000
            largest = certain & (y > -0.5)
            np.copyto(e, 0, where=largest)
            np.copyto(y, 0 - np.log1p(np.add.reduce(e, axis, keepdims=True)), where=largest)
    return y


def one_hot(labels: Any, classes: int, dtype: Any = np.float32) -> Array:
    """A plain array of shape (*labels.shape, classes) with a 1 at each label and 0 elsewhere.

    Raises:
        ValueError: labels are not integers, or not from 0 to classes - 1.

    >>> one_hot([1, 0], 3)
    array([[0., 1., 0.],
           [1., 0., 0.]], dtype=float32)
    """
    labels = check.labels("one_hot", "labels", check.indices(labels), classes)
    return np.asarray(np.arange(classes) == labels[..., np.newaxis], dtype)


# --- sinc ------------------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, x, *, order: g * _sinc(x, order=order + 1),
    wide=True,
    cases=each("*", order=(0, 1, 4)),
    name="sinc",
    complex=True,
)
def _sinc(x: Array, order: int) -> Array:
    """The derivative of the given order of sinc(x) = sin(u) / u, u = pi * x: a power series near 0, else a recursion.

    The recursion u S_n + n S_(n-1) = sin(u + n pi / 2) comes from differentiating u S_0 = sin(u) n times. It is stable
    where |u| > n.
    """
    u = np.pi * np.asarray(x, np.result_type(x.dtype, np.float64))
    near = np.abs(u) < order + 1
    far = np.where(near, order + 1, u)
    derivative = np.sin(far) / far
    for n in range(1, order + 1):
        derivative = (np.sin(far + n * np.pi / 2) - n * derivative) / far
    small = np.where(near, u, 0)
    series = np.zeros_like(small)
    for k in range((order + 1) // 2, (order + 1) // 2 + 25 + 2 * order):
        power = 2 * k - order
        series += (-1) ** k * small**power / (math.factorial(power) * (2 * k + 1))
    return np.asarray(np.pi**order * np.where(near, series, derivative), x.dtype)


primitive(np.sinc, lambda g, y, x: g * _sinc(x, order=1), wide=True, jvp="elementwise", cases=[Case("*")], complex=True)
