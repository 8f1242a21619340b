"""Passes over the graph: gradients stacked, in parts, and columns by forward passes, against gradients one by one."""

import itertools
from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, _passes, debug, differentiable, func, primitive, softmax, tensor
from tinygrad_np.ops.products import linear
from tinygrad_np.testing.conventions import CONVENTIONS, Convention

import numpy as np
import pytest

RNG = np.random.default_rng(0)
ANYWHERE = RNG.normal(size=3)


def one_by_one(function: Callable[..., Any], *arrays: Any) -> list[np.ndarray]:
    """The Jacobians of a function with one result, from as many backward passes as it has elements."""
    inputs = [Tensor(np.asarray(a), requires_grad=True) for a in arrays]
    y = function(*inputs)
    units = np.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
    rows = [_passes.backward([y], inputs, [unit], False) for unit in units]
    return [np.reshape([row[k].data for row in rows], (*y.shape, *x.shape)) for k, x in enumerate(inputs)]


@pytest.fixture
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are free, so that forward passes count as faster wherever there are fewer inputs than outputs."""
    monkeypatch.setattr(_passes, "CALL", 0)
    monkeypatch.setattr(_passes, "OTHER_CALL", 0)


@pytest.mark.parametrize("row", CONVENTIONS, ids=lambda row: row.name)
def test_conventions_hold_for_stacked_gradients(row: Convention) -> None:
    arrays = [np.array(x, row.dtype) for x in row.inputs]
    found = func.jacobian(row.function, tuple(range(len(arrays))))(*arrays)
    for ours, expected in zip(found, one_by_one(row.function, *arrays), strict=True):
        assert ours.dtype == row.dtype
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(expected))
        np.testing.assert_allclose(ours, expected, rtol=1e-6 if row.dtype == "float32" else 1e-14, atol=1e-300)


@pytest.mark.parametrize("row", CONVENTIONS, ids=lambda row: row.name)
@pytest.mark.usefixtures("_columns")
def test_conventions_hold_where_there_are_few_inputs(row: Convention) -> None:
    """Results are repeated, so that there are more of them than inputs."""
    arrays = [np.array(x, row.dtype) for x in row.inputs]
    times = sum(a.size for a in arrays) + 1

    def function(*inputs: Any) -> Any:
        y = row.function(*inputs)
        return np.broadcast_to(y, (times, *y.shape))

    found = func.jacobian(function, tuple(range(len(arrays))))(*arrays)
    for ours, expected in zip(found, one_by_one(function, *arrays), strict=True):
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(expected))
        np.testing.assert_allclose(ours, expected, rtol=1e-5 if row.dtype == "float32" else 1e-12, atol=1e-12)


SINGULAR: list[tuple[Callable[[Any], Any], Any]] = [
    (lambda x: softmax(np.sqrt(x)), np.zeros(2)),
    (lambda x: np.sqrt(x * x), np.zeros(2)),  # 0 forward, NaN back
    (lambda x: np.sqrt(x) * 0, np.zeros(2)),  # NaN forward, 0 back
    (lambda x: np.stack([np.cbrt(x), -np.cbrt(x)]), np.zeros(2)),
    (lambda x: np.linalg.eigh(x)[1], np.eye(2)),
    (lambda x: np.linalg.norm(x), np.zeros(2)),
    (lambda x: np.hypot(x, x), np.zeros(2)),
    (lambda x: np.where(x > 0, np.sqrt(x), 0), np.array([0.0, 4.0])),
    (lambda x: np.log(x) * 0 + x, np.array([0.0, 1.0])),
    (lambda x: np.where(x > 0, 1 / x, x), np.array([0.0, 4.0])),
]


@pytest.mark.parametrize(("function", "x"), SINGULAR)
@pytest.mark.usefixtures("_columns")
def test_a_singular_point_is_the_same_in_both_directions(function: Any, x: Any) -> None:
    repeated = lambda x: np.stack([function(x)] * 9)  # noqa: E731
    for f in (function, repeated):
        with np.errstate(all="ignore"):  # of the function itself
            found, expected = func.jacobian(f)(x), one_by_one(f, x)[0]
        np.testing.assert_array_equal(found, expected)


def several(x: Any) -> Any:
    """Of 3 numbers 12: broadcasting, a matrix product, an index, and Tensors that are used several times."""
    grid = np.outer(x, np.array([1.0, 2.0])) + np.mean(np.exp(x))
    table = np.concatenate([grid, (x[::-1] * x[0])[:, None], softmax(x)[:, None]], axis=1)
    return np.tanh(table) @ np.diag(np.arange(1.0, 5))


@pytest.mark.parametrize("step", [1, 5, 12, 100])
def test_parts_of_any_size_make_the_same_jacobian(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_passes, "_rows_at_once", lambda order: step)
    monkeypatch.setattr(_passes, "_by_columns", lambda outputs, inputs: None)
    np.testing.assert_allclose(func.jacobian(several)(ANYWHERE), one_by_one(several, ANYWHERE)[0], rtol=1e-13)
    nested = func.jacobian(func.jacobian(several))(ANYWHERE)
    assert nested.shape == (3, 4, 3, 3)
    np.testing.assert_allclose(nested, np.swapaxes(nested, -1, -2), rtol=1e-12, atol=1e-12)
    for i, j in itertools.product(range(3), range(4)):
        np.testing.assert_allclose(nested[i, j], func.hessian(lambda x, i=i, j=j: several(x)[i, j])(ANYWHERE))


@pytest.mark.usefixtures("_columns")
def test_columns_are_used_and_equal_to_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_passes, "backward_of_each", lambda *_: pytest.fail("went back"))
    found = func.jacobian(several)(ANYWHERE)
    np.testing.assert_allclose(found, one_by_one(several, ANYWHERE)[0], rtol=1e-12)
    pair = func.jacobian(lambda a, b: {"product": b * several(a), "square": a * a}, (0, 1))(ANYWHERE, 2.0)
    np.testing.assert_allclose(pair["product"][0], 2 * found, rtol=1e-12)
    np.testing.assert_allclose(pair["product"][1], several(ANYWHERE), rtol=1e-12)
    np.testing.assert_allclose(pair["square"][0], np.diag(2 * ANYWHERE), rtol=1e-12)
    assert pair["square"][1].tolist() == [0, 0, 0]
    one = np.ones(1, np.float32)
    assert func.jacobian(lambda a: np.broadcast_to(a, (3, 1)) * np.float64(2))(one).dtype == np.float32


def test_how_many_gradients_are_stacked() -> None:
    def of(size: int) -> int:
        return _passes._rows_at_once([Tensor(np.broadcast_to(np.float64(0), size)), Tensor(0.0)])

    assert [of(2**n) for n in (0, 7, 14, 16, 17, 20, 21, 22, 23, 24)] == [2**17, 1024, 8, 4, 4, 4, 4, 2, 1, 1]
    assert _passes._rows_at_once([]) == 2**20


def test_float16_is_added_up_in_float32() -> None:
    """Of 4096 ones a sum in float16 would stop at 2048."""

    def many(x: Any) -> Any:
        return sum((x * 1.0 for _ in range(4095)), x * 1.0)

    np.testing.assert_array_equal(func.jacobian(many)(np.ones(2, np.float16)), 4096 * np.eye(2))
    x = Tensor(np.ones(2, np.float16), requires_grad=True)
    for record in (False, True):
        assert _passes.backward_of_each(many(x), [x], record)[0].dtype == np.float16


def test_a_layer_of_a_batch_and_its_weights() -> None:
    arrays = [RNG.normal(size=shape) for shape in ((4, 3), (3, 2), (2,))]
    call = lambda x, weight, bias: np.tanh(linear(x, weight, bias))  # noqa: E731
    for found, expected in zip(func.jacobian(call, (0, 1, 2))(*arrays), one_by_one(call, *arrays), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_indices_whose_axes_go_in_front() -> None:
    for index in ((np.array([0, 1]), slice(None), np.array([1, 0])), (0, slice(None), np.array([1, 0, 1]))):
        np.testing.assert_array_equal(
            func.jacobian(lambda x, index=index: x[index])(np.ones((2, 3, 2))),
            one_by_one(lambda x, index=index: x[index], np.ones((2, 3, 2)))[0],
        )


def test_what_follows_a_derivative_inside_of_a_function_is_inside_of_it_too() -> None:
    def function(x: Any) -> Any:
        for find in (func.jacobian(several), lambda x: func.jvp(several, x, x), func.jacobian(lambda x: x[:2])):
            find(ANYWHERE)
            assert _passes.nested.get()
        return x

    func.grad(lambda x: function(x).sum())(ANYWHERE)


def test_a_direction_takes_the_dtype_of_its_argument() -> None:
    assert func.jvp(lambda x: x, np.float32([1, 2]), np.array([1.0, 2.0]))[1].dtype == np.float32


# --- operations without `rows` ---------------------------------------------------------------------------------------


def test_an_operation_of_ones_own_sees_gradients_one_by_one() -> None:
    shapes = []

    def back(g: Any, y: Any, x: Any) -> Any:
        shapes.append(g.shape)
        return np.cumsum(g[::-1])[::-1]

    total = primitive(lambda x: np.cumsum(x), back)
    matrix = func.jacobian(lambda x: total(x * x) * 2)(ANYWHERE)
    np.testing.assert_allclose(matrix, np.tril(np.ones((3, 3))) * 4 * ANYWHERE, rtol=1e-14)
    assert shapes == [(3,)] * 3


def test_an_elementwise_vjp_that_sums_by_itself_sees_gradients_one_by_one() -> None:
    scale = primitive(
        lambda x, a: x * a, lambda g, y, x, a: g * a, lambda g, y, x, a: np.sum(g * x, keepdims=True), jvp="elementwise"
    )
    _, found = func.jacobian(scale, (0, 1))(ANYWHERE, np.ones(1))
    np.testing.assert_array_equal(found, ANYWHERE[:, None])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda g: None, "returned None"),
        (lambda g: 1.0, "returned float"),
        (Tensor, "returned a Tensor"),
        (lambda g: g > 0, "returned bool"),
        (lambda g: g * 1j, "returned complex128"),
        (lambda g: g.astype(np.float16), "of lower precision"),
        (lambda g: g[..., :2], "returned shape"),
    ],
)
def test_what_is_no_stacked_gradient_is_refused(wrong: Any, message: str) -> None:
    plain = primitive(lambda x: x + 0, lambda g, y, x: wrong(g), jvp="elementwise", name="plain")
    with pytest.raises((TypeError, ValueError), match=f"the vjp of plain for argument 0 .*{message}"):
        func.jacobian(plain)(ANYWHERE)


def test_rows_are_what_a_primitive_declares() -> None:
    calls = []

    def times(g: Any, y: Any, a: Any, b: Any) -> Any:
        calls.append(g.shape)
        return g * b

    weights = np.array([1.0, 2.0, 3.0])
    product = differentiable(times, None, rows=(times, None))(lambda a, b: a * b)
    np.testing.assert_array_equal(func.jacobian(lambda x: product(x, weights))(ANYWHERE), np.diag(weights))
    assert calls == [(3, 3)]


def test_an_error_in_a_vjp_names_the_operation() -> None:
    def back(g: Any, y: Any, x: Any) -> Any:
        raise ArithmeticError("no")

    for options in ({}, {"jvp": "elementwise"}):
        wrong = primitive(lambda x: x + 0, back, name="wrong", **options)
        with pytest.raises(ArithmeticError) as caught:
            func.jacobian(wrong)(ANYWHERE)
        assert caught.value.__notes__ == ["in the backward pass of wrong"]
    unfit = primitive(lambda x: x + 0, lambda g, y, x: g[:2], name="unfit")
    with pytest.raises(ValueError, match="the vjp of unfit for argument 0 returned shape"):
        func.jacobian(unfit)(ANYWHERE)


def test_an_anomaly_is_found_in_the_rows() -> None:
    with debug.detect_anomaly(), pytest.raises(FloatingPointError, match="sqrt"):
        func.jacobian(np.sqrt)(np.array([1.0, 0.0]))


def test_what_is_not_differentiable_is_refused() -> None:
    with pytest.raises(TypeError, match="returned int64"):
        func.jacobian(lambda x: primitive(lambda x: x.astype(np.int64), lambda g, y, x: g, name="whole")(x))(ANYWHERE)
    x = Tensor(ANYWHERE, requires_grad=True)
    y = x * x
    y.sum().backward()
    with pytest.raises(RuntimeError, match="the graph was freed"):
        _passes.backward_of_each(y, [x], False)
    assert tensor._pauses.get() == 0
