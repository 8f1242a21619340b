"""Memory that one step of a training frees is kept for the next step, on Linux with glibc.

By default glibc returns to the system what the end of a step frees, and the next step asks for the same pages again,
which the system must fill with zeros: 13,000 pages and 20 of 116 ms a step in examples/char_transformer.py, 10 of 50 ms
in examples/mnist_cnn.py. Arrays of 16 MB and more are returned as before. The peak of the MNIST training is 100 MB
with it and without (`python -m benchmarks.memory`).
"""

import ctypes
import os
import sys

from .openblas import OFF

LARGE = 1 << 24
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
BY_USER = ("MALLOC_", "GLIBC_TUNABLES")  # prefixes of the variables that glibc reads itself

KEPT = "kept for the next step"
state = "left to the C library until an optimiser is made, or tune() is called"  # what `show_config` prints


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory, once per process; what the user has set in the environment wins."""
    global state
    if state != KEPT:
        state = _ask()


def _ask() -> str:
    if OFF:
        return "left to the C library: TINYGRAD_NP_TUNING=off"
    if given := [name for name in os.environ if name.startswith(BY_USER)]:
        return f"left to the C library: {given[0]} is set"
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return "left to the C library, which has no mallopt"
    if mallopt(M_MMAP_THRESHOLD, LARGE) and mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1):
        return KEPT
    return "left to the C library, which refused to keep it"
