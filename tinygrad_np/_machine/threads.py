"""Run independent pieces of work on all cores: `results = run(work, pieces)`, in the order of the pieces.

A piece computes its matrix products with `fused.multiply`, on one thread of OpenBLAS, so that results do not depend on
the number of threads, and a piece that waits for a busy core does not delay the others. `set_num_threads` sets the
number of threads, as for matrix products. Other threads may compute, and call `run`, at the same time.
"""

import contextlib
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from . import openblas

_SINGLE = openblas.has_threads_of_our_own()

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def run(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """`[work(piece) for piece in pieces]`, where `work` mostly releases the GIL.

    If `work` raises, the first error is raised again after all pieces in progress have ended. Pieces may call `run`.

    The threads sleep between calls and occupy no core. Waking one and waiting for it takes 0.1 ms; starting a new one
    took 0.3 ms. The caller takes turns with them and withdraws what nobody has begun, so that it never waits for a
    thread that is busy elsewhere.

    >>> run(lambda x: x * x, range(5))
    [0, 1, 4, 9, 16]
    """
    available = openblas.get_num_threads() if _SINGLE else 1  # within a piece, products may use them all
    helpers = min(available, len(pieces)) - 1
    if helpers < 1:
        return [work(piece) for piece in pieces]
    results: list[Any] = [None] * len(pieces)
    errors: list[BaseException] = []
    queue = iter(range(len(pieces)))
    lock = threading.Lock()  # of the queue: next() is atomic under the GIL only

    def take_turns() -> None:
        try:
            while True:
                with lock:
                    i = None if errors else next(queue, None)
                if i is None:  # there are no more, or a piece has failed
                    return
                results[i] = work(pieces[i])
        except BaseException as error:
            errors.append(error)

    requests = [_Request(take_turns) for _ in range(helpers)]
    try:
        _ask(requests)
        take_turns()
    except BaseException as error:  # an interrupt, after which no piece begins
        errors.append(error)
    waiting = True
    while waiting:
        try:
            for request in requests:
                _wait(request)
            waiting = False
        except BaseException as error:  # an interrupt: pieces in progress may still write to the caller's arrays
            errors.append(error)
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # its traceback leads to the list, a reference cycle
    return results


def blocks(length: int, size: int, limit: int, multiple: int = 2) -> list[slice]:
    """Slices of about equal length that divide an axis, of at most `limit` elements each if an index has `size`.

    Their number is one, or a multiple of `multiple`, so that as many threads have equally much to do. It depends on the
    sizes alone, and so do the bits of results that are added up block by block.

    >>> blocks(10, 100, 400)
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    count = -(-length // max(1, limit // max(1, size)))
    if count > 1:
        count = min(length, -(-count // multiple) * multiple)
    return [slice(length * i // count, length * (i + 1) // count) for i in range(count)]


class _Request:
    """A call of a function in another thread, with the context variables of this one, such as errstate and no_grad."""

    __slots__ = ("begun", "context", "ended", "function")

    def __init__(self, function: Callable[[], None]) -> None:
        self.function: Callable[[], None] | None = function
        self.context: contextvars.Context | None = contextvars.copy_context()
        self.begun, self.ended = False, threading.Lock()
        self.ended.acquire()

    def fulfil(self) -> None:
        assert self.context is not None
        assert self.function is not None
        try:
            self.context.run(self.function)
        finally:
            self.context = self.function = None  # this thread keeps the request while it sleeps
            self.ended.release()


class _Threads:
    """Requests that nobody has begun, and the number of threads that sleep until there are some."""

    def __init__(self) -> None:
        self.requests: deque[_Request] = deque()
        self.changed = threading.Condition()
        self.started = 0


_threads = _Threads()


def _start_anew() -> None:
    """In a forked process, which has none of the threads, and whose copy of the lock may be held by one of them."""
    global _threads
    _threads = _Threads()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_start_anew)


def _ask(requests: list[_Request]) -> None:
    """Wake as many threads as there are requests; there are never more than one call has asked for."""
    with _threads.changed:
        # A system that has no room for another thread, or that is shutting down, computes with those that there are.
        with contextlib.suppress(RuntimeError):
            while _threads.started < len(requests):
                threading.Thread(target=_serve, args=(_threads,), daemon=True).start()
                _threads.started += 1
        _threads.requests.extend(requests)
        _threads.changed.notify(len(requests))


def _serve(threads: _Threads) -> None:
    while True:
        with threads.changed:
            while not threads.requests:
                threads.changed.wait()
            request = threads.requests.popleft()
            request.begun = True
        request.fulfil()


def _wait(request: _Request) -> None:
    """Withdraw a request that nobody has begun, or wait until it has ended. After an interrupt it may be called again.

    So a call within a piece, or one of many at once, never waits for threads that are busy elsewhere.
    """
    with _threads.changed:
        if not request.begun:
            if request in _threads.requests:  # unless an interrupt came first
                _threads.requests.remove(request)
            return
    with request.ended:
        pass
