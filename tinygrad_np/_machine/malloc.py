"""Memory that one step of a training frees is kept for the next step, on Linux with glibc.

By default glibc returns to the system what the end of a step frees, and the next step asks for the same pages again,
which the system must fill with zeros: 13,000 pages and 20 of 116 ms a step in examples/char_transformer.py, 10 of 50 ms
in examples/mnist_cnn.py. Arrays of 16 MB and more are returned as before. The peak of the MNIST training is 100 MB
with it and without (`python -m benchmarks.memory`).

At most `KEPT` bytes are kept, at the end of the heap: the largest step of the examples needs 90 MB. A step that needs
more gets the rest from the system, as before; `tune(keep=...)` sets another limit. After arrays of 800 MB are freed 268
MB stay; without a limit it was all 839.
"""

import ctypes
import os
import sys
from typing import Any

from .openblas import OFF

LARGE, KEPT, MOST = 1 << 24, 1 << 28, (1 << 31) - 1
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
BY_USER = ("MALLOC_", "GLIBC_TUNABLES")  # prefixes of the variables that glibc reads itself

state = "left to the C library until an optimiser is made, or tune() is called"  # what `show_config` prints
_asked: int | None = None  # the limit that the C library was asked for


def keep_freed_memory(most: int | None = None) -> None:
    """Ask the C library to keep freed memory, and return what is more; what the user has set in the environment wins.

    Without a number the limit is `KEPT`, unless another one has been set.
    """
    global state, _asked
    if most is None and _asked is not None:
        return
    _asked = KEPT if most is None else min(most, MOST)
    state = _ask(_asked)


def _function(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def _ask(most: int) -> str:
    if OFF:
        return "left to the C library: TINYGRAD_NP_TUNING=off"
    if given := [name for name in os.environ if name.startswith(BY_USER)]:
        return f"left to the C library: {given[0]} is set"
    mallopt, trim = _function("mallopt"), _function("malloc_trim")
    if mallopt is None or trim is None:
        return "left to the C library, which has no mallopt"
    # Beyond the threshold the heap is cut down to the pad, so that a step which frees a little more keeps most of it.
    if all([mallopt(M_MMAP_THRESHOLD, LARGE), mallopt(M_TRIM_THRESHOLD, most), mallopt(M_TOP_PAD, most)]):
        trim(ctypes.c_size_t(most))
        return f"up to {most / 1e6:.0f} MB are kept for the next step"
    return "left to the C library, which refused to keep it"
