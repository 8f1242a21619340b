"""Time of the two large matrix products of an MNIST training step, a lower bound for any framework.

    python -m benchmarks.products              # H = 64, 256, 1024; NumPy's OpenBLAS, PyTorch, JAX

The network is 784-H-10, trained in batches of 64. *forward* is x @ w, and *gradient* is x.T @ g. *step* updates the
weights with the gradient and weight decay while it computes the product.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns
from benchmarks.mnist_step import BATCH, DECAY, LR

NAMES = [turns.OURS, "pytorch", "jax"]
CALLS = 200


def contend(name: str, product: str, hidden: int) -> Callable[[], float]:
    """A function that computes a product several times and returns an element of it."""
    rng = np.random.default_rng(0)
    x, g, w = (rng.random(shape, np.float32) for shape in ((BATCH, 784), (BATCH, hidden), (784, hidden)))
    call = {turns.OURS: ours, "pytorch": pytorch, "jax": jax}[name](product, x, g, w)

    def several() -> float:
        for _ in range(CALLS - 1):
            call()
        return float(call()[0, 0])

    return several


def ours(product: str, x: np.ndarray, g: np.ndarray, w: np.ndarray) -> Callable[[], Any]:
    from tinygrad_np import fit_threads
    from tinygrad_np._machine import fused

    fit_threads(x.size * w.shape[1])
    y, dw = np.empty_like(g), np.empty_like(w)

    def step() -> np.ndarray:
        fused.scale_and_add(w, 1 - LR * DECAY, fused.Product(x.T, g), -LR)
        return w

    return {
        "forward": lambda: np.matmul(x, w, out=y),
        "gradient": lambda: np.matmul(x.T, g, out=dw),
        "step": step,
    }[product]


def pytorch(product: str, x: np.ndarray, g: np.ndarray, w: np.ndarray) -> Callable[[], Any]:
    import torch

    tx, tg, tw = map(torch.from_numpy, (x, g, w))
    y, dw = torch.empty_like(tg), torch.empty_like(tw)
    return {
        "forward": lambda: torch.mm(tx, tw, out=y),
        "gradient": lambda: torch.mm(tx.T, tg, out=dw),
        "step": lambda: torch.addmm(tw, tx.T, tg, beta=1 - LR * DECAY, alpha=-LR, out=tw),
    }[product]


def jax(product: str, x: np.ndarray, g: np.ndarray, w: np.ndarray) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp

    jx, jg, jw = map(jnp.asarray, (x, g, w))
    forward, gradient = jax.jit(lambda x, w: x @ w), jax.jit(lambda x, g: x.T @ g)
    update = jax.jit(lambda w, x, g: (1 - LR * DECAY) * w - LR * (x.T @ g), donate_argnums=0)

    def step() -> Any:
        nonlocal jw
        jw = update(jw, jx, jg)
        return jw.block_until_ready()

    return {
        "forward": lambda: forward(jx, jw).block_until_ready(),
        "gradient": lambda: gradient(jx, jg).block_until_ready(),
        "step": step,
    }[product]


def main() -> None:
    options = turns.arguments(__doc__, hidden=[64, 256, 1024], rounds=9, names=NAMES)
    for hidden in options.hidden:
        for product in ("forward", "gradient", "step"):
            settings = {"product": product, "hidden": hidden}
            results = turns.race("benchmarks.products", options.names, options.rounds, settings)
            turns.report(f"products, {product}, H={hidden}, {CALLS} calls", results, **settings)


if __name__ == "__main__":
    main()
