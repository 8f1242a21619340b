"""Choose the kernels of NumPy's OpenBLAS, and set the number of its threads.

    tinygrad_np.set_num_threads(1)                # the number of threads of a matrix product; see get_num_threads()
    tinygrad_np.fit_threads(64 * 784 * 1024)      # the number that suits products of this size

Kernels can only be chosen if this module is imported before NumPy. The threads of another BLAS, such as BLIS or MKL,
are those that threadpoolctl finds, if it is installed.
"""

import ctypes
import os
import platform
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

TUNING = os.environ.get("TINYGRAD_NP_TUNING", "").lower()
OFF = TUNING == "off"


# --- kernels, chosen before NumPy is imported ------------------------------------------------------------------------


def choose_kernels(cpuinfo: str, machine: str, environment: "os._Environ[str] | dict[str, str]") -> str | None:
    """The name of the OpenBLAS kernels to request, or None to leave the choice to OpenBLAS.

    OpenBLAS 0.3.31, in NumPy 2.4, does not know AMD's family 26 (Zen 5) and may fall back to AVX2 kernels there, half
    as fast as its AVX-512 kernels (240 against 466 GFLOP/s for a product of 2048 x 2048 float32). Later versions know
    it (OpenMathLib/OpenBLAS#6033). For other processors, and if the user has set OPENBLAS_CORETYPE, it returns None.
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
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return file.read(1 << 16)  # the first processor is enough
    except OSError:
        return ""


def _request_kernels() -> tuple[bool, str]:
    """Set OPENBLAS_CORETYPE if useful, before NumPy loads OpenBLAS; return whether it was set, and the reason."""
    if OFF:
        return False, "OpenBLAS's choice: TINYGRAD_NP_TUNING=off"
    kernels = choose_kernels(_read_cpuinfo(), platform.machine(), os.environ)
    if "numpy" in sys.modules:
        hint = f"; import tinygrad_np first, or set OPENBLAS_CORETYPE={kernels}, for faster products" if kernels else ""
        return False, f"OpenBLAS's choice: NumPy was imported before{hint}"
    if kernels is None:
        given = os.environ.get("OPENBLAS_CORETYPE")
        return (
            False,
            f"OpenBLAS's choice: {f'OPENBLAS_CORETYPE={given} is set' if given else 'it knows this processor'}",
        )
    os.environ["OPENBLAS_CORETYPE"] = kernels
    return True, f"{kernels} chosen: OpenBLAS may not know this AMD processor's AVX-512"


# After a product, OpenBLAS's threads spin for more than 100 ms waiting for the next one. They occupy cores that other
# code needs, above all `threads.run`. A timeout of 2**20 clock ticks is long enough between the products of a step: an
# epoch of examples/mnist_cnn.py takes 30 s instead of 39 on two cores, and half the CPU time. An epoch of 784-1024-10
# takes as long as before; with 2**18 ticks it takes 6 % longer.
THREAD_TIMEOUT = "20"


def _request_thread_timeout() -> bool:
    """Set OPENBLAS_THREAD_TIMEOUT until OpenBLAS has read it, and return whether it was set."""
    if OFF or "OPENBLAS_THREAD_TIMEOUT" in os.environ:
        return False
    os.environ["OPENBLAS_THREAD_TIMEOUT"] = THREAD_TIMEOUT
    return True


_imported_before = "numpy" in sys.modules
_requested_kernels, kernels_reason = _request_kernels()
_requested_thread_timeout = _request_thread_timeout()

import numpy as np  # noqa: E402 - after the kernels are chosen

if _requested_kernels:  # OpenBLAS has read it; child processes must choose for themselves
    del os.environ["OPENBLAS_CORETYPE"]


# --- the library that NumPy has loaded -------------------------------------------------------------------------------


def find(name: str) -> Any:
    """A function of NumPy's BLAS, with its integer type in `.integer`; None if it has none of this name."""
    return _function(_library(), name)


@cache
def _library() -> Any:
    """The library with NumPy's OpenBLAS; with another BLAS, NumPy's own, through which its functions may be found."""
    libraries = [library for path in _own_paths() if (library := _opened(path)) is not None]
    for library in libraries:
        if _function(library, "openblas_get_num_threads") is not None:
            return library
    for pool in _pools():
        if pool.internal_api == "openblas" and (library := _opened(pool.filepath)) is not None:
            return library
    return next(iter(libraries), None)


def _own_paths() -> Iterator[str]:
    """NumPy's library, which on Linux and macOS is searched with all that it uses; the DLL of its wheel on Windows."""
    with suppress(AttributeError):
        yield np._core._multiarray_umath.__file__  # type: ignore[attr-defined]
    yield from map(str, sorted((Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*")))


def _opened(path: str) -> Any:
    with suppress(OSError):
        return ctypes.CDLL(path)
    return None


def _pools() -> list[Any]:
    """What threadpoolctl, if it is installed, knows of the BLAS libraries that other packages did not bring along.

    It is asked only where NumPy's OpenBLAS is not found without it: importing it and looking takes 15 ms.
    """
    try:
        found = import_module("threadpoolctl").ThreadpoolController().lib_controllers
    except ImportError:
        return []
    packages = Path(np.__file__).parents[1]
    return [pool for pool in found if pool.user_api == "blas" and _may_be_numpys(Path(pool.filepath), packages)]


def _may_be_numpys(path: Path, packages: Path) -> bool:
    return not path.is_relative_to(packages) or path.relative_to(packages).parts[0] in ("numpy", "numpy.libs")


def _function(library: Any, name: str) -> Any:
    for pattern, integer in (("scipy_{}64_", ctypes.c_int64), ("{}64_", ctypes.c_int64), ("{}", ctypes.c_int)):
        function = getattr(library, pattern.format(name), None)
        if function is not None:
            function.integer = integer
            return function
    return None


def _restart_threads() -> None:
    """Let OpenBLAS read the environment again; its next product starts its threads anew, with the new timeout.

    Where NumPy is imported first, which is usual, a step of examples/mnist_cnn.py takes 36 ms without this and 24 ms
    with it. Another thread must not be inside a product meanwhile, so it is not done where there is one.
    """
    read, stop = find("openblas_read_env"), find("blas_thread_shutdown_")
    if read is not None and stop is not None and threading.active_count() == 1:
        read()
        stop()


if _requested_thread_timeout:
    if _imported_before:
        _restart_threads()
    del os.environ["OPENBLAS_THREAD_TIMEOUT"]

_set_threads, _get_threads = find("openblas_set_num_threads"), find("openblas_get_num_threads")
_other: Any = None if _get_threads is not None else next(iter(_pools()), None)  # a BLAS that threadpoolctl knows


def is_openblas() -> bool:
    """Whether NumPy uses OpenBLAS, whose number of threads can be read and set.

    >>> is_openblas() in (True, False)
    True
    """
    return _set_threads is not None and _get_threads is not None


def has_known_threads() -> bool:
    """Whether the threads of NumPy's BLAS can be read and set: those of OpenBLAS, or what threadpoolctl knows.

    >>> has_known_threads() or not is_openblas()
    True
    """
    return is_openblas() or _other is not None


_shared = 0  # how many threads of our own compute products instead of OpenBLAS's; 0 for none


def set_num_threads(n: int, *, shared: bool = False) -> None:
    """Set the number of threads that a matrix product may use.

    One thread is best for small products and next to other busy processes; `fit_threads` has measurements. The last
    bits of a product may depend on the number of threads.

    Args:
        n: the number of threads.
        shared: whether other busy processes share the cores. OpenBLAS's threads wait for each other by spinning, so
            that a product takes several times as long if one of them has lost its core. With `shared`, OpenBLAS uses
            one thread, and large products of layers are computed in parts by threads of tinygrad_np that sleep while
            they wait. The bits of a product then do not depend on n. Beside a busy process a product of
            64 x 784 x 1024 takes 1.1 ms so, and 3.1 ms otherwise; on an idle machine 0.77 and 0.72 ms.
            TINYGRAD_NP_TUNING=shared in the environment does this from the start.

    Raises:
        ValueError: n is not a positive integer, or shared is not True or False.
        RuntimeError: NumPy uses a BLAS other than OpenBLAS, and threadpoolctl is not installed or does not know it
            either; or `shared` needs a function that this OpenBLAS does not have, or TINYGRAD_NP_TUNING=off.

    >>> if has_known_threads():
    ...     before = get_num_threads()
    ...     set_num_threads(1)
    ...     assert get_num_threads() == 1
    ...     set_num_threads(before)
    """
    global _shared
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ValueError(f"set_num_threads: n must be a positive integer, not {n!r}")
    if not isinstance(shared, bool):
        raise ValueError(f"set_num_threads: shared must be True or False, not {shared!r}")
    if not has_known_threads():
        raise RuntimeError(f"set_num_threads: {UNKNOWN}")
    if shared and not has_threads_of_our_own():
        raise RuntimeError("set_num_threads: shared=True needs an OpenBLAS with gemm_batch, and tuning that is not off")
    _shared = int(n) if shared else 0
    if is_openblas():
        _set_threads(1 if shared else int(n))
    else:
        _other.set_num_threads(int(n))


UNKNOWN = (
    "NumPy does not use OpenBLAS, and threadpoolctl, which knows some other libraries, is not installed or does not"
    " find it; set its threads as it says, usually by OMP_NUM_THREADS in the environment"
)


def has_threads_of_our_own() -> bool:
    """Whether a product can be computed on one thread while OpenBLAS has several, see `fused.multiply`."""
    return not OFF and is_openblas() and find("cblas_sgemm_batch") is not None


def products_are_shared() -> bool:
    """Whether `set_num_threads` has left large products to threads of our own."""
    return _shared > 0


SMALL = 8_000_000  # multiply-adds, as for a batch of 64 MNIST images and 160 hidden units
BY_USER = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")  # variables that OpenBLAS reads itself


def fit_threads(multiply_adds: int) -> None:
    """Set the number of threads that suits products of a size: one below 8 million multiply-adds, else one per core.

    The number depends on the size alone, never on the load of the machine, so that the same program gives the same
    bits. Numbers that the user has set in the environment are kept. With another BLAS it does nothing. An epoch of
    MNIST on two cores (`python -m benchmarks.contention`):

    | hidden units | threads | idle | beside a busy process |
    | --- | --- | --- | --- |
    | 64 | 1 | 0.28 s | 0.27 s |
    | 64 | 2 | 0.28 s | 0.81 s |
    | 1024 | 1 | 2.13 s | 2.00 s |
    | 1024 | 2 | 1.50 s | 4.66 s |

    OpenBLAS's second thread spins while it waits, and has lost its core to the other process when it is needed. Two
    threads of our own that sleep between products would avoid this, but waking one takes 50 us, which made the two
    large products of a step 8 % slower at 1024 units and 40 % slower at 256.

    Args:
        multiply_adds: the size of the largest product, rows * inner * columns.

    >>> fit_threads(64 * 784 * 1024)
    """
    if _set_threads is not None and not _shared and not OFF and not any(name in os.environ for name in BY_USER):
        _set_threads(1 if multiply_adds < SMALL else _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """The number of threads that a matrix product may use; by default, one per core.

    Raises:
        RuntimeError: NumPy uses a BLAS other than OpenBLAS, and threadpoolctl is not installed or does not know it.

    >>> not has_known_threads() or get_num_threads() >= 1
    True
    """
    if not has_known_threads():
        raise RuntimeError(f"get_num_threads: {UNKNOWN}")
    return _shared or int(_get_threads() if is_openblas() else _other.get_num_threads())


def kernels() -> str | None:
    """The name of OpenBLAS's kernels, such as "SkylakeX"; None for another BLAS.

    >>> kernels() is None or kernels().isalnum()
    True
    """
    function = find("openblas_get_corename")
    if function is None or _get_threads is None:
        return None
    function.restype = ctypes.c_char_p
    return str(function().decode())


if TUNING == "shared" and has_threads_of_our_own():
    set_num_threads(get_num_threads(), shared=True)
elif TUNING == "shared":
    warnings.warn("TINYGRAD_NP_TUNING=shared has no effect: it needs an OpenBLAS with gemm_batch", stacklevel=2)
elif TUNING not in ("", "off"):
    warnings.warn(f"TINYGRAD_NP_TUNING must be off or shared, not {TUNING!r}, which has no effect", stacklevel=2)
