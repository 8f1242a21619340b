"""Run independent pieces of work on all cores: `results = run(work, pieces)`, in the order of the pieces.

Each piece computes on one thread of OpenBLAS, so that its bits do not depend on how many there are, and a piece that
must wait for a busy core holds up no other. As many threads are used as a matrix product may use (`set_num_threads`).
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

    What `work` raises is raised, when every piece that was begun has ended. Threads are started for each call, which
    costs 50 us each, and none waits in between: a fork is safe, and a neighbour keeps its cores.

    >>> run(lambda x: x * x, range(5))
    [0, 1, 4, 9, 16]
    """
    with _OneThread() as threads:
        results: list[Any] = [None] * len(pieces)
        errors: list[BaseException] = []
        queue = iter(enumerate(pieces))  # next() of which is one step for all threads

        def take_turns() -> None:
            try:
                for i, piece in queue:
                    results[i] = work(piece)
            except BaseException as error:
                errors.append(error)
                for _ in queue:  # the others stop after the piece that they are at
                    pass

        others = [
            threading.Thread(target=contextvars.copy_context().run, args=(take_turns,))  # with errstate and no_grad
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
    """While any thread is inside, a product of matrices runs on one thread; gives the number that it was before."""

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
