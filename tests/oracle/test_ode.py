"""Gradients of `odeint` beside those of JAX and HIPS autograd."""

from typing import Any

from tinygrad_np import func
from tinygrad_np.solvers import odeint

import numpy as np
import pytest

Y0, RATES, TIMES = np.array([1.0, 1.2]), np.array([1.5, 1.0, 3.0, 1.0]), np.linspace(0, 3, 7)
TOLERANCE = 1e-9


def lotka(y: Any, t: Any, p: Any) -> Any:
    return [p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]]


def found(adjoint: bool) -> tuple[Any, Any]:
    def loss(y0: Any, p: Any) -> Any:
        return np.sum(odeint(lotka, y0, TIMES, p, adjoint=adjoint, rtol=TOLERANCE, atol=TOLERANCE) ** 2)

    return func.value_and_grad(loss, (0, 1))(Y0, RATES)


@pytest.mark.parametrize("adjoint", [False, True])
def test_jax(adjoint: bool) -> None:
    jax = pytest.importorskip("jax")
    ode = pytest.importorskip("jax.experimental.ode")
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():

        def loss(y0: Any, p: Any) -> Any:
            def field(y: Any, t: Any, p: Any) -> Any:
                return jax.numpy.stack(lotka(y, t, p))

            solution = ode.odeint(field, y0, jax.numpy.asarray(TIMES), p, rtol=TOLERANCE, atol=TOLERANCE)
            return jax.numpy.sum(solution**2)

        value, gradients = jax.value_and_grad(loss, (0, 1))(jax.numpy.asarray(Y0), jax.numpy.asarray(RATES))
    own_value, own_gradients = found(adjoint)
    np.testing.assert_allclose(own_value, value, rtol=1e-7)
    for own, theirs in zip(own_gradients, gradients, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-6)


@pytest.mark.parametrize("adjoint", [False, True])
def test_hips_autograd(adjoint: bool) -> None:
    autograd = pytest.importorskip("autograd")
    integrate = pytest.importorskip("autograd.scipy.integrate")
    builtins = pytest.importorskip("autograd.builtins")

    def loss(y0: Any, p: Any) -> Any:
        def field(y: Any, t: Any, p: Any) -> Any:
            return autograd.numpy.array(lotka(y, t, p))

        y = integrate.odeint(field, y0, TIMES, builtins.tuple((p,)), rtol=TOLERANCE, atol=TOLERANCE)
        return autograd.numpy.sum(y**2)

    _, own_gradients = found(adjoint)
    for i, own in enumerate(own_gradients):
        np.testing.assert_allclose(own, autograd.grad(loss, i)(Y0, RATES), rtol=1e-5)
