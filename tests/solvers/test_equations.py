"""Roots and fixed points: values, derivatives to second order and beyond, trees, captured parameters, errors."""

import contextlib
from typing import Any

from tinygrad_np import Tensor, func, grad, nn, no_grad, optim
from tinygrad_np.solvers import ConvergenceError, equations, fixed_point, implicit, root
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

A = np.array([[3.0, 1.0, 0.5], [0.2, 2.0, -1.0], [0.0, 0.4, 1.5]])
START = np.zeros(3)


def residual(x: Any, a: Any, b: Any) -> Any:
    return np.tanh(A @ x) + x * np.exp(a) + b


def contraction(x: Any, a: Any, b: Any) -> Any:
    return 0.2 * np.tanh(A @ x) * a + b


def by_root(a: Any, b: Any) -> Any:
    return root(residual, START, a, b)


def by_iteration(a: Any, b: Any) -> Any:
    return fixed_point(contraction, START, a, b)


@pytest.fixture(params=[1000, 1], ids=["matrix", "gmres"])
def dense(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The size up to which the Jacobian is computed: systems of three unknowns are solved in both ways."""
    monkeypatch.setattr(equations, "DENSE", request.param)
    return request.param


@pytest.mark.usefixtures("dense")
@given(arrays((3,)), arrays((3,)))
def test_a_root_has_no_residual_and_its_derivatives_are_right(a: np.ndarray, b: np.ndarray) -> None:
    a = np.clip(a, -1, 1)
    np.testing.assert_allclose(residual(by_root(a, b), a, b), 0, atol=1e-9)
    check_gradients(by_root, a, b, rtol=1e-5)


@pytest.mark.usefixtures("dense")
@pytest.mark.parametrize("solve", [by_root, by_iteration])
def test_derivatives_to_second_order(solve: Any) -> None:
    check_gradients(solve, np.array([0.3, -0.2, 0.5]), np.array([0.1, 0.4, -0.6]), order=2, rtol=1e-5)


@pytest.mark.parametrize("solve", [root, fixed_point])
def test_derivatives_of_every_order(solve: Any) -> None:
    """Against those of the square root, by Newton's method and by Heron's iteration."""
    f = {root: lambda x, a: x * x - a, fixed_point: lambda x, a: (x + a / x) / 2}[solve]

    def derivative(a: Any) -> Any:
        return solve(f, 1.0, a)

    factor, a = 1.0, 2.5
    for order in range(5):
        np.testing.assert_allclose(derivative(a), factor * a ** (0.5 - order), rtol=1e-9)
        derivative, factor = func.grad(derivative), factor * (0.5 - order)


def test_forward_derivatives_jacobians_and_hessians_agree() -> None:
    a, b, v = np.array([0.3, -0.2, 0.5]), np.array([0.1, 0.4, -0.6]), np.array([1.0, 0.5, -2.0])
    y, along = func.jvp(lambda a: by_root(a, b), [a], [v])
    np.testing.assert_array_equal(y, by_root(a, b))
    np.testing.assert_allclose(along, func.jacobian(by_root)(a, b) @ v, rtol=1e-12)
    second = func.hessian(lambda a: by_root(a, b).sum())(a)
    np.testing.assert_allclose(func.hvp(lambda a: by_root(a, b).sum(), a, v), second @ v, rtol=1e-12)
    np.testing.assert_allclose(second, second.T, rtol=1e-10, atol=1e-14)


# --- trees, kinds, dtypes --------------------------------------------------------------------------------------------


def test_unknowns_and_arguments_may_be_trees() -> None:
    def circle(x: Any, target: Any) -> Any:
        return [x["u"] ** 2 + x["v"][0] ** 2 - target["r"], x["u"] - x["v"][0]]

    def found(r: Any) -> Any:
        return root(circle, {"u": 1.0, "v": np.array([0.5])}, {"r": r})

    assert type(found(2.0)["v"]) is np.ndarray
    assert type(found(2.0)["u"]) is np.float64
    np.testing.assert_allclose([found(2.0)["u"], found(2.0)["v"][0]], 1.0, rtol=1e-10)
    np.testing.assert_allclose(func.grad(lambda r: found(r)["v"][0] + 2 * found(r)["u"])(2.0), 0.75, rtol=1e-10)

    def halved(x: Any, a: Any) -> Any:
        return (0.5 * x[0] + a, {"z": 0.25 * x[1]["z"] + x[0]})

    def sums(a: Any) -> Any:
        y = fixed_point(halved, (np.zeros(2), {"z": np.ones(2)}), a)
        return np.concatenate([y[0], y[1]["z"]])

    np.testing.assert_allclose(sums(np.array([1.0, 2.0])), [2, 4, 8 / 3, 16 / 3], rtol=1e-9)
    check_gradients(sums, np.array([1.0, 2.0]), order=2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solve", [by_root, by_iteration])
def test_results_have_the_dtype_of_the_start(solve: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "START", np.zeros(3, dtype))
    monkeypatch.setitem(globals(), "A", A.astype(dtype))
    a = Tensor(np.array([0.3, -0.2, 0.5], dtype), requires_grad=True)
    y = solve(a, np.ones(3, dtype))
    y.sum().backward()
    assert y.dtype == a.grad.dtype == dtype
    monkeypatch.undo()
    exact = solve(a.data.astype(np.float64), np.ones(3))
    np.testing.assert_allclose(y.data, exact, rtol=1e-4 if dtype is np.float32 else 1e-9)
    slope = func.grad(lambda a: solve(a, np.ones(3)).sum())(a.data.astype(np.float64))
    np.testing.assert_allclose(a.grad.data, slope, rtol=1e-3 if dtype is np.float32 else 1e-9)


def test_results_are_of_the_kind_of_the_arguments() -> None:
    a = np.array([0.3, -0.2, 0.5])
    assert type(by_root(a, a)) is np.ndarray
    assert type(by_root(Tensor(a), a)) is Tensor
    assert not by_root(Tensor(a), a).requires_grad
    with no_grad():
        assert not by_root(Tensor(a, requires_grad=True), a).requires_grad
    start = START.copy()
    x = root(residual, start, a, a)
    x[:] = 7
    np.testing.assert_array_equal(start, START)
    scalar = root(lambda x: x - 1.0, np.zeros((1, 1)))
    assert scalar.shape == (1, 1)


def test_the_start_has_no_gradient() -> None:
    x0 = Tensor(np.array([1.0]), requires_grad=True)
    a = Tensor(np.array([2.0]), requires_grad=True)
    y = root(lambda x, a: x * x - a, x0, a)
    assert grad(y.sum(), x0).data == 0


# --- what a function reaches by itself -------------------------------------------------------------------------------


@pytest.mark.usefixtures("dense")
def test_captured_tensors_get_their_gradient_once() -> None:
    """Also where one was computed from another, or of the argument: the first must not go through the second twice."""

    def solved(a: Any, b: Any) -> Any:
        scale = np.exp(a)  # computed outside the function, from what is inside as well
        return root(lambda x, b: np.tanh(A @ x) + x * scale + a * b, START, b * a)

    check_gradients(solved, np.array([0.3, -0.2, 0.5]), np.array([0.1, 0.4, -0.6]), order=2, rtol=1e-5)


def test_parameters_of_a_network_are_trained_through_a_fixed_point() -> None:
    rng = np.random.default_rng(0)
    layer = nn.Linear(4, 4, rng=rng, dtype=np.float64)
    layer.weight.data = 0.3 * layer.weight.data
    x, target = rng.normal(size=(5, 4)), rng.normal(size=(5, 4)) / 4

    def loss() -> Any:
        z = fixed_point(lambda z: np.tanh(layer(z) + x), np.zeros((5, 4)))
        return ((z - target) ** 2).mean()

    def unrolled() -> Any:
        z = Tensor(np.zeros((5, 4)))
        for _ in range(200):
            z = np.tanh(layer(z) + x)
        return ((z - target) ** 2).mean()

    parameters = layer.parameters()
    for found, expected in zip(grad(loss(), parameters), grad(unrolled(), parameters), strict=True):
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-7, atol=1e-12)
    before = loss().item()
    optimizer = optim.Adam(parameters, lr=0.05)
    for _ in range(20):
        optimizer.minimize(loss())
    assert loss().item() < 0.7 * before


def test_a_parameter_that_is_changed_before_the_backward_pass_is_noticed() -> None:
    a = Tensor(np.array([2.0]), requires_grad=True)
    y = root(lambda x: x * x - a, np.array([1.0]))
    a.data = a.data + 1
    with pytest.raises(RuntimeError, match="argument 0 of root"):
        y.sum().backward()


# --- methods, and what they say --------------------------------------------------------------------------------------


def test_many_unknowns_are_solved_without_their_jacobian(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the Jacobian was computed")

    monkeypatch.setattr(implicit.Recorded, "jacobian", never)
    n = equations.DENSE + 1
    b = np.linspace(-1, 1, n)

    def bent(x: Any, b: Any) -> Any:
        return 3 * x + np.tanh(np.roll(x, 1)) - b

    def solved(b: Any) -> Any:
        return root(bent, np.zeros(n), b)

    np.testing.assert_allclose(bent(solved(b), b), 0, atol=1e-9)
    check_gradients(solved, b, rtol=1e-5)


@pytest.mark.parametrize("memory", [0, 1, 5])
def test_anderson_needs_fewer_steps(memory: int) -> None:
    calls = 0

    def slow(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return 0.95 * np.cos(x) + 0.04 * np.roll(x, 1)

    x = fixed_point(slow, np.zeros(4), memory=memory)
    np.testing.assert_allclose(slow(x), x, atol=1e-9)
    assert calls < 20 if memory else 40 < calls


@pytest.mark.parametrize(
    ("solve", "error", "says"),
    [
        (lambda: root(lambda x: x * x + 1, 0.5), ConvergenceError, "root: the residual stays at 1"),
        (
            lambda: root(lambda x: x**3 - 2, 1.0, steps=2),
            ConvergenceError,
            r"root: not converged after 2 steps: the re",
        ),
        (lambda: root(lambda x: np.log(x), -1.0), ConvergenceError, "root: f is nan in step 0; start elsewhere"),
        (lambda: root(lambda x: x * 0 + 1, 1.0), ConvergenceError, "Newton's step 0 have no solution.*residual is 1"),
        (lambda: root(lambda x: 1.0, 1.0), ConvergenceError, "Newton's step 0 have no solution"),
        (lambda: root(lambda x: x[:2], np.ones(3)), ValueError, "root: f returned 2 numbers for 3 unknowns"),
        (lambda: root(lambda x: x, np.ones(3, np.float16)), TypeError, "x0 must be float32 or float64.*float16"),
        (lambda: root(lambda x: x, "one"), TypeError, "x0 must be float32 or float64.*not str"),
        (lambda: root(lambda x: x, {"a": [1.0, None]}), TypeError, "not NoneType"),
        (lambda: root(lambda x: x, []), ValueError, "root: x0 has no elements"),
        (lambda: root(lambda x: x, 1.0, method="adam"), ValueError, "root: method must be 'newton' or 'hybr'"),
        (lambda: root(lambda x: x, 1.0, tolerance=0), ValueError, "root: tolerance must be above 0"),
        (lambda: root(lambda x: x, 1.0, steps=0), ValueError, "root: steps must be a positive integer"),
        (
            lambda: fixed_point(lambda x: 2 * x + 1, 1.0, memory=0, steps=20),
            ConvergenceError,
            "after 20 steps: f.x. - ",
        ),
        (lambda: fixed_point(lambda x: x * np.inf, 1.0), ConvergenceError, "fixed_point: f.x. - x is inf in step 1"),
        (
            lambda: fixed_point(lambda x: x[:2], np.ones(3)),
            ValueError,
            r"f returned: expected shape \(3,\), not \(2,\)",
        ),
        (lambda: fixed_point(lambda x: x["a"], {"a": 1.0}), ValueError, "expected a dict with the keys"),
        (lambda: fixed_point(lambda x: x, 1.0, memory=1.5), ValueError, "memory must be an integer"),
        (lambda: fixed_point(lambda x: x, 1.0, memory=-1), ValueError, "memory must be"),
    ],
)
def test_errors_say_what_happened(solve: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says), np.errstate(all="ignore"):
        solve()


def test_a_double_root_has_no_derivative() -> None:
    a = Tensor(np.array([0.0]), requires_grad=True)
    y = root(lambda x: x * x - a, np.array([0.0]))
    with pytest.raises(np.linalg.LinAlgError, match="root: the Jacobian is singular at the solution"):
        y.sum().backward()


@given(st.floats(-2, 2), st.sampled_from([ValueError, KeyError]))
def test_errors_of_the_function_come_through(start: float, error: type[Exception]) -> None:
    def failing(x: Any) -> Any:
        raise error("mine")

    for solve in (root, fixed_point):
        with pytest.raises(error, match="mine"):
            solve(failing, start)
    with contextlib.suppress(ConvergenceError):
        root(lambda x: x * x + 1, start)
    assert (Tensor([1.0], requires_grad=True) * 2).requires_grad  # recording goes on as before
