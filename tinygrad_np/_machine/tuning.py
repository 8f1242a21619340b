"""Tune this process for training, and say what was done.

tinygrad_np.tune()             # before a long computation; making an optimiser does it
tinygrad_np.tune(keep=0)       # after it: give freed memory back
tinygrad_np.show_config()      # what was done, and what was left alone and why
"""

import os
import platform

import numpy as np

from . import malloc, openblas


def tune(*, keep: int | None = None) -> None:
    """Keep freed memory for the next step of a training, on Linux; see `malloc`. Making an optimiser calls this.

    Args:
        keep: how many bytes of freed memory stay with the process at most; what is more is returned to the system.
            The default is 256 MiB, or what a call before has set. Give more if steps of a large model are slow because
            they ask for memory again, and 0 to give back all memory after a training.

    Raises:
        ValueError: keep is not an integer of at least 0.

    >>> tune()
    >>> tune(keep=0)
    >>> tune(keep=1 << 28)
    """
    if keep is not None and (not isinstance(keep, int | np.integer) or isinstance(keep, bool) or keep < 0):
        raise ValueError(f"tune: keep must be a number of bytes, an integer of at least 0, not {keep!r}")
    malloc.keep_freed_memory(None if keep is None else int(keep))


def show_config() -> None:
    """Print versions, the BLAS with its kernels and threads, and what was tuned or left alone, and why.

    >>> show_config()  # doctest: +ELLIPSIS
    NumPy ...
    """
    kernels = openblas.kernels()
    blas = f"OpenBLAS, kernels {kernels}" if kernels is not None else "not an OpenBLAS"
    if openblas.has_known_threads():
        blas += f", threads {openblas.get_num_threads()} of {os.cpu_count()} cores"
    if openblas.products_are_shared():
        blas += ", shared with other processes"
    print(f"NumPy {np.__version__}, Python {platform.python_version()}\n{blas}")
    print(f"kernels: {openblas.kernels_reason}\nfreed memory: {malloc.state}")
