"""Additions at an index, which are np.add.at's to the last bit, and gradients of parts of an array, added in place."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, grad, tensor
from tinygrad_np._machine import scatter

import numpy as np
import pytest
from machine import blas_threads

RNG = np.random.default_rng(0)
N = 300  # indices, so that they select more elements than MANY
INDICES: dict[str, Callable[[], Any]] = {
    "rows": lambda: RNG.integers(-9, 9, N),
    "sorted rows": lambda: np.sort(RNG.integers(0, 9, N)),
    "rows in two axes": lambda: RNG.integers(-9, 9, (N // 3, 3)).astype(np.int8),
    "a list": lambda: RNG.integers(0, 9, N).tolist(),
    "columns": lambda: (slice(None), RNG.integers(-7, 7, N)),
    "columns of all": lambda: (slice(None), RNG.integers(0, 7, N), slice(None)),
    "pairs": lambda: (RNG.integers(-9, 9, N), RNG.integers(-7, 7, N)),
    "pairs that broadcast": lambda: (RNG.integers(-9, 9, (N, 1)), np.array([1, -1])),
    "an integer and an array": lambda: (3, RNG.integers(-7, 7, N)),
    "elements": lambda: tuple(RNG.integers(-6, 6, (3, 9 * N))),
    "a slice in between": lambda: (RNG.integers(0, 9, N), slice(1, 4), RNG.integers(0, 6, N)),
    "a slice": lambda: (slice(None), slice(1, 4)),
    "booleans": lambda: RNG.random((9, 7)) > 0.5,
    "unsigned": lambda: RNG.integers(0, 9, N).astype(np.uint8),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.longdouble])
@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("name", INDICES)
def test_additions_at_an_index_are_numpys_to_the_last_bit(name: str, width: int, dtype: Any) -> None:
    index = INDICES[name]()
    y = RNG.standard_normal((9, 7, width)).astype(dtype)
    x = RNG.standard_normal(y[index].shape).astype(dtype)
    expected = y.copy()
    np.add.at(expected, index, x)
    scatter.add_at(y, index, x)
    np.testing.assert_array_equal(y, expected)


def test_rows_may_be_broadcast_and_the_array_in_another_order() -> None:
    index, x = RNG.integers(0, 9, N), RNG.standard_normal((1, 7, 6))
    for y in (np.zeros((9, 7, 6)), np.asfortranarray(np.zeros((9, 7, 6))), np.zeros((9, 7, 12))[..., ::2]):
        scatter.add_at(y, index, x)
        np.testing.assert_allclose(y, np.bincount(index, minlength=9)[:, None, None] * x, rtol=1e-12)


@pytest.mark.parametrize("index", [9, -10])
def test_an_index_out_of_range_raises(index: int) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        scatter.add_at(np.zeros((9, 100)), np.full(50, index), np.ones((50, 100)))


def test_bits_do_not_depend_on_threads() -> None:
    x, index = RNG.standard_normal((20_000, 32)).astype(np.float32), RNG.integers(0, 50, 20_000)
    found = []
    for threads in (1, 2):
        with blas_threads(threads):
            found.append(scatter.scattered(x, index, (50, 32)))
    np.testing.assert_array_equal(*found)


# --- parts -----------------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Any], Any]] = {
    "iteration": lambda x: list(x),
    "unstack": lambda x: np.unstack(x, axis=1),
    "split": lambda x: np.split(x, 3, axis=0),
    "array_split": lambda x: np.array_split(x, [1, 4]),
    "overlapping": lambda x: [x[:4], x[2:], x[::2], x[:, 1]],
    "repeated": lambda x: [x[[0, 0, 1]], x[[1, 1]], x[[2]], x[x.data > 0]],
    "with the whole": lambda x: [x, x[0], x[1], x, x[2], 2 * x, x[3]],
    "a number": lambda x: [x[0, 0][...], x[0, 0], x[0, 0][()], x[0, 0][None]],
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("of_leaf", [True, False])
def test_gradients_of_parts_are_those_that_are_recorded(name: str, of_leaf: bool, dtype: Any) -> None:
    leaf = Tensor(RNG.standard_normal((6, 4)).astype(dtype), requires_grad=True)
    x = leaf if of_leaf else leaf * 1
    loss = sum((p * p * (i + 1)).sum() for i, p in enumerate(PARTS[name](x)))
    recorded = grad(loss, leaf, create_graph=True)
    fast = grad(loss, leaf, retain_graph=True)
    again = grad(loss, leaf, retain_graph=True)
    tolerance = np.finfo(dtype).eps * 8
    np.testing.assert_allclose(fast.data, recorded.data, tolerance, tolerance)
    np.testing.assert_array_equal(fast.data, again.data)
    assert fast.dtype == dtype
    second = grad(np.mean((recorded / 100) ** 2), leaf)
    assert second.shape == leaf.shape


def test_a_part_of_a_number_is_added() -> None:
    x = Tensor(2.0, requires_grad=True)
    assert grad(x[...] + x[...] + x[...] * x[None].sum(), x).item() == 6


def test_the_gradient_that_was_given_is_left_alone() -> None:
    x = Tensor(np.zeros((5, 3)), requires_grad=True)
    y = x * 1
    seeds = [np.ones((5, 3)), np.ones(3), np.ones(3), np.ones(3)]
    found = grad([y, y[0], y[1], y[1]], y, seeds)
    np.testing.assert_array_equal(found.data[:, 0], [2, 3, 1, 1, 1])
    for seed in seeds:
        assert (seed == 1).all()


def test_zeros_are_written_twice_however_many_parts_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    scattered = scatter.scattered
    monkeypatch.setattr(scatter, "scattered", lambda *args: calls.append(1) or scattered(*args))
    x = Tensor(np.ones((50, 4)), requires_grad=True)
    gradient = grad(sum((row * row).sum() for row in x), x)
    np.testing.assert_array_equal(gradient.data, 2.0)
    assert len(calls) == 2


# --- many parts of one array -----------------------------------------------------------------------------------------

TAKEN_APART: dict[str, Callable[[Tensor], Any]] = {
    "iteration": list,
    "unstack": np.unstack,
    "split": lambda x: np.split(x, len(x)),
    "array_split": lambda x: np.array_split(x, len(x) - 1),
    "indices": lambda x: [x[i] for i in range(len(x))],
    "overlapping": lambda x: [x[i : i + 2] for i in range(len(x) - 1)],
    "repeated": lambda x: [x[[i, i]] for i in range(len(x))],
    "x itself, too": lambda x: [*x[:5], x, *x[5:]],
}


def of_parts(x: Tensor, parts: Any) -> Tensor:
    """A function of parts of x with a derivative of every order."""
    return np.exp(np.concatenate([np.ravel(part * part) * (1 + i % 3) for i, part in enumerate(parts)])).sum()


class Sizes:
    """An observer that adds up the sizes of all results."""

    def __init__(self) -> None:
        self.total = 0

    def run(self, function: Any, args: Any, arrays: Any, kwargs: Any) -> Any:
        result = function(*arrays, **kwargs)
        self.total += np.size(result)
        return result

    def ran(self, operation: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        pass


def recorded_work(take_apart: Callable[[Tensor], Any], rows: int) -> int:
    """How many numbers all operations compute for two derivatives that are recorded."""
    x = Tensor(np.linspace(0.1, 0.5, rows * 4).reshape(rows, 4), requires_grad=True)
    sizes = Sizes()
    tensor.observe(sizes)
    try:
        first = grad(of_parts(x, take_apart(x)), x, create_graph=True)
        grad((first * first).sum(), x, create_graph=True)
    finally:
        tensor.observe(sizes, on=False)
    return sizes.total


@pytest.mark.parametrize("name", TAKEN_APART)
def test_the_work_of_recorded_gradients_is_linear_in_the_number_of_parts(name: str) -> None:
    work = [recorded_work(TAKEN_APART[name], rows) for rows in (100, 200, 400)]
    assert work[2] - work[1] < 2.1 * (work[1] - work[0])  # 4 times as much, if it were quadratic


@pytest.mark.parametrize("name", TAKEN_APART)
def test_recorded_gradients_of_parts_are_those_of_one_index(name: str) -> None:
    """To the third order, against the same numbers chosen from x all at once."""
    take_apart = TAKEN_APART[name]
    values = np.linspace(0.1, 0.5, 24).reshape(12, 2)
    places = [np.ravel(part) for part in take_apart(Tensor(np.arange(24.0).reshape(12, 2)))]
    index = np.concatenate([part.data for part in places]).astype(int)
    factors = np.concatenate([np.full(part.size, 1 + i % 3) for i, part in enumerate(places)])

    def derivatives(function: Callable[[Tensor], Tensor]) -> list[np.ndarray]:
        x = Tensor(values, requires_grad=True)
        y, found = function(x), []
        for _ in range(3):
            g = grad(y, x, create_graph=True)
            found.append(g.data)
            y = (g * g).sum()
        return found

    ours = derivatives(lambda x: of_parts(x, take_apart(x)))
    theirs = derivatives(lambda x: np.exp(np.ravel(x)[index] ** 2 * factors).sum())
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
