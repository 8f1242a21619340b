"""Memory that a step has freed is kept for the next one, on Linux; importing this file sees to it.

By itself, glibc gives back to the system what the end of a step frees, and each step asks for the same pages again,
which the system fills with zeros: 13,000 pages and 20 of 116 ms a step in examples/char_transformer.py, 10 of 50 ms in
examples/mnist_cnn.py. Arrays of 16 MB and more go back as before. The peak of the MNIST training is 110 MB with it, and
100 without (`python -m benchmarks.memory`); with a limit of 32 MB it would be 131.
"""

import ctypes
import os
import sys

from . import blas

LARGE = 1 << 24
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
BY_USER = ("MALLOC_", "GLIBC_TUNABLES")  # how variables begin that glibc reads itself


def keep_freed_memory() -> bool:
    """Ask the C library for it; whether it agreed. What the user has set in the environment is left alone.

    >>> keep_freed_memory() in (True, False)
    True
    """
    if blas.OFF or sys.platform != "linux" or any(name.startswith(BY_USER) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # which not every C library has
    return bool(mallopt and mallopt(M_MMAP_THRESHOLD, LARGE) and mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1))


keep_freed_memory()
