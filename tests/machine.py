"""What tests ask of the place where they run: a number of threads, where it can be set, and the version of NumPy."""

from collections.abc import Iterator
from contextlib import contextmanager

from tinygrad_np import get_num_threads, set_num_threads
from tinygrad_np._machine.openblas import has_known_threads

import numpy as np


def numpy_is_before(version: str) -> bool:
    """Whether the installed NumPy is older, and so may differ from us, who do as the newest does."""
    return bool(np.lib.NumpyVersion(np.__version__) < version)


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
