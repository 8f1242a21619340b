"""Work on several threads: in order, with one BLAS thread each, whatever goes wrong."""

import threading
import time

from tinygrad_np import get_num_threads, no_grad, set_num_threads
from tinygrad_np._machine import openblas
from tinygrad_np._machine.threads import run
from tinygrad_np.ops.convolution import conv2d
from tinygrad_np.tensor import _pauses

import numpy as np
import pytest

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


def test_several_threads_take_turns_with_one_blas_thread_each() -> None:
    barrier = threading.Barrier(4)

    def meet(_: int) -> tuple[int, int]:
        barrier.wait(GUARD)  # all four are here at once
        return threading.get_ident(), get_num_threads()

    seen = run(meet, range(4))
    assert len({ident for ident, _ in seen}) == 4
    assert {threads for _, threads in seen} == {1}
    assert get_num_threads() == 4


def test_one_thread_stays_one() -> None:
    set_num_threads(1)
    assert {*run(lambda _: threading.get_ident(), range(4))} == {threading.get_ident()}
    assert get_num_threads() == 1


def test_overlapping_calls_leave_the_number_of_threads_as_it_was() -> None:
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first(_: int) -> None:
        first_is_in.set()
        assert second_is_in.wait(GUARD)

    def second(_: int) -> int:
        second_is_in.set()
        assert first_is_out.wait(GUARD)
        return get_num_threads()

    found: list[int] = []
    one = threading.Thread(target=lambda: (run(first, [0]), first_is_out.set()))
    one.start()
    assert first_is_in.wait(GUARD)
    other = threading.Thread(target=lambda: found.extend(run(second, [0])))
    other.start()
    one.join()
    other.join()
    assert found == [1]
    assert get_num_threads() == 4


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

    def work(_: int) -> tuple[int, str]:
        barrier.wait(GUARD)
        return _pauses.get(), np.geterr()["over"]

    with no_grad(), np.errstate(over="raise"):
        assert set(run(work, range(4))) == {(1, "raise")}


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in ((50, 8, 20, 20), (16, 8, 5, 5)))
    found = []
    for threads in (1, 2, 4):
        set_num_threads(threads)
        found.append(conv2d(x, w, padding=2))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_on_another_blas_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openblas, "_set_threads", None)
    assert run(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3
