"""Run pytest as on a machine without Linux's system calls and files, and with a BLAS that nothing is known of.

python tests/elsewhere.py --collect-only -q
"""

import builtins
import ctypes
import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

import threadpoolctl


def without_proc(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(path: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return function(path, *args, **kwargs)

    return called


class Threadpools:
    """What threadpoolctl finds where it knows no library."""

    lib_controllers: tuple[Any, ...] = ()

    def info(self) -> list[Any]:
        return []


class Library(ctypes.CDLL):
    """A library that has no function of a BLAS or of glibc."""

    def __getattr__(self, name: str) -> Any:
        if "blas" in name or name.startswith("mall"):
            raise AttributeError(name)
        return super().__getattr__(name)


def move_elsewhere() -> None:
    """Take away from this process what only some machines have."""
    for name in ("sched_getaffinity", "sched_setaffinity"):
        if hasattr(os, name):
            delattr(os, name)
    sys.modules["resource"] = None  # type: ignore[assignment]
    threadpoolctl.ThreadpoolController = Threadpools
    os.stat, builtins.open, io.open = without_proc(os.stat), without_proc(open), without_proc(io.open)
    ctypes.CDLL = Library  # type: ignore[misc]


if __name__ == "__main__":
    move_elsewhere()
    import pytest

    sys.exit(pytest.main(sys.argv[1:]))
