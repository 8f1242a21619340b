"""Huge and tiny numbers, large offsets, long sums: squares overflow and digits cancel, but results do not suffer."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tinygrad_np import Tensor, func, grad, nn
from tinygrad_np._machine.arrays import power_of_two, summed
from tinygrad_np.ops.normalization import standardize
from tinygrad_np.ops.pooling import max_pool2d
from tinygrad_np.ops.products import linear
from tinygrad_np.ops.special import softplus

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

# At 2**-72 and 2**-530 squares do not underflow to 0, but lose digits.
at_any_magnitude = pytest.mark.parametrize(
    ("dtype", "exponent"),
    [(np.float32, e) for e in (100, -72, -100)] + [(np.float64, e) for e in (900, -530, -900)],
)


def derivatives(function: Callable[..., Tensor], *arrays: np.ndarray) -> list[np.ndarray]:
    """The value, the gradients, and the gradients of their weighted sum."""
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    y = function(*tensors)
    slopes = grad(y.sum(), tensors, create_graph=True)
    total = sum(
        (slope * np.cos(np.arange(slope.size, dtype=slope.dtype).reshape(slope.shape))).sum() for slope in slopes
    )
    return [a.data for a in (y, *slopes, *grad(total, tensors))]


def assert_scales(
    function: Callable[..., Tensor], dtype: Any, exponent: int, *shapes: tuple[int, ...], degree: int, highest: int = 2
) -> None:
    """A function of this degree, f(s x) = s^degree f(x), keeps all digits when x is multiplied by a power of 2.

    So do its derivatives, which are of lower degrees, up to the highest order, as far as they are numbers of the dtype.
    """
    rng = np.random.default_rng(0)
    arrays = [(rng.uniform(0.5, 2, shape) * np.where(rng.random(shape) < 0.5, -1, 1)).astype(dtype) for shape in shapes]
    right = derivatives(function, *arrays)
    found = derivatives(function, *(np.ldexp(array, exponent) for array in arrays))
    orders = [0, *[1] * len(arrays), *[2] * len(arrays)]
    for a, b, order in zip(found, right, orders, strict=True):
        shift = (degree - order) * exponent
        if order > highest or abs(shift) > abs(exponent):
            continue
        assert a.dtype == dtype
        size = np.max(np.abs(b), initial=0)
        atol = 20 * np.finfo(dtype).eps * size
        np.testing.assert_allclose(np.ldexp(a, -shift), b, rtol=0, atol=atol, err_msg=f"order {order}")


# --- norms -----------------------------------------------------------------------------------------------------------


@at_any_magnitude
@pytest.mark.parametrize("order", [None, 1, 2, 3, 0.5, 3.5, -1, -2, np.inf, -np.inf])
def test_norms_of_vectors(order: Any, dtype: Any, exponent: int) -> None:
    assert_scales(lambda x: np.linalg.norm(x, order), dtype, exponent, (4,), degree=1)
    assert_scales(lambda x: np.linalg.norm(x, order, axis=1), dtype, exponent, (2, 3), degree=1)
    ord = 2 if order is None else order
    assert_scales(lambda x: np.linalg.vector_norm(x, ord=ord), dtype, exponent, (2, 3), degree=1)


@at_any_magnitude
@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, np.inf])
def test_norms_of_matrices(order: Any, dtype: Any, exponent: int) -> None:
    highest = 1 if order in ("nuc", 2) else 2  # the second derivative is that of a decomposition, which is not scaled
    assert_scales(lambda x: np.linalg.norm(x, order), dtype, exponent, (3, 2), degree=1, highest=highest)


@at_any_magnitude
def test_what_is_made_of_norms(dtype: Any, exponent: int) -> None:
    assert_scales(np.hypot, dtype, exponent, (4,), (4,), degree=1)
    assert_scales(np.arctan2, dtype, exponent, (4,), (4,), degree=0)
    assert_scales(lambda x: x / np.linalg.norm(x), dtype, exponent, (4,), degree=0)
    assert_scales(lambda x, y: np.linalg.norm(x - y, axis=-1), dtype, exponent, (3, 1, 4), (2, 4), degree=1)
    assert_scales(lambda x, y: x / np.linalg.norm(x) @ (y / np.linalg.norm(y)), dtype, exponent, (4,), (4,), degree=0)


def test_a_row_of_each_magnitude_in_one_array() -> None:
    x = np.array([[3e200, 4e200], [3.0, 4.0], [3e-200, 4e-200], [0.0, 0.0]])
    for order in (None, 2, 2.0000001):
        found = np.linalg.norm(Tensor(x), order, axis=1).data
        np.testing.assert_allclose(found, [5e200, 5, 5e-200, 0], rtol=1e-6)
    assert np.linalg.norm(Tensor(np.array([1e-200, 1.0])), -2).item() == pytest.approx(1e-200)


@pytest.mark.parametrize("x", [[np.inf, 1.0], [np.nan, 1.0], [1e308, 1e308, 1e308, 1e308], [5e-324, 0.0]])
@pytest.mark.parametrize("order", [None, 3, -1])
def test_the_ends_of_the_range(x: list[float], order: Any) -> None:
    with np.errstate(divide="ignore", over="ignore"):
        found, expected = (np.linalg.norm(a, order) for a in (Tensor(np.array(x)), np.array(x, np.longdouble)))
        np.testing.assert_allclose(found.data, np.float64(expected), rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("function", "slope"), [(np.arcsinh, 1.0), (np.arccosh, 1.0)])
def test_slopes_of_inverse_hyperbolic_functions_far_out(function: Any, slope: float, dtype: Any) -> None:
    x = np.array([1e30, 1e20, 1e10], dtype)
    _, first, _ = derivatives(function, x)
    np.testing.assert_allclose(first * x, slope, rtol=1e-6)


@given(st.floats(allow_subnormal=True), st.sampled_from([np.float16, np.float32, np.float64]))
def test_a_power_of_two_is_at_most_the_number(value: float, dtype: Any) -> None:
    with np.errstate(over="ignore"):
        x = np.array(value, dtype)
    unit = power_of_two(x)
    assert unit.dtype == dtype
    assert np.frexp(unit)[0] == 0.5
    assert float(unit) <= abs(float(x)) < 2 * float(unit) if np.isfinite(x) and x != 0 else unit == 1


# --- standardisation -------------------------------------------------------------------------------------------------


@at_any_magnitude
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((3, 4), (-1,)), ((4, 3), (0,)), ((4, 2, 3), (0, 2))])
def test_standardising(shape: Any, axis: Any, centre: bool, dtype: Any, exponent: int) -> None:
    def function(x: Tensor) -> Tensor:
        return standardize(x, None, None, axis=axis, eps=0.0, centre=centre)

    rng = np.random.default_rng(0)
    weights = rng.normal(size=shape).astype(dtype)  # the sum alone has a gradient of 0
    assert_scales(lambda x: function(x) * weights, dtype, exponent, shape, degree=0)


@pytest.mark.parametrize("value", [1e25, 1e-25])
@pytest.mark.parametrize("build", [nn.LayerNorm, nn.RMSNorm])
def test_layers_of_huge_and_tiny_float32(build: Any, value: float) -> None:
    x = (value * np.random.default_rng(0).normal(size=(3, 8))).astype(np.float32)
    found, right = build(8)(Tensor(x)).data, build(8, dtype=np.float64)(Tensor(x.astype(np.float64))).data
    if build is nn.RMSNorm:  # whose eps is that of the dtype
        right = right if value > 1 else x / np.sqrt(float(np.finfo(np.float32).eps))
    np.testing.assert_allclose(found, right, rtol=1e-5)


@pytest.mark.parametrize("centre", [True, False])
def test_an_eps_that_is_tiny_but_larger_than_the_variance(centre: bool) -> None:
    x = (1e-30 * np.random.default_rng(0).normal(size=(3, 8))).astype(np.float32)
    narrow, wide = (
        standardize(Tensor(a), None, None, axis=(1,), eps=1e-21, centre=centre).data for a in (x, x.astype(np.float64))
    )
    np.testing.assert_allclose(narrow, wide, rtol=1e-5, atol=1e-6 * np.max(np.abs(wide)))


@given(st.floats(-1000, 1000), st.floats(0.01, 1), st.integers(0, 99))
def test_standardising_far_from_zero(offset: float, deviation: float, seed: int) -> None:
    """The mean in float32 is rounded, by more than the deviations can bear; PyTorch's error is 3e-4 at 1000 and 0.1."""
    rng = np.random.default_rng(seed)
    x = (offset + deviation * rng.normal(size=(200, 3, 2))).astype(np.float32)
    g = rng.normal(size=x.shape).astype(np.float32)
    narrow, wide = (Tensor(x.astype(dtype), requires_grad=True) for dtype in (np.float32, np.float64))
    for function in (
        lambda t: standardize(t, None, None, axis=(0, 2), eps=1e-5),
        lambda t: standardize(np.reshape(t, (2, 600)), None, None, axis=(1,), eps=1e-5).reshape(t.shape),
        lambda t: np.var(t, axis=(0, 2), keepdims=True) / deviation**2,
    ):
        found, right = function(narrow), function(wide)
        if found.shape == x.shape:  # the variance is NumPy's own
            np.testing.assert_allclose(found.data, right.data, rtol=1e-5, atol=1e-5)
        seed_gradient = g[: found.shape[0]] if found.shape == x.shape else g[:1, :, :1]
        slope, expected = (grad(y, t, seed_gradient) for y, t in ((found, narrow), (right, wide)))
        atol = 1e-5 * np.max(np.abs(expected.data))
        np.testing.assert_allclose(slope.data, expected.data, rtol=0, atol=atol)


# --- long sums -------------------------------------------------------------------------------------------------------


@given(
    shape=st.lists(st.integers(0, 40), min_size=1, max_size=4).map(tuple),
    rows=st.integers(0, 5000),
    data=st.data(),
)
def test_sums_are_numpys_but_closer(shape: tuple[int, ...], rows: int, data: st.DataObject) -> None:
    shape = (rows, *(n % 4 + 1 for n in shape[1:])) if data.draw(st.booleans()) else tuple(n % 7 for n in shape)
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    x = np.random.default_rng(0).normal(3, 1, shape).astype(np.float32)
    x = data.draw(st.sampled_from([x, np.asfortranarray(x), x[::-1]]))
    right = x.astype(np.float64).sum(axes)
    found = summed(x, axes)
    assert found.dtype == np.float32
    assert found.shape == right.shape
    np.testing.assert_allclose(found, right, rtol=1e-6)
    np.testing.assert_allclose(summed(Tensor(x), axes).data, right, rtol=1e-6)


ROWS = 60_000


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("shape", [(ROWS, 3), (300, 200, 3)])
@pytest.mark.parametrize(
    ("function", "small"),
    [
        (lambda x, b: linear(x, np.ones((3, 3), np.float32), b), (3,)),
        (lambda x, b: x + b, (3,)),
        (lambda x, b: x + b, (1, 1)),
        (lambda x, b: b - x, (3,)),
    ],
)
def test_the_gradient_of_a_bias_over_many_rows(function: Any, small: Any, shape: Any, create_graph: bool) -> None:
    """NumPy, which adds row by row, has an error of 7e-6 here, PyTorch of 8e-8."""
    g = np.random.default_rng(0).normal(3, 1, shape).astype(np.float32)
    b = Tensor(np.zeros(small, np.float32), requires_grad=True)
    found = grad(function(g, b), b, g, create_graph=create_graph).data
    wide = g.astype(np.float64)
    right = wide.sum(tuple(range(wide.ndim - 1))) if small == (3,) else wide.sum().reshape(1, 1)
    np.testing.assert_allclose(found, right, rtol=4e-7)


def test_gradients_of_weights_over_many_rows() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 1, (ROWS, 3)).astype(np.float32)
    for layer in (nn.BatchNorm1d, nn.LayerNorm):
        found, right = [], []
        for dtype, results in ((np.float32, found), (np.float64, right)):
            module = layer(3, dtype=dtype)
            y = module(Tensor(x.astype(dtype), requires_grad=True))
            results += [y.data, *(t.data for t in grad(y, list(module.parameters()), x.astype(dtype)))]
        for a, b in zip(found, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=3e-6 * np.max(np.abs(b)))


def test_the_gradient_of_a_convolutions_bias_over_many_images() -> None:
    g = np.random.default_rng(0).normal(3, 1, (20_000, 2, 1, 1)).astype(np.float32)
    layer = nn.Conv2d(1, 2, 1, rng=np.random.default_rng(0))
    y = layer(Tensor(np.zeros((20_000, 1, 1, 1), np.float32)))
    found = grad(y, layer.bias, g).data
    np.testing.assert_allclose(found, g.astype(np.float64).sum((0, 2, 3)), rtol=4e-7)


# --- what else squares or multiplies in between ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float32, 1e20), (np.float32, 1e-21), (np.float64, 1e200), (np.float64, 1e-200)]
)
@pytest.mark.parametrize(
    ("function", "degree", "inputs"),
    [
        (np.std, 1, [[3.0, 4.0, 1.0]]),
        (np.nanstd, 1, [[3.0, np.nan, 1.0]]),
        (lambda a: np.linalg.qr(a).Q[0, 0], 0, [[[1.0, 2.0], [3.0, 5.0]]]),
        (lambda a, b: np.linalg.lstsq(a, b)[0][0], 0, [[[1.0, 1.0], [1.0, 5.0]], [1.0, 2.0]]),
        (lambda a: np.corrcoef(a)[0, 1], 0, [[[1.0, 2.0, 4.0], [1.0, 3.0, 2.0]]]),
    ],
)
def test_values_and_gradients_scale_with_the_numbers(
    function: Any, degree: int, inputs: list[Any], dtype: Any, size: float
) -> None:
    """f(s * x) is s ** degree * f(x), and its gradient s ** (degree - 1) times that of f at x."""
    places = tuple(range(len(inputs)))
    ones = [np.array(x, dtype) for x in inputs]
    scaled = [x * dtype(size) for x in ones]
    value, slopes = func.value_and_grad(function, places)(*ones)
    found, gradients = func.value_and_grad(function, places)(*scaled)
    np.testing.assert_allclose(found, value * dtype(size) ** degree, rtol=1e-5)
    for gradient, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(gradient * dtype(size) ** (1 - degree), slope, rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), slope=st.integers(-9, 9).filter(bool), dtype=st.sampled_from(["f4", "f8"]))
@example(seed=6, slope=2, dtype="f8")  # 1 + 2**-52 before it is clipped
def test_correlations_are_at_most_1_and_their_derivatives_are_not_clipped(seed: int, slope: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    line = rng.integers(-20, 20, 5) + np.arange(5) * 50
    x = np.array([line, slope * line], dtype)
    assert np.max(np.abs(np.corrcoef(Tensor(x)).data)) <= 1

    def unclipped(x: Any) -> Any:
        a, b = x - np.mean(x, axis=1, keepdims=True)
        return a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)

    wide = x.astype(np.float64)
    for derivative in (func.grad, func.hessian):
        found, right = derivative(lambda x: np.corrcoef(x)[0, 1])(wide), derivative(unclipped)(wide)
        np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)


def test_gradients_go_to_the_nan_that_a_result_comes_from() -> None:
    x = np.array([1.0, np.nan, 3.0])
    for function in (np.max, np.min, np.median, lambda x: np.quantile(x, 0.3), np.ptp):
        assert np.isnan(function(Tensor(x)).item())
        gradient = func.grad(function)(x)
        assert gradient[0] == gradient[2] == 0
        assert gradient[1] == (0 if function is np.ptp else 1)
    image = np.array([[[[np.nan, 1.0], [2.0, 3.0]]]])
    assert func.grad(lambda x: max_pool2d(x, 2).sum())(image).ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("dtype", "large"), [(np.float16, 6e4), (np.float32, 1e38), (np.float64, 1e308)])
def test_a_sharp_softplus_of_large_numbers_is_the_number(dtype: Any, large: float) -> None:
    x = np.array([large, -large], dtype)
    np.testing.assert_array_equal(softplus(Tensor(x), beta=10.0).data, [x[0], 0])
    np.testing.assert_array_equal(func.grad(lambda x: softplus(x, beta=10.0).sum())(x), [1, 0])


def test_float16_linspace_sums_in_float32() -> None:
    x = Tensor(np.array(0.5, np.float16), requires_grad=True)
    assert grad(np.linspace(x, np.float16(1), 5000).sum(), x).item() == 2500


@pytest.mark.parametrize("function", [np.std, np.nanstd])
@pytest.mark.parametrize(
    ("dtype", "scales"),
    [(np.float64, [1e-300, 1e-200, 1e200, 1e300]), (np.float32, [1e-30, 1e-20, 1e20, 1e30])],
)
def test_derivatives_of_deviations_at_every_scale(function: Any, dtype: Any, scales: list[float]) -> None:
    def derivatives(scale: float) -> list[np.ndarray]:
        x = Tensor((np.array([[1.0, 3.0, 0.0], [2.0, -1.0, 5.0]]) * scale).astype(dtype), requires_grad=True)
        first = grad(function(x, axis=1).sum(), x, create_graph=True)
        second = [grad(first[i, j], x, retain_graph=True).data * dtype(scale) for i in range(2) for j in range(3)]
        return [first.data, *second]

    for scale in scales:
        for found, right in zip(derivatives(scale), derivatives(1.0), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-5 if dtype is np.float32 else 1e-13, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "expected"),
    [([0, 1e-310], [-0.5, 0.5]), ([1.7e308, 1.7e308, 1.6e308], [0.23570226, 0.23570226, -0.47140452])],
)
def test_gradients_of_deviations_at_the_ends_of_the_range(x: list[float], expected: list[float]) -> None:
    leaf = Tensor(np.array(x), requires_grad=True)
    np.testing.assert_allclose(grad(np.std(leaf), leaf).data, expected, rtol=1e-7)


@pytest.mark.parametrize(("n", "scale"), [(2, 1e-200), (2, 1e-160), (3, 1e-130), (6, 1e-60), (3, 2.0), (6, 2.0)])
def test_derivatives_of_determinants_that_underflow(n: int, scale: float) -> None:
    x = Tensor(scale * np.eye(n), requires_grad=True)
    first = grad(np.linalg.det(x), x, create_graph=True)
    np.testing.assert_allclose(first.data, scale ** (n - 1) * np.eye(n), rtol=1e-12)
    second = grad(first[0, 0], x)
    expected = scale ** (n - 2) * np.eye(n)
    expected[0, 0] = 0
    np.testing.assert_allclose(second.data, expected, rtol=1e-12)


@given(st.floats(-12, 12), st.floats(-12, 12), st.sampled_from([1.0, -1.0]))
@example(9.0, 0.0, 1.0)
def test_second_derivatives_of_hypot_do_not_cancel(x: float, y: float, sign: float) -> None:
    a, b = sign * 10.0**x, 10.0**y
    found = func.hessian(lambda v: np.hypot(v[0], v[1]))(np.array([a, b]))
    exact_a, exact_b = Fraction(a), Fraction(b)
    square = exact_a**2 + exact_b**2
    size = Fraction(math.hypot(a, b)) * square
    expected = [[exact_b**2 / size, -exact_a * exact_b / size], [-exact_a * exact_b / size, exact_a**2 / size]]
    np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-14)


@pytest.mark.parametrize("beta", [0, -1.0, np.inf, np.nan, "1"])
def test_a_softplus_of_no_sharpness_is_refused(beta: Any) -> None:
    with pytest.raises(ValueError, match="softplus.*: beta must be above 0, not"):
        softplus(Tensor([1.0]), beta=beta)
