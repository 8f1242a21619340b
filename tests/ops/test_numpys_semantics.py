"""Corner cases of NumPy's behaviour that the generated proofs do not reach; each was once wrong or unclear."""

import inspect
import itertools
import operator
from collections.abc import Callable
from functools import partial
from operator import iadd, setitem
from typing import Any

from tinygrad_np import Tensor, cross_entropy, func, grad, one_hot
from tinygrad_np._registry import Composite, Primitive, registry
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from machine import numpy_is_before


def leaf(data: object, dtype: type = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


MASK = np.array([True, False, True, True])


@pytest.mark.parametrize(
    ("masked", "plain"),
    [
        (np.nanstd, np.std),
        (lambda x: np.nanvar(x) ** 2, lambda x: np.var(x) ** 2),
        (lambda x: np.std(x, where=MASK), np.std),
    ],
)
def test_a_masked_nan_stays_out_of_second_derivatives(
    masked: Callable[..., Tensor], plain: Callable[..., Tensor]
) -> None:
    second = func.hessian(masked)(np.array([1.0, np.nan, 2.0, 4.0]))
    assert not second[1].any()
    assert not second[:, 1].any()
    expected = func.hessian(plain)(np.array([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(second[np.ix_(MASK, MASK)], expected, rtol=1e-12)


def test_take_reads_booleans_as_numbers() -> None:
    x = leaf([1.0, 2.0, 3.0])
    assert np.take(x, [True, False, True]).data.tolist() == [2, 1, 2]
    assert np.take(x, True).data == 2


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
@pytest.mark.parametrize(("shape", "chosen"), [((50, 90), (3, 20)), ((40, 2, 3), (30_000,)), ((30, 100_000), (2,))])
def test_the_gradient_of_many_rows_is_added_as_numpy_adds(shape: Any, chosen: Any, dtype: type) -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0 if dtype is np.uint8 else -shape[0], shape[0], chosen).astype(dtype)
    x = Tensor(np.zeros(shape, np.float32), requires_grad=True)
    seed = rng.normal(size=(*chosen, *shape[1:])).astype(np.float32)
    expected = np.zeros(shape, np.float32)
    np.add.at(expected, index, seed)
    np.testing.assert_array_equal(grad(x[index], x, seed).data, expected)


def test_roll_by_an_unsigned_shift() -> None:
    x = leaf(np.arange(5.0))
    assert grad((np.roll(x, np.uint8(1)) * np.arange(5.0)).sum(), x).data.tolist() == [1, 2, 3, 4, 0]


def test_quantiles_of_nan_are_nan() -> None:
    assert np.isnan(np.quantile(leaf([1.0, np.nan, 2.0]), 0.25))
    assert np.isnan(np.percentile(leaf([[1.0, np.nan], [1.0, 2.0]]), 0, axis=1)).tolist() == [True, False]
    with pytest.raises(ValueError, match="q must be from 0 to 1"):
        np.quantile(leaf([1.0, 2.0]), np.nan)


def test_products_that_underflow_have_their_gradients() -> None:
    x = leaf([1e-20, 1e-30, 1e20], np.float32)
    np.testing.assert_allclose(grad(np.prod(x), x).data, [1e-10, 1, 0], rtol=1e-6)
    y = leaf([1e-200, 1e-200, 1e250])
    np.testing.assert_allclose(grad(np.cumprod(y)[-1], y).data, [1e50, 1e50, 0], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-23, 1e20])
def test_arctan2_of_tiny_and_huge_numbers(scale: float) -> None:
    a, b = leaf(scale, np.float32), leaf(scale, np.float32)
    for g, expected in zip(grad(np.arctan2(a, b), [a, b]), (0.5 / scale, -0.5 / scale), strict=True):
        assert g.data == pytest.approx(expected, rel=1e-6)


X = leaf(np.ones((3, 4)))
REFUSED = {
    "take": lambda: np.take(X, 0, axis=5),
    "diff": lambda: np.diff(X, axis=7),
    "quantile": lambda: np.quantile(X, 0.5, axis=7),
    "repeat": lambda: np.repeat(X, 2, axis=7),
    "take_along_axis": lambda: np.take_along_axis(X, np.zeros((3, 4), int), 7),
    "norm": lambda: np.linalg.norm(X, 1, axis=(5, 6)),
    "tensordot": lambda: np.tensordot(X, X, ((5,), (7,))),
    "gradient": lambda: np.gradient(leaf([0.0, 1.0, 4.0]), np.array([0.0, 1.0])),
    "gradient of two axes": lambda: np.gradient(X, np.arange(3.0)),
    "einsum": lambda: np.einsum("ii->i", X),
    "einsum without its ellipsis": lambda: np.einsum("...i->i", X),
    "pad": lambda: np.pad(X, 1.9),
    "pad with a meaningless keyword": lambda: np.pad(X, 1, "edge", constant_values=3),
    "tile": lambda: np.tile(X, 2.5),
    "linspace": lambda: np.linspace(leaf(0.0), leaf(1.0), 2.5),
    "linspace of -1": lambda: np.linspace(leaf(0.0), leaf(1.0), -1),
    "array_split": lambda: np.array_split(X, 0),
    "average": lambda: np.average(leaf([1.0, 2.0]), weights=np.array([1.0, -1.0])),
    "convolve": lambda: np.convolve(leaf([1.0]), leaf([1.0]), "f"),
    "full_like": lambda: np.full_like(Tensor(np.array([1])), leaf(2.0)),
    "bincount": lambda: np.bincount(np.array([0]), weights=leaf([1.0, 2.0])),
    "svd": lambda: np.linalg.svd(X),
    "qr": lambda: np.linalg.qr(X, "raw"),
    "reshape": lambda: np.reshape(X, 12, order="A").sum().backward(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_numpy_refuses_or_we_do_not_support_raises(name: str) -> None:
    with pytest.raises((ValueError, TypeError, IndexError, ZeroDivisionError), match=r"."):
        REFUSED[name]()


def test_eigenvalues_of_a_named_triangle_in_either_case() -> None:
    x = leaf(np.random.default_rng(0).normal(size=(3, 3)))
    for name, triangle in (("l", np.tril), ("L", np.tril), ("u", np.triu)):
        g = grad(np.linalg.eigvalsh(x, name)[0], x).data
        np.testing.assert_array_equal(g, triangle(g))


def test_singular_values_of_a_singular_matrix() -> None:
    """The vectors are NumPy's own also where a singular value is 0; the gradients of the values stay finite."""
    x = leaf([[1.0, 2.0], [2.0, 4.0]])
    for found, expected in zip(np.linalg.svd(x), np.linalg.svd(x.data), strict=True):
        np.testing.assert_allclose(found.data, expected, rtol=1e-14, atol=1e-15)
    u, _, vh = np.linalg.svd(x.data)
    np.testing.assert_allclose(grad(np.linalg.norm(x, "nuc"), x).data, u @ vh, rtol=1e-12)
    np.testing.assert_allclose(grad(np.linalg.norm(x, 2), x).data, np.outer(u[:, 0], vh[0]), rtol=1e-12)


@pytest.mark.parametrize("deviation", [np.std, np.nanstd])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_deviation_of_equal_numbers_has_a_gradient_of_zero(deviation: Callable[..., Tensor], dtype: type) -> None:
    """The mean of some equal numbers is rounded, which leaves a deviation that is not exactly 0."""
    rounded = 0
    for number in np.linspace(0.1, 3, 30):
        x = leaf(np.full((3, 7), number), dtype)
        for axis in (None, 0, 1):
            y = deviation(x, axis=axis)
            rounded += bool(np.any(y.data != 0))
            assert not grad(y, x, np.ones(y.shape)).data.any()
    assert rounded
    z = leaf([1.0, 1.0 + 100 * np.finfo(dtype).eps], dtype)
    np.testing.assert_allclose(grad(deviation(z), z).data, [-0.5, 0.5], rtol=0.01)


def test_a_number_of_numpy_may_come_first_in_a_list() -> None:
    x = leaf(2.0)
    assert np.stack([np.float64(1.0), x]).data.tolist() == [1, 2]
    assert np.concatenate([[0.5], leaf([1.0])]).data.tolist() == [0.5, 1]


def test_multi_dot_of_two_arrays_is_dot_and_of_more_takes_matrices() -> None:
    a, b = np.arange(8.0).reshape(2, 2, 2), np.arange(12.0).reshape(3, 2, 2)
    np.testing.assert_array_equal(np.linalg.multi_dot([leaf(a), b]).data, np.dot(a, b))
    for arrays in ([leaf(a)] * 3, [leaf(a)], [leaf(1.0), b[0], b[0]]):
        with pytest.raises(ValueError, match="dimensions"):
            np.linalg.multi_dot(arrays)


def test_the_covariance_of_no_variables_is_empty() -> None:
    assert np.cov(leaf(np.zeros((0, 3)))).shape == (0, 0)


def positional(function: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds]


@pytest.mark.parametrize("entry", [e for e in registry.values() if isinstance(e, Composite)], ids=lambda e: e.name)
def test_what_is_given_by_position_means_what_it_means_in_numpy(entry: Composite) -> None:
    """`np.std(x, 0, True)` gives a dtype, and must not give anything else here."""
    if entry.function in (np.einsum, setitem, iadd):
        return  # of any number of arguments; and operators without names of arguments
    try:
        ours, theirs = positional(entry.implementation), positional(entry.function)
    except ValueError:
        assert numpy_is_before("2.4.0")
        pytest.skip("before NumPy 2.4 functions in C have no signature")
    operands = len(theirs) if isinstance(entry.function, np.ufunc) or entry.name.endswith(".outer") else 0
    assert len(ours) <= len(theirs)
    assert ours[operands:] == theirs[: len(ours)][operands:]


def test_what_is_made_of_nothing_still_depends_on_its_argument() -> None:
    x = leaf([1.0, np.inf])
    y = np.polyval([], x)
    np.testing.assert_array_equal([y.data, grad(y.sum(), x).data], np.zeros((2, 2)))


def test_no_labels_may_be_an_empty_list() -> None:
    assert one_hot([], 3).shape == (0, 3)
    assert cross_entropy(leaf(np.zeros((0, 3))), [], reduction="sum").item() == 0
    with pytest.raises(ValueError, match=r"labels must be from 0 to -1 \(0 classes\), not 0"):
        cross_entropy(leaf(np.zeros((1, 0))), [0])


SPECIAL = [[1, np.nan, 3, 4], [1, 2, np.inf, 4], [1e308, -1e308, 1e308, 0], [1e308, 0, -1e308, 0], [0.1, 0.7, 0.2, 0.5]]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("differentiated", [False, True])
@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize(
    "spacing", [0.5, 1e200, [0, 1, 2, 3], [0, 1, 3, 4], [0, 0.1, 0.2, 0.3], [0, 5e199, 1e200, 3e200]]
)
@pytest.mark.parametrize("values", SPECIAL)
def test_finite_differences_are_numpys_also_beside_nan_and_infinity(
    values: list[float], spacing: Any, edge_order: int, differentiated: bool
) -> None:
    where = leaf(spacing) if differentiated else spacing
    expected = np.gradient(np.array(values, float), spacing, edge_order=edge_order)
    found = np.gradient(leaf(values), where, edge_order=edge_order)
    np.testing.assert_allclose(found.data, expected, rtol=1e-14, atol=1e-15)


def test_derivatives_of_finite_differences_by_evenly_spaced_coordinates() -> None:
    f, x = np.array([0.3, 1.0, -2.0, 0.5, 0.9]), np.arange(5.0)
    for edge_order in (1, 2):
        check_gradients(lambda f, x, e=edge_order: np.gradient(f, x, edge_order=e), f, x, order=2)
    f[2], places = np.nan, leaf(x)
    assert np.isnan(grad(np.gradient(leaf(f), places)[2], places).data).any()  # which moves with 2's place
    values = leaf(f)
    assert grad(np.gradient(values, places)[2], values).data.tolist() == [0, -0.5, 0, 0.5, 0]


@pytest.mark.parametrize("p", [1, -1, np.inf, -np.inf, "fro", "nuc"])
def test_the_gradient_of_a_condition_number_beside_a_singular_matrix(p: Any) -> None:
    regular = np.array([[3.0, 1.0], [0.5, 2.0]])
    batch = leaf(np.stack([regular, np.ones((2, 2))]))
    found = np.linalg.cond(batch, p)
    assert found.data.tolist() == [pytest.approx(np.linalg.cond(regular, p)), np.inf]
    right = func.grad(lambda x: np.linalg.cond(x, p))(regular)
    np.testing.assert_allclose(grad(found[0], batch, retain_graph=True).data[0], right, rtol=1e-12)
    assert not np.isfinite(grad(found[1], batch).data[1]).all()


@pytest.mark.parametrize("p", [None, 2, -2, 1, "fro"])
@pytest.mark.parametrize("wild", [np.nan, np.inf])
def test_the_condition_number_beside_a_matrix_that_is_not_finite_is_numpys(p: Any, wild: float) -> None:
    regular = np.array([[3.0, 1.0], [0.5, 2.0]])
    batch = leaf(np.stack([regular, np.array([[wild, 1.0], [2.0, 3.0]])]))
    try:
        expected = np.linalg.cond(batch.data, p)
    except np.linalg.LinAlgError:  # by singular values, before NumPy 2.5
        with pytest.raises(np.linalg.LinAlgError, match=r"linalg.cond of float64\[2, 2, 2\]"):
            np.linalg.cond(batch, p)
        return
    found = np.linalg.cond(batch, p)
    np.testing.assert_allclose(found.data, expected, rtol=1e-12)
    right = func.grad(lambda x: np.linalg.cond(x, p))(regular)
    gradient = grad(np.sum(found), batch).data
    np.testing.assert_allclose(gradient[0], right, rtol=1e-12)
    assert np.isnan(gradient[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: np.correlate(leaf([]), [1.0]), "a cannot be empty"),
        (lambda: np.correlate([1.0], leaf([])), "v cannot be empty"),
        (lambda: np.convolve(leaf([]), [1.0, 2.0]), "a cannot be empty"),
        (lambda: np.tensordot(leaf([1.0]), leaf([1.0])), "axes=2 needs 2 dimensions of each"),
        (lambda: np.linalg.solve(leaf(np.zeros((2, 2))), np.ones(2)), r"float64\[2, 2\], float64\[2\]: Singular"),
        (
            lambda: np.linalg.multi_dot([leaf(np.ones((2, 3))), np.ones((2, 2)), np.ones((2, 2))]),
            r"of \[float64\[2, 3\], float64\[2, 2\], float64\[2, 2\]\]:",
        ),
        (lambda: grad(np.array(2.0), leaf([1.0])), "outputs is a Tensor or several, not ndarray"),
        (lambda: grad(np.array([2.0]), leaf([1.0])), "of a Tensor, not of float64"),
        (lambda: grad(leaf(1.0), np.array(2.0)), "input 0 is not a Tensor"),
        (lambda: grad(leaf(1.0), 2.0), "input 0 is not a Tensor"),
    ],
)
def test_messages_say_what_was_given(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call()


def test_a_polynomial_without_coefficients_is_a_tensor_of_zeros() -> None:
    for x, expected in ((2.0, 0.0), (leaf([1.0, np.nan]), [0.0, 0.0]), ([1.0, 2.0], [0.0, 0.0])):
        y = np.polyval(leaf([]), x)
        assert type(y) is Tensor
        assert y.data.tolist() == expected


@pytest.mark.parametrize("p", [None, 2, 1, "fro"])
def test_the_condition_number_of_zeros_is_infinite_without_a_warning(p: Any) -> None:
    assert np.linalg.cond(leaf(np.zeros((2, 2))), p).item() == np.inf


NUMBERS = [0.0, 1 / 3, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 100.0, np.inf]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("power", [np.power, np.float_power, operator.pow])
def test_powers_are_numpys_own_also_of_special_values(power: Callable[..., Any], dtype: Any) -> None:
    """NumPy's depend on the dtype and on whether the exponent is one number: (-inf)**0.5 is inf or NaN."""
    if power is operator.pow and numpy_is_before("2.3.0"):
        pytest.skip("before NumPy 2.3 the operator has shortcuts that np.power has not; a Tensor's is np.power")
    limits = np.finfo(dtype)
    positive = [*NUMBERS, *map(float, (limits.max, limits.tiny, limits.smallest_subnormal))]
    values = [np.nan, *positive, *(-v for v in positive)]
    x, each = np.array(values, dtype), [np.array(v, dtype) for v in values]
    pairs = [(x, exponent) for exponent in [*values, *each]] + [(base, x) for base in [*values, *each]]
    for a, b in [*pairs, (x[:, np.newaxis], x), *itertools.product(each, each)]:
        tensors = [Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for x in (a, b)]
        with np.errstate(all="ignore"):
            expected = np.asarray(power(a, b))
            for given in (tensors, [tensors[0], b], [a, tensors[1]]):
                if not any(type(x) is Tensor for x in given):
                    continue
                found = power(*given)
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found.data, expected, err_msg=f"{a} {b}")
                number = ~np.isnan(expected)
                np.testing.assert_array_equal(np.signbit(found.data)[number], np.signbit(expected)[number])


def test_gradients_of_float16_powers_are_computed_in_float32() -> None:
    x, y = leaf(np.full(100_000, 2.0), np.float16), leaf(0.5, np.float16)
    slope = 2**0.5 * np.log(2)
    np.testing.assert_allclose(grad(x**y, y, np.full(100_000, 0.25, np.float16)).data, 25_000 * slope, rtol=2e-3)
    small = leaf(2**-10, np.float16)  # where the slope is -1.5 * 2**25
    assert grad(small**-1.5, small, np.array(2**-14, np.float16)).data == -1.5 * 2**11


ELEMENTWISE = [f for f, entry in registry.items() if isinstance(entry, Primitive) and entry.takes_dtype]
REALS = np.array([0.25, 0.5, 0.75])


@pytest.mark.parametrize("ufunc", ELEMENTWISE, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, np.int8, np.bool_])
def test_dtype_of_a_ufunc_is_that_in_which_numpy_computes(ufunc: np.ufunc, given: type) -> None:
    a = (REALS + (ufunc is np.arccosh) if np.dtype(given).kind == "f" else np.ones(3)).astype(given)
    a = a if a.dtype.kind == "f" or ufunc is not np.arctanh else 0 * a
    others = [np.array([1, 2, 1], given)] * (ufunc.nin - 1)
    for dtype in (np.float16, np.float32, np.float64, np.longdouble):
        x = Tensor(a, requires_grad=a.dtype.kind == "f")
        try:
            expected = ufunc(a, *others, dtype=dtype)
        except TypeError:
            with pytest.raises(
                TypeError, match=f"{ufunc.__name__} of a Tensor does not compute in dtype={np.dtype(dtype)}"
            ):
                ufunc(x, *others, dtype=dtype)
            continue
        y = ufunc(x, *others, dtype=np.dtype(dtype).name)
        assert y.dtype == expected.dtype == dtype
        rough = 5e-3 if np.float16 in (dtype, given) else 1e-6 if np.float32 in (dtype, given) else 1e-12
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(y.data, expected, rtol=rough, atol=rough)
        if x.requires_grad:
            found = grad(y, x, np.ones(3, dtype), retain_graph=True)
            assert found.dtype == given
            z = x.astype(dtype)
            fits = [o.astype(dtype) for o in others]
            np.testing.assert_array_equal(found.data, grad(ufunc(z, *fits), x, np.ones(3, dtype)).data)


def test_dtype_of_a_ufunc_casts_every_argument_first() -> None:
    a, b = leaf([1.0], np.float32), leaf([2.0**-30], np.float32)
    y = np.add(a, b, dtype=np.float64)  # the sum is 1 in float32
    assert y.data - 1 == 2.0**-30
    assert [g.dtype for g in grad(y, [a, b])] == [np.float32] * 2
    assert np.multiply(a, 0.1, dtype=np.float64).data == 0.1  # a number takes the dtype as it is
    assert np.add(a, [1], dtype=np.float64).dtype == np.float64
    assert np.exp(a, dtype=None).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.exp(x, dtype=int), "exp of a Tensor takes floating point as dtype=, not int64"),
        (lambda x: np.exp(x, dtype=np.complex64), "exp of a Tensor takes floating point as dtype=, not complex64"),
        (
            lambda x: np.float_power(x, 2.0, dtype=np.float32),
            "float_power of a Tensor does not compute in dtype=float32",
        ),
        (lambda x: np.ldexp(x, 1, dtype=np.float64), "ldexp of a Tensor does not support dtype="),
        (lambda x: np.modf(x, dtype=np.float64), "modf of a Tensor does not support dtype="),
        (lambda x: np.matmul(x, x, dtype=np.float64), "matmul of a Tensor does not support dtype="),
        (
            lambda x: np.exp(x, where=[True, False]),
            "exp of a Tensor does not support where=; keywords supported: dtype",
        ),
        (lambda x: np.exp(x, where=[True, False], out=np.zeros(2)), "exp of a Tensor does not support out="),
        (lambda x: np.exp(x.data, out=x), "out"),
        (lambda x: np.exp(x, casting="no"), "exp of a Tensor does not support casting="),
        (lambda x: np.exp(x, order="F"), "exp of a Tensor does not support order="),
        (lambda x: np.exp(x, signature="d->d"), "exp of a Tensor does not support signature="),
    ],
)
def test_keywords_of_ufuncs_that_are_not_supported_are_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(leaf([1.0, 2.0]))


@pytest.mark.parametrize("operation", [operator.mod, operator.floordiv, divmod])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_remainders_by_operators(operation: Callable[..., Any], dtype: type) -> None:
    """Of either sign, beside arrays and numbers; the quotient is an array, and the remainder has a gradient."""
    a, b = np.array([7.5, -7.5, 7.5, -7.5], dtype), np.array([2.0, 2.0, -2.0, -2.0], dtype)
    x, y = leaf(a, dtype), leaf(b, dtype)
    for left, right, plain in ((x, y, (a, b)), (x, b, (a, b)), (a, y, (a, b)), (x, 2, (a, 2)), (9, y, (9, b))):
        found, expected = operation(left, right), operation(*plain)
        for part, array in zip(*(v if isinstance(v, tuple) else (v,) for v in (found, expected)), strict=True):
            assert part.dtype == array.dtype
            np.testing.assert_array_equal(part.data if type(part) is Tensor else part, array)
    remainder = np.divmod(x, y)[1]
    for found, expected in zip(grad(remainder, [x, y], np.ones(4)), (np.ones(4), -np.floor_divide(a, b)), strict=True):
        np.testing.assert_array_equal(found.data, expected)
    z = +x
    z %= 2
    np.testing.assert_array_equal(z.data, a % 2)


# --- interp ----------------------------------------------------------------------------------------------------------

KNOTS, VALUES = np.array([0.0, 1.0, 3.0]), np.array([1.0, 3.0, 2.0])


def test_interpolation_at_knots_and_beyond() -> None:
    x = leaf([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, np.inf, -np.inf, np.nan])
    fp = leaf(VALUES)
    y = np.interp(x, KNOTS, fp, left=-5.0)
    np.testing.assert_array_equal(y.data, np.interp(x.data, KNOTS, VALUES, left=-5.0))
    dx, dfp = grad(y, [x, fp], np.ones(10))
    np.testing.assert_array_equal(dx.data, [0, 2, 2, -0.5, -0.5, -0.5, 0, 0, 0, 0])  # at a knot the slope to its right
    np.testing.assert_array_equal(dfp.data, [1.5, 2, 4.5 - 1])
    ends = leaf(-5.0), leaf(7.0)
    y = np.interp(x, KNOTS, fp, *ends)
    assert [g.item() for g in grad(y, ends, np.ones(10))] == [2, 2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, np.bool_])
def test_interpolation_is_in_float64_and_gradients_in_the_dtype_of_their_argument(dtype: type) -> None:
    x, xp, fp = np.array([0.25, 0.5]), KNOTS.astype(dtype), VALUES.astype(dtype)
    xp = xp[:2]
    y = np.interp(leaf(x), xp, fp[:2])
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y.data, np.interp(x, xp, fp[:2]))
    if np.dtype(dtype).kind == "f":
        knots, values = leaf(xp, dtype), leaf(fp[:2], dtype)
        y = np.interp(x, knots, values)
        assert [g.dtype for g in grad(y, [knots, values], np.ones(2))] == [dtype] * 2


def test_jumps_between_equal_knots_and_a_single_knot() -> None:
    x, xp, fp = leaf([0.5, 1.0, 1.5]), leaf([0.0, 1.0, 1.0, 2.0]), leaf([0.0, 1.0, 5.0, 6.0])
    y = np.interp(x, xp, fp)
    np.testing.assert_array_equal(y.data, np.interp(x.data, xp.data, fp.data))
    assert grad(y, x, np.ones(3), retain_graph=True).data.tolist() == [1, 1, 1]
    assert grad(y, fp, np.ones(3)).data.tolist() == [0.5, 0.5, 1.5, 0.5]
    x, xp, fp = leaf([1.0]), leaf([0.0, 1.0, 1.0]), leaf([0.0, 2.0, 3.0])
    y = np.interp(x, xp, fp)
    assert y.data.tolist() == [3]
    assert [g.data.tolist() for g in grad(y, [x, xp, fp], np.ones(1))] == [[0], [0, 0, 0], [0, 0, 1]]
    x, xp, fp = leaf([0.5, 1.0, 1.5]), leaf([1.0]), leaf([4.0])
    y = np.interp(x, xp, fp)
    assert [g.data.tolist() for g in grad(y, [x, xp, fp], np.ones(3))] == [[0, 0, 0], [0], [3]]


def test_an_infinite_point_leaves_the_derivatives_of_others_alone() -> None:
    def second(x: Any, by: int) -> list[Any]:
        inputs = leaf(x), leaf(KNOTS), leaf(VALUES)
        y = np.interp(*inputs, left=1.0, right=1.0)
        first = grad(np.sum(y**2), inputs[by], create_graph=True)
        return [g.data for g in grad(np.sum(first**2), inputs)]

    for by in range(3):
        (dx, *found), (alone, *expected) = second([0.5, np.inf, -np.inf], by), second([0.5], by)
        np.testing.assert_array_equal(dx, [*alone, 0, 0])
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((KNOTS[::-1], VALUES), "xp must not decrease"),
        (([0.0, np.nan, 2.0], VALUES), "xp must not decrease, nor be NaN"),
        (([], []), "not empty"),
        ((KNOTS, VALUES[:2]), "of one length"),
        (([KNOTS], [VALUES]), "1-D"),
        ((KNOTS, VALUES, None, None, 0), "period must be a number other than 0"),
        ((KNOTS, VALUES * 1j), "complex"),
        ((KNOTS, VALUES, [1.0, 2.0]), "left"),
    ],
)
def test_what_interpolation_refuses(arguments: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        np.interp(leaf([0.5]), *arguments)


# --- functions of pieces, insertion, creation ------------------------------------------------------------------------


def test_elements_where_no_condition_holds_are_0_and_the_last_condition_wins() -> None:
    x = leaf([-2.0, 0.5, 2.0, np.nan])
    y = np.piecewise(x, [x > 0, x > 1], [np.square, np.negative])
    np.testing.assert_array_equal(y.data, np.piecewise(x.data, [x.data > 0, x.data > 1], [np.square, np.negative]))
    assert grad(y, x, np.ones(4)).data.tolist() == [0, 1, -1, 0]
    step = np.piecewise(x, [x < 0, x >= 0], [-1, 1])
    assert step.data.tolist() == [-1, 1, 1, 0]
    assert grad(step, x, np.ones(4)).data.tolist() == [0, 0, 0, 0]


def test_a_branch_that_is_not_taken_is_not_computed() -> None:
    x = leaf([-1.0, 4.0])
    y = np.piecewise(x, [x < 0], [0.0, np.sqrt])
    assert grad(y, x, np.ones(2)).data.tolist() == [0, 0.25]
    assert np.piecewise(leaf(3.0), [True], [np.square]).item() == 9
    integers = Tensor(np.array([1, 2]))
    assert np.piecewise(integers, [integers.data > 1], [7, 9]).data.tolist() == [9, 7]


def test_insertion_keeps_the_dtype_of_the_array() -> None:
    x, value = leaf([1.0, 2.0], np.float16), leaf(np.pi, np.float64)
    y = np.insert(x, 1, value)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y.data, np.insert(x.data, 1, value.data))
    found = grad(y, [x, value], [1.0, 2.0, 3.0])
    assert [g.data.tolist() for g in found] == [[1, 3], 2]
    assert [g.dtype for g in found] == [np.float16, np.float64]
    with pytest.raises(TypeError, match=r"insert: an array of int64 cannot hold float64: write x.astype\(np.float64\)"):
        np.insert(np.array([1, 2]), 1, value)
    with pytest.raises(IndexError, match="insert"):
        np.insert(x, 5, value)


def test_choices_are_promoted_as_numpy_promotes_them() -> None:
    x = leaf([1.0, 2.0], np.float32)
    for other in (1, 2.5, np.float64(2.5), np.array([1, 2]), np.array([0.1, 0.2], np.float16), [1.5, 2.5]):
        expected, found = np.choose([0, 1], [x.data, other]), np.choose([0, 1], [x, other])
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.data, expected)
    with pytest.raises(ValueError, match="choose"):
        np.choose([0, 2], [x, x])


def test_blocks_of_tensors_arrays_and_numbers() -> None:
    x = leaf([[1.0, 2.0]], np.float32)
    for arrays in ([[x, 1], [np.zeros((1, 2)), 2.0]], [x.data, x], [[x], [x]], x, [[[x]]], [1.0, x, [3.0]][:2]):
        plain = np.block(unwrapped(arrays))
        y = np.block(arrays)
        np.testing.assert_array_equal(y.data, plain)
        assert (y.shape, y.dtype) == (plain.shape, plain.dtype)
    for arrays, kind, message in (
        ([[x], x], ValueError, "not nested equally deep"),
        ([[x], []], ValueError, "not nested|empty"),
        ([(x, x)], TypeError, "is a tuple. Only lists"),
        ([[x, np.ones((3, 1))]], ValueError, "block"),
    ):
        with pytest.raises(kind, match=message):
            np.block(arrays)


def unwrapped(value: Any) -> Any:
    return [unwrapped(part) for part in value] if isinstance(value, list) else getattr(value, "data", value)


def test_windows_are_read_only_views_and_refuse_what_numpy_refuses() -> None:
    window = np.lib.stride_tricks.sliding_window_view
    x = leaf(np.arange(12.0).reshape(3, 4))
    y = window(x, (2, 2))
    assert np.shares_memory(y.data, x.data)
    assert grad(y.sum(), x).data.tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]
    for call in (
        lambda: window(x, 5, axis=1),
        lambda: window(x, (2,)),
        lambda: window(x, (-1, 1)),
        lambda: window(x, 2, axis=7),
    ):
        with pytest.raises(ValueError, match="sliding_window_view"):
            call()
    with pytest.raises(TypeError, match="writeable="):
        window(x, (2, 2), writeable=True)


def test_subscripts_of_einsum_may_be_lists() -> None:
    a, b = leaf(np.arange(6.0).reshape(2, 3)), np.arange(12.0).reshape(3, 4)
    for given in (
        (a, [0, 1], b, [1, 2], [0, 2]), (a, [0, 1], b, [1, 2]), (b, [51, 3], a, [0, 51]),
        (a, [30, 51], b, [51, 3]), (a, [1, 0]),
        (a, [..., 1], [1, ...]), (a, (0, 1), ()), (a, np.array([0, 1]), np.array([1])), (a, [0, ...], b, [..., 2]),
    ):  # fmt: skip
        plain = np.einsum(*(v.data if type(v) is Tensor else v for v in given))
        np.testing.assert_array_equal(np.einsum(*given).data, plain)
    for given, kind in (((a, [0, 52]), ValueError), ((a, [0, -1]), ValueError), ((a, [0, 1.5]), TypeError)):
        with pytest.raises(kind, match="einsum"):
            np.einsum(*given)


def test_sequences_of_a_given_dtype() -> None:
    a, b = leaf(1.0, np.float16), leaf(4.0, np.float16)
    for function in (np.linspace, np.logspace, np.geomspace):
        y = function(a, b, 5, dtype=np.float32)
        assert y.dtype == np.float32
        assert [g.dtype for g in grad(y, [a, b], np.ones(5))] == [np.float16] * 2
        with pytest.raises(
            TypeError, match=f"{function.__name__} of a Tensor takes floating point as dtype=, not int64"
        ):
            function(a, b, dtype=int)
    with pytest.raises(ValueError, match="cannot include zero"):
        np.geomspace(leaf(0.0), b)
    with pytest.raises(ValueError, match="no distance"):
        np.linspace(a, b, 1, retstep=True)


def test_full_like_takes_the_value_s_gradient() -> None:
    x, value = leaf([[1.0, 2.0]]), leaf(3.0)
    y = np.full_like(x, value)
    assert grad(y, value, [[1.0, 2.0]]).item() == 3
    plain = np.full_like(x, 3.0)
    assert type(plain) is np.ndarray
    assert plain.tolist() == [[3, 3]]
    for call in (lambda: np.full((2, 2), value), lambda: np.full_like(x.data, value), lambda: np.r_[value, value]):
        with pytest.raises(TypeError, match="np.broadcast_to"):
            call()


def test_derivatives_of_i0_of_every_order() -> None:
    """I_0 satisfies x y'' + y' = x y; its derivatives at 0 are those of the power series."""
    for x in (1e-8, 0.3, 2.0, 7.9, 8.1, 30.0, 300.0):
        first, second = (func.grad(np.i0), func.grad(func.grad(np.i0)))
        y, slope, curvature = (float(f(np.array(x))) for f in (np.i0, first, second))
        assert x * curvature + slope == pytest.approx(x * y, rel=1e-13)
    function, found = np.i0, []
    for _ in range(7):
        found.append(float(function(np.array(0.0))))
        function = func.grad(function)
    assert found == pytest.approx([1, 0, 1 / 2, 0, 3 / 8, 0, 5 / 16], abs=1e-15)


def test_lists_of_tensors_beside_a_tensor_are_stacked() -> None:
    s, x = leaf(2.0), leaf([1.0, 2.0])
    for function in (np.dot, np.maximum, np.multiply, np.arctan2, np.hypot):
        for given in ([s, 3.0], [s, s], [s, np.float32(1)]):
            y = function(given, x)
            np.testing.assert_array_equal(
                y.data, function([v.item() if type(v) is Tensor else float(v) for v in given], x.data)
            )
            expected = grad(function(np.stack(given), x), [s, x], np.ones(y.shape))
            for found, other in zip(grad(y, [s, x], np.ones(y.shape)), expected, strict=True):
                np.testing.assert_array_equal(found.data, other.data)
    np.testing.assert_array_equal((x * [[s, s], [1, s]]).data, x.data * np.array([[2, 2], [1, 2]]))
    np.testing.assert_array_equal(np.interp(s, [1.0, s + 1], x).data, 1.5)
    assert np.where([True, False], x, [s, s]).data.tolist() == [1, 2]
    assert np.select([[True, False]], [x], default=s).data.tolist() == [1, 2]
    for join in (np.stack, np.vstack, np.hstack, np.dstack, np.column_stack, np.concatenate):
        y = join([x, [s, 3.0]])
        np.testing.assert_array_equal(y.data, join([x.data, [2.0, 3.0]]))
        assert grad(y.sum(), s).item() == 1
    assert np.append(x, [s]).data.tolist() == [1, 2, 2]
    assert x.at[[0, 0]].add([s, s]).data.tolist() == [5, 2]
    assert np.linspace(s, [s, 4.0], 2).data.tolist() == [[2, 2], [2, 4]]
    assert np.full_like(x, [s, 5]).data.tolist() == [2, 5]
    with pytest.raises(ValueError, match="multiply|stack"):
        x * [[s, s], s]
    with pytest.raises(TypeError, match="np.stack"):
        np.sum([s, s])  # NumPy does not look into this list


@pytest.mark.parametrize("shape", [(), (2,), (2, 1), (2, 2)])
@pytest.mark.parametrize(("mode", "keyword"), [("constant", "constant_values"), ("linear_ramp", "end_values")])
def test_padding_with_numbers_that_have_a_gradient(mode: str, keyword: str, shape: tuple[int, ...]) -> None:
    x, values = np.arange(6.0).reshape(2, 3), np.array([1.5, -2.0, 3.0, 0.25])[: int(np.prod(shape))].reshape(shape)

    def padded(x: Any, values: Any) -> Any:
        return np.pad(x, ((2, 1), (0, 3)), mode, **{keyword: values})

    np.testing.assert_allclose(padded(leaf(x), leaf(values)).data, padded(x, values), rtol=1e-14)
    check_gradients(padded, x, values, order=2)
    np.testing.assert_array_equal(padded(leaf(x), values).data, padded(leaf(x), leaf(values)).data)


@pytest.mark.parametrize("mode", ["maximum", "minimum", "mean", "median", "linear_ramp", "edge", "reflect"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(), (3,), (1,), (2, 3), (0, 3), (2, 0)])
def test_padding_is_numpys_in_every_mode(shape: tuple[int, ...], dtype: type, mode: str) -> None:
    a = (np.arange(np.prod(shape)) ** 2 % 7 + 0.5).reshape(shape).astype(dtype)
    for width in (0, 2, (1, 0), *([] if numpy_is_before("2.4.0") else [{0: 1}, {-1: (0, 2)}])):
        expected, found = (outcome(partial(np.pad, x, width, mode)) for x in (a, Tensor(a)))
        assert isinstance(found, Exception) == isinstance(expected, Exception)
        if isinstance(expected, np.ndarray):
            assert found.dtype == expected.dtype
            rtol = 2e-3 if dtype is np.float16 else 1e-6 if dtype is np.float32 else 1e-14
            np.testing.assert_allclose(found.data, expected, rtol=rtol)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (ValueError, TypeError, IndexError) as error:
        return error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: np.pad(X, 1, "empty"), "mode must be one of constant, linear_ramp,"),
        (lambda: np.pad(X, 1, lambda *_: None), "mode must be one of"),
        (lambda: np.pad(X, -1), "pad_width must not be negative"),
        (lambda: np.pad(X, 1, "reflect", reflect_type="odd"), "pad of a Tensor does not support reflect_type="),
        (lambda: np.pad(X, 1, "mean", end_values=1), "end_values cannot be given in mode 'mean'"),
        (lambda: np.pad(X, 1, "mean", stat_length=0), "stat_length must be at least 1, not 0"),
        (lambda: np.pad(X, 1, "mean", stat_length=1.5), "pad of float64"),
        (lambda: np.pad(Tensor(np.array([1])), 1, constant_values=leaf(2.5)), "cannot hold float64"),
        (lambda: np.pad(X, 1, constant_values=leaf([1.0, 2.0, 3.0])), "pad of float64"),
    ],
)
def test_what_padding_refuses(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
