"""Corner cases of NumPy's behaviour that the generated proofs do not reach; each was once wrong or unclear."""

import inspect
import itertools
import operator
from collections.abc import Callable
from operator import iadd, setitem
from typing import Any

from tinygrad_np import Tensor, cross_entropy, func, grad, one_hot
from tinygrad_np.tensor import Composite, registry
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest


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
    "bincount": lambda: np.bincount(np.array([0]), weights=leaf([1.0])),
    "svd": lambda: np.linalg.svd(X),
    "qr": lambda: np.linalg.qr(X),
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
    ours, theirs = positional(entry.implementation), positional(entry.function)
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
