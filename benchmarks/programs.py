"""One gradient of each of the programs in tests/programs: tinygrad_np beside HIPS autograd, the same code in both.

    python -m benchmarks.programs
    python -m benchmarks.programs --workloads fluid mixture

*process* is the likelihood of a Gaussian process for 40 points, by its 3 hyperparameters. *hidden* is that of a hidden
Markov model with 2 states for 50 sequences of 12 symbols. *variational* is the evidence lower bound of a linear
regression by 16 samples. *ode* is the error of 64 motions, each of 3 steps of a Runge-Kutta method with a network.
*fluid* is the smoke after 6 steps on a 25 x 25 grid, by the initial velocity. *mixture* is the likelihood of a Gaussian
mixture for 200 points, and *mixture hvp* a product with its Hessian. All are in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy

from benchmarks import turns

NAMES = [turns.OURS, "autograd"]
WORKLOADS = {  # runs per turn
    "process": 300,
    "hidden": 100,
    "variational": 300,
    "ode": 30,
    "fluid": 15,
    "mixture": 300,
    "mixture hvp": 100,
}
Program = Callable[[Any], Any]  # from one array to a scalar
RNG = numpy.random.default_rng(0)

TIMES = RNG.uniform(0, 10, 40)
OBSERVED = 2 * numpy.sin(TIMES) + RNG.normal(scale=0.3, size=40)
SYMBOLS = RNG.integers(3, size=(50, 12))
INPUTS = RNG.normal(size=(30, 3))
OUTPUTS = INPUTS @ numpy.array([0.5, -1.0, 2.0]) + RNG.normal(scale=0.5, size=30)
NOISE = RNG.normal(size=(16, 3))
STARTS, MOTIONS = RNG.uniform(-2, 2, (64, 2)), RNG.normal(size=(64, 2))
SIZE = 25
ROWS, COLUMNS = numpy.indices((SIZE, SIZE)).astype(float)
FREQUENCIES = numpy.stack(numpy.meshgrid(numpy.fft.fftfreq(SIZE), numpy.fft.fftfreq(SIZE), indexing="ij"))
SQUARES = numpy.sum(FREQUENCIES**2, axis=0)
SQUARES[0, 0] = 1
SMOKE = numpy.exp(-(((ROWS - 9) / 4) ** 2) - ((COLUMNS - 9) / 4) ** 2)
TARGET = numpy.exp(-(((ROWS - 14) / 3) ** 2) - ((COLUMNS - 13) / 5) ** 2)
POINTS = RNG.normal(size=(200, 2)) + RNG.choice([-1, 1], size=(200, 1))
ARGUMENTS = {
    "process": numpy.array([0.5, -0.3, -1.0]),
    "hidden": RNG.normal(size=12),
    "variational": RNG.normal(size=12) / 2,
    "ode": RNG.normal(size=48) / 2,
    "fluid": RNG.normal(size=(2, SIZE, SIZE)) / 4,
    "mixture": RNG.normal(size=9) / 2,
}
DIRECTION = RNG.normal(size=9)


def process(np: Any, logsumexp: Any) -> Program:
    def negative_log_likelihood(log_parameters: Any) -> Any:
        amplitude, length, noise = (np.exp(log_parameters[i]) for i in range(3))
        K = amplitude**2 * np.exp(-0.5 * ((TIMES[:, None] - TIMES) / length) ** 2) + noise**2 * np.eye(len(TIMES))
        L = np.linalg.cholesky(K)
        white = np.linalg.solve(L, OBSERVED)
        return 0.5 * np.sum(white**2) + np.sum(np.log(np.diag(L)))

    return negative_log_likelihood


def hidden(np: Any, logsumexp: Any) -> Program:
    def log_likelihood(logits: Any) -> Any:
        start, transition, emission = (
            z - logsumexp(z, axis=-1, keepdims=True)
            for z in (logits[:2], logits[2:6].reshape((2, 2)), logits[6:].reshape((2, 3)))
        )
        seen = emission.T[SYMBOLS]
        alpha = start + seen[:, 0]
        for t in range(1, SYMBOLS.shape[1]):
            alpha = logsumexp(alpha[:, :, None] + transition, axis=1) + seen[:, t]
        return np.sum(logsumexp(alpha, axis=1))

    return log_likelihood


def variational(np: Any, logsumexp: Any) -> Program:
    def elbo(parameters: Any) -> Any:
        mean, raw = parameters[:3], parameters[3:].reshape((3, 3))
        L = np.tril(raw, -1) + np.diag(np.exp(np.diag(raw)))
        z = mean + NOISE @ L.T
        log_joint = -0.5 * np.sum(((OUTPUTS - z @ INPUTS.T) / 0.5) ** 2, axis=1) - 0.5 * np.sum((z / 2) ** 2, axis=1)
        return np.mean(log_joint) + np.sum(np.diag(raw))

    return elbo


def ode(np: Any, logsumexp: Any) -> Program:
    def error(weights: Any) -> Any:
        W, b, V = weights[:24].reshape((2, 12)), weights[24:36], weights[36:].reshape((12, 1))

        def slope(state: Any) -> Any:
            return np.concatenate([state[..., 1:], np.tanh(state @ W + b) @ V], axis=-1)

        state, step = STARTS, 0.2
        for _ in range(3):
            k1 = slope(state)
            k2 = slope(state + step / 2 * k1)
            k3 = slope(state + step / 2 * k2)
            k4 = slope(state + step * k3)
            state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return np.mean((state - MOTIONS) ** 2)

    return error


def fluid(np: Any, logsumexp: Any) -> Program:
    def project(velocity: Any) -> Any:
        waves = np.fft.fft2(velocity)
        along = np.sum(FREQUENCIES * waves, axis=0) / SQUARES
        return np.real(np.fft.ifft2(waves - FREQUENCIES * along))

    def advect(fields: Any, velocity: Any) -> Any:
        rows, columns = ROWS - velocity[0], COLUMNS - velocity[1]
        up, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
        down_part, right_part = rows - up, columns - left
        up, down, left, right = up % SIZE, (up + 1) % SIZE, left % SIZE, (left + 1) % SIZE
        above = (1 - right_part) * fields[..., up, left] + right_part * fields[..., up, right]
        below = (1 - right_part) * fields[..., down, left] + right_part * fields[..., down, right]
        return (1 - down_part) * above + down_part * below

    def distance(velocity: Any) -> Any:
        velocity, smoke = project(velocity), SMOKE
        for _ in range(6):
            smoke = advect(smoke, velocity)
            velocity = project(advect(velocity, velocity))
        return np.mean((smoke - TARGET) ** 2)

    return distance


def mixture(np: Any, logsumexp: Any) -> Program:
    def negative_log_likelihood(parameters: Any) -> Any:
        logits = np.concatenate([parameters[:1], np.zeros(1)])
        means, log_scales = parameters[1:5].reshape((2, 2)), parameters[5:].reshape((2, 2))
        white = (POINTS[:, None] - means) / np.exp(log_scales)
        densities = logits - logsumexp(logits) - np.sum(0.5 * white**2 + log_scales, axis=-1)
        return -np.mean(logsumexp(densities, axis=1))

    return negative_log_likelihood


PROGRAMS = {function.__name__: function for function in (process, hidden, variational, ode, fluid, mixture)}


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that computes the gradient several times and returns the sum of its magnitudes."""
    once = (ours if name == turns.OURS else of_autograd)(workload)

    def several() -> float:
        for _ in range(WORKLOADS[workload] - 1):
            once()
        return float(numpy.sum(numpy.abs(once())))

    return several


def ours(workload: str) -> Callable[[], Any]:
    from tinygrad_np import func, logsumexp

    program = workload.partition(" ")[0]
    function, x = PROGRAMS[program](numpy, logsumexp), ARGUMENTS[program]
    if workload.endswith("hvp"):
        return lambda: func.hvp(function, x, DIRECTION)
    gradient = func.grad(function)
    return lambda: gradient(x)


def of_autograd(workload: str) -> Callable[[], Any]:
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    program = workload.partition(" ")[0]
    function, x = PROGRAMS[program](anp, logsumexp), ARGUMENTS[program]
    if workload.endswith("hvp"):
        product = autograd.hessian_vector_product(function)
        return lambda: product(x, DIRECTION)
    gradient = autograd.grad(function)
    return lambda: gradient(x)


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, names=NAMES)
    raced = {}
    for workload in options.workloads:
        results = turns.race("benchmarks.programs", options.names, options.rounds, {"workload": workload})
        turns.report(f"programs, {workload}, {WORKLOADS[workload]} times", results, workload=workload)
        turns.agree(f"programs, {workload}: the gradients", results, 1e-9)
        raced[workload] = results, WORKLOADS[workload]
    turns.table(raced)


if __name__ == "__main__":
    main()
