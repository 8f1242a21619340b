"""Tune this process for training, and say what was done.

tinygrad_np.tune()             # before a long computation; making an optimiser does it
tinygrad_np.show_config()      # what was done, and what was left alone and why
"""

import os
import platform

import numpy as np

from . import malloc, openblas


def tune() -> None:
    """Keep freed memory for the next step of a training, on Linux; see `malloc`. Making an optimiser calls this.

    >>> tune()
    """
    malloc.keep_freed_memory()


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
