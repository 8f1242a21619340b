"""SciPy's optimisers and solvers take the derivatives of `func` as they are."""

from typing import Any

from tinygrad_np import Tensor, func, logsumexp, no_grad, optim, softplus, solvers
from tinygrad_np.testing import check_gradients

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


# --- every method, with what a function may hold and return ----------------------------------------------------------

HELD = Tensor(np.array([1.0, 2.0, 3.0]))
PARAMETER = Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
START_KINDS = [np.array([0.5, 1.0, 0.7]), [0.5, 1.0, 0.7], np.array([1, 1, 0])]
BY_GRADIENT = ("CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP")
BY_HESSIAN = ("Newton-CG", "trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov")
BY_VALUE = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")


def distance(x: Any) -> Any:
    return np.sum(softplus((x - HELD) ** 2), keepdims=True)


def distance_from_a_parameter(x: Any) -> Any:
    return np.sum((x - PARAMETER) ** 2)


@pytest.mark.parametrize("start", START_KINDS, ids=["float64", "list", "int64"])
@pytest.mark.parametrize("method", [*BY_GRADIENT, *BY_HESSIAN, *BY_VALUE])
def test_minimize_functions_that_hold_tensors(method: str, start: Any) -> None:
    options = {"hess": func.hessian(distance)} if method in BY_HESSIAN else {}
    if method in BY_VALUE:
        results = [optimize.minimize(f, start, method=method) for f in (distance, func.value(distance))]
    else:
        results = [
            optimize.minimize(func.value_and_grad(distance), start, jac=True, method=method, **options),
            optimize.minimize(distance, start, jac=func.grad(distance), method=method, **options),
            optimize.minimize(func.value(distance), start, jac=func.grad(distance), method=method, **options),
        ]
    for found in results:
        np.testing.assert_allclose(found.x, HELD.data, atol=0.2 if method == "COBYLA" else 2e-2)


@pytest.mark.parametrize("method", ["BFGS", "trust-exact", "Nelder-Mead"])
def test_functions_that_hold_parameters_are_minimised_under_no_grad(method: str) -> None:
    given = {"jac": func.grad(distance_from_a_parameter)} if method != "Nelder-Mead" else {}
    given |= {"hess": func.hessian(distance_from_a_parameter)} if method == "trust-exact" else {}
    with no_grad():
        found = optimize.minimize(distance_from_a_parameter, np.zeros(3), method=method, **given)
    np.testing.assert_allclose(found.x, PARAMETER.data, atol=1e-3)
    with pytest.raises(ValueError, match="must return a scalar value"):
        optimize.minimize(distance_from_a_parameter, np.zeros(3), jac=func.grad(distance_from_a_parameter))


def test_a_constraint_that_holds_a_tensor() -> None:
    def weighted(x: Any) -> Any:
        return HELD * x**2

    def second(x: Any, v: Any) -> Any:
        return func.hessian(lambda x: np.sum(weighted(x) * v))(x)

    constraint = optimize.NonlinearConstraint(func.value(weighted), -1, 1, jac=func.jacobian(weighted), hess=second)
    given = {"jac": func.grad(distance), "hess": func.hessian(distance)}
    found = optimize.minimize(distance, np.full(3, 0.1), method="trust-constr", constraints=constraint, **given)
    np.testing.assert_allclose(found.x, HELD.data**-0.5, atol=1e-2)


def as_list(x: Any) -> Any:
    return [x[0] ** 2 + x[1] ** 2 - 1, x[0] - x[1]]


def by_methods(x: Any) -> Any:
    """A function that only Tensors can be given."""
    return x.at[0].set(x[0] ** 2 + x[1] ** 2 - 1).at[1].set(x[0] - x[1])


EQUATIONS = [as_list, circle_and_line, func.value(by_methods)]


@pytest.mark.parametrize("f", EQUATIONS)
@pytest.mark.parametrize(
    "method",
    [*("hybr", "lm", "broyden1", "broyden2", "anderson", "diagbroyden", "krylov", "df-sane")],
)
def test_every_method_of_root(method: str, f: Any) -> None:
    given = {"jac": func.jacobian(by_methods if f is EQUATIONS[2] else f)} if method in ("hybr", "lm") else {}
    found = optimize.root(f, np.array([0.8, 0.6]), method=method, **given)
    np.testing.assert_allclose(found.x, 0.5**0.5, atol=1e-4)
    if given:
        np.testing.assert_allclose(optimize.fsolve(f, [0.8, 0.6], fprime=given["jac"]), 0.5**0.5, rtol=1e-8)


@pytest.mark.parametrize("f", EQUATIONS)
@pytest.mark.parametrize("loss", ["linear", "soft_l1", "cauchy"])
@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_every_method_of_least_squares(method: str, loss: str, f: Any) -> None:
    if method == "lm" and loss != "linear":
        return
    jacobian = func.jacobian(by_methods if f is EQUATIONS[2] else f)
    bounds = {} if method == "lm" else {"bounds": (0, 2)}
    found = optimize.least_squares(f, np.array([0.8, 0.6]), jac=jacobian, method=method, loss=loss, **bounds)
    np.testing.assert_allclose(found.x, 0.5**0.5, rtol=1e-6)


def spiral(t: Any, y: Any) -> Any:
    return [y[1] - 0.1 * y[0], -y[0] - 0.1 * y[1]]


SPIN = Tensor(np.array([[-0.1, 1.0], [-1.0, -0.1]]))


def spiral_of_a_tensor(t: Any, y: Any) -> Any:
    return SPIN @ y


@pytest.mark.parametrize("f", [spiral, spiral_of_a_tensor, func.value(spiral_of_a_tensor)])
@pytest.mark.parametrize("method", ["RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"])
def test_every_method_of_solve_ivp(method: str, f: Any) -> None:
    given = {"jac": func.jacobian(spiral_of_a_tensor, 1)} if method in ("Radau", "BDF", "LSODA") else {}
    found = integrate.solve_ivp(
        f, (0, 1), np.array([1.0, 0.0]), method=method, t_eval=[0.5, 1], rtol=1e-8, atol=1e-8, dense_output=True,
        events=lambda t, y: y[0] - 0.5, **given,
    )  # fmt: skip
    np.testing.assert_allclose(found.y[:, -1], np.exp(-0.1) * np.array([np.cos(1), -np.sin(1)]), rtol=1e-5)
    assert len(found.t_events[0]) == 1


# --- functions of this package that hand over to SciPy ---------------------------------------------------------------


def valley(tree: Any) -> Any:
    x, y = tree["x"], tree["y"]
    return (1 - x[0]) ** 2 + 100 * (y - x[0] ** 2) ** 2 + np.sum(x[1:] ** 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", [*BY_GRADIENT, *BY_HESSIAN, *BY_VALUE])
def test_minimize_over_a_tree(method: str, dtype: Any) -> None:
    seen: list[Any] = []
    start = {"x": np.array([-1.2, 0.5], dtype), "y": 1.0}
    found = optim.minimize(valley, start, method=method, steps=3000, callback=seen.append)
    assert found.x["x"].dtype == dtype
    np.testing.assert_allclose(found.x["x"], [1, 0], atol=0.2 if method == "COBYLA" else 1e-2)
    np.testing.assert_allclose(found.fun, valley(found.x), rtol=1e-3, atol=1e-5)
    assert [result.nit for result in seen] == list(range(1, len(seen) + 1))
    assert all(type(result.fun) is float and result.x["y"].ndim == 0 for result in seen)
    if method in BY_GRADIENT:
        assert found.jac["x"].dtype == dtype
    np.testing.assert_array_equal(start["x"], np.array([-1.2, 0.5], dtype))


@pytest.mark.parametrize("method", [*BY_GRADIENT, *BY_HESSIAN, *BY_VALUE])
def test_a_callback_stops_every_method(method: str) -> None:
    calls = []

    def stop(found: Any) -> None:
        calls.append(found)
        raise StopIteration

    found = optim.minimize(valley, {"x": np.array([-1.2, 0.5]), "y": 1.0}, method=method, callback=stop)
    assert len(calls) == 1
    assert found.x["x"].shape == (2,)


def test_bounds_options_tolerance_and_parameters_of_minimize() -> None:
    start = {"x": np.array([-1.2, 0.5]), "y": 1.0}
    found = optim.minimize(valley, start, method="L-BFGS-B", bounds=(None, {"x": [0.5, 0.1], "y": np.inf}))
    np.testing.assert_allclose(found.x["x"], [0.5, 0.0], atol=1e-4)
    low = optim.minimize(valley, start, method="L-BFGS-B", bounds=({"x": [-np.inf, 0.2], "y": -1.0}, 2))
    np.testing.assert_allclose(low.x["x"], [1.0, 0.2], atol=1e-3)
    assert optim.minimize(valley, start, method="BFGS", steps=2).nit == 2
    assert optim.minimize(valley, start, method="BFGS", options={"maxiter": 3}).nit == 3
    assert optim.minimize(valley, start, method="BFGS", tolerance=10.0).nit < 30
    found = optim.minimize(distance_from_a_parameter, Tensor(np.zeros(3)), method="bfgs")
    assert type(found.x) is type(found.jac) is Tensor
    np.testing.assert_allclose(found.x.data, PARAMETER.data, atol=1e-5)
    for wrong, says in (({"lr": 0.1}, "takes bounds= and options=, not lr="), ({"bounds": 3}, "bounds must be .low")):
        with pytest.raises(TypeError, match=says):
            optim.minimize(valley, start, method="BFGS", **wrong)
    with pytest.raises(ValueError, match="bounds: expected shape"):
        optim.minimize(valley, start, method="L-BFGS-B", bounds=(None, {"x": [0.5], "y": 1.0}))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["hybr", "lm", "krylov", "broyden1"])
def test_roots_by_scipy_have_derivatives(method: str, dtype: Any) -> None:
    def circle(x: Any, r: Any) -> Any:
        return [x[0] ** 2 + x[1] ** 2 - r, x[0] - x[1]]

    start = np.array([0.8, 0.6], dtype)
    found = solvers.root(circle, start, 1.0, method=method)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, 0.5**0.5, rtol=1e-6)
    slope = func.jacobian(lambda r: solvers.root(circle, start, r, method=method))(1.0)
    np.testing.assert_allclose(slope, 0.5**0.5 / 2, rtol=1e-6)
    with pytest.raises(solvers.ConvergenceError, match="root: "):
        solvers.root(lambda x: x * x + 1, start, method=method)


@pytest.mark.parametrize("method", ["RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"])
def test_solve_ivp_with_gradients_by_the_adjoint_method(method: str) -> None:
    def field(y: Any, t: Any, k: Any) -> Any:
        return [y[1], -k * np.sin(y[0]) + 0.1 * np.cos(t)]

    y0, t = np.array([1.0, 0.2]), np.array([0.0, 0.5, 1.3])
    tight = {"rtol": 1e-9, "atol": 1e-9}

    def solved(y0: Any, t: Any, k: Any) -> Any:
        return solvers.odeint(field, y0, t, k, method=method, adjoint=True, **tight)

    np.testing.assert_allclose(solved(y0, t, 2.0), solvers.odeint(field, y0, t, 2.0, **tight), rtol=1e-5)
    check_gradients(solved, y0, t, np.array(2.0), rtol=1e-3)
    exact = func.grad(lambda k: solvers.odeint(field, y0, t, k, **tight).sum())(2.0)
    np.testing.assert_allclose(func.grad(lambda k: solved(y0, t, k).sum())(2.0), exact, rtol=1e-5)
    with pytest.raises(
        TypeError, match=f"the steps of '{method}' are not recorded; for derivatives write adjoint=True"
    ):
        func.grad(lambda k: solvers.odeint(field, y0, t, k, method=method).sum())(2.0)


def test_derivatives_of_second_order_of_scipys_methods() -> None:
    def solved(k: Any) -> Any:
        return solvers.odeint(
            lambda y, t: -k * y * np.sin(t), np.ones(1), np.array([0.0, 1.0]), method="DOP853", adjoint=True
        )

    check_gradients(solved, np.array([0.7]), order=2, rtol=1e-4)


def test_a_stiff_equation_has_gradients_by_an_implicit_method() -> None:
    """Robertson's reaction, whose rates differ by nine powers of ten."""

    def robertson(y: Any, t: Any, k: Any) -> Any:
        slow, fast, back = k[0] * y[0], k[1] * y[1] ** 2, k[2] * y[1] * y[2]
        return [-slow + back, slow - back - fast, fast]

    k, times = np.array([0.04, 3e7, 1e4]), np.array([0.0, 1e-3, 1e-2, 0.1])

    def end(k: Any, **options: Any) -> Any:
        return solvers.odeint(robertson, np.array([1.0, 0.0, 0.0]), times, k, rtol=1e-8, atol=1e-12, **options)[-1, 2]

    exact = func.grad(end)(k)
    found = func.grad(lambda k: end(k, method="Radau", adjoint=True))(k)
    np.testing.assert_allclose(found * k, exact * k, rtol=1e-3, atol=1e-9)
