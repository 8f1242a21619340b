"""A number of threads for a test, on a machine where it can be set."""

from collections.abc import Iterator
from contextlib import contextmanager

from tinygrad_np import get_num_threads, set_num_threads
from tinygrad_np._machine.openblas import has_known_threads


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Compute with so many threads; with those that there are where nothing tells of them, as of Apple's Accelerate."""
    if not has_known_threads():
        yield
        return
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)
