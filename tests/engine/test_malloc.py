"""Memory that a step frees is kept for the next, as the C library counts it in processes of their own."""

import ctypes
import subprocess
import sys

import pytest

STEPS = """
import ctypes, os, sys
os.environ.update(dict([argument.split("=") for argument in sys.argv[1:]]))  # too late for glibc, which has started
import tinygrad_np
import numpy as np
tinygrad_np.tune()
class Mallinfo2(ctypes.Structure):  # of malloc.h
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Mallinfo2
def held():
    info = mallinfo2()
    return info.arena + info.hblkhd
def step():
    arrays = [np.ones(1 << 20, np.float32) for _ in range(20)]
    return held()
before = held()
for _ in range(5):
    during, after = step(), held()
    print(during - before, after - before)
"""
MEGABYTE = 1 << 20  # a step needs 80 of them


def held_by_steps(*environment: str) -> list[tuple[int, int]]:
    """The bytes that the process holds during each of five steps, and after it, beyond those from before."""
    command = [sys.executable, "-c", STEPS, *environment]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return [(int(during), int(after)) for during, after in map(str.split, run.stdout.splitlines())]


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="elsewhere memory is left to the C library",
)
def test_freed_memory_is_kept_unless_that_is_switched_off() -> None:
    kept = held_by_steps()
    assert all(75 * MEGABYTE <= during == after < 90 * MEGABYTE for during, after in kept)
    assert len(set(kept)) == 1  # no step asks the system for more
    for switched_off in ("TINYGRAD_NP_TUNING=off", "MALLOC_TRIM_THRESHOLD_=131072", "GLIBC_TUNABLES="):
        for during, after in held_by_steps(switched_off):
            assert during >= 75 * MEGABYTE, switched_off
            assert after < 20 * MEGABYTE, switched_off
