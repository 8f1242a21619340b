"""Functions of large arrays, which are computed in pieces and in place: the same as those of small ones."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, cross_entropy, grad
from tinygrad_np.ops import elementwise, losses, pieces
from tinygrad_np.ops.activations import celu, elu, hardsigmoid, hardswish, logsigmoid, selu
from tinygrad_np.ops.elementwise import relu
from tinygrad_np.ops.special import erf, gelu, log_softmax, sigmoid, silu, softmax, softplus

import numpy as np
import pytest
from machine import blas_threads

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "silu": silu,
    "erf": erf,
    "gelu": gelu,
    "gelu, tanh": lambda x: gelu(x, approximate="tanh"),
    "softplus": softplus,
    "softplus, beta": lambda x: softplus(x, beta=2.5),
    "logsigmoid": logsigmoid,
    "elu": elu,
    "elu, alpha": lambda x: elu(x, alpha=-0.5),
    "celu": lambda x: celu(x, alpha=3.0),
    "selu": selu,
    "hardsigmoid": hardsigmoid,
    "hardswish": hardswish,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
SCALES = {"near 0": 1e-3, "ordinary": 1.0, "moderate": 4.0, "large": 30.0, "huge": 1e4, "beyond": 1e30, "certain": 0.1}


def cut_small(patch: pytest.MonkeyPatch) -> None:
    """Have small arrays computed as large ones are."""
    patch.setattr(pieces, "PIECE", 128)
    patch.setattr(elementwise, "MANY", 64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", SCALES)
def test_cross_entropy_of_many_classes_in_pieces(scale: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """As accurate as that of few numbers, also where one of a row is almost certain, and the same on all threads."""
    rng = np.random.default_rng(0)
    x, labels = (SCALES[scale] * rng.normal(size=(12, 130))).astype(dtype), rng.integers(0, 130, 12)
    x[np.arange(12), labels] += 19.5 * (scale == "certain")

    def of(logits: np.ndarray) -> list[np.ndarray]:
        leaf = Tensor(logits, requires_grad=True)
        loss = cross_entropy(leaf, labels)
        assert loss.dtype == logits.dtype
        return [loss.data, grad(loss, leaf).data]

    exact, whole, found = of(x.astype(np.float64)), of(x), []
    with monkeypatch.context() as patch:
        cut_small(patch)
        patch.setattr(losses, "MANY", 64)
        for threads in (1, 2, 3):
            with blas_threads(threads):
                found.append(of(x))
    for i, expected in enumerate(exact):
        np.testing.assert_array_equal(found[0][i], found[1][i])
        np.testing.assert_array_equal(found[0][i], found[2][i])
        error, allowed = (np.abs(a.astype(np.float64) - expected) for a in (found[0][i], whole[i]))
        units = 8 if dtype is np.float32 else 32  # in float64 the whole is no more exact itself
        assert np.all(error <= 1.5 * allowed + units * np.finfo(dtype).eps * np.abs(expected) + np.finfo(dtype).tiny)


def outcome(name: str, x: np.ndarray, g: np.ndarray) -> list[np.ndarray]:
    leaf = Tensor(x, requires_grad=True)
    y = FUNCTIONS[name](leaf)
    assert y.dtype == x.dtype
    return [y.data, grad(y, leaf, g).data]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(6, 70), (40, 10), (2, 3, 600)], ids=str)
def test_pieces_give_what_the_whole_gives(
    name: str, scale: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a few units in the last place, beside the exact result, and with the same bits on any number of threads."""
    rng = np.random.default_rng(0)
    x = SCALES[scale] * rng.normal(size=shape)
    x[..., 0] += 5.5 * (scale == "certain")  # one of a row has almost all of the probability
    g = rng.normal(size=shape)
    for dtype in (np.float32, np.float64):
        few, many = x.astype(dtype), g.astype(dtype)
        exact = outcome(name, few.astype(np.float64), many.astype(np.float64))
        whole, found = outcome(name, few, many), []
        with monkeypatch.context() as patch:
            cut_small(patch)
            for threads in (1, 2, 3):
                with blas_threads(threads):
                    found.append(outcome(name, few, many))
        for i, expected in enumerate(exact):
            np.testing.assert_array_equal(found[0][i], found[1][i])
            np.testing.assert_array_equal(found[0][i], found[2][i])
            # As accurate as the whole, but for roundings of what is added up.
            size = np.abs(many) + np.abs(np.sum(many, axis=-1, keepdims=True)) if i else np.abs(expected)
            error, allowed = (np.abs(a.astype(np.float64) - expected) for a in (found[0][i], whole[i]))
            units = 8 if dtype is np.float32 else 32  # in float64 the whole is no more exact itself
            assert np.all(error <= 1.5 * allowed + units * np.finfo(dtype).eps * size + np.finfo(dtype).tiny)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_infinities_and_nan_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    x[0, 0], x[1, 1], x[2, 2] = np.inf, -np.inf, np.nan
    g = np.ones_like(x)
    whole = outcome(name, x, g)
    cut_small(monkeypatch)
    for one, other in zip(outcome(name, x, g), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_second_derivative_of_what_was_computed_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(8, 64))

    def second() -> np.ndarray:
        leaf = Tensor(x, requires_grad=True)
        first = grad((FUNCTIONS[name](leaf) * x).sum(), leaf, create_graph=True)
        return np.asarray(grad((first * x).sum(), leaf).data)

    whole = second()
    cut_small(monkeypatch)
    np.testing.assert_allclose(second(), whole, rtol=1e-9, atol=1e-12)
