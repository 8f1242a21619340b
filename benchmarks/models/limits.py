"""What no step can do without: its matrix products alone, or moving the arrays that it reads and writes.

Products are counted layer by layer and computed again by NumPy, on all threads, into buffers that are kept. A
convolution counts as the product of its windows with its weights; algorithms with fewer multiplications exist.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tinygrad_np import Tensor, nn
from tinygrad_np._machine import threads

import numpy as np


class Product(NamedTuple):
    """`number` products (rows, inner) @ (inner, columns), of a layer's forward pass."""

    number: int
    rows: int
    inner: int
    columns: int
    input_needed: bool = True  # whether the backward pass computes the gradient of the first factor
    one_weight: bool = True  # for all of them


def products_of(run: Callable[[], Any]) -> list[Product]:
    """The products in the forward passes of the layers that a function calls."""
    found: list[Product] = []

    def watched(forward: Any) -> Any:
        def forward_and_count(layer: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
            y = forward(layer, x, *args, **kwargs)
            found.extend(_products(layer, x, y[0] if isinstance(y, tuple) else y))
            return y

        return forward_and_count

    kinds = (nn.Linear, nn.Conv2d, nn.MultiheadAttention, nn.RNN, nn.GRU, nn.LSTM)
    forwards = [kind.forward for kind in kinds]
    try:
        for kind, forward in zip(kinds, forwards, strict=True):
            kind.forward = watched(forward)
        run()
    finally:
        for kind, forward in zip(kinds, forwards, strict=True):
            kind.forward = forward
    return found


def _products(layer: Any, x: Any, y: Any) -> Iterator[Product]:
    needed = isinstance(x, Tensor) and x.requires_grad
    if isinstance(layer, nn.Linear):
        yield Product(1, y.size // layer.out_features, layer.in_features, layer.out_features, needed)
    elif isinstance(layer, nn.Conv2d):
        channels, *window = layer.weight.shape
        yield Product(1, y.size // channels, math.prod(window), channels, needed)
    elif isinstance(layer, nn.MultiheadAttention):  # the projection of its output is a Linear
        batch, length, features = x.shape
        heads, of_a_head = batch * layer.num_heads, features // layer.num_heads
        yield Product(1, batch * length, features, 3 * features, needed)
        yield Product(heads, length, of_a_head, length, one_weight=False)
        yield Product(heads, length, length, of_a_head, one_weight=False)
    else:
        batch, steps = y.shape[:2] if layer.batch_first else y.shape[1::-1]
        for i in range(layer.num_layers):
            inputs, width = getattr(layer, f"weight_ih_l{i}").shape
            yield Product(1, batch * steps, inputs, width, needed or i > 0)
            yield Product(steps, batch, layer.hidden_size, width)


def replay(products: list[Product]) -> Callable[[], None]:
    """A function that computes the products of forward and backward pass."""
    rng = np.random.default_rng(0)
    triples = []
    for number, rows, inner, columns, input_needed, one_weight in products:
        x, g = rng.random((number, rows, inner), np.float32), rng.random((number, rows, columns), np.float32)
        w = rng.random((inner, columns) if one_weight else (number, inner, columns), np.float32)
        triples.append((x, w, np.empty_like(g)))
        if input_needed:
            triples.append((g, w.mT, np.empty_like(x)))
        if one_weight:
            x, g = x.reshape(-1, inner), g.reshape(-1, columns)
        triples.append((x.mT, g, np.empty_like(w)))

    def compute() -> None:
        for a, b, out in triples:
            np.matmul(a, b, out=out)

    return compute


def copying(elements: int) -> Callable[[], None]:
    """A function that reads and writes as many float32 numbers in all, from one array to another, on all threads."""
    source = np.random.default_rng(0).random(elements // 2, np.float32)
    target = np.empty_like(source)

    def copy(piece: slice) -> None:
        target[piece] = source[piece]

    return in_pieces(copy, len(source))


def adding(elements: int) -> Callable[[], None]:
    """As `copying`, but in place, which is faster: the memory that is written to is in the cache already."""
    source = np.random.default_rng(0).random(elements // 3, np.float32)
    target = np.zeros_like(source)

    def add(piece: slice) -> None:
        np.add(target[piece], source[piece], out=target[piece])

    return in_pieces(add, len(source))


def in_pieces(work: Callable[[slice], None], length: int) -> Callable[[], None]:
    pieces = threads.blocks(length, 1, 65536)

    def run() -> None:
        threads.run(work, pieces)

    return run
