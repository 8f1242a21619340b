"""Derivatives of functions in float64: tinygrad_np beside HIPS autograd and JAX, compiled.

    python -m benchmarks.functions
    python -m benchmarks.functions --workloads jacobian hessian --names tinygrad_np autograd

*jvp*, *jacobian* and *hessian* are of a network with 20 inputs and 32 hidden units: of its 30 outputs, and of a scalar.
*residuals* is the Jacobian of the 1000 residuals of a fit by its 3 parameters. *ode* is the gradient of 200 steps of a
pendulum with respect to its start and its length. *fixed_point* is the gradient of an x = f(a, x) with respect to a, by
the implicit function theorem, where f is an argument of the operation.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "autograd", "jax"]
WORKLOADS = {"jvp": 200, "jacobian": 20, "hessian": 20, "residuals": 3, "ode": 5, "fixed_point": 20}  # runs per turn
RNG = np.random.default_rng(0)
W, V = RNG.normal(size=(20, 32)) / 5, RNG.normal(size=(32, 30)) / 6
X, DIRECTION = RNG.normal(size=20), RNG.normal(size=20)
START = np.array([1.0, 0.5, 0.7])  # angle, speed and length
TIMES, PARAMETERS = np.linspace(0, 1, 1000), np.array([1.0, 2.0, 0.5])
MIX, LIMIT = RNG.normal(size=(20, 20)) / 10, 1e-10


def network(np: Any) -> Callable[[Any], Any]:
    return lambda x: np.tanh(np.tanh(x @ W) @ V)


def scalar(np: Any) -> Callable[[Any], Any]:
    return lambda x: np.sum(np.sin(np.tanh(x @ W) @ V) ** 2)


def swing(np: Any, angle: Any, speed: Any, length: Any) -> tuple[Any, Any]:
    speed = speed - 0.01 * 9.81 / length * np.sin(angle)
    return angle + 0.01 * speed, speed


def pendulum(np: Any) -> Callable[[Any], Any]:
    def end(start: Any) -> Any:
        angle, speed = start[0], start[1]
        for _ in range(200):
            angle, speed = swing(np, angle, speed, start[2])
        return angle * angle

    return end


def residuals(np: Any) -> Callable[[Any], Any]:
    return lambda p: p[0] * np.exp(-p[1] * TIMES) + p[2] - np.sin(TIMES)


def step(np: Any) -> Callable[[Any, Any], Any]:
    return lambda a, x: np.tanh(MIX @ x + a)


def repeated(function: Callable[[Any], Any], x: Any) -> Any:
    """The fixed point of a function of arrays."""
    before, x = x, function(x)
    while np.max(np.abs(x - before)) > LIMIT:
        before, x = x, function(x)
    return x


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that computes the derivative several times and returns the sum of its magnitudes."""
    once = {turns.OURS: ours, "autograd": of_autograd, "jax": of_jax}[name](workload)

    def several() -> float:
        for _ in range(WORKLOADS[workload] - 1):
            once()
        return float(np.sum(np.abs(once())))

    return several


def ours(workload: str) -> Callable[[], Any]:
    from tinygrad_np import differentiable, func

    def back(g: Any, y: Any, a: Any, *, f: Any) -> Any:
        _, by_a = func.vjp(lambda a: f(a, y), a)
        _, by_x = func.vjp(lambda x: f(a, x), y)
        return by_a(repeated(lambda w: g + by_x(w)[0], g))[0]

    @differentiable(back)
    def fixed_point(a: Any, f: Any) -> Any:
        return repeated(lambda x: f(a, x), np.zeros_like(a))

    if workload == "jvp":
        return lambda: func.jvp(network(np), (X,), (DIRECTION,))[1]
    kind, function, x = {
        "jacobian": (func.jacobian, network, X),
        "hessian": (func.hessian, scalar, X),
        "residuals": (func.jacobian, residuals, PARAMETERS),
        "fixed_point": (func.grad, lambda np: lambda a: np.sum(fixed_point(a, f=step(np))), X),
        "ode": (func.grad, pendulum, START),
    }[workload]
    derivative = kind(function(np))
    return lambda: derivative(x)


def of_autograd(workload: str) -> Callable[[], Any]:
    import autograd
    import autograd.numpy as anp
    from autograd.extend import defvjp, primitive

    @primitive
    def fixed_point(function: Any, a: Any) -> Any:
        return repeated(lambda x: function(a, x), np.zeros_like(a))

    def back(y: Any, function: Any, a: Any) -> Any:
        by_a, _ = autograd.make_vjp(function, 0)(a, y)
        by_x, _ = autograd.make_vjp(function, 1)(a, y)
        return lambda g: by_a(repeated(lambda w: g + by_x(w), g))

    defvjp(fixed_point, None, back)
    if workload == "jvp":
        return lambda: autograd.make_jvp(network(anp))(X)(DIRECTION)[1]
    kind, function, x = {
        "jacobian": (autograd.jacobian, network, X),
        "hessian": (autograd.hessian, scalar, X),
        "residuals": (autograd.jacobian, residuals, PARAMETERS),
        "fixed_point": (autograd.grad, lambda np: lambda a: np.sum(fixed_point(step(np), a)), X),
        "ode": (autograd.grad, pendulum, START),
    }[workload]
    derivative = kind(function(anp))
    return lambda: derivative(x)


def of_jax(workload: str) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def iterate(function: Any, x: Any) -> Any:
        def go_on(pair: Any) -> Any:
            return jnp.max(jnp.abs(pair[1] - pair[0])) > LIMIT

        return jax.lax.while_loop(go_on, lambda pair: (pair[1], function(pair[1])), (x, function(x)))[1]

    @partial(jax.custom_vjp, nondiff_argnums=(0,))
    def fixed_point(function: Any, a: Any) -> Any:
        return iterate(lambda x: function(a, x), jnp.zeros_like(a))

    def forth(function: Any, a: Any) -> Any:
        y = fixed_point(function, a)
        return y, (a, y)

    def back(function: Any, saved: Any, g: Any) -> Any:
        _, pull = jax.vjp(function, *saved)
        return (pull(iterate(lambda w: g + pull(w)[1], g))[0],)

    fixed_point.defvjp(forth, back)

    def pendulum(np: Any) -> Callable[[Any], Any]:
        """By a loop of JAX: XLA had not compiled the 200 steps written out after 38 minutes."""

        def end(start: Any) -> Any:
            def step(state: Any, _: Any) -> Any:
                return swing(np, *state, start[2]), None

            (angle, _), _ = jax.lax.scan(step, (start[0], start[1]), None, length=200)
            return angle * angle

        return end

    kind, function, x = {
        "jvp": (None, network, X),
        "jacobian": (jax.jacobian, network, X),
        "hessian": (jax.hessian, scalar, X),
        "residuals": (jax.jacfwd, residuals, PARAMETERS),
        "fixed_point": (jax.grad, lambda np: lambda a: np.sum(fixed_point(step(np), a)), X),
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
