"""SciPy's optimisers and solvers take the derivatives of `func` as they are."""

from typing import Any

from tinygrad_np import func, logsumexp

import numpy as np
import pytest

optimize = pytest.importorskip("scipy.optimize")
integrate = pytest.importorskip("scipy.integrate")

START = np.array([-1.2, 1.0, 0.7])


def rosenbrock(x: Any) -> Any:
    return np.sum((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2)


def test_trees_are_minimised_as_vectors() -> None:
    x = np.linspace(-1, 1, 20)

    def loss(tree: Any) -> Any:
        return np.mean((tree["slope"] * x + np.sum(tree["parts"][0] ** 2) - (3 * x + 5)) ** 2)

    start, unflatten = func.flatten({"slope": 0.0, "parts": [np.ones(2)]})
    for method in ("L-BFGS-B", "BFGS"):
        found = optimize.minimize(
            func.value_and_grad(lambda v: loss(unflatten(v))), start, jac=True, method=method, tol=1e-12
        )
        tree = unflatten(found.x)
        assert abs(tree["slope"] - 3) < 1e-4
        assert abs(np.sum(tree["parts"][0] ** 2) - 5) < 1e-4


def convex(x: Any) -> Any:
    return logsumexp(np.concatenate([x, -x])) + np.sum((x - 1) ** 2)


def times(x: Any, p: Any) -> Any:
    return func.hvp(rosenbrock, [x], [p])[0]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("L-BFGS-B", {}),
        ("L-BFGS-B", {"bounds": [(-2, 2)] * 3}),
        ("BFGS", {}),
        ("CG", {}),
        ("TNC", {"options": {"maxfun": 1000}}),
        ("SLSQP", {}),
        ("Newton-CG", {"hess": func.hessian(rosenbrock)}),
        ("Newton-CG", {"hessp": times}),
        ("trust-ncg", {"hess": func.hessian(rosenbrock)}),
        ("trust-exact", {"hess": func.hessian(rosenbrock)}),
        ("trust-krylov", {"hessp": times}),
        ("trust-constr", {"hess": func.hessian(rosenbrock)}),
        ("trust-constr", {"hessp": times}),
    ],
)
def test_minimize(method: str, options: dict[str, Any]) -> None:
    start = START.copy()
    found = optimize.minimize(func.value_and_grad(rosenbrock), start, jac=True, method=method, **options)
    np.testing.assert_allclose(found.x, 1, atol=1e-3)
    np.testing.assert_array_equal(start, START)
    apart = optimize.minimize(rosenbrock, START, jac=func.grad(rosenbrock), method=method, **options)
    np.testing.assert_allclose(apart.x, 1, atol=1e-3)


def test_minimize_a_function_of_the_package_in_float64() -> None:
    found = optimize.minimize(func.value_and_grad(convex), START, jac=True, method="BFGS")
    assert found.success
    np.testing.assert_allclose(func.grad(convex)(found.x), 0, atol=1e-4)
    assert optimize.check_grad(convex, func.grad(convex), START) < 1e-6


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_minimize_under_a_constraint(method: str) -> None:
    def squares(x: Any) -> Any:
        return np.stack([np.sum(x * x)])

    def second(x: Any, v: Any) -> Any:
        return func.hessian(lambda x: np.sum(squares(x) * v))(x)

    newton = method == "trust-constr"
    constraint = optimize.NonlinearConstraint(
        squares, 1, 1, jac=func.jacobian(squares), **({"hess": second} if newton else {})
    )
    options = {"hess": func.hessian(convex) if newton else None, "constraints": constraint}
    found = optimize.minimize(func.value_and_grad(convex), START, jac=True, method=method, **options)
    np.testing.assert_allclose(found.x, np.full(3, 3**-0.5), atol=1e-3)


TIMES = np.linspace(0, 2, 9)


def model(t: Any, a: Any, b: Any) -> Any:
    return a * np.exp(-b * t)


def residuals(p: Any) -> Any:
    return model(TIMES, p[0], p[1]) - model(TIMES, 2.5, 1.3)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method: str) -> None:
    found = optimize.least_squares(residuals, np.ones(2), jac=func.jacobian(residuals), method=method)
    np.testing.assert_allclose(found.x, [2.5, 1.3], rtol=1e-6)


@pytest.mark.parametrize("start", [(1.0, 1.0), [1, 1], np.ones(2, int)])
def test_curve_fit(start: Any) -> None:
    def jacobian(t: Any, *p: float) -> Any:
        return np.stack(func.jacobian(model, (1, 2))(t, *p), axis=1)

    found, _ = optimize.curve_fit(model, TIMES, model(TIMES, 2.5, 1.3), jac=jacobian, p0=start)
    np.testing.assert_allclose(found, [2.5, 1.3], rtol=1e-6)


def circle_and_line(x: Any) -> Any:
    return np.stack([x[0] ** 2 + x[1] ** 2 - 1, x[0] - x[1]])


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_root(method: str) -> None:
    found = optimize.root(circle_and_line, np.array([1.0, 0.3]), jac=func.jacobian(circle_and_line), method=method)
    np.testing.assert_allclose(found.x, np.full(2, 0.5**0.5), rtol=1e-8)


def test_root_of_a_function_of_one_number() -> None:
    def cubic(x: Any) -> Any:
        return x**3 - 2

    slope, curvature = func.grad(cubic), func.grad(func.grad(cubic))
    found = [
        optimize.newton(cubic, 1.0, fprime=slope),
        optimize.newton(cubic, 1.0, fprime=slope, fprime2=curvature),
        optimize.root_scalar(cubic, x0=1.0, fprime=slope, fprime2=curvature, method="halley").root,
        optimize.root_scalar(func.value_and_grad(cubic), x0=1.0, fprime=True, method="newton").root,
    ]
    np.testing.assert_allclose(found, 2 ** (1 / 3), rtol=1e-10)


def test_a_stiff_differential_equation() -> None:
    def decay(t: float, y: Any) -> Any:
        return np.stack([-100 * y[0] + y[1], -(y[1] ** 2)])

    for method in ("Radau", "BDF"):
        found = integrate.solve_ivp(decay, (0, 2), np.ones(2), method=method, jac=func.jacobian(decay, 1), rtol=1e-6)
        assert found.success
        np.testing.assert_allclose(found.y[1, -1], 1 / 3, rtol=1e-4)
