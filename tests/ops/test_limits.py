"""Smooth functions over the whole range of float64, infinity included: first and second derivatives, without a warning.

The expected values are those of mpmath with so many digits that 1 + exp(-700) differs from 1.
"""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, grad, log_softmax, logsumexp, softmax
from tinygrad_np.ops.losses import binary_cross_entropy_with_logits, cross_entropy, kl_div, nll_loss
from tinygrad_np.ops.special import erf, gelu, leaky_relu, sigmoid, silu, softplus
from tinygrad_np.tensor import Primitive, registry

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

INF = np.inf
DIGITS = 340  # of 1 + exp(-700), differences lose 305


def tensor(values: Any, dtype: type = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


def derivatives(function: Callable[..., Tensor], *arguments: Any, dtype: type = np.float64) -> list[Any]:
    """The value, then for each argument the gradient and the gradient of that, for output gradients of ones."""
    inputs = [tensor(x, dtype) for x in arguments]
    y = function(*inputs)
    first = grad(y, inputs, np.ones(y.shape), create_graph=True)
    second = [grad(slope, x, np.ones(x.shape)) for slope, x in zip(first, inputs, strict=True)]
    return [y.data, *(d.data for d in (*first, *second))]


# --- functions of one variable ---------------------------------------------------------------------------------------

FAR = [
    1e-200,
    1e-10,
    0.1,
    0.7,
    1.0,
    2.0,
    5.0,
    10.0,
    17.0,
    20.0,
    37.42994775023705,
    50.0,
    300.0,
    700.0,
    1e3,
    1e10,
    1e100,
]
EVERYWHERE = [*(-x for x in FAR), 0.0, *FAR, -INF, INF]
UNIT = [s * x for s in (-1, 1) for x in (1e-200, 1e-10, 0.1, 0.9, 1 - 1e-6, 1 - 1e-12, 1 - 2**-50)]
PERIODIC = [x for x in EVERYWHERE if abs(x) <= 10]
POSITIVE = [x for x in EVERYWHERE if x > 0]


def _gelu_by_tanh(x: mpf) -> mpf:
    u = mp.sqrt(2 / mp.pi) * (x + mpf(0.044715) * x**3)
    return x / (1 + mp.exp(-2 * u))


def _density(x: mpf) -> mpf:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _probability(x: mpf) -> mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < 1e3 else mpf(x > 0)


def _softplus(x: mpf, beta: float = 1.0) -> mpf:
    return mp.log(1 + mp.exp(beta * x)) / beta if x < 0 else x + mp.log(1 + mp.exp(-beta * x)) / beta


def _sigmoid(x: mpf) -> mpf:
    return 1 / (1 + mp.exp(-x))


def _cbrt(x: mpf) -> mpf:
    return mp.cbrt(x) if x >= 0 else -mp.cbrt(-x)


# By the name of the operation: the function in mpmath, or its two derivatives; and where it is differentiated.
SMOOTH: dict[str, tuple[Any, list[float]]] = {
    "square": (lambda x: x * x, EVERYWHERE),
    "reciprocal": (lambda x: 1 / x, [x for x in EVERYWHERE if x]),
    "exp": (mp.exp, EVERYWHERE),
    "exp2": (lambda x: mpf(2) ** x, EVERYWHERE),
    "expm1": (lambda x: mp.exp(x) - 1, EVERYWHERE),
    "log": (mp.log, POSITIVE),
    "log2": (lambda x: mp.log(x) / mp.log(2), POSITIVE),
    "log10": (mp.log10, POSITIVE),
    "log1p": (lambda x: mp.log(1 + x), [*POSITIVE, *(x for x in UNIT if x < 0)]),
    "sqrt": (mp.sqrt, POSITIVE),
    "cbrt": (_cbrt, [x for x in EVERYWHERE if x]),
    "sin": (mp.sin, PERIODIC),
    "cos": (mp.cos, PERIODIC),
    "tan": (mp.tan, PERIODIC),
    "arcsin": (mp.asin, UNIT),
    "arccos": (mp.acos, UNIT),
    "arctan": (mp.atan, EVERYWHERE),
    "sinh": (mp.sinh, EVERYWHERE),
    "cosh": (mp.cosh, EVERYWHERE),
    "tanh": (mp.tanh, EVERYWHERE),
    "arcsinh": (mp.asinh, EVERYWHERE),
    "arccosh": (mp.acosh, [1 + 1e-12, 1 + 1e-6, *(x for x in POSITIVE if x > 1)]),
    "arctanh": (mp.atanh, UNIT),
    "sigmoid": (_sigmoid, EVERYWHERE),
    "softplus": (_softplus, EVERYWHERE),
    "softplus, beta=2.5": (lambda x: _softplus(x, 2.5), EVERYWHERE),
    "silu": (lambda x: x * _sigmoid(x), EVERYWHERE),
    "erf": ([lambda x: mp.npdf(x, 0, mp.sqrt(0.5)) * 2, lambda x: mp.npdf(x, 0, mp.sqrt(0.5)) * -4 * x], EVERYWHERE),
    "_normal_probability": ([_density, lambda x: -x * _density(x)], EVERYWHERE),
    "gelu": ([lambda x: _probability(x) + x * _density(x), lambda x: (2 - x * x) * _density(x)], EVERYWHERE),
    "gelu, approximate='tanh'": (_gelu_by_tanh, EVERYWHERE),
    "_one_minus_square": (lambda x: 1 - x * x, UNIT),
    "_arctan_slope": (lambda x: 1 / (1 + x * x), EVERYWHERE),
    "_sech": (lambda x: 1 / mp.cosh(x), EVERYWHERE),
    "sinc": (lambda x: mp.sinc(mp.pi * x), [x for x in PERIODIC if x not in (0, 1e-200, -1e-200)]),
    "_times_log": (lambda x: x * mp.log(x), [x for x in POSITIVE if x < INF]),
}
NOT_SMOOTH = {"absolute", "fabs", "sign", "relu", "leaky_relu", "nan_to_num", "keep", "zero_at", "_huber"}
LINEAR = {"negative", "positive", "conjugate", "real", "deg2rad", "radians", "rad2deg", "degrees", "copy"}
OPERATIONS = {
    entry.name: entry
    for entry in registry.values()
    if isinstance(entry, Primitive) and entry.arity == 1 and any(case.shapes == "*" for case in entry.cases)
}


def _as_float(x: mpf) -> float:
    try:
        return float(x)
    except OverflowError:
        return float(np.sign(x) * INF)


def _expected(exact: Any, x: float, order: int) -> float:
    """The derivative. At infinity it is what the derivative at 1e100 tends to."""
    at = mpf(x if np.isfinite(x) else 1e100 * np.sign(x))
    near = _as_float(exact[order - 1](at) if isinstance(exact, list) else mp.diff(exact, at, order))
    if np.isfinite(x):
        return near
    return 0.0 if abs(near) < 1e-50 else float(np.sign(near)) * INF if abs(near) > 1e50 else near


def test_every_function_of_one_variable_is_known_to_be_smooth_or_not() -> None:
    known = {name.partition(",")[0] for name in SMOOTH} | NOT_SMOOTH | LINEAR
    assert set(OPERATIONS) - known - {"_sinc"} == set()


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_over_the_whole_range(name: str) -> None:
    exact, points = SMOOTH[name]
    operation, _, option = name.partition(", ")
    keyword, _, value = option.partition("=")
    options = {keyword: float(value) if value[0].isdigit() else value.strip("'")} if option else {}
    with mp.workdps(DIGITS):
        for x in points:
            if callable(exact) and np.isfinite(x) and abs(exact(mpf(x))) > 1e300:
                continue  # NumPy's own function overflows, and says so
            _, first, second = derivatives(lambda t: OPERATIONS[operation](t, **options), x)
            for order, found in ((1, first), (2, second)):
                expected = _expected(exact, x, order)
                if abs(expected) < 1e-300:
                    assert abs(found) < 2e-300, (x, order, found, expected)
                elif abs(expected) > 1e300:
                    assert found == pytest.approx(expected, rel=1e-6) or np.isinf(found), (x, order, found, expected)
                else:
                    assert found == pytest.approx(expected, rel=1e-6, abs=0), (x, order, found, expected)
