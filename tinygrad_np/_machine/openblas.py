"""Choose the kernels of NumPy's OpenBLAS, which needs this file to be imported before NumPy, and set its threads.

tinygrad_np.set_num_threads(1)                # of the matrix products; get_num_threads() tells
tinygrad_np.fit_threads(64 * 784 * 1024)      # as many as suit products of this size
"""

import ctypes
import os
import platform
import sys
from typing import Any

OFF = os.environ.get("TINYGRAD_NP_TUNING", "").lower() == "off"


# --- kernels: before NumPy is there ----------------------------------------------------------------------------------


def choose_kernels(cpuinfo: str, machine: str, environment: "os._Environ[str] | dict[str, str]") -> str | None:
    """The kernels to ask OpenBLAS for, or None to leave the choice to it.

    NumPy 2.4's OpenBLAS 0.3.31 does not know AMD's family 26 (Zen 5) and may fall back to AVX2 kernels there, half as
    fast as its AVX-512 ones (240 against 466 GFLOP/s for a product of 2048 x 2048 float32); later ones do know it
    (OpenMathLib/OpenBLAS#6033). All other processors, and what the user has set, are left alone.
    """
    if machine not in ("x86_64", "AMD64") or "OPENBLAS_CORETYPE" in environment:
        return None
    facts: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    family = facts.get("cpu family", "")
    unknown = facts.get("vendor_id") == "AuthenticAMD" and family.isdecimal() and int(family) >= 26
    return (
        "SkylakeX" if unknown and {"avx512f", "avx512bw", "avx512vl"} <= set(facts.get("flags", "").split()) else None
    )


def _read_cpuinfo() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return file.read(1 << 16)  # the first processor is enough
    except OSError:
        return ""


def _ask_for_kernels() -> tuple[bool, str]:
    """Whether OPENBLAS_CORETYPE was set, for OpenBLAS to read when NumPy is imported, and why or why not."""
    if OFF:
        return False, "nothing chosen: TINYGRAD_NP_TUNING=off"
    kernels = choose_kernels(_read_cpuinfo(), platform.machine(), os.environ)
    if "numpy" in sys.modules:
        hint = f"; import tinygrad_np first, or set OPENBLAS_CORETYPE={kernels}, for faster products" if kernels else ""
        return False, f"nothing chosen: NumPy was imported before{hint}"
    if kernels is None:
        given = os.environ.get("OPENBLAS_CORETYPE")
        return (
            False,
            f"nothing chosen: {f'OPENBLAS_CORETYPE={given} is set' if given else 'OpenBLAS knows this processor'}",
        )
    os.environ["OPENBLAS_CORETYPE"] = kernels
    return True, f"{kernels} chosen: OpenBLAS may not know this AMD processor's AVX-512"


# After a product, OpenBLAS's threads wait busily for the next one, for more than 100 ms, and keep cores from whatever
# else would run there, `threads.run` above all. 2**20 ticks of the processor's clock are enough between the products
# of a step: an epoch of examples/mnist_cnn.py takes 30 s in place of 39 on two cores, and half of the processors' time;
# 784-1024-10 takes as long as before, and with 2**18 ticks 6 % longer.
PATIENCE = "20"


def _ask_for_patience() -> bool:
    """Whether OPENBLAS_THREAD_TIMEOUT was set, for OpenBLAS to read when NumPy is imported."""
    if OFF or "numpy" in sys.modules or "OPENBLAS_THREAD_TIMEOUT" in os.environ:
        return False
    os.environ["OPENBLAS_THREAD_TIMEOUT"] = PATIENCE
    return True


_asked_for_kernels, kernels_reason = _ask_for_kernels()
_asked_for_patience = _ask_for_patience()

import numpy as np  # noqa: E402 - only now that the kernels are chosen

if _asked_for_kernels:  # OpenBLAS has read it, and the processes that this one starts choose for themselves
    del os.environ["OPENBLAS_CORETYPE"]
if _asked_for_patience:
    del os.environ["OPENBLAS_THREAD_TIMEOUT"]

# --- the library that NumPy has loaded -------------------------------------------------------------------------------


def find(name: str) -> Any:
    """A function of the OpenBLAS that NumPy's products run on, with what its integers are; None in other BLAS."""
    try:
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    for pattern, integer in (("scipy_{}64_", ctypes.c_int64), ("{}64_", ctypes.c_int64), ("{}", ctypes.c_int)):
        function = getattr(library, pattern.format(name), None)
        if function is not None:
            function.integer = integer
            return function
    return None


_set_threads, _get_threads = find("openblas_set_num_threads"), find("openblas_get_num_threads")


def is_openblas() -> bool:
    """Whether NumPy runs on an OpenBLAS, whose threads can be counted and set.

    >>> is_openblas() in (True, False)
    True
    """
    return _set_threads is not None and _get_threads is not None


def set_num_threads(n: int) -> None:
    """Set how many threads a matrix product may use.

    For small products, and beside other busy processes, one is best; `fit_threads` has the figures. Products may
    differ in their last bits from one number to another.

    Raises:
        ValueError: n is no positive integer.
        RuntimeError: NumPy runs on another BLAS than OpenBLAS, which has its own way.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: must be a positive integer, not {n!r}")
    if _set_threads is None:
        raise RuntimeError("set_num_threads: NumPy does not run on an OpenBLAS; use what its BLAS offers")
    _set_threads(int(n))


SMALL = 8_000_000  # multiply-adds; a batch of 64 images of MNIST into 160 units
BY_USER = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")  # what OpenBLAS reads itself


def fit_threads(multiply_adds: int) -> None:
    """Set the number of threads that suits products of this size: one below 8 million multiply-adds, else all cores.

    It goes by the size alone, never by how busy the machine is, so that the same program gives the same bits. What the
    user has set in the environment is left alone, and so are other BLAS. An epoch of MNIST on two cores
    (`python -m benchmarks.contention`):

    | hidden units | threads | idle | beside a busy process |
    | --- | --- | --- | --- |
    | 64 | 1 | 0.28 s | 0.27 s |
    | 64 | 2 | 0.28 s | 0.81 s |
    | 1024 | 1 | 2.13 s | 2.00 s |
    | 1024 | 2 | 1.50 s | 4.66 s |

    OpenBLAS's second thread waits busily, and loses its core to the neighbour when it is needed. Halves of a product on
    two threads of our own, which sleep in between, would not; but waking one takes 50 us, which made the two large
    products of a step 8 % slower at 1024 and 40 % at 256 units.

    Args:
        multiply_adds: of the largest product, rows * inner * columns.

    >>> fit_threads(64 * 784 * 1024)
    """
    if _set_threads is not None and not OFF and not any(name in os.environ for name in BY_USER):
        _set_threads(1 if multiply_adds < SMALL else _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """How many threads a matrix product may use: as many as there are cores, unless it is set.

    Raises:
        RuntimeError: NumPy runs on another BLAS than OpenBLAS.

    >>> get_num_threads() >= 1
    True
    """
    if _get_threads is None:
        raise RuntimeError("get_num_threads: NumPy does not run on an OpenBLAS; use what its BLAS offers")
    return int(_get_threads())


def kernels() -> str | None:
    """The name of OpenBLAS's kernels, as "SkylakeX"; None in other BLAS.

    >>> kernels() is None or kernels().isalnum()
    True
    """
    function = find("openblas_get_corename")
    if function is None or _get_threads is None:
        return None
    function.restype = ctypes.c_char_p
    return str(function().decode())
