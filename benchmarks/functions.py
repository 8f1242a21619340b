"""Derivatives of functions in float64: tinygrad_np beside HIPS autograd and JAX, compiled.

    python -m benchmarks.functions
    python -m benchmarks.functions --workloads jacobian hessian --names tinygrad_np autograd

*jvp*, *jacobian* and *hessian* are of a network with 20 inputs and 32 hidden units: of its 30 outputs, and of a scalar.
*ode* is the gradient of 200 steps of a pendulum with respect to its start and its length.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "autograd", "jax"]
WORKLOADS = {"jvp": 200, "jacobian": 20, "hessian": 20, "ode": 5}  # runs per turn
RNG = np.random.default_rng(0)
W, V = RNG.normal(size=(20, 32)) / 5, RNG.normal(size=(32, 30)) / 6
X, DIRECTION = RNG.normal(size=20), RNG.normal(size=20)
START = np.array([1.0, 0.5, 0.7])  # angle, speed and length


def network(np: Any) -> Callable[[Any], Any]:
    return lambda x: np.tanh(np.tanh(x @ W) @ V)


def scalar(np: Any) -> Callable[[Any], Any]:
    return lambda x: np.sum(np.sin(np.tanh(x @ W) @ V) ** 2)


def pendulum(np: Any) -> Callable[[Any], Any]:
    def end(start: Any) -> Any:
        angle, speed, length = start[0], start[1], start[2]
        for _ in range(200):
            speed = speed - 0.01 * 9.81 / length * np.sin(angle)
            angle = angle + 0.01 * speed
        return angle * angle

    return end


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that computes the derivative several times and returns the sum of its magnitudes."""
    once = {turns.OURS: ours, "autograd": of_autograd, "jax": of_jax}[name](workload)

    def several() -> float:
        for _ in range(WORKLOADS[workload] - 1):
            once()
        return float(np.sum(np.abs(once())))

    return several


def ours(workload: str) -> Callable[[], Any]:
    from tinygrad_np import func

    if workload == "jvp":
        return lambda: func.jvp(network(np), (X,), (DIRECTION,))[1]
    kind, function, x = {
        "jacobian": (func.jacobian, network, X),
        "hessian": (func.hessian, scalar, X),
        "ode": (func.grad, pendulum, START),
    }[workload]
    derivative = kind(function(np))
    return lambda: derivative(x)


def of_autograd(workload: str) -> Callable[[], Any]:
    import autograd
    import autograd.numpy as anp

    if workload == "jvp":
        return lambda: autograd.make_jvp(network(anp))(X)(DIRECTION)[1]
    kind, function, x = {
        "jacobian": (autograd.jacobian, network, X),
        "hessian": (autograd.hessian, scalar, X),
        "ode": (autograd.grad, pendulum, START),
    }[workload]
    derivative = kind(function(anp))
    return lambda: derivative(x)


def of_jax(workload: str) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    kind, function, x = {
        "jvp": (None, network, X),
        "jacobian": (jax.jacobian, network, X),
        "hessian": (jax.hessian, scalar, X),
        "ode": (jax.grad, pendulum, START),
    }[workload]
    if kind is None:
        along = jax.jit(lambda x, t: jax.jvp(network(jnp), (x,), (t,))[1])
        return lambda: np.asarray(along(X, DIRECTION))
    derivative = jax.jit(kind(function(jnp)))
    return lambda: np.asarray(derivative(x))


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, names=NAMES)
    for workload in options.workloads:
        results = turns.race("benchmarks.functions", options.names, options.rounds, {"workload": workload})
        turns.report(f"functions, {workload}, {WORKLOADS[workload]} times", results, workload=workload)
        values = {name: result.values[-1] for name, result in results.items()}
        if not np.allclose(list(values.values()), values[turns.OURS], rtol=1e-6):
            raise SystemExit(f"functions, {workload}: the derivatives differ: {values}")


if __name__ == "__main__":
    main()
