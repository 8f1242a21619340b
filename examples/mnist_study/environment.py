"""What the numbers of a training depend on beside its settings: versions, threads and processor."""

import os
import platform
import subprocess
from pathlib import Path

import tinygrad_np

import numpy as np
import threadpoolctl


def environment() -> dict[str, str]:
    """Versions, matrix kernels, threads, processor and system, by name."""
    blas = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return {
        "tinygrad_np": tinygrad_np.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": "; ".join(
            f"{library['internal_api']} {library['version']}, kernels {library.get('architecture', 'unknown')},"
            f" threads: {library['num_threads']}"
            for library in blas
            if "numpy" in library["filepath"]  # scikit-learn brings another, for SciPy
        )
        or "unknown",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit() -> str:
    """The commit of the repository that these files are in, and whether files have changed since; "" if unknown."""
    git = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent)]
    elsewhere = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}  # set in hooks of another repository
    variables = {name: value for name, value in os.environ.items() if name not in elsewhere}

    def told(*words: str) -> str:
        run = subprocess.run([*git, *words], capture_output=True, check=True, timeout=10, env=variables)
        return run.stdout.decode().strip()

    try:
        told("ls-files", "--error-unmatch", Path(__file__).name)  # a copy may lie in somebody else's repository
        return told("describe", "--always", "--exclude=*", "--dirty=, changed since")
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
