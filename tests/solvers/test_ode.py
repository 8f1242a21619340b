"""Differential equations: closed forms, derivatives of both kinds, trees, captured parameters, errors."""

import weakref
from itertools import pairwise
from typing import Any

from tinygrad_np import Tensor, func, grad, nn, no_grad
from tinygrad_np.solvers import ConvergenceError, ode, odeint, root
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

TIMES = np.array([0.0, 0.5, 1.3])
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def pendulum(y: Any, t: Any, k: Any) -> Any:
    return [y[1], -k * np.sin(y[0]) + 0.1 * np.cos(t)]


def lotka(y: Any, t: Any, p: Any) -> Any:
    return np.stack([p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]])


def bounded(y: Any, t: Any, p: Any) -> Any:
    return [p[0] * np.sin(p[1] * y[1]) + np.cos(t), np.tanh(p[2] * y[0] * t) + p[3]]


# --- values ----------------------------------------------------------------------------------------------------------


@given(arrays((3,)), st.sampled_from([1.0, -1.0]), st.sampled_from(["dopri5", "rk4"]))
def test_a_linear_equation_has_its_closed_form(y0: np.ndarray, direction: float, method: str) -> None:
    rates = np.array([0.5, -0.3, 0.0])
    t = direction * np.array([0.0, 0.1, 1.0, 2.5])
    y = odeint(lambda y, t: rates * y, y0, t, method=method, steps=50)
    np.testing.assert_allclose(y, y0 * np.exp(np.outer(t, rates)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("method", "order"), [("rk4", 4)])
def test_the_error_falls_with_the_order_of_the_method(method: str, order: int) -> None:
    exact = odeint(pendulum, np.array([1.0, 0.0]), TIMES, 2.0, rtol=1e-13, atol=1e-13)
    errors = [
        np.abs(odeint(pendulum, np.array([1.0, 0.0]), TIMES, 2.0, method=method, steps=steps) - exact).max()
        for steps in (8, 16, 32)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(order, abs=0.3)


def test_the_error_follows_the_tolerance_and_dopri5_has_order_5() -> None:
    """Errors are proportional to the tolerance, and steps become more numerous by its fifth root."""
    p, calls = np.array([1.5, 1.0, 3.0, 1.0]), []

    def counted(y: Any, t: Any) -> Any:
        calls[-1] += 1
        return lotka(y, t, p)

    exact = odeint(lotka, np.ones(2), np.array([0.0, 5.0]), p, rtol=1e-13, atol=1e-13)
    for tolerance in (1e-5, 1e-7, 1e-9, 1e-11):
        calls.append(0)
        y = odeint(counted, np.ones(2), np.array([0.0, 5.0]), rtol=tolerance, atol=tolerance)
        assert np.abs(y - exact).max() < 200 * tolerance
    growth = [b / a for a, b in pairwise(calls)]
    assert growth[1:] == pytest.approx([100**0.2] * 2, rel=0.2)


def test_the_tableaus_fulfil_their_conditions() -> None:
    for tableau, order in ((ode.RK4, 4), (ode.DOPRI5, 5)):
        c, b = np.array(tableau.times), np.array(tableau.weights)
        for time, weights in zip(tableau.times, tableau.stages, strict=True):
            assert sum(weights) == pytest.approx(time, abs=1e-15)
        for power in range(order):
            assert b @ c**power == pytest.approx(1 / (power + 1), abs=1e-15)
    assert sum(ode.DOPRI5.error) == pytest.approx(0, abs=1e-15)


def test_steps_end_at_the_times_and_one_time_is_the_start() -> None:
    np.testing.assert_array_equal(odeint(pendulum, np.array([1.0, 2.0]), np.array([3.0]), 1.0), [[1.0, 2.0]])
    few = odeint(pendulum, np.array([1.0, 2.0]), np.array([0.0, 2.0]), 1.0, **TIGHT)
    many = odeint(pendulum, np.array([1.0, 2.0]), np.linspace(0, 2, 40), 1.0, **TIGHT)
    np.testing.assert_allclose(many[-1], few[-1], rtol=1e-9)


def test_trees_kinds_and_dtypes() -> None:
    def coupled(y: Any, t: Any, rates: Any) -> Any:
        return {"a": -rates[0] * y["a"], "b": (y["a"].sum() * rates[1],)}

    y0 = {"a": np.ones((2, 1), np.float32), "b": (0.0,)}
    y = odeint(coupled, y0, [0, 1, 2], (1.0, 0.5))
    assert y["a"].shape == (3, 2, 1)
    assert y["a"].dtype == np.float32
    assert y["b"][0].shape == (3,)
    np.testing.assert_allclose(y["b"][0], 1 - np.exp(-np.arange(3.0)), rtol=1e-6)
    single = odeint(lambda y, t: -y, np.ones(2, np.float32), TIMES)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single[-1], np.exp(-1.3), rtol=1e-3)
    assert type(odeint(lambda y, t: -y, Tensor([1.0]), TIMES)) is Tensor
    assert odeint(lambda y, t: -y, 1, np.array([0, 1])).shape == (2,)
    with no_grad():
        assert not odeint(lambda y, t: -y, Tensor([1.0], requires_grad=True), TIMES).requires_grad


# --- derivatives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(("method", "options"), [("dopri5", TIGHT), ("rk4", {"steps": 20})])
def test_derivatives_to_second_order(method: str, options: dict[str, Any], adjoint: bool) -> None:
    def solved(y0: Any, t: Any, k: Any) -> Any:
        return odeint(pendulum, y0, t, k, method=method, adjoint=adjoint, **options)

    rtol = 1e-5 if adjoint and method == "rk4" else 1e-7
    check_gradients(solved, np.array([1.0, 0.2]), np.array([0.0, 0.9]), np.array(2.0), rtol=rtol)
    check_gradients(lambda y0, k: solved(y0, TIMES[:2], k), np.array([1.0, 0.2]), np.array(2.0), order=2, rtol=1e-5)


@pytest.mark.parametrize("adjoint", [False, True])
@given(arrays((2,)), arrays((4,)), st.booleans())
def test_derivatives_with_respect_to_all_arguments(adjoint: bool, y0: np.ndarray, p: np.ndarray, back: bool) -> None:
    y0, p = np.clip(y0, -1, 1), np.clip(p, -1, 1)
    t = np.array([0.3, 0.1, -0.2]) if back else np.array([0.0, 0.2, 0.5])

    def solved(y0: Any, t: Any, p: Any) -> Any:
        return odeint(bounded, y0, t, p, adjoint=adjoint, **TIGHT)

    check_gradients(solved, y0, t, p, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("adjoint", [False, True])
def test_what_is_start_time_and_argument_at_once(adjoint: bool) -> None:
    def solved(a: Any) -> Any:
        return odeint(lambda y, t, b: -a * y * np.sin(b[1] * t), a, a, a, adjoint=adjoint, **TIGHT)

    check_gradients(solved, np.array([0.5, 1.2]), order=2, rtol=1e-5)


@pytest.mark.parametrize("adjoint", [False, True])
def test_closed_forms_of_derivatives(adjoint: bool) -> None:
    def end(y0: Any, t: Any, rate: Any) -> Any:
        return odeint(lambda y, t: rate * y, y0, np.stack([0.0 * t, t]), adjoint=adjoint, **TIGHT)[-1]

    y0, t, rate = 1.5, 0.8, -0.7
    exact = y0 * np.exp(rate * t)
    found = func.grad(end, (0, 1, 2))(y0, t, rate)
    np.testing.assert_allclose(found, [exact / y0, rate * exact, t * exact], rtol=1e-9)
    third = func.grad(func.grad(func.grad(end, 2), 2), 2)(y0, t, rate)
    np.testing.assert_allclose(third, t**3 * exact, rtol=1e-7)


def test_without_the_adjoint_method_gradients_are_those_of_the_numbers_returned() -> None:
    """To rounding, however wide the tolerance, since the lengths of the steps do not depend on the parameters."""

    def end(k: Any) -> Any:
        return odeint(pendulum, np.array([1.0, 0.0]), TIMES, k, method="rk4", steps=2)[-1].sum()

    check_gradients(end, np.array(2.0), order=2, rtol=1e-9)


def test_gradients_of_the_adjoint_method_are_as_accurate_as_the_tolerance() -> None:
    p, times = np.array([1.5, 1.0, 3.0, 1.0]), np.array([0.0, 1.0, 2.0])

    def loss(p: Any, adjoint: bool = True, tolerance: float = 1e-11) -> Any:
        return (odeint(lotka, np.ones(2), times, p, adjoint=adjoint, rtol=tolerance, atol=tolerance) ** 2).sum()

    exact = func.grad(lambda p: loss(p, adjoint=False))(p)
    for tolerance in (1e-5, 1e-7, 1e-9):
        found = func.grad(lambda p, tolerance=tolerance: loss(p, True, tolerance))(p)
        error = np.abs(found / exact - 1).max()
        assert tolerance / 100 < error < 300 * tolerance


@pytest.mark.parametrize("adjoint", [False, True])
def test_forward_derivatives_agree(adjoint: bool) -> None:
    def solved(k: Any) -> Any:
        return odeint(lambda y, t: -k * y * np.sin(t), np.ones(2), TIMES, adjoint=adjoint, **TIGHT)[-1]

    k, v = np.array([1.0, 0.5]), np.array([1.0, 0.3])
    np.testing.assert_allclose(func.jvp(solved, [k], [v])[1], func.jacobian(solved)(k) @ v, rtol=1e-8)


def nodes(y: Tensor) -> int:
    found, stack = {id(y)}, [y]
    while stack:
        t = stack.pop()
        for a in t._node[1] if t._node else ():
            if type(a) is Tensor and a.requires_grad and id(a) not in found:
                found.add(id(a))
                stack.append(a)
    return len(found)


def test_the_adjoint_method_records_nothing() -> None:
    k = Tensor(np.array(2.0), requires_grad=True)
    short, long = (
        [nodes(odeint(pendulum, np.array([1.0, 0.0]), np.array([0.0, end]), k, adjoint=adjoint)) for end in (1.0, 4.0)]
        for adjoint in (True, False)
    )
    assert short[0] == short[1] < 5
    assert long[1] > 2 * long[0] > 200


def test_a_graph_is_freed_without_the_garbage_collector() -> None:
    k = Tensor(np.array(2.0), requires_grad=True)
    for adjoint in (True, False):
        y = odeint(pendulum, np.array([1.0, 0.0]), TIMES, k, adjoint=adjoint)
        alive = weakref.ref(y)
        grad(y.sum(), k)
        del y
        assert alive() is None


# --- what a function reaches by itself -------------------------------------------------------------------------------


def test_parameters_of_a_network_get_the_same_gradient_by_both_methods() -> None:
    rng = np.random.default_rng(0)
    network = nn.Sequential(
        nn.Linear(2, 8, rng=rng, dtype=np.float64), nn.Tanh(), nn.Linear(8, 2, rng=rng, dtype=np.float64)
    )
    y0 = rng.normal(size=(3, 2))

    def loss(adjoint: bool) -> Any:
        return (odeint(lambda y, t: network(y), y0, TIMES, adjoint=adjoint, **TIGHT) ** 2).sum()

    recorded, adjoint = (grad(loss(kind), network.parameters()) for kind in (False, True))
    for a, b in zip(recorded, adjoint, strict=True):
        assert np.abs(a.data).max() > 0.01
        np.testing.assert_allclose(a.data, b.data, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("adjoint", [False, True])
def test_checkpoints_and_solvers_within_a_solver(adjoint: bool) -> None:
    w = Tensor(np.array([0.5, 1.5]), requires_grad=True)
    block = func.checkpoint(lambda y: np.tanh(w * y))

    def inner(y: Any) -> Any:
        return root(lambda x: x + x**3 - w * y, np.zeros(2))

    def loss(f: Any) -> Any:
        return odeint(lambda y, t: f(y), np.ones(2), TIMES[:2], adjoint=adjoint, **TIGHT).sum()

    plain = grad(loss(lambda y: np.tanh(w * y)), w)
    np.testing.assert_allclose(grad(loss(block), w).data, plain.data, rtol=1e-8)

    def of_w(values: Any) -> float:
        w.data = values
        return float(loss(inner).data)

    found, step = grad(loss(inner), w).data, 1e-5
    units = step * np.eye(2)
    expected = [(of_w(np.array([0.5, 1.5]) + u) - of_w(np.array([0.5, 1.5]) - u)) / (2 * step) for u in units]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_parameter_that_f_reaches_later_is_not_lost() -> None:
    early, late = (Tensor(np.array(v), requires_grad=True) for v in (0.5, 2.0))

    def switched(y: Any, t: Any) -> Any:
        return (early if t < 1 else late) * y

    times = np.array([0.0, 1.0, 2.0])
    y = odeint(switched, 1.0, times)[-1]
    np.testing.assert_allclose([g.data for g in grad(y, [early, late])], [np.exp(2.5)] * 2, rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"odeint: at t = 2 f depends on a Tensor of shape \(\), but at the first time"
    ):
        odeint(switched, 1.0, times, adjoint=True)[-1].backward()


def test_a_parameter_that_is_changed_before_the_backward_pass_is_noticed() -> None:
    k = Tensor(np.array(2.0), requires_grad=True)
    y = odeint(lambda y, t: -k * y, 1.0, TIMES, adjoint=True)
    k.data = k.data + 1
    with pytest.raises(RuntimeError, match="of odeint.* was changed after the operation"):
        y.sum().backward()


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solve", "error", "says"),
    [
        (
            lambda: odeint(lambda t, y: -y, np.ones(2), TIMES),
            ValueError,
            r"f returned: expected shape \(2,\), .*f\(y, t, ",
        ),
        (lambda: odeint(lambda y, t: y[:1], np.ones(2), TIMES), ValueError, r"f returned: expected shape \(2,\)"),
        (lambda: odeint(lambda y, t: None, np.ones(2), TIMES), ValueError, r"f returned: expected shape \(2,\), not"),
        (lambda: odeint(lambda y, t: -y, np.ones(2), [0, 1, 1]), ValueError, "t must be finite, and increase or decre"),
        (lambda: odeint(lambda y, t: -y, np.ones(2), [0, np.nan]), ValueError, "t must be finite"),
        (lambda: odeint(lambda y, t: -y, np.ones(2), 1.0), ValueError, r"t must have shape \(n,\)"),
        (lambda: odeint(lambda y, t: -y, np.ones(2), []), ValueError, r"t must have shape \(n,\)"),
        (lambda: odeint(lambda y, t: -y, np.ones(2, complex), TIMES), TypeError, "y0 must be float32 or float64"),
        (lambda: odeint(lambda y, t: -y, np.ones(2), TIMES, method="euler"), ValueError, "method must be 'dopri5' or"),
        (lambda: odeint(lambda y, t: -y, np.ones(2), TIMES, rtol=1e-20), ValueError, "rtol must be at least"),
        (lambda: odeint(lambda y, t: -y, np.ones(2), TIMES, adjoint=1), ValueError, "adjoint must be True or False"),
        (lambda: odeint(lambda y, t: y * y, 1.0, [0, 2]), ConvergenceError, "steps have become too short at t = 1,"),
        (
            lambda: odeint(lambda y, t: np.sqrt(y - 2), 1.0, [0, 2]),
            ConvergenceError,
            "too short at t = 0, .*not finite",
        ),
        (
            lambda: odeint(lambda y, t: -1e7 * (y - t), 1.0, [0, 9], max_steps=99),
            ConvergenceError,
            "99 steps have come",
        ),
    ],
)
def test_errors_say_what_happened(solve: Any, error: type[Exception], says: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(error, match=says):
        solve()


def test_an_equation_that_is_unstable_backward_is_refused_by_the_adjoint_method() -> None:
    y0 = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = odeint(lambda y, t: -40 * y + np.sin(t), y0, np.array([0.0, 1.0]), adjoint=True)
    with pytest.raises(ConvergenceError, match="missed y by .* times the tolerance, since the equation is not stable"):
        y.sum().backward()
    again = odeint(lambda y, t: -40 * y + np.sin(t), y0, np.array([0.0, 1.0]))
    np.testing.assert_allclose(grad(again[-1].sum(), y0).data, np.exp(-40), atol=1e-12)
