"""Time of one MNIST epoch: tinygrad_np, NumPy with gradients by hand, and other frameworks.

    python -m benchmarks.mnist_step                  # H = 64, 256, 1024
    python -m benchmarks.mnist_step --hidden 1024 --rounds 9 --names tinygrad_np jax

The network is 784-H-10, trained in batches of 64 by SGD with weight decay. All competitors use the same float32 images
in memory, the same order and the same initial weights. Their mean losses must agree to 1e-3 in every epoch.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import turns

IN_THREE_CALLS = "tinygrad_np in three calls"
NAMES = [turns.OURS, IN_THREE_CALLS, "numpy", "pytorch", "jax", "mygrad", "autograd"]
BATCH, LR, DECAY = 64, 0.1, 1e-5
DATA = Path(__file__).parent.parent / "examples/data/mnist"


def contend(name: str, hidden: int, images: int) -> Callable[[], float]:
    """A function that trains for one epoch and returns its mean loss."""
    makers = {
        turns.OURS: ours,
        IN_THREE_CALLS: ours_in_three_calls,
        "numpy": by_hand,
        "pytorch": pytorch,
        "jax": jax,
        "mygrad": mygrad,
        "autograd": autograd,
    }
    from tinygrad_np.data import load_mnist

    train, _ = load_mnist(DATA)
    x = (train.images[:images].reshape(-1, 784) / np.float32(255)).astype(np.float32)
    labels = train.labels[:images].astype(np.int64)
    rng = np.random.default_rng(0)
    weights = [
        rng.normal(0, np.sqrt(2 / 784), (784, hidden)).astype(np.float32),
        np.zeros(hidden, np.float32),
        rng.normal(0, np.sqrt(2 / hidden), (hidden, 10)).astype(np.float32),
        np.zeros(10, np.float32),
    ]
    epoch = makers[name](x, labels, weights)

    def run() -> float:
        return epoch(rng.permutation(len(x))[: len(x) // BATCH * BATCH].reshape(-1, BATCH))

    return run


def ours(
    x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray], fused: bool = True
) -> Callable[[np.ndarray], float]:
    from tinygrad_np import cross_entropy, fit_threads, nn, optim

    fit_threads(BATCH * x.shape[1] * weights[0].shape[1])
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(784, weights[0].shape[1], rng=rng), nn.ReLU(), nn.Linear(weights[0].shape[1], 10, rng=rng)
    )
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.data[...] = weight
    optimizer = optim.SGD(model.parameters(), lr=LR, weight_decay=DECAY)

    def epoch(order: np.ndarray) -> float:
        total = 0.0
        for batch in order:
            loss = cross_entropy(model(x[batch]), labels[batch])
            if fused:
                optimizer.minimize(loss)
            else:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item()
        return total / len(order)

    return epoch


def ours_in_three_calls(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> Callable[[np.ndarray], float]:
    """zero_grad, backward and step in three calls, which store the gradients in between."""
    return ours(x, labels, weights, fused=False)


def by_hand(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> Callable[[np.ndarray], float]:
    """Gradients derived by hand, with all buffers allocated once."""
    w1, b1, w2, b2 = weights
    batch_x, h, logits = (np.empty((BATCH, n), np.float32) for n in (784, len(b1), 10))
    dh, mask = np.empty_like(h), np.empty(h.shape, bool)
    dw1, db1, dw2, db2 = (np.empty_like(w) for w in weights)
    rows = np.arange(BATCH)

    def epoch(order: np.ndarray) -> float:
        total = 0.0
        for batch in order:
            np.take(x, batch, axis=0, out=batch_x, mode="clip")
            y = labels[batch]
            np.matmul(batch_x, w1, out=h)
            np.add(h, b1, out=h)
            np.maximum(h, 0, out=h)
            np.matmul(h, w2, out=logits)
            np.add(logits, b2, out=logits)
            np.subtract(logits, logits.max(axis=1, keepdims=True), out=logits)
            right = logits[rows, y]
            np.exp(logits, out=logits)
            sums = logits.sum(axis=1, keepdims=True)
            total += float((np.log(sums[:, 0]) - right).mean())
            np.divide(logits, sums, out=logits)
            logits[rows, y] -= 1
            np.multiply(logits, np.float32(1 / BATCH), out=logits)
            np.matmul(h.T, logits, out=dw2)
            np.sum(logits, axis=0, out=db2)
            np.matmul(logits, w2.T, out=dh)
            np.greater(h, 0, out=mask)
            np.multiply(dh, mask, out=dh)
            np.matmul(batch_x.T, dh, out=dw1)
            np.sum(dh, axis=0, out=db1)
            for w, dw in ((w1, dw1), (b1, db1), (w2, dw2), (b2, db2)):
                np.multiply(dw, np.float32(LR), out=dw)
                np.multiply(w, np.float32(1 - LR * DECAY), out=w)
                np.subtract(w, dw, out=w)
        return total / len(order)

    return epoch


def pytorch(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> Callable[[np.ndarray], float]:
    import torch

    model = torch.nn.Sequential(
        torch.nn.Linear(784, weights[0].shape[1]), torch.nn.ReLU(), torch.nn.Linear(weights[0].shape[1], 10)
    )
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight.T))
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, weight_decay=DECAY)
    all_x, all_labels = torch.from_numpy(x), torch.from_numpy(labels)

    def epoch(order: np.ndarray) -> float:
        total = 0.0
        for batch in torch.from_numpy(order):
            loss = torch.nn.functional.cross_entropy(model(all_x[batch]), all_labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(order)

    return epoch


def jax(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> Callable[[np.ndarray], float]:
    """The whole step compiled, with donated buffers for the weights."""
    import jax
    import jax.numpy as jnp

    all_x, all_labels = jnp.asarray(x), jnp.asarray(labels)

    def loss(parameters, batch):  # type: ignore[no-untyped-def]
        w1, b1, w2, b2 = parameters
        logits = jnp.maximum(all_x[batch] @ w1 + b1, 0) @ w2 + b2
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), all_labels[batch][:, None], 1).mean()

    def step(parameters, batch):  # type: ignore[no-untyped-def]
        value, gradients = jax.value_and_grad(loss)(parameters, batch)
        return value, [(1 - LR * DECAY) * w - LR * g for w, g in zip(parameters, gradients, strict=True)]

    compiled = jax.jit(step, donate_argnums=0)
    parameters = [jnp.asarray(w) for w in weights]

    def epoch(order: np.ndarray) -> float:
        nonlocal parameters
        total = 0.0
        for batch in order:
            value, parameters = compiled(parameters, batch)
            total += float(value)
        return total / len(order)

    return epoch


def mygrad(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> Callable[[np.ndarray], float]:
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mygrad.turn_memory_guarding_off()
    w1, b1, w2, b2 = parameters = [mygrad.tensor(w) for w in weights]

    def epoch(order: np.ndarray) -> float:
        total = 0.0
        for batch in order:
            loss = softmax_crossentropy(relu(x[batch] @ w1 + b1) @ w2 + b2, labels[batch])
            loss.backward()
            for w in parameters:
                w.data *= np.float32(1 - LR * DECAY)
                w.data -= np.float32(LR) * w.grad
            total += loss.item()
        return total / len(order)

    return epoch


def autograd(x: np.ndarray, labels: np.ndarray, weights: list[np.ndarray]) -> Callable[[np.ndarray], float]:
    import autograd.numpy as anp
    from autograd import value_and_grad

    rows = np.arange(BATCH)

    def loss(parameters, batch):  # type: ignore[no-untyped-def]
        w1, b1, w2, b2 = parameters
        logits = anp.dot(anp.maximum(anp.dot(x[batch], w1) + b1, 0), w2) + b2
        shifted = logits - anp.max(logits, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[rows, labels[batch]])

    value_and_gradients = value_and_grad(loss)

    def epoch(order: np.ndarray) -> float:
        total = 0.0
        for batch in order:
            value, gradients = value_and_gradients(weights, batch)
            for w, g in zip(weights, gradients, strict=True):
                w *= np.float32(1 - LR * DECAY)
                w -= np.float32(LR) * g
            total += float(value)
        return total / len(order)

    return epoch


def main() -> None:
    options = turns.arguments(__doc__, hidden=[64, 256, 1024], rounds=5, images=60_000, names=NAMES)
    for hidden in options.hidden:
        settings = {"hidden": hidden, "images": options.images}
        results = turns.race("benchmarks.mnist_step", options.names, options.rounds, settings)
        turns.report(f"mnist_step, H={hidden}", results, **settings)
        ours = results[turns.OURS].values
        for name, result in results.items():
            worst = max(abs(a - b) for a, b in zip(ours, result.values, strict=True))
            if worst > 1e-3:
                raise SystemExit(f"{name}: its losses differ from those of {turns.OURS} by {worst:.2g}")


if __name__ == "__main__":
    main()
