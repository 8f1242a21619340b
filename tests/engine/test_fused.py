"""Sums in place, of arrays and of products: exact, and never of numbers that were written over."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

from tinygrad_np import Tensor, cross_entropy, nn, primitive
from tinygrad_np._machine import fused
from tinygrad_np._machine.arrays import memory_of
from tinygrad_np._machine.fused import BLOCK, FEW, Product, product, scale_and_add
from tinygrad_np.ops.products import linear
from tinygrad_np.optim import SGD

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (FEW + 3,), (3, BLOCK)])
@given(
    beta=st.sampled_from([0.0, 1.0, 0.97, -2.0]),
    alpha=st.sampled_from([0.0, 1.0, -0.3, 1e-9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_element_is_right_to_its_last_bits(
    shape: tuple[int, ...], dtype: type, offset: int, beta: float, alpha: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    buffer = np.zeros(3 * int(np.prod(shape)) + 2, dtype)
    y = buffer[offset : offset + int(np.prod(shape))].reshape(shape)
    y[...] = rng.normal(size=shape)
    x = rng.normal(size=shape).astype(dtype)
    before, kept = y.copy(), x.copy()
    scale_and_add(y, beta, x, alpha)
    terms = np.longdouble(beta) * before, np.longdouble(alpha) * kept
    allowed = 2 * np.finfo(dtype).eps * (abs(terms[0]) + abs(terms[1])) + np.finfo(dtype).smallest_subnormal
    assert np.all(abs(y - (terms[0] + terms[1])) <= allowed)
    assert np.array_equal(x, kept)
    assert not buffer[:offset].any()
    assert not buffer[offset + y.size :].any()


@pytest.mark.parametrize("repeats", [1, FEW])
@pytest.mark.parametrize(("beta", "alpha"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)])
def test_nan_and_infinity_propagate(beta: float, alpha: float, repeats: int) -> None:
    y = np.tile(np.array([np.nan, 1.0, np.inf], np.float32), repeats)
    x = np.tile(np.array([1.0, np.nan, 1.0], np.float32), repeats)
    with np.errstate(invalid="ignore"):
        expected = np.float32(beta) * y + np.float32(alpha) * x
        scale_and_add(y, beta, x, alpha)
    assert np.array_equal(np.isnan(y), np.isnan(expected))


def test_strides_and_other_types() -> None:
    y = np.ones((3, 4), np.float32)
    scale_and_add(y[:, ::2], 0.5, np.ones((3, 2)), 1.0)
    assert y.tolist() == [[1.5, 1, 1.5, 1]] * 3
    large = np.ones((3, FEW), np.float32)
    scale_and_add(large[:, ::2], 0.5, np.ones((3, FEW // 2), np.float32), 1.0)
    assert np.all(large == np.where(np.arange(FEW) % 2, 1, 1.5))
    x = np.arange(6 * FEW, dtype=np.float32).reshape(3, 2 * FEW)[:, ::2]
    y2 = np.zeros((3, FEW), np.float32)
    scale_and_add(y2, 1.0, x, 1.0)
    assert np.array_equal(y2, x)
    for frozen in (y, large):
        frozen.flags.writeable = False
        before = frozen.copy()
        with pytest.raises(ValueError, match="read-only"):
            scale_and_add(frozen, 0.5, np.ones(frozen.shape, np.float32), 1.0)
        assert np.array_equal(frozen, before)


def stored(array: np.ndarray, order: str) -> np.ndarray:
    """The same matrix in another order of its elements, or with gaps between them."""
    if order == "gaps":
        return np.repeat(array, 2, axis=1)[:, ::2]
    if order == "unaligned":
        return np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:].view(array.dtype).reshape(array.shape)
    return np.asarray(array, order=order)


ORDERS = ["C", "F", "gaps", "unaligned"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F", "gaps"])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (128, 64), (1, FEW)])
@given(
    inner=st.sampled_from([0, 1, 3, 70]),
    orders=st.tuples(*[st.sampled_from(ORDERS)] * 2),
    beta=st.sampled_from([0.0, 1.0, 0.97]),
    alpha=st.sampled_from([0.0, 1.0, -0.3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_element_of_a_product_is_right_to_its_last_bits(
    size: tuple[int, int],
    dtype: type,
    order: str,
    inner: int,
    orders: tuple[str, str],
    beta: float,
    alpha: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=shape).astype(dtype) for shape in ((size[0], inner), (inner, size[1])))
    buffer = rng.normal(size=(size[0] + 2, size[1])).astype(dtype)
    before = buffer.copy()
    y = stored(buffer, order)
    scale_and_add(y[1:-1], beta, Product(stored(a, orders[0]), stored(b, orders[1])), alpha)
    terms = np.longdouble(beta) * before[1:-1], np.longdouble(alpha) * (a.astype(np.longdouble) @ b)
    sizes = abs(terms[0]) + abs(alpha) * (abs(a.astype(np.longdouble)) @ abs(b))
    assert np.all(abs(y[1:-1] - (terms[0] + terms[1])) <= (inner + 3) * np.finfo(dtype).eps * sizes)
    assert np.array_equal(y[[0, -1]], before[[0, -1]])


def test_nan_propagates_through_a_product() -> None:
    for beta, alpha in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        y, a, b = np.ones((128, 64)), np.ones((128, 3)), np.ones((3, 64))
        y[0, 0] = a[1, 0] = b[0, 1] = np.nan
        with np.errstate(invalid="ignore"):
            scale_and_add(y, beta, Product(a, b), alpha)
        assert np.isnan(y[0, 0])
        assert np.isnan(y[1]).all()
        assert np.isnan(y[:, 1]).all()
        assert np.isnan(y).sum() == 64 + 128


def test_a_product_is_left_to_numpy_where_blas_cannot_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = np.ones((128, 2), np.float32), np.ones((2, 64), np.float32)
    y = np.ones((128, 64))
    scale_and_add(y, 0.5, Product(a, b), 0.25)  # of another dtype
    assert np.all(y == 1)
    y = np.ones((128, 64), np.float32)
    y.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        scale_and_add(y, 0.5, Product(a, b), 0.25)
    monkeypatch.setattr(fused, "_AXPBY", {})
    monkeypatch.setattr(fused, "_GEMM", {})
    y = np.ones((128, 64), np.float32)
    scale_and_add(y, 0.5, Product(a, b), 0.25)
    assert np.all(y == 1)
    y = np.ones(BLOCK + 3, np.float32)
    scale_and_add(y, 0.5, np.ones_like(y), 0.25)
    assert np.all(y == 0.75)


@pytest.mark.skipif(not fused._GEMM, reason="only with a BLAS that is found")
def test_only_products_of_large_matrices_of_one_dtype_are_deferred() -> None:
    a, b = np.ones((128, 3), np.float32), np.ones((3, 64), np.float32)
    waiting = product(a, b)
    assert type(waiting) is Product
    assert (waiting.shape, waiting.dtype) == ((128, 64), np.float32)
    assert np.array_equal(waiting + waiting, 2 * (a @ b))
    assert np.array_equal(a @ b + waiting, 2 * (a @ b))
    for c, d in ((a, b.astype(float)), (a[:9], b), (a.astype(int), b.astype(int)), (a[None], b), (Tensor(a), b)):
        assert type(product(c, d)) is not Product
        np.testing.assert_array_equal(np.asarray(product(c, d)), np.asarray(c) @ d)


def test_the_owner_of_memory_is_known_or_is_not_numpys() -> None:
    a = np.zeros((4, 4))
    assert memory_of(a[1:].T[::2]) is memory_of(a) is a
    assert memory_of(a.copy()) is not a
    for foreign in (np.frombuffer(bytes(8)), np.from_dlpack(a)):
        assert not memory_of(foreign[:1]).flags.owndata


# --- the optimiser that adds products as they are computed -----------------------------------------------------------


def twice(build: Callable[[], tuple[list[Tensor], Callable[[], Tensor]]]) -> None:
    """The same three steps, by `minimize` and by `backward` and `step`, come to the same parameters.

    Parameters are changed from the youngest to the oldest, and are younger then: the order is another in each step.
    """
    results = []
    for in_one_call in (True, False):
        parameters, evaluate = build()
        optimizer = SGD(parameters, lr=0.01, weight_decay=0.1)
        for _ in range(3):
            if in_one_call:
                optimizer.minimize(evaluate())
            else:
                optimizer.zero_grad()
                evaluate().backward()
                optimizer.step()
        assert optimizer.steps == 3
        results.append([p.data for p in parameters])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def weights(*shapes: tuple[int, ...]) -> list[Tensor]:
    rng = np.random.default_rng(1)
    return [Tensor(rng.normal(size=shape) / shape[0], requires_grad=True) for shape in shapes]


@given(
    sizes=st.lists(st.integers(1, 200), min_size=2, max_size=4),
    batch=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    tied=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_minimize_takes_the_steps_of_backward_and_step(
    sizes: list[int], batch: list[int], tied: bool, seed: int
) -> None:
    x = np.random.default_rng(seed).normal(size=(*batch, sizes[0]))

    def build() -> tuple[list[Tensor], Callable[[], Tensor]]:
        parameters = weights(*[s for m, n in pairwise(sizes) for s in ((m, n), (n,))])

        def of_network() -> Tensor:
            y = x
            for w, b in zip(parameters[::2], parameters[1::2], strict=True):
                y = np.tanh(linear(y, w, b))
            if tied:
                y = y @ parameters[-2].T @ parameters[-2]
            return loss(y)

        return parameters, of_network

    twice(build)


@cache  # registered when it is used: what is registered when tests are collected is tested as ours
def inner() -> Callable[[Tensor, np.ndarray], Tensor]:
    """A sum of products, whose gradient is, where it is the loss, the very array that it was given."""
    return primitive(lambda a, b: np.sum(a * b), lambda g, y, a, b: b, None)


ALIASES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "parameter": lambda v, w: loss(v @ w),
    "view": lambda v, w: loss(v.T @ w),
    "constant": lambda v, w: loss(v.data @ w + np.sum(v)),
    "itself": lambda v, w: loss(w.data @ w + np.sum(v)),
    "detached": lambda v, w: loss(v.detach().T @ w + np.sum(v)),
    "buffer": lambda v, w: loss(np.asarray(memoryview(v.data)).T @ w + np.sum(v)),
    "computed": lambda v, w: loss(v @ (w * 2)),
    "gradient": lambda v, w: inner()(np.ones((100, 100)) @ w, v.data) + np.sum(v * v),
}


def loss(y: Tensor) -> Tensor:
    return np.mean(np.square(y - 1))


@pytest.mark.parametrize("name", ALIASES)
@pytest.mark.parametrize("foreign", [False, True])
def test_no_product_reads_what_the_same_step_writes(name: str, foreign: bool) -> None:
    def build() -> tuple[list[Tensor], Callable[[], Tensor]]:
        v, w = weights((100, 100), (100, 100))
        if foreign:  # memory of which NumPy does not know who else uses it
            v.data = np.frombuffer(bytearray(v.data.tobytes())).reshape(100, 100)
        return [v, w], lambda: ALIASES[name](v, w)

    twice(build)


def test_products_are_added_to_weights_without_being_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(self: Product) -> np.ndarray:
        raise AssertionError("the product was written down")

    monkeypatch.setattr(Product, "computed", computed)
    v, w = weights((100, 100), (100, 100))
    SGD([v, w], lr=0.1, weight_decay=0.1).minimize(loss(np.ones((3, 100)) @ v @ w))


def test_minimize_stores_no_gradient_and_leaves_others_alone() -> None:
    v, w, unused = weights((100, 100), (100, 100), (3,))
    v.grad = Tensor(np.zeros((100, 100)))
    before = v.grad, unused.data.copy(), v.data.copy()
    loss = np.sum(v @ w)
    SGD([w, unused], lr=0.1, weight_decay=0.5).minimize(loss)
    assert v.grad is before[0]
    assert w.grad is None
    np.testing.assert_array_equal(unused.data, before[1])
    np.testing.assert_array_equal(v.data, before[2])
    with pytest.raises(RuntimeError, match="freed"):
        SGD([w], lr=0.1).minimize(loss)
    with pytest.raises(RuntimeError, match="depends on none"):
        SGD([unused], lr=0.1).minimize(np.sum(v @ w))
    with pytest.raises(ValueError, match="scalar"):
        SGD([w], lr=0.1).minimize(v @ w)
    with pytest.raises(RuntimeError, match="no gradient"):
        SGD([w], lr=0.1).minimize(np.sum(w.detach()))


def test_a_graph_from_before_a_step_is_noticed() -> None:
    v, w = weights((100, 100), (100, 100))
    earlier = np.sum(v @ w)
    SGD([w], lr=0.1).minimize(np.sum(v @ w))
    with pytest.raises(RuntimeError, match="was changed after"):
        earlier.backward()


def test_steps_repeat_to_the_bit() -> None:
    def trained() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        model = nn.Sequential(nn.Linear(784, 300, rng=rng), nn.ReLU(), nn.Linear(300, 10, rng=rng))
        optimizer = SGD(model.parameters(), lr=0.1, weight_decay=1e-5)
        for _ in range(20):
            x = rng.normal(size=(64, 784)).astype(np.float32)
            optimizer.minimize(cross_entropy(model(x), rng.integers(0, 10, 64)))
        return [p.data for p in model.parameters()]

    for one, other in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(one, other)
