"""Time per operation on small arrays, forward and backward: tinygrad_np, plain NumPy and other frameworks.

    python -m benchmarks.overhead              # all three workloads
    python -m benchmarks.overhead --workloads chain

*chain* is 100 consecutive products of 8 elements. *scalar* is a graph of 100 additions and products of scalars, like
those of micrograd. *mlp* is a whole training step of a network with 32 hidden units on 8 examples.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns

LENGTH = 100  # operations in a chain, to amortise the cost of starting a backward pass
NAMES = [turns.OURS, "numpy", "pytorch", "mygrad", "autograd"]
WORKLOADS = {"chain": LENGTH, "scalar": LENGTH, "mlp": 1}  # operations (or steps) per run


def contend(name: str, workload: str, repeats: int) -> Callable[[], float]:
    """A function that runs a workload several times and returns its result."""
    run = globals()[f"{name.removesuffix('_np')}_{workload}"]()

    def several() -> float:
        for _ in range(repeats - 1):
            run()
        return float(run())

    return several


X, A = np.full(8, 1.5, np.float32), np.full(8, 0.99, np.float32)


def numpy_chain() -> Callable[[], Any]:
    def run() -> Any:
        y = X
        for _ in range(LENGTH):
            y = y * A
        g = np.ones_like(X)
        for _ in range(LENGTH):
            g = g * A
        return g[0]

    return run


def numpy_scalar() -> Callable[[], Any]:
    def run() -> Any:
        x = y = np.float32(1.01)
        for _ in range(LENGTH // 2):
            y = y * x + x
        g = gradient = np.float32(1)
        for _ in range(LENGTH // 2):
            gradient = gradient + g
            g = g * x
        return y

    return run


def _weights() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(8, 32), (32,), (32, 32), (32,), (32, 4), (4,)]
    return [rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]


def _examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(8, 8)).astype(np.float32), rng.integers(0, 4, 8)


def numpy_mlp() -> Callable[[], Any]:
    w1, b1, w2, b2, w3, b3 = weights = _weights()
    x, labels = _examples()
    rows = np.arange(len(x))

    def run() -> Any:
        h1 = np.maximum(x @ w1 + b1, 0)
        h2 = np.maximum(h1 @ w2 + b2, 0)
        logits = h2 @ w3 + b3
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        sums = p.sum(axis=1, keepdims=True)
        loss = (np.log(sums[:, 0]) - logits[rows, labels]).mean()
        p /= sums
        p[rows, labels] -= 1
        p *= np.float32(1 / len(x))
        d2 = (p @ w3.T) * (h2 > 0)
        d1 = (d2 @ w2.T) * (h1 > 0)
        gradients = (x.T @ d1, d1.sum(axis=0), h1.T @ d2, d2.sum(axis=0), h2.T @ p, p.sum(axis=0))
        for w, g in zip(weights, gradients, strict=True):
            w -= np.float32(1e-3) * g
        return loss

    return run


def tinygrad_chain() -> Callable[[], Any]:
    from tinygrad_np import Tensor

    def run() -> Any:
        y = leaf = Tensor(X, requires_grad=True)
        for _ in range(LENGTH):
            y = y * A
        y.backward(np.ones_like(X))
        return leaf.grad.data[0]  # type: ignore[union-attr]

    return run


def tinygrad_scalar() -> Callable[[], Any]:
    from tinygrad_np import Tensor

    def run() -> Any:
        x = y = Tensor(np.float32(1.01), requires_grad=True)
        for _ in range(LENGTH // 2):
            y = y * x + x
        y.backward()
        return y.item()

    return run


def tinygrad_mlp() -> Callable[[], Any]:
    from tinygrad_np import cross_entropy, nn, optim

    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(8, 32, rng=rng), nn.ReLU(), nn.Linear(32, 32, rng=rng), nn.ReLU(), nn.Linear(32, 4, rng=rng)
    )
    for parameter, weight in zip(model.parameters(), _weights(), strict=True):
        parameter.data[...] = weight
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    x, labels = _examples()

    def run() -> Any:
        loss = cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def pytorch_chain() -> Callable[[], Any]:
    import torch

    x, a, ones = torch.from_numpy(X), torch.from_numpy(A), torch.ones(8)

    def run() -> Any:
        y = leaf = x.clone().requires_grad_()
        for _ in range(LENGTH):
            y = y * a
        y.backward(ones)
        return leaf.grad[0]  # type: ignore[index]

    return run


def pytorch_scalar() -> Callable[[], Any]:
    import torch

    def run() -> Any:
        x = y = torch.tensor(1.01, requires_grad=True)
        for _ in range(LENGTH // 2):
            y = y * x + x
        y.backward()
        return y.item()

    return run


def pytorch_mlp() -> Callable[[], Any]:
    import torch

    linear, relu = torch.nn.Linear, torch.nn.ReLU
    model = torch.nn.Sequential(linear(8, 32), relu(), linear(32, 32), relu(), linear(32, 4))
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), _weights(), strict=True):
            parameter.copy_(torch.from_numpy(weight.T))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, labels = (torch.from_numpy(array) for array in _examples())

    def run() -> Any:
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def mygrad_chain() -> Callable[[], Any]:
    import mygrad

    mygrad.turn_memory_guarding_off()

    def run() -> Any:
        y = leaf = mygrad.tensor(X)
        for _ in range(LENGTH):
            y = y * A
        y.backward(np.ones_like(X))
        return leaf.grad[0]  # type: ignore[index]

    return run


def mygrad_scalar() -> Callable[[], Any]:
    import mygrad

    mygrad.turn_memory_guarding_off()

    def run() -> Any:
        x = y = mygrad.tensor(np.float32(1.01))
        for _ in range(LENGTH // 2):
            y = y * x + x
        y.backward()
        return y.item()

    return run


def mygrad_mlp() -> Callable[[], Any]:
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mygrad.turn_memory_guarding_off()
    w1, b1, w2, b2, w3, b3 = parameters = [mygrad.tensor(w) for w in _weights()]
    x, labels = _examples()

    def run() -> Any:
        loss = softmax_crossentropy(relu(relu(x @ w1 + b1) @ w2 + b2) @ w3 + b3, labels)
        loss.backward()
        for w in parameters:
            w.data -= np.float32(1e-3) * w.grad
        return loss.item()

    return run


def autograd_chain() -> Callable[[], Any]:
    import autograd

    def chain(y: Any) -> Any:
        for _ in range(LENGTH):
            y = y * A
        return y

    def run() -> Any:
        backward, _ = autograd.make_vjp(chain)(X)
        return backward(np.ones_like(X))[0]

    return run


def autograd_scalar() -> Callable[[], Any]:
    import autograd

    def graph(x: Any) -> Any:
        y = x
        for _ in range(LENGTH // 2):
            y = y * x + x
        return y

    value_and_gradient = autograd.value_and_grad(graph)
    return lambda: value_and_gradient(np.float32(1.01))[0]


def autograd_mlp() -> Callable[[], Any]:
    import autograd.numpy as anp
    from autograd import value_and_grad

    weights = _weights()
    x, labels = _examples()
    rows = np.arange(len(x))

    def loss(parameters: list[Any]) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        hidden = anp.maximum(anp.dot(anp.maximum(anp.dot(x, w1) + b1, 0), w2) + b2, 0)
        logits = anp.dot(hidden, w3) + b3
        shifted = logits - anp.max(logits, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[rows, labels])

    value_and_gradients = value_and_grad(loss)

    def run() -> Any:
        value, gradients = value_and_gradients(weights)
        for w, g in zip(weights, gradients, strict=True):
            w -= np.float32(1e-3) * g
        return value

    return run


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, repeats=200, names=NAMES)
    for workload in options.workloads:
        settings = {"workload": workload, "repeats": options.repeats}
        results = turns.race("benchmarks.overhead", options.names, options.rounds, settings)
        turns.report(f"overhead, {workload}", results, **settings)
        count = options.repeats * WORKLOADS[workload]
        cost = {name: result.median / count * 1e6 for name, result in results.items()}
        if "numpy" in cost:
            above = {name: round(value - cost["numpy"], 2) for name, value in cost.items() if name != "numpy"}
            unit = "step" if workload == "mlp" else "operation"
            print(f"  overhead over plain NumPy, in us per {unit}: {above}")
        values = [result.values[-1] for result in results.values()]
        if not np.allclose(values, values[0], rtol=1e-3):
            raise SystemExit(f"overhead, {workload}: the results differ: {dict(zip(results, values, strict=True))}")


if __name__ == "__main__":
    main()
