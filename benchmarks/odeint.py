"""The gradient of a differential equation with respect to its parameters: tinygrad_np, HIPS autograd, JAX compiled.

    python -m benchmarks.odeint
    python -m benchmarks.odeint --workloads adjoint --names tinygrad_np autograd

The equations of Lotka and Volterra, with four parameters, from time 0 to 5, in float64, with tolerances of 1e-9. The
loss is the sum of the squares of 10 values. *recorded* goes back through the steps, *adjoint* uses the adjoint method;
HIPS autograd and JAX have the latter only. Autograd's needs SciPy.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "autograd", "jax"]
WORKLOADS = ["recorded", "adjoint"]
START, RATES, TIMES, TOLERANCE = np.ones(2), np.array([1.5, 1.0, 3.0, 1.0]), np.linspace(0, 5, 10), 1e-9
OPTIONS = {"rtol": TOLERANCE, "atol": TOLERANCE}


def field(np: Any, make: str = "stack") -> Callable[..., Any]:
    def slope(y: Any, t: Any, p: Any) -> Any:
        return getattr(np, make)([p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]])

    return slope


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that computes the gradient and returns the sum of its magnitudes."""
    gradient = {turns.OURS: ours, "autograd": of_autograd, "jax": of_jax}[name](workload)
    return lambda: float(np.sum(np.abs(gradient())))


def ours(workload: str) -> Callable[[], Any]:
    from tinygrad_np import func
    from tinygrad_np.solvers import odeint

    def loss(p: Any) -> Any:
        return np.sum(odeint(field(np), START, TIMES, p, adjoint=workload == "adjoint", **OPTIONS) ** 2)

    return lambda: func.grad(loss)(RATES)


def of_autograd(workload: str) -> Callable[[], Any]:
    import autograd
    import autograd.numpy as anp
    from autograd.builtins import tuple as tuple_of
    from autograd.scipy.integrate import odeint

    def loss(p: Any) -> Any:
        return anp.sum(odeint(field(anp, "array"), START, TIMES, tuple_of((p,)), **OPTIONS) ** 2)

    return lambda: autograd.grad(loss)(RATES)


def of_jax(workload: str) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp
    from jax.experimental.ode import odeint

    jax.config.update("jax_enable_x64", True)

    @jax.jit
    @jax.grad
    def gradient(p: Any) -> Any:
        return jnp.sum(odeint(field(jnp), jnp.asarray(START), jnp.asarray(TIMES), p, **OPTIONS) ** 2)

    return lambda: np.asarray(gradient(RATES))


def main() -> None:
    options = turns.arguments(__doc__, workloads=WORKLOADS, rounds=7, names=NAMES)
    for workload in options.workloads:
        results = turns.race("benchmarks.odeint", options.names, options.rounds, {"workload": workload})
        turns.report(f"odeint, {workload}", results, workload=workload)
        values = {name: result.values[-1] for name, result in results.items()}
        if not np.allclose(list(values.values()), values[turns.OURS], rtol=1e-5):
            raise SystemExit(f"odeint, {workload}: the gradients differ: {values}")


if __name__ == "__main__":
    main()
