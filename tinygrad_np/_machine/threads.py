"""Run independent pieces of work on all cores: `results = run(work, pieces)`, in the order of the pieces.

Within a piece OpenBLAS uses one thread, so that results do not depend on the number of threads, and a piece that waits
for a busy core does not delay the others. `set_num_threads` sets the number of threads, as for matrix products.
"""

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from . import openblas

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def run(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """`[work(piece) for piece in pieces]`, where `work` mostly releases the GIL.

    If `work` raises, the first error is raised again after all pieces in progress have ended. Each call starts its own
    threads, which takes 50 us per thread. None exist between calls, so forking is safe and no cores are occupied.

    >>> run(lambda x: x * x, range(5))
    [0, 1, 4, 9, 16]
    """
    with _OneThread() as threads:
        results: list[Any] = [None] * len(pieces)
        errors: list[BaseException] = []
        queue = iter(enumerate(pieces))  # shared by all threads; next() is atomic under the GIL

        def take_turns() -> None:
            try:
                for i, piece in queue:
                    results[i] = work(piece)
            except BaseException as error:
                errors.append(error)
                for _ in queue:  # empty the queue, so that the other threads stop after their current piece
                    pass

        others = [
            threading.Thread(target=contextvars.copy_context().run, args=(take_turns,))  # keeps errstate and no_grad
            for _ in range(min(threads, len(pieces)) - 1)
        ]
        for thread in others:
            thread.start()
        take_turns()
        for thread in others:
            thread.join()
        if errors:
            raise errors[0]
        return results


class _OneThread:
    """Context in which matrix products use one thread; entering it returns the previous number of threads.

    Several threads may be in it at once; the last to leave restores the number.
    """

    lock = threading.Lock()
    inside = 0
    before = 1

    def __enter__(self) -> int:
        if not openblas.is_openblas():
            return 1
        with self.lock:
            if _OneThread.inside == 0:
                _OneThread.before = openblas.get_num_threads()
                if _OneThread.before > 1:
                    openblas.set_num_threads(1)
            _OneThread.inside += 1
            return _OneThread.before

    def __exit__(self, *error: object) -> None:
        if not openblas.is_openblas():
            return
        with self.lock:
            _OneThread.inside -= 1
            if _OneThread.inside == 0 and _OneThread.before > 1:
                openblas.set_num_threads(_OneThread.before)
