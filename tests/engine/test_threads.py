"""Work on several threads: in order, with the same bits alone and beside others, whatever goes wrong."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tinygrad_np import cross_entropy, get_num_threads, nn, no_grad, optim, set_num_threads
from tinygrad_np._machine import fused, openblas, threads
from tinygrad_np._machine.fused import Product, matmul, multiply, scale_and_add
from tinygrad_np._machine.threads import blocks, run
from tinygrad_np.ops import convolution
from tinygrad_np.ops.convolution import conv2d
from tinygrad_np.ops.products import linear
from tinygrad_np.ops.windows import sliding
from tinygrad_np.tensor import _pauses

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from machine import blas_threads

pytestmark = pytest.mark.skipif(
    not openblas.has_threads_of_our_own(), reason="only with an OpenBLAS that multiplies on one thread of several"
)
GUARD = 600  # seconds: only so that a mistake does not hang the tests; nothing is expected to take long


@pytest.fixture(autouse=True)
def four_threads() -> object:
    with blas_threads(4):
        yield


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


def test_threads_sleep_until_the_next_call() -> None:
    barrier = threading.Barrier(4)

    def meet(_: int) -> int:
        barrier.wait(GUARD)
        return threading.get_ident()

    first = {*run(meet, range(4))}
    assert {*run(meet, range(4))} == first
    set_num_threads(2)
    assert {*run(lambda _: threading.get_ident(), range(40))} <= first


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


def test_nobody_waits_for_threads_that_are_busy() -> None:
    """Pieces that call `run` while all threads are inside pieces, and calls beside them, do their work alone."""
    barrier = threading.Barrier(4)

    def outer(i: int) -> list[tuple[int, int]]:
        barrier.wait(GUARD)  # all four are inside a piece
        inner = run(lambda j: (i * j, threading.get_ident()), range(5))
        barrier.wait(GUARD)
        return inner

    for i, pairs in enumerate(run(outer, range(4))):
        assert [value for value, _ in pairs] == [i * j for j in range(5)]
        assert len({thread for _, thread in pairs}) == 1

    def call() -> set[int]:
        found = {*run(lambda _: threading.get_ident(), range(4))}
        assert not threads._threads.requests  # those that nobody has begun are withdrawn
        return found

    for _ in range(10):
        assert beside_pieces(call) == {threading.get_ident()}


def test_many_threads_may_call_at_once() -> None:
    barrier = threading.Barrier(8)

    def call(n: int) -> None:
        barrier.wait(GUARD)
        for i in range(200):
            assert run(lambda j, i=i: n * i + j, range(6)) == [n * i + j for j in range(6)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert threads._threads.started <= 3  # as many as one call may use
    assert not threads._threads.requests


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_outlives_a_call(fails: bool) -> None:
    barrier = threading.Barrier(4)

    class Piece:
        pass

    def call() -> list["weakref.ref[Piece]"]:
        kept = Piece()

        def work(piece: Piece) -> None:
            barrier.wait(GUARD)
            assert kept is not None
            if fails:
                raise ValueError

        pieces = [Piece() for _ in range(4)]
        references = [weakref.ref(piece) for piece in [kept, *pieces]]
        try:
            run(work, pieces)
        except ValueError:
            assert fails
        return references

    assert [reference() for reference in call()] == [None] * 5  # at once, and not when garbage is collected


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


@pytest.mark.skipif(not openblas.has_threads_of_our_own(), reason="only an OpenBLAS with gemm_batch")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("orders", ["CC", "FC", "CF", "FF"])
@pytest.mark.parametrize("shape", [(64, 784, 1024), (784, 64, 1024), (2048, 128, 512), (130, 70, 2100), (3, 5, 7)])
def test_shared_products_have_the_same_bits_for_any_number_of_threads(
    shape: tuple[int, int, int], orders: str, dtype: type
) -> None:
    rng = np.random.default_rng(0)
    rows, inner, columns = shape
    a, b = (stored(rng.normal(size=size).astype(dtype), order)
            for size, order in zip(((rows, inner), (inner, columns)), orders, strict=True))  # fmt: skip
    start = rng.normal(size=(rows, columns)).astype(dtype)
    found = []
    for n in (1, 2, 4):
        set_num_threads(n, shared=True)
        assert get_num_threads() == n
        sums = start.copy()
        scale_and_add(sums, 0.5, Product(a, b), 2.0)
        found.append((matmul(a, b), sums))
    exact = a.astype(np.longdouble) @ b
    allowed = (4 + inner) * np.finfo(dtype).eps * (abs(a).astype(np.longdouble) @ abs(b) + abs(start))
    assert np.all(abs(found[0][0] - exact) <= allowed)
    assert np.all(abs(found[0][1] - (0.5 * start + 2 * exact)) <= 2 * allowed)
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(other, one)


@pytest.mark.skipif(not openblas.has_threads_of_our_own(), reason="only an OpenBLAS with gemm_batch")
def test_shared_products_are_computed_by_threads_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = np.ones((64, 784), np.float32), np.ones((784, 1024), np.float32)
    threads_used, barrier = set(), threading.Barrier(2)  # two parts, at the same time
    original = fused._multiply_by_openblas

    def part(*args: Any) -> None:
        threads_used.add(threading.get_ident())
        barrier.wait(GUARD)
        original(*args)

    monkeypatch.setattr(fused, "_multiply_by_openblas", part)
    set_num_threads(2, shared=True)
    np.testing.assert_array_equal(linear(x, weight, None), 784)
    assert len(threads_used) == 2
    set_num_threads(2)
    np.testing.assert_array_equal(linear(x, weight, None), 784)  # by OpenBLAS
    for wrong in (2, 1):
        with pytest.raises(ValueError, match=f"shared must be True or False, not {wrong}"):
            set_num_threads(2, shared=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(
    size=st.one_of(
        st.tuples(*[st.integers(0, 70)] * 3),  # one thread, and none
        st.tuples(*[st.integers(64, 110)] * 3),  # around the limits for matrices
        st.tuples(st.integers(1, 3), st.integers(5_000, 300_000), st.integers(1, 3)).flatmap(st.permutations),
        st.sampled_from(SHAPES),  # whose bits depend on the number of threads in NumPy's product
    ),
    stack=st.sampled_from([(), (2,)]),
    orders=st.tuples(*[st.sampled_from(["C", "F", "gaps", "rows", "columns"])] * 2, st.sampled_from(["C", "rows"])),
    add=st.booleans(),
)
@example((64, 2704, 10), (), ("C", "F", "C"), False)
@example((1, 300_000, 1), (), ("C", "F", "C"), False)
@example((110, 110, 110), (2,), ("rows", "columns", "rows"), True)
def test_multiply_uses_one_blas_thread(
    dtype: type, size: Any, stack: tuple[int, ...], orders: tuple[str, str, str], add: bool
) -> None:
    rows, inner, columns = size
    if dtype is np.float16 and rows * inner * columns > 300_000:  # NumPy's own loop
        return
    rng = np.random.default_rng(0)
    a, b = (stored(rng.normal(size=(*stack, *shape)).astype(dtype), order)
            for shape, order in zip(((rows, inner), (inner, columns)), orders[:2], strict=True))  # fmt: skip
    before = rng.normal(size=(*stack, rows, columns)).astype(dtype)
    found = []
    for count in (1, 2, 4):
        set_num_threads(count)
        out = stored(before if add else np.full_like(before, np.nan), orders[2])
        multiply(a, b, out, add=add)
        found.append(out)
    wide, sizes = (f(a.astype(np.float64)) @ f(b.astype(np.float64)) for f in (np.positive, abs))
    allowed = (4 + inner**0.5) * np.finfo(dtype).eps * (sizes + abs(before))
    assert np.all(abs(found[0] - (wide + before if add else wide)) <= allowed)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def stored(array: np.ndarray, order: str) -> np.ndarray:
    """A copy of matrices, with their rows, their columns, or neither, one after the other in memory.

    In the order "rows" they are a part of the columns of wider matrices, in "columns" the reverse.
    """
    if order in ("F", "columns"):
        return stored(array.swapaxes(-1, -2), "C" if order == "F" else "rows").swapaxes(-1, -2)
    if order == "gaps":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    wide = np.full((*array.shape[:-1], array.shape[-1] + (order == "rows")), 7, array.dtype)
    wide[..., : array.shape[-1]] = array
    return wide[..., : array.shape[-1]]


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


@given(
    length=st.integers(0, 200),
    size=st.integers(0, 50),
    limit=st.integers(1, 2000),
    multiple=st.integers(1, 4),
)
def test_blocks_divide_an_axis_into_parts_for_all_threads(length: int, size: int, limit: int, multiple: int) -> None:
    found = blocks(length, size, limit, multiple)
    assert [i for block in found for i in range(length)[block]] == list(range(length))
    longest = max((len(range(length)[block]) for block in found), default=0)
    assert longest * size <= max(limit, size)  # a single index may have more
    if len(found) > 1:
        assert len(found) % multiple == 0 or longest == 1
        assert longest - min(len(range(length)[block]) for block in found) <= 1


def test_a_convolution_of_the_examples_batches_has_work_for_four_threads() -> None:
    for channels, size in ((1, 28), (16, 14)):
        x = np.empty((64, channels, size, size), np.float32)
        window = sliding("conv2d", (5, 5), 1, 2)
        columns = convolution._Columns(x, 1, convolution._padding(window, x), window, x.shape[2:])
        found = columns.blocks(1)
        assert [len(range(64)[block]) for block in found] == [16] * 4


def test_blocks_of_a_convolution_are_limited_by_its_inputs_and_by_its_outputs() -> None:
    x = np.empty((64, 1, 28, 28), np.float32)
    window = sliding("conv2d", (3, 3), 1, 1)
    columns = convolution._Columns(x, 1, convolution._padding(window, x), window, x.shape[2:])
    for out_channels in (1, 512):
        largest = max(block.stop - block.start for block in columns.blocks(out_channels))
        assert largest * 28 * 28 * max(9, out_channels) <= convolution.LARGEST


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals cannot be sent to a thread")
def test_an_interrupted_caller_waits_for_pieces_in_progress() -> None:
    barrier, at_its_end, interrupted = threading.Barrier(4), threading.Event(), threading.Event()
    one_at_a_time, caller, ended = threading.Lock(), threading.get_ident(), []

    def work(i: int) -> None:
        barrier.wait(GUARD)  # all four have begun
        if threading.get_ident() == caller:
            ended.append(i)
            at_its_end.set()
            return
        assert at_its_end.wait(GUARD)
        time.sleep(0.02)  # by now the caller most likely waits
        with one_at_a_time:
            if not interrupted.is_set():
                signal.pthread_kill(caller, signal.SIGINT)
            assert interrupted.wait(GUARD)
        time.sleep(0.05)
        ended.append(i)

    def interrupt(*_: Any) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(work, range(4))
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(ended) == [0, 1, 2, 3]
    assert run(abs, range(4)) == [0, 1, 2, 3]


def test_switches_hold_in_all_threads() -> None:
    barrier = threading.Barrier(4)

    def work(_: int) -> tuple[bool, str]:
        barrier.wait(GUARD)
        return bool(_pauses.get()), np.geterr()["over"]

    outside = {*run(work, range(4))}
    with no_grad(), np.errstate(over="raise"):
        assert {*run(work, range(4))} == {(True, "raise")}
    assert {*run(work, range(4))} == outside == {(False, np.geterr()["over"])}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    barrier, locked, done = threading.Barrier(4), threading.Event(), threading.Event()

    def meet(_: int) -> None:
        barrier.wait(GUARD)

    def hold() -> None:
        with threads._threads.changed:
            locked.set()
            assert done.wait(GUARD)

    run(meet, range(4))
    other = threading.Thread(target=hold)
    other.start()
    assert locked.wait(GUARD)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # which ends the child if it hangs
        run(meet, range(4))
        os._exit(0)
    done.set()
    other.join()
    assert os.waitpid(child, 0)[1] == 0
    run(meet, range(4))


def test_a_process_ends_while_its_threads_sleep() -> None:
    code = """
import atexit, threading
from tinygrad_np import set_num_threads
from tinygrad_np._machine.threads import run
set_num_threads(4)
barrier = threading.Barrier(4)
run(lambda _: barrier.wait(60), range(4))
atexit.register(lambda: print(run(abs, range(4))))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=GUARD, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[0, 1, 2, 3]\n", "")


def test_without_room_for_threads_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_threads", threads._Threads())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert run(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


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
