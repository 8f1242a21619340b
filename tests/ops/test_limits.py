"""Smooth functions over the whole range of float64, infinity included: first and second derivatives, without a warning.

The expected values are those of mpmath with so many digits that 1 + exp(-700) differs from 1.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from tinygrad_np import Tensor, grad, log_softmax, logsumexp, softmax
from tinygrad_np._functions import name_of
from tinygrad_np._registry import Primitive, registry
from tinygrad_np.ops.losses import cross_entropy, nll_loss
from tinygrad_np.ops.probabilities import binary_cross_entropy_with_logits, kl_div
from tinygrad_np.ops.regression import huber_loss
from tinygrad_np.ops.special import leaky_relu, sigmoid, softplus

import numpy as np
import pytest
from hypothesis import example, given
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
    second = [grad(slope, x, np.ones(x.shape), retain_graph=True) for slope, x in zip(first, inputs, strict=True)]
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


def _focused(x: mpf, gamma: Any) -> mpf:
    return x * (1 - mp.exp(-x)) ** gamma


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
    "_log": (mp.log, POSITIVE),
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
    "logsigmoid": (lambda x: -_softplus(-x), EVERYWHERE),
    "silu": (lambda x: x * _sigmoid(x), EVERYWHERE),
    "mish": (lambda x: x * mp.tanh(_softplus(x)), EVERYWHERE),
    "softsign": (
        [lambda x: 1 / (1 + abs(x)) ** 2, lambda x: -2 * mp.sign(x) / (1 + abs(x)) ** 3],
        [x for x in EVERYWHERE if x],
    ),
    "erf": ([lambda x: mp.npdf(x, 0, mp.sqrt(0.5)) * 2, lambda x: mp.npdf(x, 0, mp.sqrt(0.5)) * -4 * x], EVERYWHERE),
    "_normal_probability": ([_density, lambda x: -x * _density(x)], EVERYWHERE),
    "gelu": ([lambda x: _probability(x) + x * _density(x), lambda x: (2 - x * x) * _density(x)], EVERYWHERE),
    "gelu, approximate='tanh'": (_gelu_by_tanh, EVERYWHERE),
    "_one_minus_square": (lambda x: 1 - x * x, UNIT),
    "_arctan_slope": (lambda x: 1 / (1 + x * x), EVERYWHERE),
    "_sech": (lambda x: 1 / mp.cosh(x), EVERYWHERE),
    "sinc": (lambda x: mp.sinc(mp.pi * x), [x for x in PERIODIC if x not in (0, 1e-200, -1e-200)]),
    "_times_log": (lambda x: x * mp.log(x), [x for x in POSITIVE if x < INF]),
    "_focused": (lambda x: _focused(x, 2), POSITIVE),
    "_focused, gamma=0.5": (lambda x: _focused(x, mpf(0.5)), POSITIVE),
}
NOT_SMOOTH = {
    "absolute", "fabs", "sign", "relu", "leaky_relu", "nan_to_num", "keep", "zero_at", "_huber", "_exponential_unit",
    "hardtanh", "hardsigmoid", "hardswish",
}  # fmt: skip
LINEAR = {"negative", "positive", "conjugate", "real", "imag", "deg2rad", "radians", "rad2deg", "degrees", "copy"}
OPERATIONS = {
    name_of(entry.function): entry
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
    others = {"_sinc", "i0", "_scaled"}  # np.i0 and its derivatives are compared with SciPy's
    assert set(OPERATIONS) - known - others == set()


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


def test_functions_of_one_variable_in_the_other_dtypes_are_finite_or_infinite_but_never_nan() -> None:
    """Infinity has to be treated apart in every dtype, and float16 ends at 65504."""
    for name, (_, points) in SMOOTH.items():
        operation, _, option = name.partition(", ")
        options = {"approximate": "tanh"} if "tanh" in option else {}
        for dtype in (np.float16, np.float32):
            ends = [x for x in points if np.isinf(x)]
            if ends:
                function = partial(OPERATIONS[operation], **options)
                found = derivatives(function, ends, dtype=dtype)
                assert not np.isnan(found).any(), (name, dtype, found)
                assert {d.dtype for d in found} == {np.dtype(dtype)}


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 2.0])
def test_leaky_relu_at_infinity(slope: float) -> None:
    y, first, second = derivatives(lambda x: leaky_relu(x, negative_slope=slope), [-INF, INF])
    assert y.tolist() == [-INF if slope else 0, INF]
    assert [first.tolist(), second.tolist()] == [[slope, 1], [0, 0]]


def test_sigmoid_in_float32_keeps_its_digits_where_it_rounds_to_1() -> None:
    x = tensor([5.0, 10.0, 20.0, 40.0, 80.0], np.float32)
    for function, exact in (
        (sigmoid, lambda t: np.exp(-t) / (1 + np.exp(-t)) ** 2),
        (np.tanh, lambda t: np.cosh(t) ** -2),
    ):
        np.testing.assert_allclose(
            grad(function(x), x, np.ones(5)).data, exact(x.data.astype(float)), rtol=1e-5, atol=1e-38
        )


# --- of two variables ------------------------------------------------------------------------------------------------


@given(distance=st.floats(0, 700), place=st.floats(-100, 100), swap=st.booleans())
def test_logaddexp_far_apart(distance: float, place: float, swap: bool) -> None:
    low, high = place, place + distance
    exact = [1 / (1 + mp.exp(mpf(high) - low)), 1 / (1 + mp.exp(mpf(low) - high))]
    exact2 = [1 / (1 + mpf(2) ** (mpf(high) - low)), 1 / (1 + mpf(2) ** (mpf(low) - high))]
    for function, (of_low, of_high), scale in ((np.logaddexp, exact, 1), (np.logaddexp2, exact2, mp.log(2))):
        arguments = (high, low) if swap else (low, high)
        _, *first, a, b = derivatives(function, *arguments)
        first = first[::-1] if swap else first
        np.testing.assert_allclose(first, [float(of_low), float(of_high)], rtol=1e-9)
        np.testing.assert_allclose([a, b], float(scale * of_low * of_high), rtol=1e-9)


@pytest.mark.parametrize("function", [np.logaddexp, np.logaddexp2])
def test_logaddexp_of_infinities(function: Callable[..., Any]) -> None:
    for a, b, expected in [
        (-INF, -INF, [0.5, 0.5]),
        (INF, INF, [0.5, 0.5]),
        (INF, -INF, [1, 0]),
        (-INF, 3.0, [0, 1]),
        (INF, 3.0, [1, 0]),
    ]:
        _, *found = derivatives(function, a, b)
        assert found == [*expected, 0, 0]


BINARY = [
    entry
    for entry in dict.fromkeys(registry.values())
    if isinstance(entry, Primitive) and entry.arity == 2 and any(case.shapes == "*, *" for case in entry.cases)
]


@pytest.mark.parametrize("entry", [e for e in BINARY if not e.fixed], ids=lambda entry: entry.name)
@pytest.mark.parametrize("a", [-INF, -2.0, -0.5, 0.0, 0.5, 2.0, INF])
@pytest.mark.parametrize("b", [-INF, -2.0, -0.5, 0.0, 0.5, 2.0, INF])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_gradients_beside_an_infinite_argument_are_what_they_tend_to(entry: Primitive, a: float, b: float) -> None:
    """NaN only where gradients far out are NaN or do not tend to one number, as where both arguments are infinite."""
    if np.isfinite(a) == np.isfinite(b):
        return

    def slopes(size: float) -> Any:
        inputs = [tensor(np.clip(x, -size, size)) for x in (a, b)]
        y = entry(*inputs)
        return y.data, np.array([slope.data for slope in grad(y, inputs)])

    (y, found), (_, far), (_, further) = slopes(INF), slopes(1e9), slopes(1e18)
    for slope, near, limit in zip(found, far, further, strict=True):
        if np.isnan(y) or np.isnan(limit):
            continue
        assert not np.isnan(slope)
        if (
            abs(limit) < 1e-6 or abs(limit) > 1e6 or near == pytest.approx(limit, rel=1e-3)
        ):  # not as slow as a logarithm
            tends_to = 0.0 if abs(limit) < 1e-6 else np.sign(limit) * INF if abs(limit) > 1e6 else limit
            assert slope == pytest.approx(tends_to, rel=1e-6, abs=0)


def test_arctan2_of_infinities() -> None:
    for a, b in [(INF, 1.0), (1.0, INF), (-INF, 0.0), (0.0, -INF), (INF, INF)]:
        _, *found = derivatives(np.arctan2, a, b)
        assert not np.any(found)


@pytest.mark.parametrize("function", [np.hypot, np.arctan2])
@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_functions_of_a_point_in_the_plane_at_any_scale(function: Callable[..., Any], scale: float) -> None:
    _, *found = derivatives(function, 3 * scale, 4 * scale)
    _, *at_one = derivatives(function, 3.0, 4.0)
    power = 0 if function is np.hypot else -1
    with np.errstate(over="ignore", under="ignore"):
        expected = [value * scale**power for value in at_one[:2]]
    np.testing.assert_allclose(found[:2], expected, rtol=1e-14)


# --- of several ------------------------------------------------------------------------------------------------------

ROWS = {  # the logits, their softmax
    "inf beside finite": ([INF, 2.0, 3.0], [1, 0, 0]),
    "two inf": ([INF, 1.0, INF], [0.5, 0, 0.5]),
    "inf and -inf": ([-INF, INF, 0.0], [0, 1, 0]),
    "far apart": ([1e300, -1e300, 1e300], [0.5, 0, 0.5]),
    "-inf beside finite": ([-INF, 2.0, 2.0], [0, 0.5, 0.5]),
}


@pytest.mark.parametrize("name", ROWS)
def test_softmax_and_its_relatives(name: str) -> None:
    x, p = ROWS[name][0], np.array(ROWS[name][1])
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    _, first, of_sum = derivatives(logsumexp, x)
    np.testing.assert_array_equal(first, p)
    np.testing.assert_allclose(of_sum, 0, atol=1e-15)
    t = tensor(x)
    np.testing.assert_array_equal(softmax(t).data, p)
    np.testing.assert_allclose(grad(softmax(t)[0], t).data, p[0] * (np.eye(3)[0] - p), atol=1e-16)
    if np.isfinite(x).all():
        np.testing.assert_array_equal(log_softmax(t).data[p > 0], log_p[p > 0])
    else:
        np.testing.assert_array_equal(log_softmax(t).data, log_p)
    for label in range(3):
        for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"weight": np.ones(3)}):
            loss = cross_entropy(tensor([x]), [label], **options)
            assert loss.data == -log_softmax(t).data[label]
        loss = nll_loss(log_softmax(tensor([x])), [label])
        assert loss.data == -log_softmax(t).data[label]
        logits = tensor([x, [0.0, 0.0, 0.0]])
        found = grad(cross_entropy(logits, [label, 0]), logits, create_graph=True)
        np.testing.assert_array_equal(found.data[0], (p - np.eye(3)[label]) / 2)
        curvature = grad(found[0, label], logits).data[0, label]
        assert curvature == pytest.approx(p[label] * (1 - p[label]) / 2, abs=1e-16)


@given(
    gaps=st.lists(st.floats(0, 600), min_size=1, max_size=4),
    place=st.sampled_from([0.0, 1e3, -1e3]),
    label=st.integers(0, 4),
    seed=st.integers(0, 99),
)
@example(gaps=[50.0], place=0.0, label=0, seed=0)
def test_probabilities_near_1_lose_no_digits_in_any_first_or_second_derivative(
    gaps: list[float], place: float, label: int, seed: int
) -> None:
    """All of them are p * (...), which 1 - p for the largest p would make 0."""
    x, k = tensor([place, *(place - gap for gap in gaps)]), label % (len(gaps) + 1)
    size, rng = len(gaps) + 1, np.random.default_rng(seed)
    with mp.workdps(DIGITS):
        e = [mp.exp(mpf(v) - mpf(place)) for v in x.data.tolist()]
        p = [v / mp.fsum(e) for v in e]
        covariance = [[p[i] * ((i == j) - p[j]) for j in range(size)] for i in range(size)]
        value, loss_of_first = (float(mp.log(mp.fsum(e)) + v) for v in (place, 0))
        error = [float(p[i] - (i == k)) for i in range(size)]
        third = [float(v * (1 - 2 * p[k])) for v in covariance[k]]  # of p_k * (1 - p_k)
    covariance = np.array(covariance).astype(float)

    def near(found: Any, expected: Any) -> None:
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-300)

    y = logsumexp(x)
    near(y.item(), value)
    near(grad(grad(y, x, create_graph=True)[k], x).data, covariance[k])
    near(grad(softmax(x)[k], x).data, covariance[k])
    found = grad(grad(softmax(x)[k], x, create_graph=True)[k], x).data
    np.testing.assert_allclose(found, third, rtol=1e-9, atol=1e-16 if abs(1 - 2 * p[k]) < 1e-6 else 1e-300)
    for options in ({}, {"weight": np.ones(size)}, {"reduction": "sum"}):
        loss = cross_entropy(x[np.newaxis], [k], **options)
        slope = grad(loss, x, create_graph=True)
        near(slope.data, error)
        near(grad(slope[k], x).data, covariance[k])
    if k == 0:
        near(cross_entropy(x[np.newaxis], [0]).item(), loss_of_first)
    slope = grad(log_softmax(x)[k], x, create_graph=True)
    near(slope.data, -np.array(error))
    g = rng.normal(size=size)
    near(grad(softmax(x), x, g).data[1:], (covariance @ (g - g[0]))[1:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    rows=st.lists(st.tuples(st.one_of(st.integers(0, 12), st.integers(0, 800)), st.integers(0, 999)), max_size=3),
    classes=st.sampled_from([2, 3, 10, 1000]),
    axis=st.sampled_from([-1, 0, 1]),
    data=st.data(),
)
@example(rows=[(50, 0), (0, 1)], classes=10, axis=0, data=None)
@example(rows=[], classes=3, axis=0, data=None)
def test_logarithms_of_probabilities_near_1_lose_no_digits(
    rows: list[tuple[int, int]], classes: int, axis: int, data: Any, dtype: Any
) -> None:
    """Of integers, whose differences are exact; their exponentials then have all digits."""
    rng = np.random.default_rng(0)
    gaps = -rng.integers(0, 6, (len(rows), classes))
    for row, (gap, place) in zip(gaps, rows, strict=True):
        row -= gap
        row[place % classes] = 0
    label = data.draw(st.integers(0, classes - 1)) if data else 0
    with mp.workdps(DIGITS + 20):
        e = {gap: mp.exp(mpf(gap)) for gap in np.unique(gaps).tolist()}

        def total(row: list[int], without: int) -> mpf:
            counts = Counter(row)
            counts[row[without]] -= 1
            return mp.fsum(n * e[gap] for gap, n in counts.items())

        expected, slopes, curvatures = [], [], []
        for row in gaps.tolist():
            top, others = row.index(0), total(row, label)
            rest = total(row, top)
            log_sum, sums = mp.log1p(rest), 1 + rest
            expected.append([float(gap - log_sum) for gap in row])
            slopes.append([float(-e[gap] / sums) for gap in row])
            slopes[-1][label] = float(others / sums)
            curvatures.append([float(e[row[label]] * e[gap] / sums**2) for gap in row])
            curvatures[-1][label] = float(-e[row[label]] * others / sums**2)

    limits, furthest = np.finfo(dtype), np.max(-gaps, axis=1, keepdims=True, initial=0)

    def near(found: Any, expected: list[Any], tolerance: Any) -> None:
        error = np.abs(found - np.array(expected).reshape(found.shape))
        assert np.all(error <= tolerance * limits.eps * np.abs(np.reshape(expected, found.shape)) + 2 * limits.tiny)

    across = axis % 2 == 0 and axis >= 0
    x = tensor((gaps + 300).T if across else gaps + 300, dtype)
    y = log_softmax(x, axis=axis)
    near(y.data.T if across else y.data, expected, 8)
    slope = grad(y[label].sum() if across else y[:, label].sum(), x, create_graph=True)
    near(slope.data.T if across else slope.data, slopes, 12 + furthest)
    second = grad(slope[label].sum() if across else slope[:, label].sum(), x).data
    near(second.T if across else second, curvatures, 12 + 2 * furthest)
    logits, labels = tensor(gaps, dtype), np.full(len(rows), label)
    losses = [-row[label] for row in expected]
    near(cross_entropy(logits, labels, reduction="none").data, losses, 8)
    near(nll_loss(log_softmax(logits, axis=1), labels, reduction="none").data, losses, 8)
    for one, loss in zip(gaps, losses, strict=True):
        near(log_softmax(tensor(one, dtype)).data[label], -loss, 8)
        near(cross_entropy(tensor(one[np.newaxis], dtype), [label]).data, loss, 8)


def test_where_nothing_is_possible_logsumexp_shares_its_gradient_and_softmax_is_nan() -> None:
    value, first, second = derivatives(logsumexp, [-INF, -INF])
    assert (value, first.tolist(), second.tolist()) == (-INF, [0.5, 0.5], [0, 0])
    for function in (softmax, log_softmax, lambda x: cross_entropy(x[np.newaxis], [0])):
        y, *_ = derivatives(function, [-INF, -INF])
        assert np.isnan(y).all()
    rows = tensor([[-INF, -INF], [1.0, 1.0]])
    assert grad(logsumexp(rows, axis=1).sum(), rows).data.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert softmax(rows).data[1].tolist() == [0.5, 0.5]


def test_masked_softmax_of_infinities() -> None:
    masked = next(entry for entry in registry.values() if name_of(entry.function) == "_masked_softmax")
    for x, mask, expected in [
        ([INF, 1.0, 1.0], None, [1, 0, 0]),
        ([INF, 1.0, 1.0], [True, False, False], [0, 0.5, 0.5]),
        ([-INF, -INF, 1.0], [False, False, True], [0, 0, 0]),
        ([-INF, 1.0, 1.0], [False, False, False], [0, 0.5, 0.5]),
        ([INF, INF, INF], [True, True, True], [0, 0, 0]),
    ]:
        y, first, second = derivatives(lambda t, m=mask: masked(t, None if m is None else np.array(m)), x)
        assert y.tolist() == expected
        np.testing.assert_allclose([first, second], 0, atol=1e-16)


# --- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_of_infinite_logits(dtype: type) -> None:
    for target, losses, slopes in [(0, [0, INF], [0, 1]), (1, [INF, 0], [-1, 0]), (0.5, [INF, INF], [-0.5, 0.5])]:
        y, first, second = derivatives(
            lambda x, t=target: binary_cross_entropy_with_logits(x, np.full(2, t, dtype), reduction="none"),
            [-INF, INF],
            dtype=dtype,
        )
        assert [y.tolist(), first.tolist(), second.tolist()] == [losses, slopes, [0, 0]]
    x = tensor([-INF, INF, 1.0], dtype)
    weighted = binary_cross_entropy_with_logits(x, [1.0, 0.0, 1.0], weight=[0.0, 0.0, 1.0], reduction="none")
    assert weighted.data[:2].tolist() == [0, 0]
    assert grad(weighted, x, np.ones(3)).data[:2].tolist() == [0, 0]


@given(x=st.floats(-700, 700), target=st.sampled_from([0.0, 1.0]))
def test_the_gradient_of_a_certain_and_right_answer_is_not_lost(x: float, target: float) -> None:
    _, first, second = derivatives(lambda t: binary_cross_entropy_with_logits(t, np.array(target), reduction="none"), x)
    p = 1 / (1 + mp.exp(-mpf(x)))
    q = 1 / (1 + mp.exp(mpf(x)))
    assert float(first) == pytest.approx(float(-q if target else p), rel=1e-12, abs=0)
    assert float(second) == pytest.approx(float(p * q), rel=1e-12, abs=0)


def test_kl_div_of_impossible_events() -> None:
    for logs, target, expected, slope in [
        (-INF, 0.0, 0, 0),
        (-INF, 1.0, INF, -1),
        (0.0, 0.0, 0, 0),
        (-1.0, 1.0, 1, -1),
    ]:
        y, first, second = derivatives(lambda x, t=target: kl_div(x, np.array([t]), reduction="none"), [logs])
        assert [y.item(), first.item(), second.item()] == [expected, slope, 0]
        with np.errstate(divide="ignore"):
            log_target = np.log([target])
        y, *_ = derivatives(lambda x, t=log_target: kl_div(x, t, reduction="none", log_target=True), [logs])
        assert y.item() == expected


def test_second_derivatives_of_kl_div_where_the_target_is_0() -> None:
    """Of -targets * log_probabilities they are -1, whatever the target, if the log-probability is finite."""
    for log_target in (False, True):
        for target in (0.0, 0.3):
            with np.errstate(divide="ignore"):
                p, t = tensor([-1.0]), tensor(np.log([target]) if log_target else [target])
            slope = grad(kl_div(p, t, reduction="sum", log_target=log_target), p, create_graph=True)
            assert slope.item() == pytest.approx(-target)
            assert grad(slope.sum(), t).item() == pytest.approx(-target if log_target else -1)
    x = tensor([-1.0, 0.0])
    slope = grad(kl_div(x[:1], x[1:], reduction="sum"), x, create_graph=True)
    assert grad(slope[0], x).data.tolist() == [0, -1]
    t = tensor([0.0, 1.0])
    losses = kl_div(tensor([-1.0, -1.0]), t, reduction="none")
    assert grad(losses, t, np.array([0.0, 1.0])).data.tolist() == [0, 2]


@pytest.mark.parametrize("what", [-INF, INF, np.nan])
@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize(
    ("targets", "options"),
    [
        ([1.0, 0.0], {"weight": [1.0, 0.0]}),
        ([1.0, 1.0], {"weight": [1.0, 0.0]}),
        ([1.0, 0.5], {"weight": [1.0, 0.0], "pos_weight": [1.0, 2.0]}),
        ([1.0, 1.0], {"pos_weight": [1.0, 0.0]}),
        ([0.0, 1.0], {"weight": [-1.0, 0.5], "pos_weight": [1.0, 0.0]}),
    ],
)
def test_a_logit_without_weight_does_not_count(
    targets: list[float], options: dict[str, Any], as_tensors: bool, what: float
) -> None:
    weights = {name: tensor(w) if as_tensors else w for name, w in options.items()}
    alone = {name: w[:1] for name, w in options.items()}

    def loss(x: Any, targets: Any, weights: Any) -> Any:
        return binary_cross_entropy_with_logits(x, targets, reduction="sum", **weights)

    expected = derivatives(lambda x: loss(x, targets[:1], alone), [0.7])
    found = derivatives(lambda x: loss(x, targets, weights), [0.7, what])
    assert found[0] == pytest.approx(expected[0], rel=1e-14)
    for part, right in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(part, [right[0], 0], rtol=1e-14)
    if as_tensors and np.isnan(what):  # that by a weight does not exist
        y = loss(tensor([0.7, what]), targets, weights)
        assert np.isnan([g.data[1] for g in grad(y, list(weights.values()))]).any()
    elif options.keys() == {"weight"}:
        t = tensor(targets)
        assert grad(loss(tensor([0.7, what]), t, options), t).data[1] == 0


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x * np.tanh(softplus(x)), ([0, INF], [0, 1])),  # mish
        (lambda x: -softplus(-x), ([-INF, 0], [1, 0])),  # log(sigmoid(x))
        (lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0), ([0, INF], [0, 1])),
        (lambda x: np.exp(-softplus(-x)), ([0, 1], [0, 0])),  # sigmoid again
    ],
)
def test_compositions_far_out(function: Callable[..., Any], expected: tuple[list[float], list[float]]) -> None:
    for far, tolerance in ((600.0, 1e-200), (1e4, 0)):
        y, first, second = derivatives(function, [-far, far])
        limits = [np.clip(np.array(part, float), -far, far) for part in expected]
        np.testing.assert_allclose(y, limits[0], atol=tolerance)
        np.testing.assert_allclose([first, second], [limits[1], [0, 0]], atol=tolerance)


@pytest.mark.parametrize("what", [-INF, INF, np.nan])
def test_a_row_of_logits_that_does_not_count_has_no_gradient(what: float) -> None:
    rows = [[0.0, 1.0, 2.0], [what] * 3, [1.0, what, 0.0]]
    alone = derivatives(lambda x: cross_entropy(x, [0]), rows[:1])
    for labels, options in (
        ([0, -100, -100], {}),
        ([0, 1, 1], {"weight": [1.0, 0.0, 1.0]}),
        ([0, -100, -100], {"label_smoothing": 0.0, "reduction": "sum"}),
    ):
        found = derivatives(lambda x, y=labels, o=options: cross_entropy(x, y, **o), rows)
        for part, right in zip(found[1:], alone[1:], strict=True):
            np.testing.assert_allclose(part[:1], right, rtol=1e-12)
            assert not part[1:].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [softmax, log_softmax, logsumexp, lambda x: cross_entropy(x[np.newaxis], [0])])
def test_differences_of_huge_numbers_overflow_without_a_warning(function: Callable[..., Any], dtype: Any) -> None:
    largest = float(np.finfo(dtype).max)
    for x in ([largest, -largest], [largest, largest / 2], [np.nan, 1000.0]):
        y = function(tensor(x, dtype))  # a warning is an error
        assert np.isnan(y.data).any() == np.isnan(x).any()


def test_an_infinite_delta_gives_half_the_square_also_at_infinity() -> None:
    x = [INF, -INF, 3.0]
    value, first, second = derivatives(lambda x: huber_loss(x, np.zeros(3), reduction="none", delta=INF), x)
    np.testing.assert_array_equal([value, first, second], [[INF, INF, 4.5], [INF, -INF, 3], [1, 1, 1]])


def test_a_power_of_zero_falls_without_bound_where_the_exponent_is_negative() -> None:
    y = tensor([-1.0, 0.5, 0.0])
    with np.errstate(divide="ignore"):
        power = np.zeros(3) ** y
    np.testing.assert_array_equal(grad(power.sum(), y).data, [-INF, 0, 0])
