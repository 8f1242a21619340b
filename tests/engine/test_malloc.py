"""Memory that a step frees is kept for the next, and not more, as the system counts it in processes of their own."""

import ctypes
import subprocess
import sys
from pathlib import Path

import tinygrad_np

import pytest

STEPS = """
import mmap, os, sys
os.environ.update(dict([argument.split("=") for argument in sys.argv[2:]]))  # too late for glibc, which has started
import tinygrad_np
import numpy as np
tinygrad_np.tune()
def resident():
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE >> 20
def step():
    arrays = [np.ones(1 << 20, np.float32) for _ in range(int(sys.argv[1]))]
    return resident()
before = resident()
for _ in range(4):
    during, after = step(), resident()
    print(during - before, after - before)
tinygrad_np.tune(keep=0)
print(0, resident() - before)
"""


def held_by_steps(count: int, *environment: str) -> list[tuple[int, int]]:
    """The megabytes that the process holds during each of four steps with so many arrays of 4 MB, and after it.

    The last pair is what it holds when it has been told to give memory back.
    """
    command = [sys.executable, "-c", STEPS, str(count), *environment]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return [(int(during), int(after)) for during, after in map(str.split, run.stdout.splitlines())]


only_with_glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt") or not Path("/proc/self/statm").exists(),
    reason="elsewhere memory is left to the C library",
)


@only_with_glibc
def test_freed_memory_is_kept_unless_that_is_switched_off() -> None:
    *steps, (_, at_the_end) = held_by_steps(20)
    assert all(75 <= during < 90 and during - after <= 2 for during, after in steps)
    assert at_the_end < 10
    for switched_off in ("TINYGRAD_NP_TUNING=off", "MALLOC_TRIM_THRESHOLD_=131072", "GLIBC_TUNABLES="):
        for during, after in held_by_steps(20, switched_off)[:-1]:
            assert during >= 75, switched_off
            assert after < 20, switched_off


@only_with_glibc
def test_no_more_than_the_limit_is_kept() -> None:
    *steps, (_, at_the_end) = held_by_steps(150)
    for during, after in steps:
        assert during >= 590
        assert 240 <= after < 280
    assert at_the_end < 10


def test_a_limit_that_is_no_number_of_bytes_is_refused() -> None:
    for wrong in (-1, 1.5, True, "1"):
        with pytest.raises(ValueError, match=r"tune: keep must be a number of bytes, an integer of at least 0, not "):
            tinygrad_np.tune(keep=wrong)
