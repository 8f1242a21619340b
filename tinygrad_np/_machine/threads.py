"""Run independent pieces of work on all cores: `results = run(work, pieces)`, in the order of the pieces.

A piece computes its matrix products with `fused.multiply`, on one thread of OpenBLAS, so that results do not depend on
the number of threads, and a piece that waits for a busy core does not delay the others. `set_num_threads` sets the
number of threads, as for matrix products. Other threads may compute, and call `run`, at the same time.
"""

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from . import fused, openblas

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def run(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """`[work(piece) for piece in pieces]`, where `work` mostly releases the GIL.

    If `work` raises, the first error is raised again after all pieces in progress have ended. Each call starts its own
    threads, which takes 50 us per thread. None exist between calls, so forking is safe and no cores are occupied.

    >>> run(lambda x: x * x, range(5))
    [0, 1, 4, 9, 16]
    """
    results: list[Any] = [None] * len(pieces)
    errors: list[BaseException] = []
    queue = iter(range(len(pieces)))
    lock = threading.Lock()  # of the queue: next() is atomic under the GIL only
    available = openblas.get_num_threads() if fused._GEMM_BATCH else 1  # within a piece, products may use them all

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

    others = [
        threading.Thread(target=contextvars.copy_context().run, args=(take_turns,))  # keeps errstate and no_grad
        for _ in range(min(available, len(pieces)) - 1)
    ]
    for thread in others:
        thread.start()
    take_turns()
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]
    return results
