"""Work on several threads: in order, with the same bits alone and beside others, whatever goes wrong."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tinygrad_np import cross_entropy, get_num_threads, nn, no_grad, optim, set_num_threads
from tinygrad_np._machine import fused, threads
from tinygrad_np._machine.fused import multiply
from tinygrad_np._machine.threads import run
from tinygrad_np.ops.convolution import conv2d
from tinygrad_np.tensor import _pauses

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

GUARD = 600  # seconds: only so that a mistake does not hang the tests; nothing is expected to take long


@pytest.fixture(autouse=True)
def four_threads() -> object:
    before = get_num_threads()
    set_num_threads(4)
    yield
    set_num_threads(before)


def test_results_come_in_the_order_of_the_pieces() -> None:
    def slow_first(i: int) -> int:
        time.sleep(0.02 if i == 0 else 0)
        return i * i

    assert run(slow_first, range(10)) == [i * i for i in range(10)]
    assert run(slow_first, []) == []


def test_several_threads_take_turns() -> None:
    barrier = threading.Barrier(4)

    def meet(_: int) -> int:
        barrier.wait(GUARD)  # all four are here at once
        return threading.get_ident()

    assert len(set(run(meet, range(4)))) == 4


def test_a_piece_is_given_to_one_thread_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a thread is interrupted while it takes a piece, as without the GIL: other threads take theirs then."""
    taken: list[int] = []
    busy: set[int] = set()

    class Pieces(list):  # type: ignore[type-arg]
        def __getitem__(self, i: Any) -> Any:
            taken.append(i)
            return super().__getitem__(i)

    class Queue:
        """An iterator that hands out a piece twice if two threads ask at once."""

        def __init__(self, values: Any) -> None:
            self.values = iter(values)

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            assert not busy, "two threads ask at once"
            busy.add(threading.get_ident())
            time.sleep(0.001)  # others run meanwhile
            busy.clear()
            return next(self.values)

    monkeypatch.setattr(threads, "iter", Queue, raising=False)
    assert run(lambda piece: piece * piece, Pieces(range(20))) == [i * i for i in range(20)]
    assert sorted(taken) == list(range(20))


def test_one_thread_stays_one() -> None:
    set_num_threads(1)
    assert {*run(lambda _: threading.get_ident(), range(4))} == {threading.get_ident()}
    assert get_num_threads() == 1


def beside_pieces(f: Callable[[], Any]) -> Any:
    """What f returns, called while another thread is inside pieces of work."""
    inside, done = threading.Semaphore(0), threading.Event()

    def work(_: int) -> None:
        inside.release()
        assert done.wait(GUARD)

    other = threading.Thread(target=run, args=(work, range(4)))
    other.start()
    try:
        for _ in range(4):
            assert inside.acquire(timeout=GUARD)
        return f()
    finally:
        done.set()
        other.join()


def test_the_number_of_blas_threads_is_not_switched() -> None:
    """OpenBLAS has one number for all threads."""
    assert beside_pieces(get_num_threads) == 4
    assert run(lambda _: get_num_threads(), range(4)) == [4] * 4


SHAPES = [(64, 784, 1024), (64, 2704, 10), (1, 300_000, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_product_has_the_same_bits_alone_and_beside_pieces_of_work(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=size) for size in (shape[:2], shape[1:]))
    np.testing.assert_array_equal(beside_pieces(lambda: a @ b), a @ b)


def trained(seed: int) -> list[bytes]:
    """The weights of a network after some steps: its convolution has several pieces, its products several threads."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2704, 10, rng=rng)
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        images, labels = rng.random((200, 1, 28, 28), np.float32), rng.integers(0, 10, 200)
        optimizer.minimize(cross_entropy(model(images), labels))
    return [array.tobytes() for array in model.state_dict().values()]


def test_a_training_has_the_same_bits_alone_and_beside_others() -> None:
    alone = [trained(seed) for seed in range(4)]
    assert beside_pieces(lambda: trained(0)) == alone[0]  # throughout, another thread is inside a convolution
    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4, initializer=barrier.wait) as pool:  # no thread trains two of them
        assert list(pool.map(trained, range(4))) == alone


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(
    size=st.one_of(
        st.tuples(*[st.integers(0, 70)] * 3),  # one thread, and none
        st.tuples(*[st.integers(64, 110)] * 3),  # around the limits for matrices
        st.tuples(st.integers(1, 3), st.integers(5_000, 300_000), st.integers(1, 3)).flatmap(st.permutations),
        st.sampled_from(SHAPES),  # whose bits depend on the number of threads in NumPy's product
    ),
    stack=st.sampled_from([(), (2,)]),
    orders=st.tuples(*[st.sampled_from(["C", "F", "gaps"])] * 2),
    add=st.booleans(),
)
@example((64, 2704, 10), (), ("C", "F"), False)
@example((1, 300_000, 1), (), ("C", "F"), False)
def test_multiply_uses_one_blas_thread(
    dtype: type, size: Any, stack: tuple[int, ...], orders: tuple[str, str], add: bool
) -> None:
    rows, inner, columns = size
    if dtype is np.float16 and rows * inner * columns > 300_000:  # NumPy's own loop
        return
    rng = np.random.default_rng(0)
    a, b = (stored(rng.normal(size=(*stack, *shape)).astype(dtype), order)
            for shape, order in zip(((rows, inner), (inner, columns)), orders, strict=True))  # fmt: skip
    before = rng.normal(size=(*stack, rows, columns)).astype(dtype)
    found = []
    for count in (1, 2, 4):
        set_num_threads(count)
        out = before.copy() if add else np.full_like(before, np.nan)
        multiply(a, b, out, add=add)
        found.append(out)
    wide, sizes = (f(a.astype(np.float64)) @ f(b.astype(np.float64)) for f in (np.positive, abs))
    allowed = (4 + inner**0.5) * np.finfo(dtype).eps * (sizes + abs(before))
    assert np.all(abs(found[0] - (wide + before if add else wide)) <= allowed)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def stored(array: np.ndarray, order: str) -> np.ndarray:
    """The same matrices, with their rows, their columns, or neither, one after the other in memory."""
    if order == "gaps":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array if order == "C" else array.swapaxes(-1, -2).copy().swapaxes(-1, -2)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_what_a_piece_raises_is_raised_when_all_have_ended(kind: type[BaseException]) -> None:
    barrier, raising, ended = threading.Barrier(4), threading.Event(), []

    def work(i: int) -> None:
        barrier.wait(GUARD)  # all four have begun
        if i == 2:
            raising.set()
            raise kind("in piece 2")
        assert raising.wait(GUARD)
        time.sleep(0.05)  # by now the error has most likely been noticed
        ended.append(i)

    with pytest.raises(kind, match="in piece 2"):
        run(work, range(4))
    assert sorted(ended) == [0, 1, 3]
    assert get_num_threads() == 4


def test_switches_hold_in_all_threads() -> None:
    barrier = threading.Barrier(4)

    def work(_: int) -> tuple[bool, str]:
        barrier.wait(GUARD)
        return bool(_pauses.get()), np.geterr()["over"]

    with no_grad(), np.errstate(over="raise"):
        assert set(run(work, range(4))) == {(True, "raise")}


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((50, 8, 20, 20), (16, 8, 5, 5)))
    found = []
    for count in (1, 2, 4):
        set_num_threads(count)
        found.append(conv2d(x, w, padding=2))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_on_another_blas_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_GEMM_BATCH", {})
    assert run(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3
    out = np.ones((2, 120, 120))
    multiply(np.ones((2, 120, 120)), np.ones((2, 120, 120)), out, add=True)
    assert np.all(out == 121)
