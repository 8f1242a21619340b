"""Freed memory is kept, as counted by the system in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
import os, resource, sys
os.environ.update(dict([argument.split("=") for argument in sys.argv[1:]]))  # too late for glibc, which has started
import tinygrad_np
import numpy as np
if "untuned" not in sys.argv:
    tinygrad_np.tune()
def step():
    arrays = [np.ones(1 << 20, np.float32) for _ in range(20)]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


def faults_in_a_step(*environment: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", STEPS, *environment],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    return float(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is left to the C library")
def test_the_second_step_uses_the_memory_of_the_first_unless_that_is_switched_off() -> None:
    assert faults_in_a_step() < 50
    for switched_off in ("TINYGRAD_NP_TUNING=off", "MALLOC_TRIM_THRESHOLD_=131072", "GLIBC_TUNABLES="):
        assert faults_in_a_step(switched_off) > 1000, switched_off
