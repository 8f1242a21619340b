"""The tests on a machine without Linux's system calls and files, and with a BLAS that nothing is known of."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PARTS = (
    "engine/test_threads.py",
    "engine/test_openblas.py",
    "engine/test_malloc.py",
    "engine/test_fused.py",
    "nn/test_attention.py",
    "programs",
    "training/test_endurance.py",
)


def run_elsewhere(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/elsewhere.py", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_test_is_collected() -> None:
    done = run_elsewhere("--collect-only", "-m", "slow or not slow")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_what_needs_openblas_or_linux_is_skipped_and_the_rest_passes() -> None:
    done = run_elsewhere("-rs", *(f"tests/{part}" for part in PARTS))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert any("test_threads.py" in line for line in skipped)
    assert any("test_malloc.py" in line for line in skipped)
