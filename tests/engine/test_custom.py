"""Functions with a vjp of their own, for trees and with functions among the arguments."""

import gc
from functools import partial
from typing import Any, NamedTuple

from tinygrad_np import Tensor, debug, func, grad, nn, no_grad
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

X = np.array([0.3, -0.5, 0.8])


class Pair(NamedTuple):
    left: Any
    right: Any


def leaf(x: Any) -> Tensor:
    return Tensor(np.array(x), requires_grad=True)


# --- a rule for trees: y = {"sum": a + b, "products": [a * b.left]} --------------------------------------------------


def forward(a: Any, pair: Any, name: str = "x", *, scale: float = 1.0) -> Any:
    assert all(type(x) is np.ndarray for x in (a, pair.left, pair.right))
    assert (type(pair), type(name)) == (Pair, str)
    return {"sum": (a + pair.right) * scale, "products": [a * pair.left]}


def rule(g: Any, y: Any, a: Any, pair: Any, name: str = "x", *, scale: float = 1.0) -> Any:
    assert list(g) == list(y) == ["sum", "products"]
    product = g["products"][0]
    return g["sum"] * scale + product * pair.left, Pair(product * a, g["sum"] * scale), None


TIMES = func.custom_vjp(forward, rule)


def by_hand(a: Any, pair: Any, name: str, scale: float) -> Any:
    return {"sum": (a + pair.right) * scale, "products": [a * pair.left]}


@given(arrays((3,)), arrays((3,)), arrays((3,)), st.sampled_from([1.0, 2.5]))
def test_a_rule_for_trees_gives_the_derivatives_of_the_function(a: Any, b: Any, c: Any, scale: float) -> None:
    def total(f: Any) -> Any:
        def value(a: Any, pair: Any) -> Any:
            y = f(a, pair, "x", scale=scale)
            return (y["sum"] ** 2).sum() + (y["products"][0] ** 3).sum()

        return value

    for derivative in (func.grad, func.value_and_grad, func.jacobian, func.hessian):
        argnums: Any = 1 if derivative is func.hessian else (0, 1)
        found, expected = (func.flatten(derivative(total(f), argnums)(a, Pair(b, c)))[0] for f in (TIMES, by_hand))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    found, expected = (func.jvp(total(f), [a, Pair(b, c)], [c, Pair(a, b)])[1] for f in (TIMES, by_hand))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_derivatives_of_every_order_follow_the_rule() -> None:
    check_gradients(lambda a, b, c: TIMES(a, Pair(b, c), "x")["products"][0] ** 2, X, X + 1, X - 1, order=2)
    wrong = func.custom_vjp(lambda x: x * 1.0, lambda g, y, x: (g * np.sin(x),))  # its derivative is what the rule says
    assert func.grad(wrong)(2.0) == np.sin(2.0)
    assert func.grad(func.grad(wrong))(2.0) == np.cos(2.0)
    assert func.grad(func.grad(func.grad(wrong)))(2.0) == -np.sin(2.0)
    by_result = func.custom_vjp(lambda x: np.exp(x), lambda g, y, x: (g * y,))
    assert func.grad(func.grad(func.grad(by_result)))(1.0) == np.exp(1.0)


def test_results_are_of_the_kind_of_the_arguments() -> None:
    y = TIMES(X, Pair(X, X))
    assert type(y["sum"]) is np.ndarray
    y = TIMES(Tensor(X), Pair(X, X))
    assert (type(y["sum"]), y["sum"].requires_grad) == (Tensor, False)
    y = TIMES(X, Pair(leaf(X), X))
    assert y["sum"].requires_grad
    with no_grad():
        assert not TIMES(X, Pair(leaf(X), X))["sum"].requires_grad
    identity = func.custom_vjp(lambda x: x, lambda g, y, x: (g,))
    for dtype in (np.float16, np.float32, np.float64):
        x = Tensor(np.ones((2, 1), dtype), requires_grad=True)
        y = identity(x)
        (slope,) = grad([y], [x], [np.full((2, 1), 3, dtype)])
        assert (y.dtype, y.shape, slope.dtype, slope.data.tolist()) == (dtype, (2, 1), dtype, [[3], [3]])
    assert identity(leaf(2.0)).shape == ()


def test_mixed_dtypes_come_back() -> None:
    f = func.custom_vjp(lambda a, b: (a * 2, b * 3), lambda g, y, a, b: (g[0] * 2, g[1] * 3))
    a, b = Tensor(np.ones(2, np.float32), requires_grad=True), leaf([1.0])
    y = f(a, b)
    assert [t.dtype for t in y] == [np.float32, np.float64]
    slopes = grad(y[0].sum() + y[1].sum(), [a, b])
    assert [(g.dtype, g.data.tolist()) for g in slopes] == [(np.float32, [2, 2]), (np.float64, [3])]


# --- functions among the arguments -----------------------------------------------------------------------------------


def _fixed_point(f: Any, theta: Any, x: Any) -> Any:
    for _ in range(200):
        x = f(theta, x)
    return x


def _implicit(g: Any, y: Any, f: Any, theta: Any, x: Any) -> Any:
    """By the implicit function theorem, with a vector that solves u = g + u @ df/dx by iteration."""
    u = g
    for _ in range(200):
        u = g + func.vjp(lambda x: f(theta, x), y)[1](u)[0]
    return None, func.vjp(lambda theta: f(theta, y), theta)[1](u)[0], 0 * g


fixed_point = func.custom_vjp(_fixed_point, _implicit)


def step(theta: Any, x: Any) -> Any:
    return np.cos(theta["a"] * x) / 2 + theta["b"]


def test_a_solver_is_differentiated_by_a_rule_to_second_order() -> None:
    def solved(a: Any, b: Any) -> Any:
        return fixed_point(step, {"a": a, "b": b}, np.zeros(3))

    check_gradients(solved, X, np.array([0.1, 0.2, 0.3]), order=2)


def test_what_a_function_closes_over_is_refused() -> None:
    w = leaf(X)

    def closed(theta: Any, x: Any) -> Any:
        return np.cos(theta * x) / 2 + w

    message = "_fixed_point uses a Tensor that requires a gradient and is not in its arguments, .* be lost: give it as"
    with pytest.raises(TypeError, match=message):
        fixed_point(closed, leaf(X), np.zeros(3))
    with pytest.raises(TypeError, match=message):
        fixed_point(closed, X, np.zeros(3))  # without any Tensor among the arguments too
    with pytest.raises(TypeError, match=message):
        func.grad(lambda v: fixed_point(lambda theta, x: x / 2 + v, X, np.zeros(3)).sum())(X)
    model = nn.Linear(3, 3, rng=np.random.default_rng(0), dtype=np.float64)
    with pytest.raises(TypeError, match="<lambda> uses a Tensor that requires a gradient"):
        func.custom_vjp(lambda m, x: m(x), lambda g, y, m, x: (None, g))(model, leaf(X))
    with no_grad():
        assert not fixed_point(closed, leaf(X), np.zeros(3)).requires_grad  # nothing is lost


def test_a_tensor_outside_the_trees_is_refused() -> None:
    w = leaf(X)
    with pytest.raises(TypeError, match=r"forward is not differentiable in argument 2, .*, at tree\[1\], as an arg"):
        TIMES(X, Pair(X, X), ["name", w])
    with pytest.raises(TypeError, match="forward is not differentiable in scale=: give it by position"):
        TIMES(X, Pair(X, X), scale=w)


def test_a_vjp_that_closes_over_a_tensor_is_refused() -> None:
    w = leaf(X)
    f = func.custom_vjp(lambda x: x * 2, lambda g, y, x: (g * w,))
    with pytest.raises(TypeError, match="argument 0 returned a Tensor where it was given arrays"):
        func.grad(lambda x: f(x).sum())(X)


def test_what_is_saved_is_given_to_the_vjp() -> None:
    seen = []

    def square(x: Any) -> Any:
        return x * x, 2 * x

    def pull(g: Any, y: Any, x: Any, *, saved: Any) -> Any:
        seen.append(saved)
        return (g * (2 * x if saved is None else saved),)

    f = func.custom_vjp(square, pull)
    assert f(X).tolist() == (X * X).tolist()
    assert func.grad(lambda x: f(x).sum())(X).tolist() == (2 * X).tolist()
    assert seen[0].tolist() == (2 * X).tolist()
    check_gradients(f, X, order=2)
    assert any(saved is None for saved in seen)
    with pytest.raises(TypeError, match=r"<lambda> must return \(outputs, saved\)"):
        func.custom_vjp(lambda x: x, pull)(X)


def test_a_derivative_inside_the_function_gives_arrays_for_arrays() -> None:
    kinds = []

    def newton(a: Any, x: Any) -> Any:
        for _ in range(10):
            value, slope = func.value_and_grad(lambda x: (x * x - a).sum())(x)
            kinds.append(type(slope))
            x = x - value / slope
        return x

    root = func.custom_vjp(newton, lambda g, y, a, x: (g / (2 * y), 0 * g))
    assert func.grad(lambda a: root(a, 1.0))(4.0) == pytest.approx(0.25)
    assert func.grad(func.grad(lambda a: root(a, 1.0)))(4.0) == pytest.approx(-1 / 32)
    assert set(kinds) == {np.float64}


def test_integers_and_numbers_go_through_as_they_are() -> None:
    seen: list[Any] = []

    def power(x: Any, n: Any, mask: Any) -> Any:
        seen.append((n, mask))
        return np.where(mask, x**n, 0)

    f = func.custom_vjp(power, lambda g, y, x, n, mask: (np.where(mask, g * n * x ** (n - 1), 0), None, None))
    mask = np.array([True, False, True])
    assert func.grad(lambda x: f(x, 3, mask).sum())(np.ones(3)).tolist() == [3, 0, 3]
    assert type(seen[0][0]) is int
    assert seen[0][1] is mask


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_functions_that_do_not_belong_together_are_refused() -> None:
    for f, vjp, message in (
        (1, lambda g, y: (g,), "expected a function, not int"),
        (np.ones(2), lambda g, y: (g,), "expected a function, not ndarray"),
        (lambda x: x, None, "expected its vjp, not NoneType"),
        (lambda x: x, lambda g, x: (g,), "outputs and the 1 arguments of <lambda>, not 2 arguments"),
        (lambda x, z: x, lambda g, y, x: (g,), "outputs and the 2 arguments of <lambda>, not 3 arguments"),
    ):
        with pytest.raises(TypeError, match=message):
            func.custom_vjp(f, vjp)
    func.custom_vjp(max, lambda g, y, *args: args)
    func.custom_vjp(partial(pow, 2.0), lambda g, y, x: (g,))


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        (lambda g: g, TypeError, r"returned ndarray, expected a tuple of 2: the gradients of each argument"),
        (lambda g: (g,), TypeError, "returned 1 entries, expected a tuple of 2"),
        (lambda g: None, TypeError, "returned NoneType, expected a tuple of 2"),
        (lambda g: (None, None), TypeError, "argument 0 returned None, but its gradient is needed"),
        (lambda g: (g, g), TypeError, "argument 1 returned ndarray, expected None: it is no tree of numbers"),
        (lambda g: (g[:2], None), ValueError, r"argument 0: expected shape \(3,\), not \(2,\)"),
        (lambda g: ([g], None), ValueError, r"argument 0: expected shape \(3,\), not a list of it"),
        (lambda g: ({"a": g}, None), ValueError, r"argument 0: expected shape \(3,\), not "),
        (lambda g: (g.astype(int), None), TypeError, r"int64\[3\], expected floating point"),
        (lambda g: (Tensor(g), None), TypeError, "returned a Tensor where it was given arrays"),
        (lambda g: (g.astype(np.float32), None), TypeError, "of lower precision"),
    ],
)
def test_what_is_no_gradient_is_refused(returned: Any, kind: Any, message: str) -> None:
    f = func.custom_vjp(lambda x, name: x * 2, lambda g, y, x, name: returned(g))
    with pytest.raises(kind, match=message) as caught:
        func.grad(lambda x: f(x, "name").sum())(X)
    assert "<lambda>" in "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_outputs_are_floating_point() -> None:
    for f, message in (
        (lambda x: np.argsort(x), r"returned int64\[3\]; a differentiable function returns floating point"),
        (lambda x: {"a": [x, 3]}, r"returned int, at tree\['a'\]\[1\]"),
        (lambda x: None, "returned NoneType"),
        (lambda x: x * 1j, r"returned complex128\[3\]"),
    ):
        with pytest.raises(TypeError, match=message):
            func.custom_vjp(f, lambda g, y, x: (g,))(leaf(X))


def test_a_rule_that_leaves_the_graph_under_create_graph_is_refused() -> None:
    f = func.custom_vjp(lambda x: x**2, lambda g, y, x: (g * 2 * (x.data if type(x) is Tensor else x),))
    assert func.grad(lambda x: f(x).sum())(X).tolist() == (2 * X).tolist()
    with pytest.raises(RuntimeError, match=r"the vjp of <lambda> uses \.data of a Tensor under create_graph"):
        func.hessian(lambda x: f(x).sum())(X)


# --- in the engine ---------------------------------------------------------------------------------------------------


def test_writes_in_between_are_noticed() -> None:
    f = func.custom_vjp(lambda x, a: x * a, lambda g, y, x, a: (g * a, None))
    w, a = leaf(X), X.copy()
    y = f(w, a)
    w.data = 2 * X
    with pytest.raises(RuntimeError, match=r"argument 0 of <lambda>, float64\[3\], was changed after the operation"):
        grad(y.sum(), w)
    with debug.guard():
        y = f(w, a)
    a[:] = 0
    with pytest.raises(RuntimeError, match=r"argument 1 of <lambda>, float64\[3\], was written to after the operation"):
        grad(y.sum(), w)


def test_nan_is_found_where_it_is_made() -> None:
    f = func.custom_vjp(lambda x: x * np.inf, lambda g, y, x: (g,))
    with debug.detect_anomaly(), pytest.raises(FloatingPointError, match=r"<lambda> of float64\[3\] made 3 of 3"):
        f(leaf(X))
    f = func.custom_vjp(lambda x: x * 2, lambda g, y, x: (g * np.nan,))
    with debug.detect_anomaly():
        y = f(leaf(X)).sum()
    with pytest.raises(FloatingPointError, match="the gradient of argument 0 of <lambda>"):
        y.backward()


def test_a_graph_is_freed_by_reference_counting() -> None:
    gc.collect()
    gc.disable()
    try:
        a, b = leaf(X), leaf(X)
        y = func.custom_vjp(forward, rule)(a, Pair(b, X))
        grad(y["sum"].sum(), a)
        y = func.custom_vjp(forward, rule)(a, Pair(b, X))
        del y, a, b
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_error_names_the_function() -> None:
    def broken(g: Any, y: Any, x: Any) -> Any:
        raise KeyError("mine")

    f = func.custom_vjp(lambda x: x, broken)
    with pytest.raises(KeyError, match="mine") as caught:
        func.grad(f)(1.0)
    assert any("in the backward pass of <lambda>" in note for note in caught.value.__notes__)
